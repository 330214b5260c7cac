//! The commands and options of the command line.

mod people;
pub(crate) mod policy;
pub(crate) mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config;
use crate::domain::ban::{BAN_LENGTH_MAX, Reason};
use crate::domain::invitation::INVITATION_LIFETIME_MAX;
use crate::domain::network::Network;
use crate::domain::user::Email;

pub(crate) use people::{AccountEnd, Invitation, Invite, Part, RoleName, Session, User};

/// The path at which the README puts the unit.
const UNIT_FILE: &str = "/etc/systemd/system/vestibule.service";

/// A passkey authentication gateway: one binary in front of web applications that have no good
/// login of their own.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version)]
pub(crate) struct Arguments {
    /// The configuration file; default ./config.toml, else /etc/vestibule/config.toml, else the
    /// defaults
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
    /// Write a backup of accounts, passkeys and the audit trail to a file, while the gateway runs
    Backup(Backup),
    /// Fill an empty store from a backup, while no gateway runs
    Restore(Restore),
    /// Look for what is wrong: names, ports, certificates, applications, mail, disk, backups
    Doctor(Doctor),
    /// Make users, groups and invitations match a file, and print what was different
    Apply(Apply),
    /// Invite all users in a file; if one line is wrong, no user is invited
    #[command(subcommand)]
    Import(Import),
    /// Print all accounts
    #[command(subcommand)]
    Export(Export),
    /// Find out who may enter, and why
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Make, list and revoke access tokens for programs, and narrow a token that you have
    #[command(subcommand)]
    Token(token::Token),
    /// Test whether mail arrives
    #[command(subcommand)]
    Mail(Mail),
    /// Test whether webhooks accept messages
    #[command(subcommand)]
    Webhook(Webhook),
    #[command(flatten)]
    Operator(Operator),
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// A TOML file with a `[[user]]` table for each user; `-` is standard input
    pub(crate) file: PathBuf,
    /// Disable the accounts and revoke the invitations of users who are not in the file
    #[arg(long)]
    pub(crate) prune: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Invite the users of a CSV file with the columns email, name, username, groups and role
    Users(ImportUsers),
    /// Take over users and passkeys from the credentials file of Quiq's `webauthn_proxy`; they stay
    /// valid while the RP ID stays
    WebauthnProxy(ImportPasskeys),
}

#[derive(Debug, Args)]
pub(crate) struct ImportPasskeys {
    /// `credentials.yml`; `-` is standard input
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportUsers {
    /// `-` is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) links: Links,
}

/// How the links of invitations are given out.
#[derive(Debug, Args)]
pub(crate) struct Links {
    /// How long a link works, at most 72h [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub(crate) expires: Option<Duration>,
    /// Also send the link by mail
    #[arg(long)]
    pub(crate) mail: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Every account, as CSV
    Users {
        /// Print one JSON object on each line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Send a message to this address at once, and print the mail server's answer
    Test {
        #[arg(value_parser = Email::parse)]
        to: Email,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Send a message at once, and print each receiver's answer
    Test {
        /// A webhook, by its place in the configuration (from 1) or its URL [default: all]
        #[arg(value_name = "NUMBER|URL")]
        which: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    pub(crate) file: PathBuf,
    /// Encrypt the backup to this age recipient; may be repeated
    #[arg(long = "recipient", value_name = "AGE1...", value_parser = config::recipient)]
    pub(crate) recipients: Vec<config::Recipient>,
    /// Encrypt the backup with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    pub(crate) file: PathBuf,
    /// Decrypt the backup with a key in this file, as age-keygen writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Decrypt the backup with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Commands that a running gateway carries out.
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Invite a user, and print the link to send
    Invite(Invite),
    /// List and revoke invitations
    #[command(subcommand)]
    Invitation(Invitation),
    /// List and change accounts
    #[command(subcommand)]
    User(User),
    /// End sessions
    #[command(subcommand)]
    Session(Session),
    /// Print what happened, and who did it; the newest first
    Audit(Audit),
    /// Keep networks from trying credentials
    #[command(subcommand)]
    Ban(Ban),
    /// Change signing keys
    #[command(subcommand)]
    Key(Key),
    /// Tell the running gateway to read its changed configuration
    Reload,
    /// Replace the running gateway by the new binary on disk, without refusing a request
    Upgrade,
    /// Print whether the running gateway works; fails if it does not
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only events of this user: a username, an e-mail address or an id
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only events of this kind, such as `sign_in_refused`
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Only events of this last time, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = length)]
    pub(crate) since: Option<Duration>,
    /// How many, at most 500
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Also print events as they happen, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print one JSON object on each line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read files below /run/credentials/ from where this systemd unit copies them
    #[arg(long, value_name = "UNIT_FILE", num_args = 0..=1, default_missing_value = UNIT_FILE)]
    pub(crate) as_service: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the data in this directory; default: a temporary directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = fixed_port)]
    pub(crate) listen: SocketAddr,
}

/// A network is an address, such as 192.0.2.7, or CIDR notation, such as 192.0.2.0/24.
#[derive(Debug, Subcommand)]
pub(crate) enum Ban {
    /// List the bans that are in force, the newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let no client sign in, register or use a code from a network; signed-in users go on
    Add {
        #[arg(value_parser = Network::parse)]
        network: Network,
        /// How long, such as 1d [default: until it is removed]
        #[arg(long = "for", value_name = "DURATION", value_parser = ban_length)]
        length: Option<Duration>,
        /// The reason, shown in the list
        #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
        reason: Option<Reason>,
    },
    /// Remove the ban of a network
    Remove {
        #[arg(value_parser = Network::parse)]
        network: Network,
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
    let length = length(text)?;
    if length.is_zero() || length > INVITATION_LIFETIME_MAX {
        return Err("the time must be longer than zero and at most 72h".to_owned());
    }
    Ok(length)
}

fn length(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .map_err(|problem| format!("{problem}; write a whole number and m, h or d, such as \"24h\""))
}

fn ban_length(text: &str) -> Result<Duration, String> {
    let length = length(text)?;
    if length < Duration::from_secs(1) || length > BAN_LENGTH_MAX {
        return Err(
            "a ban lasts for at least 1s and at most 3660d; leave --for out for a ban without an end"
                .to_owned(),
        );
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
mod tests;
