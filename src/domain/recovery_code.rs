//! Recovery codes, which a user prints for the day on which every passkey is lost.
//!
//! What always holds: the store has hashes, never the codes; a code is good once, for the account
//! that it was made for, and for nothing but a new passkey; new codes end the ones before.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::crockford;
use super::id::UserId;
use super::secret::SecretHash;
use super::time::Timestamp;

/// How many codes a user gets at a time.
pub const RECOVERY_CODES: usize = 10;
/// How many random bytes a code has. 80 bits cannot be searched, so a hash without a key is enough,
/// and printed codes survive a rotation of keys.
pub const RECOVERY_CODE_BYTES: usize = 10;
/// How many characters that is.
const CHARS: usize = 16;
/// How many of them are printed together.
const GROUP: usize = 4;

/// A code in the clear: on its way to paper, or back from it.
pub struct RecoveryCode(String);

impl RecoveryCode {
    pub fn from_random(bytes: [u8; RECOVERY_CODE_BYTES]) -> Self {
        Self(crockford::write(&bytes))
    }

    /// Reads what a user typed: any case, spaces and hyphens, `O` for `0`, `I` and `L` for `1`.
    pub fn parse(text: &str) -> Option<Self> {
        crockford::read(text, CHARS).map(Self)
    }

    /// `ABCD-EFGH-JKMN-PQRS`.
    pub fn reveal(&self) -> String {
        let mut shown = String::with_capacity(CHARS + CHARS / GROUP);
        for (at, character) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                shown.push('-');
            }
            shown.push(character);
        }
        shown
    }

    /// The hash of the code for this user, which the store keeps.
    pub fn hashed(&self, user: &UserId) -> SecretHash {
        let mut digest = Sha256::new();
        digest.update(b"recovery-code\0");
        digest.update(user.as_handle());
        digest.update(self.0.as_bytes());
        SecretHash::from_bytes(digest.finalize().into())
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

impl Drop for RecoveryCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The codes of a user that have not been used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCodes {
    pub hashes: Vec<SecretHash>,
    pub made_at: Timestamp,
}

impl RecoveryCodes {
    /// The remaining codes when `code` has been used; `None` if it is not among them.
    pub fn without(&self, code: &SecretHash) -> Option<Self> {
        let at = self.hashes.iter().position(|hash| hash == code)?;
        let mut left = self.clone();
        left.hashes.remove(at);
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_printed() {
        let code = RecoveryCode::from_random([0xa5; RECOVERY_CODE_BYTES]);
        let printed = code.reveal();
        let groups: Vec<_> = printed.split('-').map(str::len).collect();
        assert_eq!(groups, [4, 4, 4, 4], "{printed}");
        let user = UserId::from_random([1; 16]);
        for typed in [printed.clone(), printed.replace('-', " "), printed.to_lowercase()] {
            assert_eq!(RecoveryCode::parse(&typed).unwrap().hashed(&user), code.hashed(&user), "{typed}");
        }
        assert!(RecoveryCode::parse(&printed[1..]).is_none());
        assert_ne!(code.hashed(&user), code.hashed(&UserId::from_random([2; 16])));
        assert_eq!(format!("{code:?}"), "RecoveryCode(..)");
    }

    #[test]
    fn recovery_code_works_once() {
        let hash = |byte| SecretHash::from_bytes([byte; 32]);
        let codes = RecoveryCodes { hashes: vec![hash(1), hash(2)], made_at: Timestamp::from_millis(7) };
        let left = codes.without(&hash(1)).unwrap();
        assert_eq!(left.hashes, [hash(2)]);
        assert_eq!(left.made_at, codes.made_at);
        assert!(left.without(&hash(1)).is_none());
    }
}
