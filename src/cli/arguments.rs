//! What can be written on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config;
use crate::domain::id::{InvitationId, SessionId};
use crate::domain::invitation::INVITATION_LIFETIME_MAX;
use crate::domain::user::{DisplayName, Email, Group, Username};

/// Where the README puts the unit.
const UNIT_FILE: &str = "/etc/systemd/system/vestibule.service";

/// A passkey authentication gateway: one binary in front of web applications that have no good
/// login of their own.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version)]
pub(crate) struct Arguments {
    /// The configuration; default ./config.toml, else /etc/vestibule/config.toml, else built-in
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway (the default)
    Serve,
    /// Report every mistake in the configuration, and load every file that the gateway would
    Check(Check),
    /// Run a gateway with a sample application behind it
    Demo(Demo),
    #[command(flatten)]
    Operator(Operator),
}

/// Commands that a running gateway carries out.
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Promise somebody an account and print the link to send
    Invite(Invite),
    /// List invitations, and take them back
    #[command(subcommand)]
    Invitation(Invitation),
    /// List and change accounts
    #[command(subcommand)]
    User(User),
    /// End sessions
    #[command(subcommand)]
    Session(Session),
    /// Change signing keys
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read credentials below /run/credentials/ where this systemd unit takes them from
    #[arg(long, value_name = "UNIT_FILE", num_args = 0..=1, default_missing_value = UNIT_FILE)]
    pub(crate) as_service: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the data in this directory; default a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = fixed_port)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    #[arg(value_parser = Email::parse)]
    pub(crate) email: Email,
    /// What they are called
    #[arg(long, value_parser = DisplayName::parse)]
    pub(crate) name: Option<DisplayName>,
    /// Their username; default from the e-mail address
    #[arg(long, value_parser = Username::parse)]
    pub(crate) username: Option<Username>,
    /// A group to put them in; may be repeated
    #[arg(long = "group", value_name = "GROUP", value_parser = Group::parse)]
    pub(crate) groups: Vec<Group>,
    /// Make them an administrator
    #[arg(long)]
    pub(crate) admin: bool,
    /// How long the link is good, at most 72h [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub(crate) expires: Option<Duration>,
    /// Send the link by mail, besides printing it
    #[arg(long)]
    pub(crate) mail: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Invitation {
    /// List every invitation that can still be redeemed
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the link of an invitation good for nothing
    Revoke {
        #[arg(value_parser = InvitationId::parse)]
        id: InvitationId,
    },
}

/// What a user may do to this installation.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    Administrator,
    Member,
}

/// A person is named by username, e-mail address or id.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List everybody with an account
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace all groups of a person; none given means none left
    Groups {
        user: String,
        #[arg(value_parser = Group::parse)]
        groups: Vec<Group>,
    },
    /// Make a user an administrator, or a member; the last administrator stays one
    Role { user: String, role: RoleName },
    /// End all sessions of a person and let them in no more
    Disable { user: String },
    /// Let a person in again
    Enable { user: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// End all sessions of a person, or one of them
    End {
        user: String,
        #[arg(value_parser = SessionId::parse)]
        session: Option<SessionId>,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Key {
    /// Make new signing keys; open sessions go on
    Rotate {
        /// After a leak: accept nothing that earlier keys signed, and end every session
        #[arg(long)]
        burn: bool,
    },
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let length = config::duration(text)
        .map_err(|problem| format!("{problem}; write a whole number and m, h or d, such as \"24h\""))?;
    if length.is_zero() || length > INVITATION_LIFETIME_MAX {
        return Err("an invitation is good for more than nothing and at most 72h".to_owned());
    }
    Ok(length)
}

fn fixed_port(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "expected an address and a port, such as \"127.0.0.1:8080\"".to_owned())?;
    if address.port() == 0 {
        Err("the port must be known to browsers, so it cannot be 0".to_owned())
    } else {
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        for right in [
            "",
            "serve",
            "check --config x.toml",
            "--config x.toml check",
            "invite a@example.com",
            "invite a@example.com --name Alice --username alice --group x --group y --admin --expires 72h --mail --json",
            "user list --json",
            "user groups alice staff ops",
            "user groups alice",
            "user disable alice",
            "user role alice administrator",
            "invitation list --json",
            "invitation revoke 000102030405060708090a0b0c0d0e0f",
            "session end alice",
            "session end alice 000102030405060708090a0b0c0d0e0f",
            "key rotate",
            "demo --data d --listen 127.0.0.1:9999",
        ] {
            let words = ["vestibule"].into_iter().chain(right.split_whitespace());
            assert!(Arguments::try_parse_from(words).is_ok(), "{right}");
        }
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        for wrong in [
            "server",
            "invite",
            "invite alice",
            "invite a@example.com --expires 73h",
            "invite a@example.com --expires 0s",
            "invite a@example.com --group a,b",
            "user",
            "user groups",
            "session end alice 12",
            "demo --listen 127.0.0.1:0",
        ] {
            let words = ["vestibule"].into_iter().chain(wrong.split_whitespace());
            assert_eq!(Arguments::try_parse_from(words).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
