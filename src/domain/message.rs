//! Messages to people. Words and layout are in `mail/`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::credential::Program;
use super::invitation::INVITATION_LIFETIME_MAX;
use super::network::Network;
use super::time::Timestamp;
use super::user::{DisplayName, Email, Role};

/// How long the gateway tries to tell a user what has happened to their account.
const NOTICE_LIFETIME: Duration = Duration::from_hours(24);

/// One message to one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub to: Email,
    pub content: Content,
}

/// The content of a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A message for an address that no user has, thrown away instead of being sent, so that a
    /// request for a code is the same work either way.
    Nothing { instead_of: String },
    /// A one-time code.
    Code { code: String },
    /// A link that invites to an account, or to add a passkey to one.
    Link { url: String, name: Option<DisplayName>, hours: u64 },
    /// A passkey was added to the account.
    PasskeyAdded {
        passkey: String,
        #[serde(default)]
        about: Option<About>,
    },
    /// A passkey was removed from the account.
    PasskeyRemoved {
        passkey: String,
        #[serde(default)]
        about: Option<About>,
    },
    /// A code by mail opened the account.
    CodeUsed {
        about: About,
        /// The link with which the owner takes it back.
        #[serde(default)]
        cancel: Option<String>,
    },
    /// A recovery code opened the account.
    RecoveryCodeUsed {
        about: About,
        /// The link with which the owner takes it back.
        cancel: Option<String>,
        /// How many codes there still are.
        left: usize,
    },
    /// New recovery codes were made for the account.
    RecoveryCodesMade { about: About },
    /// An administrator's link opened the account.
    LinkUsed {
        about: About,
        /// The link with which the owner takes it back.
        cancel: Option<String>,
    },
    /// An administrator made a link that adds a passkey to the account.
    ResetLinkMade { hours: u64 },
    /// An administrator removed every passkey of the account.
    PasskeysWiped { at: Timestamp },
    /// The account was signed in to with a program that its owner had not used before.
    NewDevice { program: Program, about: About },
    /// The account has another role.
    RoleChanged { role: Role, at: Timestamp },
    /// The account will end.
    AccountEnds { at: Timestamp },
    /// Its owner made a link that adds a passkey to the account.
    LinkMade,
    /// An account waits for an administrator, who gets this message.
    Waiting { email: Email, url: String },
    /// An administrator has let the account in.
    Approved,
    /// The account has another address from now on; sent to the address before.
    AddressChanged { new: Email },
    /// A test that says nothing but that mail arrives.
    Test,
}

/// The circumstances of a change to a user's account. The person who made the change chooses none
/// of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The model of the authenticator; `None` where it does not tell.
    pub model: Option<String>,
    /// The network that the change was asked for from.
    pub network: Option<Network>,
    pub at: Timestamp,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing { .. } => "Nothing",
            Self::Code { .. } => "Code(..)",
            Self::Link { .. } => "Link(..)",
            Self::PasskeyAdded { .. } => "PasskeyAdded",
            Self::PasskeyRemoved { .. } => "PasskeyRemoved",
            Self::CodeUsed { .. } => "CodeUsed",
            Self::RecoveryCodeUsed { .. } => "RecoveryCodeUsed",
            Self::RecoveryCodesMade { .. } => "RecoveryCodesMade",
            Self::LinkUsed { .. } => "LinkUsed",
            Self::ResetLinkMade { .. } => "ResetLinkMade",
            Self::PasskeysWiped { .. } => "PasskeysWiped",
            Self::NewDevice { .. } => "NewDevice",
            Self::RoleChanged { .. } => "RoleChanged",
            Self::AccountEnds { .. } => "AccountEnds",
            Self::LinkMade => "LinkMade",
            Self::Waiting { .. } => "Waiting",
            Self::Approved => "Approved",
            Self::AddressChanged { .. } => "AddressChanged",
            Self::Test => "Test",
        })
    }
}

impl Content {
    /// How long the message is tried.
    pub fn lifetime(&self) -> Duration {
        match self {
            Self::Nothing { .. } | Self::Code { .. } => super::code::CODE_LIFETIME,
            Self::Link { hours, .. } => {
                Duration::from_secs(hours.saturating_mul(3_600)).min(INVITATION_LIFETIME_MAX)
            }
            Self::PasskeyAdded { .. }
            | Self::PasskeyRemoved { .. }
            | Self::CodeUsed { .. }
            | Self::RecoveryCodeUsed { .. }
            | Self::RecoveryCodesMade { .. }
            | Self::LinkUsed { .. }
            | Self::ResetLinkMade { .. }
            | Self::PasskeysWiped { .. }
            | Self::NewDevice { .. }
            | Self::RoleChanged { .. }
            | Self::AccountEnds { .. }
            | Self::LinkMade
            | Self::Waiting { .. }
            | Self::Approved
            | Self::AddressChanged { .. }
            | Self::Test => NOTICE_LIFETIME,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_worth_sending_while_what_it_brings_is_good() {
        let link = |hours| Content::Link { url: String::new(), name: None, hours };
        for (content, lifetime) in [
            (Content::Code { code: "01ABCXYZ".to_owned() }, crate::domain::code::CODE_LIFETIME),
            (link(2), Duration::from_hours(2)),
            (link(u64::MAX), INVITATION_LIFETIME_MAX),
            (Content::Test, NOTICE_LIFETIME),
        ] {
            assert_eq!(content.lifetime(), lifetime, "{content:?}");
        }
    }

    #[test]
    fn a_message_never_prints_what_it_brings() {
        let url = "https://auth.example.com/#secret".to_owned();
        assert_eq!(format!("{:?}", Content::Link { url, name: None, hours: 1 }), "Link(..)");
        assert_eq!(format!("{:?}", Content::Code { code: "01ABCXYZ".to_owned() }), "Code(..)");
    }
}
