//! What `vestibule invite`, `invitation`, `user` and `session` take.
//!
//! What does not live here: what they do, which `cli/operator.rs` asks the gateway for.
//!
//! What always holds: what cannot be read is refused before anybody is asked.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Links, length};
use crate::domain::attribute::{AttributeName, AttributeValue};
use crate::domain::id::{CredentialId, InvitationId, SessionId};
use crate::domain::user::{DisplayName, Email, Group, Username};

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
    #[command(flatten)]
    pub(crate) links: Links,
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
    /// List the people who have an account, by username
    List {
        /// Only those whose username, address or name begins so
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// How many, at most 200
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Go on after the page before
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a person, with their passkeys and sessions
    Show {
        user: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a person another name
    Name {
        user: String,
        #[arg(value_parser = DisplayName::parse)]
        name: DisplayName,
    },
    /// Write down what administrators should know of a person; nothing takes the note away
    Note {
        user: String,
        #[arg(default_value = "")]
        note: String,
    },
    /// Say what an attribute of a person is, which the configuration defines; nothing takes it away
    Attribute {
        user: String,
        #[arg(value_parser = AttributeName::parse)]
        name: AttributeName,
        #[arg(value_parser = AttributeValue::parse)]
        value: Option<AttributeValue>,
    },
    /// Let an account end by itself after this long, such as 90d; or never
    Expires {
        user: String,
        #[arg(value_parser = end_of_account)]
        when: AccountEnd,
    },
    /// Make a link that adds a passkey, for a person who has lost theirs
    Reset {
        user: String,
        /// Remove the old passkeys and end every session
        #[arg(long)]
        wipe: bool,
        /// Send the link by mail, besides printing it
        #[arg(long)]
        mail: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove one passkey of a person; `user show` names them
    RemovePasskey {
        user: String,
        #[arg(value_parser = CredentialId::parse, allow_hyphen_values = true)]
        passkey: CredentialId,
    },
    /// Remove an account for good; its username is given to nobody else
    Delete { user: String },
    /// End all sessions of a person and let them in no more, in one step
    Lock { user: String },
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

/// When an account ends by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AccountEnd {
    After(Duration),
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// List the sessions of a person
    List {
        user: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End all sessions of a person, or one of them
    End {
        user: String,
        #[arg(value_parser = SessionId::parse)]
        session: Option<SessionId>,
    },
}

fn end_of_account(text: &str) -> Result<AccountEnd, String> {
    if text == "never" { Ok(AccountEnd::Never) } else { length(text).map(AccountEnd::After) }
}
