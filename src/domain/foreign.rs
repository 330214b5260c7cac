//! Passkeys that another program has registered, as its files describe them.
//!
//! The gateway has no proof of them: the administrator who imports them vouches for them. They are
//! turned into credentials in `ceremony/import.rs`.
//!
//! What does not live here: reading those files (`cli/webauthn_proxy.rs`).

use serde::{Deserialize, Serialize};

use super::credential::{Backup, CREDENTIALS_PER_USER_MAX, Transport};
use super::id::CredentialId;
use super::user::{DisplayName, Email};

/// How many users are imported at a time.
pub const FOREIGN_USERS_MAX: usize = 10_000;

/// A passkey of another program's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignPasskey {
    pub id: CredentialId,
    /// The key in COSE (RFC 9052).
    #[serde(with = "super::credential::base64_bytes")]
    pub public_key: Vec<u8>,
    pub counter: u32,
    pub aaguid: uuid::Uuid,
    pub transports: Vec<Transport>,
    /// `None`: the program did not write it down.
    pub backup: Option<Backup>,
    /// The user handle that the authenticator was given, and returns.
    #[serde(with = "super::credential::base64_bytes")]
    pub user_handle: Vec<u8>,
    /// The SHA-256 of the RP ID that it was made for, where the program wrote it down.
    pub rp_id_hash: Option<[u8; 32]>,
}

/// A user of another program's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignUser {
    pub email: Email,
    pub name: Option<DisplayName>,
    /// At most [`CREDENTIALS_PER_USER_MAX`].
    pub passkeys: Vec<ForeignPasskey>,
}

impl ForeignUser {
    /// Whether there are more passkeys than a person may have.
    pub const fn has_too_many(&self) -> bool {
        self.passkeys.len() > CREDENTIALS_PER_USER_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_have_as_many_passkeys_there_as_here() {
        let passkey = ForeignPasskey {
            id: CredentialId::new(vec![1]).unwrap(),
            public_key: Vec::new(),
            counter: 0,
            aaguid: uuid::Uuid::nil(),
            transports: Vec::new(),
            backup: None,
            user_handle: Vec::new(),
            rp_id_hash: None,
        };
        let with = |passkeys| ForeignUser {
            email: Email::parse("a@example.com").unwrap(),
            name: None,
            passkeys: vec![passkey.clone(); passkeys],
        };
        assert!(!with(CREDENTIALS_PER_USER_MAX).has_too_many());
        assert!(with(CREDENTIALS_PER_USER_MAX + 1).has_too_many());
    }
}
