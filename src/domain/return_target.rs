//! The return target: where an anonymous client was heading, and the one-time hand-off that carries
//! a sign-in from the auth host to the host of an application.
//!
//! A return target is sealed into the address of the sign-in page, so that an anonymous client's
//! page load writes nothing; a long one is kept on the server, and the address names it. A hand-off
//! is always kept on the server. A target is built from the request that was admitted to a
//! configured route, never from a parameter that an attacker could have written.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ReturnTargetId, SessionId};
use super::secret::SecretHash;
use super::time::Timestamp;

/// How long an anonymous client may take to sign in before the return target is forgotten.
pub const RETURN_TARGET_LIFETIME: Duration = Duration::from_mins(15);
/// How long a hand-off code is good for.
pub const HAND_OFF_LIFETIME: Duration = Duration::from_secs(30);
/// The longest target that is remembered; longer ones lead to the front page of their host.
pub const TARGET_BYTES_MAX: usize = 4_096;
/// The longest target that is sealed into an address; longer ones are kept on the server.
pub const SEALED_TARGET_BYTES_MAX: usize = 1_024;
/// The longest name of a return target that is looked at.
const NAME_CHARS_MAX: usize = 2_048;

/// An address on one of our protected hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Scheme, host and port as configured, for example `https://grafana.example.com`.
    pub origin: String,
    /// Path and query exactly as requested; begins with one slash.
    pub path_and_query: String,
}

impl Target {
    /// The whole address.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path_and_query)
    }
}

/// The name of a return target in an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnTargetName {
    /// It is kept on the server under this id.
    Kept(ReturnTargetId),
    /// The whole sealed target, in base64url.
    Sealed(String),
}

impl ReturnTargetName {
    /// Reads a parameter; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = ReturnTargetId::parse(text) {
            return Some(Self::Kept(id));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_one = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits);
        is_one.then(|| Self::Sealed(text.to_owned()))
    }
}

impl fmt::Display for ReturnTargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(id) => id.fmt(f),
            Self::Sealed(text) => f.write_str(text),
        }
    }
}

/// A remembered target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnTarget {
    pub target: Target,
    /// Hash of the nonce cookie on the target's host: the browser that asked.
    pub browser: SecretHash,
    /// The moment after which a passkey has to be shown, where being signed in is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_since: Option<Timestamp>,
    pub expires_at: Timestamp,
}

/// A sign-in on its way to another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOff {
    pub session: SessionId,
    pub target: Target,
    /// Hash of the nonce cookie on the target's host; the code is worthless without it.
    pub browser: SecretHash,
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_target_is_named_by_an_id_or_by_all_of_it() {
        let id = ReturnTargetId([7; 16]);
        assert_eq!(ReturnTargetName::parse(&id.to_string()), Some(ReturnTargetName::Kept(id)));
        let longest = "x".repeat(NAME_CHARS_MAX);
        for sealed in ["a", "A-Z_09", &longest] {
            assert_eq!(
                ReturnTargetName::parse(sealed),
                Some(ReturnTargetName::Sealed(sealed.to_owned())),
                "{sealed}"
            );
        }
        for wrong in ["", "a b", "a/b", "a=", "é", &format!("{longest}x")] {
            assert_eq!(ReturnTargetName::parse(wrong), None, "{wrong}");
        }
        for name in [id.to_string(), "A-Z_09".to_owned()] {
            assert_eq!(ReturnTargetName::parse(&name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_target_is_an_address() {
        let (origin, path_and_query) = ("https://app.example.com".to_owned(), "/a?b=c".to_owned());
        assert_eq!(Target { origin, path_and_query }.url(), "https://app.example.com/a?b=c");
    }
}
