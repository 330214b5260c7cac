//! Credentials: the passkeys of a person, as the relying party keeps them
//! (WebAuthn Level 3, section 4, "credential record").

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ceremony::aaguid::name_of;
use super::event::{Kind, Model};
use super::id::{CredentialId, UserId};
use super::secret::SecretHash;
use super::time::Timestamp;
use super::user::is_seen_as_written;

/// The most passkeys one person may have.
pub const CREDENTIALS_PER_USER_MAX: usize = 100;
/// The longest name of a passkey, in characters.
pub const CREDENTIAL_NAME_CHARS_MAX: usize = 200;
/// The longest handle of an environment that is looked at.
pub const ENVIRONMENT_HANDLE_BYTES_MAX: usize = 256;

/// A registered passkey.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credential {
    pub id: CredentialId,
    pub user: UserId,
    pub name: CredentialName,
    /// The state that the ceremony library needs to verify assertions; opaque here.
    pub verifier: Verifier,
    /// The public key as COSE bytes (RFC 9052), as the authenticator sent it.
    #[serde(with = "base64_bytes")]
    pub public_key: Vec<u8>,
    /// Signature counter of the last accepted assertion; 0 for authenticators that do not count.
    pub counter: u32,
    pub aaguid: uuid::Uuid,
    /// As reported at registration, known values only, for allow and exclude lists.
    pub transports: Vec<Transport>,
    pub backup: Backup,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    // Left out while there is nothing to say: commits expect a record byte for byte, and older
    // records have neither member.
    #[serde(default, skip_serializing_if = "Program::is_unknown")]
    pub made_with: Program,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Until when it opens nothing, so that its owner has time to take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asleep_until: Option<Timestamp>,
    /// The known facts about a credential that another program registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// Facts about a passkey that another program registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub at: Timestamp,
    /// The user handle that its authenticator returns: the other program's id of the owner.
    #[serde(with = "base64_bytes")]
    pub user_handle: Vec<u8>,
    pub eligibility: Eligibility,
}

/// Whether it is known if a passkey may be backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eligibility {
    Told,
    /// Unknown until its first use.
    Untold,
}

/// The known facts about a passkey before an authenticator has made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name, unless another name is given once it exists.
    pub label: Option<CredentialName>,
    pub made_with: Program,
    pub environment: Option<Environment>,
}

/// The program that asked for a passkey, in words; empty where it did not say. A label, never a
/// decision: programs say of themselves what they like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub browser: String,
    pub system: String,
}

impl Program {
    /// Whether nothing is known of the program.
    pub fn is_unknown(&self) -> bool {
        self.browser.is_empty() && self.system.is_empty()
    }

    /// "Firefox on Linux", or what can be told.
    pub fn in_words(&self) -> String {
        match (self.browser.as_str(), self.system.as_str()) {
            ("", "") => "a program that does not say what it is".to_owned(),
            (name, "") | ("", name) => name.to_owned(),
            (browser, system) => format!("{browser} on {system}"),
        }
    }
}

/// The installation of a front end that a passkey was made in: the hash of a handle that the front
/// end keeps. It can be recognised, and found nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(SecretHash);

impl Environment {
    /// The environment with this handle; `None` if the handle is empty or too long.
    pub fn with_handle(handle: &str) -> Option<Self> {
        let fits = (1..=ENVIRONMENT_HANDLE_BYTES_MAX).contains(&handle.len());
        let digest = Sha256::new().chain_update(b"environment ").chain_update(handle).finalize();
        fits.then(|| Self(SecretHash::from_bytes(digest.into())))
    }
}

impl Credential {
    /// The event of its removal.
    pub fn removal(&self) -> Kind {
        Kind::CredentialRemoved {
            user: self.user,
            credential: self.id.clone(),
            model: Model(name_of(self.aaguid)),
        }
    }

    /// Whether an authenticator with this passkey calls its owner by `handle`.
    pub fn is_owned_by(&self, handle: &[u8]) -> bool {
        match &self.imported {
            Some(imported) => imported.user_handle == handle,
            None => UserId::from_handle(handle) == Ok(self.user),
        }
    }

    /// Whether it does not work yet.
    pub fn is_not_yet_active(&self, now: Timestamp) -> bool {
        self.asleep_until.is_some_and(|until| now < until)
    }

    /// The id that APIs use which have short ids for passkeys: derived from the credential id, so
    /// that it is the same in every dialect, for ever, and nothing has to remember it.
    pub fn reference(&self) -> uuid::Uuid {
        let digest = self.digest();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The same for APIs whose ids are numbers: positive, below 2^63.
    pub fn number(&self) -> u64 {
        let (most, _) = self.reference().as_u64_pair();
        // The result is above zero, because some APIs leave a zero out.
        (most >> 1) | 1
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"credential reference ")
            .chain_update(self.id.as_bytes())
            .finalize()
            .into()
    }
}

/// The library's own serialised form of a credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(pub serde_json::Value);

/// Backup eligibility and state (WebAuthn Level 3, section 6.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backup {
    /// Lives on one device only.
    DeviceBound,
    /// May be synced, but is not at the moment.
    Eligible,
    /// Is synced.
    BackedUp,
}

/// How a browser may reach the authenticator (WebAuthn Level 3, section 5.8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    Usb,
    Nfc,
    Ble,
    SmartCard,
    Hybrid,
    Internal,
}

impl Transport {
    /// Reads the standard's spelling; unknown ones are `None` and simply not kept.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "usb" => Self::Usb,
            "nfc" => Self::Nfc,
            "ble" => Self::Ble,
            "smart-card" => Self::SmartCard,
            "hybrid" => Self::Hybrid,
            "internal" => Self::Internal,
            _ => return None,
        })
    }

    /// The standard's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usb => "usb",
            Self::Nfc => "nfc",
            Self::Ble => "ble",
            Self::SmartCard => "smart-card",
            Self::Hybrid => "hybrid",
            Self::Internal => "internal",
        }
    }
}

/// The owner's name for a passkey: 1 to 200 characters, no control characters, nothing invisible
/// that changes how the rest is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeptCredentialName", into = "String")]
pub struct CredentialName(String);

/// A passkey's name as a record has it. Format characters were accepted once, and a passkey whose
/// name has some must still be readable.
#[derive(Deserialize)]
#[serde(transparent)]
struct KeptCredentialName(String);

/// The text cannot name a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passkey's name has 1 to 200 characters, none of them a control character or an invisible one")]
pub struct MalformedCredentialName;

impl CredentialName {
    /// Trims and accepts 1 to 200 characters, none of them a control or a format character.
    pub fn parse(text: &str) -> Result<Self, MalformedCredentialName> {
        if is_seen_as_written(text.trim()) {
            KeptCredentialName(text.to_owned()).try_into()
        } else {
            Err(MalformedCredentialName)
        }
    }

    /// A name of ours, which a test has parsed.
    pub(super) fn from_static(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<KeptCredentialName> for CredentialName {
    type Error = MalformedCredentialName;

    fn try_from(KeptCredentialName(text): KeptCredentialName) -> Result<Self, Self::Error> {
        let text = text.trim();
        let ok = (1..=CREDENTIAL_NAME_CHARS_MAX).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        if ok { Ok(Self(text.to_owned())) } else { Err(MalformedCredentialName) }
    }
}

impl From<CredentialName> for String {
    fn from(name: CredentialName) -> Self {
        name.0
    }
}

/// Bytes as standard base64 text in JSON.
pub(super) mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::domain) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_22_a_passkeys_name_has_nothing_invisible_that_changes_how_it_is_read() {
        for wrong in ["a\u{202e}b", "a\u{200b}b", "\u{feff}a", "a\u{200d}"] {
            assert_eq!(CredentialName::parse(wrong), Err(MalformedCredentialName), "{wrong:?}");
        }
        assert!(CredentialName::parse("\u{1f469}\u{200d}\u{1f467}").is_ok());
        let kept: CredentialName = serde_json::from_str(r#""a\u202eb""#).unwrap();
        assert_eq!(kept.as_str(), "a\u{202e}b", "a record of before stays readable");
    }

    #[test]
    fn a_program_is_told_as_far_as_it_is_known() {
        for (browser, system, words) in [
            ("Firefox", "Linux", "Firefox on Linux"),
            ("Firefox", "", "Firefox"),
            ("", "Linux", "Linux"),
            ("", "", "a program that does not say what it is"),
        ] {
            let program = Program { browser: browser.to_owned(), system: system.to_owned() };
            assert_eq!(program.in_words(), words);
            assert_eq!(program.is_unknown(), browser.is_empty() && system.is_empty(), "{words}");
        }
    }

    #[test]
    fn transports_have_the_standard_s_names() {
        for name in ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"] {
            assert_eq!(Transport::parse(name).map(Transport::as_str), Some(name));
        }
        assert_eq!(Transport::parse("USB"), None);
    }

    #[test]
    fn an_environment_is_recognised_by_its_handle_alone() {
        let handle = "h".repeat(ENVIRONMENT_HANDLE_BYTES_MAX);
        assert_eq!(Environment::with_handle(&handle), Environment::with_handle(&handle));
        assert_ne!(Environment::with_handle("one"), Environment::with_handle("two"));
        assert_eq!(Environment::with_handle(""), None);
        assert_eq!(Environment::with_handle(&format!("{handle}h")), None);
    }

    #[test]
    fn d_10_old_records_roundtrip_byte_for_byte() {
        let stored = r#"{"id":"AQ","user":"00000000-0000-4000-8000-000000000001","name":"Phone","verifier":{},"public_key":"AQ==","counter":0,"aaguid":"00000000-0000-0000-0000-000000000000","transports":["usb"],"backup":"eligible","created_at":1,"last_used_at":null}"#;
        let credential: Credential = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&credential).unwrap(), stored);
    }
}
