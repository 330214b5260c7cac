//! Invitations, and the one set-up secret that makes the first administrator.
//!
//! The secret travels in the fragment of a link and is posted by a page; the store sees its hash.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{InvitationId, UserId};
use super::secret::{Secret, SecretHash};
use super::time::Timestamp;
use super::user::{DisplayName, Email, Group, Note, Role, Username};

/// The longest life of an invitation (ASVS 6.4.1).
pub const INVITATION_LIFETIME_MAX: Duration = Duration::from_hours(72);
/// The life of an invitation by default.
pub const INVITATION_LIFETIME: Duration = Duration::from_hours(24);
/// The life of a set-up link; `serve` prints a new one at each start while there is no account.
pub const SETUP_LIFETIME: Duration = Duration::from_hours(24);
/// How long a link lives that a user makes for their own account.
pub const OWN_LINK_LIFETIME: Duration = Duration::from_hours(1);

/// An invitation and the secret that its link carries.
#[derive(Debug)]
pub struct Invited {
    pub invitation: Invitation,
    pub secret: Secret,
}

/// The way of a link to its guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkDelivery {
    /// Through the user who made it.
    ByHand,
    /// By mail as well.
    ByMail,
}

impl LinkDelivery {
    /// By mail, if that is asked for.
    pub const fn mailed_if(asked: bool) -> Self {
        if asked { Self::ByMail } else { Self::ByHand }
    }
}

/// A promise of an account to the person who shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub id: InvitationId,
    pub secret: SecretHash,
    pub email: Email,
    /// The account that it adds a passkey to, and to no other, whatever its address is by then;
    /// `None` if there was none with this address. Left out then, because older records have no
    /// such member, and commits expect them byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<UserId>,
    pub display_name: Option<DisplayName>,
    pub username: Option<Username>,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    /// The inviter, in words: a name, or "the administrator" for the command line.
    pub invited_by: String,
    /// Left out while there are none, as `account`.
    #[serde(default, skip_serializing_if = "AccountTerms::are_none")]
    pub terms: AccountTerms,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Invitation {
    /// Whether it can still be redeemed.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Further terms of the account that the invitation makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTerms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// When the account ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl AccountTerms {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the first administrator has been made. `Closed` is never replaced, not even when no
/// administrator is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Setup {
    /// Waiting for the holder of the secret.
    Open { secret: SecretHash, expires_at: Timestamp },
    /// The secret was used; waiting for the first passkey of this person.
    Claimed { user: UserId },
    /// Done, for good.
    Closed { at: Timestamp },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_none_while_nothing_is_said() {
        let note = Note::parse("on leave").unwrap();
        assert!(AccountTerms::default().are_none());
        assert!(!AccountTerms { note, ends_at: None }.are_none());
        assert!(!AccountTerms { note: None, ends_at: Some(Timestamp::from_millis(0)) }.are_none());
    }
}
