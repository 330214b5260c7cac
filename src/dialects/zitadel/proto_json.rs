//! proto3's JSON form, where it differs from serde's.
//!
//! Bytes are written in padded standard base64, and read in either alphabet, padded or not;
//! durations are seconds with their unit; 64-bit numbers are text. The shapes leave empty members
//! out.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::domain::time::Timestamp;

/// The shortest credential that Zitadel accepts, in bytes.
const CREDENTIAL_BYTES_MIN: usize = 55;

/// As in protobuf's own readers, padding and left-over bits do not matter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The member holds no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotACredential {
    #[error("neither base64 nor a JSON object")]
    Unreadable,
    #[error("base64, but not of a JSON object")]
    NotAnObject,
    #[error("less than {CREDENTIAL_BYTES_MIN} bytes")]
    TooShort,
}

/// `bytes` as a member of a message.
pub(super) fn bytes(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// `length` as a member of a message.
pub(super) fn duration(length: Duration) -> String {
    format!("{}s", length.as_secs())
}

/// The number of a change, as a member of a message: the millisecond it was made in. So numbers
/// only grow, and are never zero, which would have to be left out.
pub(super) fn sequence(at: Timestamp) -> String {
    at.as_millis().to_string()
}

/// The credential in a member of type `bytes`. Many clients send the object itself, or its text;
/// both are accepted as well, and cannot be mistaken for base64.
pub(super) fn read_credential(member: &Value) -> Result<Value, NotACredential> {
    let text = match member {
        Value::Object(_) => member.to_string().into_bytes(),
        Value::String(text) if text.trim_start().starts_with('{') => text.as_bytes().to_vec(),
        Value::String(text) => read_bytes(text).ok_or(NotACredential::Unreadable)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(NotACredential::Unreadable);
        }
    };
    if text.len() < CREDENTIAL_BYTES_MIN {
        return Err(NotACredential::TooShort);
    }
    let members: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|_| NotACredential::NotAnObject)?;
    Ok(Value::Object(members))
}

fn read_bytes(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.replace('-', "+").replace('_', "/")).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    /// Its base64 has `+`, `/` and padding.
    fn credential() -> Value {
        let credential =
            json!({ "id": "xxÿþ>?", "response": { "clientDataJSON": "oo~~" }, "type": "public-key" });
        let standard = STANDARD.encode(credential.to_string());
        assert!(["+", "/", "="].iter().all(|it| standard.contains(it)), "{standard}");
        credential
    }

    #[track_caller]
    fn check_read(member: &Value) {
        assert_eq!(read_credential(member), Ok(credential()), "{member}");
    }

    #[track_caller]
    fn check_refused(member: &Value, why: NotACredential) {
        assert_eq!(read_credential(member), Err(why), "{member}");
    }

    #[test]
    fn bytes_are_read_in_either_alphabet_padded_or_not() {
        let text = credential().to_string();
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            check_read(&json!(engine.encode(&text)));
        }
    }

    #[test]
    fn a_credential_is_taken_as_an_object_or_its_text() {
        check_read(&credential());
        check_read(&json!(credential().to_string()));
        check_read(&json!(format!("\n {:#}", credential())));
    }

    #[test]
    fn refuses_other_credential_encodings() {
        for unreadable in
            [json!(null), json!(7), json!(true), json!([credential()]), json!("öäü"), json!("a")]
        {
            check_refused(&unreadable, NotACredential::Unreadable);
        }
        let long = "x".repeat(CREDENTIAL_BYTES_MIN);
        check_refused(&json!(STANDARD.encode(&long)), NotACredential::NotAnObject);
        check_refused(&json!(STANDARD.encode(format!("[\"{long}\"]"))), NotACredential::NotAnObject);
        check_refused(&json!(format!("{{{long}")), NotACredential::NotAnObject);
    }

    #[test]
    fn a_credential_has_a_least_length_after_decoding() {
        let of = |bytes: usize| json!({ "id": "x".repeat(bytes - r#"{"id":""}"#.len()) }).to_string();
        check_refused(&json!(STANDARD.encode(of(54))), NotACredential::TooShort);
        check_refused(&json!(of(54)), NotACredential::TooShort);
        check_refused(&json!(""), NotACredential::TooShort);
        assert!(read_credential(&json!(STANDARD.encode(of(55)))).is_ok());
    }

    #[test]
    fn writes_protobuf_json() {
        assert_eq!(bytes(b"{\"ab\":1}\xff\xfe"), "eyJhYiI6MX3//g==");
        assert_eq!(duration(Duration::from_hours(1)), "3600s");
        assert_eq!(sequence(Timestamp::from_millis(1_790_000_000_120)), "1790000000120");
    }
}
