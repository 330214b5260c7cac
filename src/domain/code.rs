//! One-time codes, sent by mail or shown on another device: what they look like, and what the store
//! keeps of them.
//!
//! What always holds: the store has a keyed hash, never the code; a code is good for one purpose, one
//! browser and one account, [`CODE_LIFETIME`] and [`CODE_ATTEMPTS_MAX`] guesses.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroize;

use super::crockford;
use super::id::{CodeId, UserId};
use super::secret::{Secret, SecretHash};
use super::time::Timestamp;
use super::user::Email;

/// How long a code can be used.
pub const CODE_LIFETIME: Duration = Duration::from_mins(10);
/// How many guesses a code survives.
pub const CODE_ATTEMPTS_MAX: u32 = 5;
/// How many characters a code has: 40 bits.
pub const CODE_CHARS: usize = 8;

/// The effect of a code by mail in an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailCode {
    /// No codes are sent.
    Off,
    /// A session that may only add a passkey.
    Enroll,
    /// A session like any other, except that it is never fresh.
    Session,
}

/// The purpose of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Open a session of the account with this address.
    SignIn,
    /// Prove that an address is one's own.
    Address,
    /// Make an account for this address.
    SignUp,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SignIn => b"sign-in",
            Self::Address => b"address",
            Self::SignUp => b"sign-up",
        }
    }
}

/// A code in the clear: on its way to a mailbox or a screen, or back from there.
pub struct Code(String);

impl Code {
    /// Makes a code from 40 random bits.
    pub fn from_random(bytes: [u8; 5]) -> Self {
        Self(crockford::write(&bytes))
    }

    /// Reads what a user typed: any case, spaces and hyphens, `O` for `0`, `I` and `L` for `1`.
    pub fn parse(text: &str) -> Option<Self> {
        crockford::read(text, CODE_CHARS).map(Self)
    }

    /// The eight characters.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The key of the hashes. 40 bits can be searched; without this key, a stolen store tells nothing.
pub struct CodeKey(pub(super) [u8; 32]);

impl CodeKey {
    /// The mark that a browser keeps once `user` has signed in with it. All browsers of a user have
    /// the same mark, so it says no more than that.
    pub fn device_mark(&self, user: &UserId) -> Option<Secret> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"device\0");
        mac.update(user.as_handle());
        Some(Secret::from_random(mac.finalize().into_bytes().into()))
    }

    /// The hash of a code that links two devices. The link is found by this hash, so the hash
    /// covers nothing but the code.
    pub fn device_hash(&self, code: &Code) -> Option<SecretHash> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"device-link\0");
        mac.update(code.0.as_bytes());
        Some(SecretHash::from_bytes(mac.finalize().into_bytes().into()))
    }

    /// The hash of `code`, which the store keeps.
    pub fn hash(&self, id: &CodeId, purpose: Purpose, code: &Code) -> Option<SecretHash> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [purpose.label(), &id.0, code.0.as_bytes()] {
            mac.update(part);
            mac.update(&[0]);
        }
        Some(SecretHash::from_bytes(mac.finalize().into_bytes().into()))
    }
}

/// A code that was sent, as the store keeps it. Also kept for an address that no user has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCode {
    pub id: CodeId,
    pub purpose: Purpose,
    /// The owner of the account that it opens; `None` where there is no account.
    pub user: Option<UserId>,
    pub email: Email,
    pub hash: SecretHash,
    pub attempts_left: u32,
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Code::from_random([0, 0x44, 0x32, 0x14, 0xc7]);
        assert_eq!(code.reveal(), "0123456A".replace("56A", code.reveal().get(5..).unwrap()));
        let text = "01ABCXYZ";
        for typed in ["01ABCXYZ", "01abcxyz", "O1ab-cxyz", " oL AB CX YZ ", "0IABCXYZ"] {
            assert_eq!(Code::parse(typed).unwrap().reveal(), text, "{typed}");
        }
        for wrong in ["", "01ABCXY", "01ABCXYZ0", "01ABCXYU", "01ABCXYé", "01ABC_YZ"] {
            assert!(Code::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_browser_s_mark_is_one_user_s_and_a_link_s_code_is_found_by_itself() {
        let (key, other_key) = (CodeKey([7; 32]), CodeKey([8; 32]));
        let mark =
            |key: &CodeKey, user: u8| key.device_mark(&UserId::from_random([user; 16])).unwrap().reveal();
        assert_eq!(mark(&key, 1), mark(&key, 1));
        assert_ne!(mark(&key, 1), mark(&key, 2));
        assert_ne!(mark(&key, 1), mark(&other_key, 1));
        let hash = |key: &CodeKey, code| key.device_hash(&Code::parse(code).unwrap()).unwrap();
        assert_eq!(hash(&key, "01ABCXYZ"), hash(&key, "O1ab-cxyz"));
        assert_ne!(hash(&key, "01ABCXYZ"), hash(&key, "01ABCXY0"));
        assert_ne!(hash(&key, "01ABCXYZ"), hash(&other_key, "01ABCXYZ"));
        assert_eq!(format!("{:?}", Code::parse("01ABCXYZ").unwrap()), "Code(..)");
    }

    #[test]
    fn s_30_hash_binds_code_purpose_and_id() {
        let key = CodeKey([7; 32]);
        let code = Code::parse("01ABCXYZ").unwrap();
        let hash = |key: &CodeKey, id: u8, purpose| key.hash(&CodeId([id; 16]), purpose, &code).unwrap();
        let this = hash(&key, 1, Purpose::SignIn);
        assert_eq!(this, hash(&key, 1, Purpose::SignIn));
        assert_ne!(this, hash(&key, 2, Purpose::SignIn));
        assert_ne!(this, hash(&key, 1, Purpose::Address));
        assert_ne!(this, hash(&CodeKey([8; 32]), 1, Purpose::SignIn));
    }
}
