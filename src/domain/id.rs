//! Identifiers. Each has one text form, and reading accepts nothing else.
//!
//! No id is a secret: knowing one opens nothing. Secrets live in `secret.rs`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The longest credential id a relying party accepts (WebAuthn Level 3, section 7.1).
pub const CREDENTIAL_ID_BYTES_MAX: usize = 1_023;

/// The text is not an identifier of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed identifier")]
pub struct MalformedId;

/// A person, for ever. Also the WebAuthn user handle (16 bytes, random, never a name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Makes an id from 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Reads the hyphenated lower-case form.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        Uuid::try_parse(text).map(Self).map_err(|_| MalformedId)
    }

    /// Reads a WebAuthn user handle: exactly 16 bytes.
    pub fn from_handle(handle: &[u8]) -> Result<Self, MalformedId> {
        Uuid::from_slice(handle).map(Self).map_err(|_| MalformedId)
    }

    /// The 16 bytes that authenticators keep.
    pub fn as_handle(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// 16 random bytes, written as 32 lower-case hex digits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Reads 32 lower-case hex digits and nothing else.
            pub fn parse(text: &str) -> Result<Self, MalformedId> {
                let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if text.len() != 32 || !lower {
                    return Err(MalformedId);
                }
                u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| MalformedId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

random_id! {
    /// One sign-in of one browser. Listed to its owner; the token that points at it is the secret.
    SessionId
}
random_id! {
    /// One pending ceremony. One browser has its id in a cookie, and it is good for one `take`.
    CeremonyId
}
random_id! {
    /// One invitation, as operators see it.
    InvitationId
}
random_id! {
    /// One code that was sent by mail. The browser that asked for it has the id in a cookie.
    CodeId
}
random_id! {
    /// One message that waits in the outbox.
    MessageId
}
random_id! {
    /// One access token, as its owner and operators see it.
    AccessTokenId
}
random_id! {
    /// The target of an anonymous client, kept on the server while they sign in.
    ReturnTargetId
}

/// A credential id as the authenticator chose it: 1 to 1,023 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(Vec<u8>);

impl CredentialId {
    /// Accepts 1 to [`CREDENTIAL_ID_BYTES_MAX`] bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, MalformedId> {
        if bytes.is_empty() || bytes.len() > CREDENTIAL_ID_BYTES_MAX {
            return Err(MalformedId);
        }
        Ok(Self(bytes))
    }

    /// Reads unpadded base64url.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedId).and_then(Self::new)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({self})")
    }
}

impl Serialize for CredentialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CredentialId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_other_spellings_of_an_id() {
        let id = SessionId([0xab; 16]);
        assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
        for wrong in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &format!("+{}", "ab".repeat(15))] {
            assert_eq!(SessionId::parse(wrong), Err(MalformedId), "{wrong}");
        }
    }

    #[test]
    fn a_credential_id_has_1_to_1023_bytes() {
        assert!(CredentialId::new(vec![]).is_err());
        assert!(CredentialId::new(vec![1; 1_023]).is_ok());
        assert!(CredentialId::new(vec![1; 1_024]).is_err());
        assert!(CredentialId::parse("AQ==").is_err());
    }
}
