//! The arguments of `vestibule invite`, `invitation`, `user` and `session`.
//!
//! What does not live here: carrying them out, for which `cli/operator.rs` asks the gateway.
//!
//! What always holds: an unreadable argument is refused before the gateway is asked.

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
    /// The user's name
    #[arg(long, value_parser = DisplayName::parse)]
    pub(crate) name: Option<DisplayName>,
    /// The user's username; default: made from the e-mail address
    #[arg(long, value_parser = Username::parse)]
    pub(crate) username: Option<Username>,
    /// A group of the user; may be repeated
    #[arg(long = "group", value_name = "GROUP", value_parser = Group::parse)]
    pub(crate) groups: Vec<Group>,
    /// Make the user an administrator
    #[arg(long)]
    pub(crate) admin: bool,
    #[command(flatten)]
    pub(crate) links: Links,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Invitation {
    /// List the invitations that can still be used
    List(Part),
    /// Revoke an invitation: its link stops working
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

/// A page of a list, and how it is printed.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// How many, at most 200
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// The cursor that the page before printed
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A user is named by username, e-mail address or id.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List users, by username
    List {
        /// Only users whose username, address or name begins with this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a user, with passkeys and sessions
    Show {
        user: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change the name of a user
    Name {
        user: String,
        #[arg(value_parser = DisplayName::parse)]
        name: DisplayName,
    },
    /// Change the note about a user, for other administrators; without a text, remove it
    Note {
        user: String,
        #[arg(default_value = "")]
        note: String,
    },
    /// Set an attribute of a user, which the configuration defines; without a value, remove it
    Attribute {
        user: String,
        #[arg(value_parser = AttributeName::parse)]
        name: AttributeName,
        #[arg(value_parser = AttributeValue::parse)]
        value: Option<AttributeValue>,
    },
    /// Set when an account ends by itself: after a time such as 90d, or never
    Expires {
        user: String,
        #[arg(value_parser = end_of_account)]
        when: AccountEnd,
    },
    /// Make a link that adds a passkey, for a user who has lost all passkeys
    Reset {
        user: String,
        /// Remove the old passkeys and end every session
        #[arg(long)]
        wipe: bool,
        /// Also send the link by mail
        #[arg(long)]
        mail: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove one passkey of a user; `user show` lists them
    RemovePasskey {
        user: String,
        #[arg(value_parser = CredentialId::parse, allow_hyphen_values = true)]
        passkey: CredentialId,
    },
    /// Delete an account; its username is never given to another user
    Delete { user: String },
    /// Disable an account in one step: end all sessions, and let the user in no more
    Lock { user: String },
    /// Replace all groups of a user; without a group, remove all
    Groups {
        user: String,
        #[arg(value_parser = Group::parse)]
        groups: Vec<Group>,
    },
    /// Make a user an administrator, or a member; the last administrator stays one
    Role { user: String, role: RoleName },
    /// Disable an account: end all sessions, and let the user in no more
    Disable { user: String },
    /// Enable a disabled account
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
    /// List the sessions of a user, the newest first
    List {
        user: String,
        #[command(flatten)]
        part: Part,
    },
    /// End all sessions of a user, or one session
    End {
        user: String,
        #[arg(value_parser = SessionId::parse)]
        session: Option<SessionId>,
    },
}

fn end_of_account(text: &str) -> Result<AccountEnd, String> {
    if text == "never" { Ok(AccountEnd::Never) } else { length(text).map(AccountEnd::After) }
}
