//! The browser's answer, read once and the same way for every dialect.
//!
//! Clients disagree about the JSON form: some wrap it in a string, some write `null` for absent
//! members, some use the standard base64 alphabet or padding. Only this module accepts all of
//! these; the library is handed one canonical form.
//!
//! What always holds: `id` and `rawId` are the same 1 to 1,023 bytes, the type is `public-key`, and
//! nothing is longer than the limits below.
//!
//! What does not live here: envelopes around the answer, which each dialect takes off, and any
//! judgement about what the answer proves.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::CeremonyError;
use crate::domain::credential::Transport;
use crate::domain::id::{CeremonyId, CredentialId};

/// The longest answer in string form, as for a whole request body.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;
const CLIENT_DATA_BYTES_MAX: usize = 8 * 1_024;
/// TPM statements with their certificate chains are the largest in use, at about 8 KiB.
const ATTESTATION_OBJECT_BYTES_MAX: usize = 32 * 1_024;
const AUTHENTICATOR_DATA_BYTES_MAX: usize = 4 * 1_024;
const SIGNATURE_BYTES_MAX: usize = 1_024;
/// WebAuthn Level 3, section 5.4.3: a user handle has at most 64 bytes.
const USER_HANDLE_BYTES_MAX: usize = 64;
/// Room for every transport there is and some that are not known yet.
const TRANSPORTS_MAX: usize = 16;

/// An answer to creation options.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the standard's own name is attestationObject")]
pub(super) struct Attestation {
    pub(super) credential_id: CredentialId,
    pub(super) client_data: Vec<u8>,
    pub(super) attestation_object: Vec<u8>,
    pub(super) transports: Vec<Transport>,
}

/// An answer to request options: well-formed, and nothing more. It claims a credential and a
/// person; neither is proved before `finish_authentication`.
#[derive(Debug)]
pub struct Assertion {
    credential_id: CredentialId,
    user_handle: Option<Vec<u8>>,
    pub(super) client_data: Vec<u8>,
    pub(super) authenticator_data: Vec<u8>,
    signature: Vec<u8>,
}

impl Assertion {
    /// The credential that is claimed; ask the store for it.
    pub const fn credential_id(&self) -> &CredentialId {
        &self.credential_id
    }

    /// The person that is claimed; absent when empty.
    pub fn user_handle(&self) -> Option<&[u8]> {
        self.user_handle.as_deref()
    }

    /// The one form that the library is given.
    pub(super) fn canonical(&self) -> Value {
        let id = self.credential_id.to_string();
        json!({
            "id": id, "rawId": id, "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&self.client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(&self.authenticator_data),
                "signature": URL_SAFE_NO_PAD.encode(&self.signature),
                "userHandle": self.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
            },
        })
    }
}

impl Attestation {
    /// Reads an answer to creation options.
    pub(super) fn read(answer: &Value) -> Result<Self, CeremonyError> {
        let answer = members(answer)?;
        let (credential_id, response) = frame(&answer)?;
        Ok(Self {
            credential_id,
            client_data: bytes(response, "clientDataJSON", CLIENT_DATA_BYTES_MAX)?,
            attestation_object: bytes(response, "attestationObject", ATTESTATION_OBJECT_BYTES_MAX)?,
            transports: transports(response.get("transports"))?,
        })
    }

    /// The one form that the library is given. Client extension outputs are unsigned and decide
    /// nothing, so they are left out.
    pub(super) fn canonical(&self) -> Value {
        let id = self.credential_id.to_string();
        json!({
            "id": id, "rawId": id, "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&self.client_data),
                "attestationObject": URL_SAFE_NO_PAD.encode(&self.attestation_object),
            },
        })
    }
}

/// Reads an answer to request options, without judging it.
pub fn read_assertion(answer: &Value) -> Result<Assertion, CeremonyError> {
    let answer = members(answer)?;
    let (credential_id, response) = frame(&answer)?;
    let user_handle = match response.get("userHandle") {
        None | Some(Value::Null) => None,
        Some(_) => Some(bytes(response, "userHandle", USER_HANDLE_BYTES_MAX)?),
    };
    Ok(Assertion {
        credential_id,
        user_handle: user_handle.filter(|handle| !handle.is_empty()),
        client_data: bytes(response, "clientDataJSON", CLIENT_DATA_BYTES_MAX)?,
        authenticator_data: bytes(response, "authenticatorData", AUTHENTICATOR_DATA_BYTES_MAX)?,
        signature: bytes(response, "signature", SIGNATURE_BYTES_MAX)?,
    })
}

/// The ceremony that an answer says it belongs to, by the challenge in its client data. It proves
/// nothing: finishing the ceremony compares the challenge again, and checks the signature.
pub fn claimed_ceremony(answer: &Value) -> Option<CeremonyId> {
    #[derive(serde::Deserialize)]
    struct Claim {
        challenge: String,
    }
    let answer = members(answer).ok()?;
    let response = answer.get("response")?.as_object()?;
    let client_data = bytes(response, "clientDataJSON", CLIENT_DATA_BYTES_MAX).ok()?;
    let claim: Claim = serde_json::from_slice(&client_data).ok()?;
    Some(super::ceremony_of(&claim.challenge))
}

/// The answer's members, whether it came as an object or as a string that holds one.
fn members(answer: &Value) -> Result<Cow<'_, Map<String, Value>>, CeremonyError> {
    match answer {
        Value::Object(members) => Ok(Cow::Borrowed(members)),
        Value::String(text) if text.len() <= ANSWER_BYTES_MAX => serde_json::from_str(text)
            .map(Cow::Owned)
            .map_err(|_| CeremonyError::malformed("the answer is not a JSON object")),
        _ => Err(CeremonyError::malformed("the answer is not an object, or too long")),
    }
}

/// The members of both kinds of answer: an id, told twice, a type and a response.
fn frame(answer: &Map<String, Value>) -> Result<(CredentialId, &Map<String, Value>), CeremonyError> {
    match answer.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "public-key" => {}
        Some(_) => return Err(CeremonyError::malformed("the type is not public-key")),
    }
    if !matches!(answer.get("clientExtensionResults"), None | Some(Value::Null | Value::Object(_))) {
        return Err(CeremonyError::malformed("client extension results are not an object"));
    }
    let credential_id = credential_id(answer, "id")?;
    if credential_id != self::credential_id(answer, "rawId")? {
        return Err(CeremonyError::malformed("id and rawId differ"));
    }
    let response = answer
        .get("response")
        .and_then(Value::as_object)
        .ok_or(CeremonyError::malformed("the answer has no response"))?;
    Ok((credential_id, response))
}

fn credential_id(answer: &Map<String, Value>, name: &str) -> Result<CredentialId, CeremonyError> {
    // One byte more than allowed may be read, so that the check of the id reports the fault.
    let id = bytes(answer, name, crate::domain::id::CREDENTIAL_ID_BYTES_MAX + 1)?;
    CredentialId::new(id).map_err(|_| CeremonyError::malformed("a credential id has 1 to 1023 bytes"))
}

/// Bytes in base64url or standard base64, padded or not.
fn bytes(object: &Map<String, Value>, name: &str, bytes_max: usize) -> Result<Vec<u8>, CeremonyError> {
    let text = object
        .get(name)
        .and_then(Value::as_str)
        .ok_or(CeremonyError::malformed("a member of the answer is missing or not text"))?
        .trim_end_matches('=');
    if text.len() > bytes_max.div_ceil(3) * 4 {
        return Err(CeremonyError::malformed("a member of the answer is too long"));
    }
    let url_safe = text.replace('+', "-").replace('/', "_");
    let bytes = URL_SAFE_NO_PAD
        .decode(url_safe)
        .map_err(|_| CeremonyError::malformed("a member of the answer is not base64"))?;
    if bytes.len() > bytes_max {
        return Err(CeremonyError::malformed("a member of the answer is too long"));
    }
    Ok(bytes)
}

/// The transports we know, each once. Level 3 tells relying parties to ignore unknown ones.
fn transports(value: Option<&Value>) -> Result<Vec<Transport>, CeremonyError> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= TRANSPORTS_MAX => list,
        Some(_) => return Err(CeremonyError::malformed("transports are not a short list")),
    };
    let mut known = Vec::new();
    for item in list {
        let text = item.as_str().ok_or(CeremonyError::malformed("a transport is not text"))?;
        match Transport::parse(text) {
            Some(transport) if !known.contains(&transport) => known.push(transport),
            _ => {}
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_read() {
        let read = |text: &str, bytes_max| {
            let object = json!({ "a": text });
            bytes(object.as_object().unwrap(), "a", bytes_max).ok()
        };
        assert_eq!(read("AQID", 3), Some(vec![1, 2, 3]));
        assert_eq!(read("AQIDBA==", 4), Some(vec![1, 2, 3, 4]));
        assert_eq!(read("AQIDBA", 3), None);
        assert_eq!(read("AQIDBA", 2), None);

        let answer = |length: usize| Value::String(format!("{{}}{}", " ".repeat(length - 2)));
        assert!(members(&answer(ANSWER_BYTES_MAX)).is_ok());
        assert!(members(&answer(ANSWER_BYTES_MAX + 1)).is_err());

        let usb = |number: usize| json!(vec!["usb"; number]);
        assert_eq!(transports(Some(&usb(TRANSPORTS_MAX))).ok(), Some(vec![Transport::Usb]));
        assert!(transports(Some(&usb(TRANSPORTS_MAX + 1))).is_err());
    }

    #[test]
    fn an_answer_claims_the_ceremony_of_its_challenge() {
        let claimed = |client_data: &str| {
            let client_data = URL_SAFE_NO_PAD.encode(client_data);
            claimed_ceremony(&json!({ "response": { "clientDataJSON": client_data } }))
        };
        let of_challenge = Some(crate::domain::ceremony::ceremony_of("abc"));
        assert_eq!(claimed(r#"{"challenge":"abc"}"#), of_challenge);
        assert_ne!(claimed(r#"{"challenge":"abd"}"#), of_challenge);
        assert_eq!(claimed("{}"), None);
    }
}
