//! Identifiers of a person, and addresses that are about to become one.
//!
//! What always holds: a person has exactly one confirmed e-mail address and one username. Another
//! address waits beside them, one at a time, until a code that was sent to it comes back; until then
//! it opens nothing and reserves nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{CodeId, UserId};
use super::time::Timestamp;
use super::user::{Email, Username};

/// How long an address waits to be confirmed.
pub const PENDING_ADDRESS_LIFETIME: Duration = Duration::from_hours(24);
/// The most usernames one person may have had. They stay theirs: an application that knows people
/// by username must never meet another person under it.
pub const USERNAMES_PER_USER_MAX: usize = 16;

/// An address that its owner has yet to confirm, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAddress {
    pub user: UserId,
    pub email: Email,
    /// The newest code that was sent to it.
    pub code: Option<CodeId>,
    pub expires_at: Timestamp,
}

impl PendingAddress {
    /// Whether it can still be confirmed.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Whether people may change their own username. Applications know people by it, and to some of
/// them certain names mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsernameChange {
    Forbidden,
    Allowed,
}

/// One of a person's identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    /// The confirmed address.
    Email(Email),
    PendingEmail(Email),
    Username(Username),
}

impl Identifier {
    /// Its id in APIs: derived from its owner and its value, so that it need not be stored, and an
    /// address keeps it when it is confirmed.
    pub fn reference(&self, user: &UserId) -> uuid::Uuid {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"identifier reference ")
            .chain_update(user.as_handle())
            .chain_update(match self {
                Self::Email(_) | Self::PendingEmail(_) => b"email ".as_slice(),
                Self::Username(_) => b"username ".as_slice(),
            })
            .chain_update(self.value())
            .finalize()
            .into();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The address or name itself.
    pub fn value(&self) -> &str {
        match self {
            Self::Email(email) | Self::PendingEmail(email) => email.as_str(),
            Self::Username(username) => username.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_reference_is_stable_and_unique() {
        let email = Email::parse("alice@example.com").unwrap();
        let reference = |number, it: &Identifier| it.reference(&UserId::from_random([number; 16]));
        let confirmed = Identifier::Email(email.clone());
        assert_eq!(reference(1, &confirmed), reference(1, &Identifier::PendingEmail(email)));
        assert_ne!(reference(1, &confirmed), reference(2, &confirmed));
        let [name, other] = ["alice", "bob"].map(|name| Identifier::Username(Username::parse(name).unwrap()));
        assert_ne!(reference(1, &name), reference(1, &other));
    }
}
