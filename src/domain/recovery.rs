//! Recoveries that began with a code or an administrator's link, for as long as the owner can
//! cancel them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{CredentialId, SessionId, UserId};
use super::message::About;
use super::secret::SecretHash;
use super::time::Timestamp;

/// How long the link that cancels is good for, after the passkey works.
pub const CANCELLED_WITHIN: Duration = Duration::from_hours(7 * 24);

/// A way back into an account that began with a code or a link. A person who reads the owner's
/// mail, or has seen the link, may have begun it, so the owner is told at once, and can end it and
/// everything that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The session that the code or the link gave; it names the recovery.
    pub session: SessionId,
    pub user: UserId,
    /// The hash of the secret in the link that cancels.
    pub secret: SecretHash,
    pub about: About,
    /// The default is for records from before there were other means.
    #[serde(default)]
    pub by: By,
    /// The passkey that came of it.
    pub credential: Option<CredentialId>,
    pub expires_at: Timestamp,
}

/// The means by which a recovery began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    MailedCode,
    /// A code that the owner had printed.
    RecoveryCode,
    /// A link that an administrator made.
    Link,
}

impl By {
    /// A word for programs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::MailedCode => "mailed_code",
            Self::RecoveryCode => "recovery_code",
            Self::Link => "link",
        }
    }
}

impl Recovery {
    /// Whether it can still be cancelled.
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_began_with_has_the_word_that_is_stored() {
        for by in [By::MailedCode, By::RecoveryCode, By::Link] {
            assert_eq!(serde_json::to_value(by).unwrap(), by.label());
        }
    }
}
