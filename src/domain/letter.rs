//! Letters: what we write to people. Words and layout are in `mail/`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::invitation::INVITATION_LIFETIME_MAX;
use super::network::Network;
use super::time::Timestamp;
use super::user::{DisplayName, Email};

/// How long it is tried to tell somebody what has happened to their account.
const NOTICE_LIFETIME: Duration = Duration::from_hours(24);

/// One message to one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub to: Email,
    pub content: Content,
}

/// What it says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Nothing: written for an address that nobody has, and thrown away instead of being sent, so
    /// that a request for a code is the same work either way.
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
    CodeUsed { about: About },
    /// Somebody made a link that adds a passkey to the account.
    LinkMade,
    /// The account has another address from now on; written to the one before.
    AddressChanged { new: Email },
}

/// What can be said of a change to somebody's account. Nothing here is chosen by the person who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What the model of the authenticator is called; `None` where it keeps that to itself.
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
            Self::LinkMade => "LinkMade",
            Self::AddressChanged { .. } => "AddressChanged",
        })
    }
}

impl Content {
    /// How long it is worth sending.
    pub fn lifetime(&self) -> Duration {
        match self {
            Self::Nothing { .. } | Self::Code { .. } => super::code::CODE_LIFETIME,
            Self::Link { hours, .. } => {
                Duration::from_secs(hours.saturating_mul(3_600)).min(INVITATION_LIFETIME_MAX)
            }
            Self::PasskeyAdded { .. }
            | Self::PasskeyRemoved { .. }
            | Self::CodeUsed { .. }
            | Self::LinkMade
            | Self::AddressChanged { .. } => NOTICE_LIFETIME,
        }
    }
}
