//! What holds for any bytes that a browser could send.

use ciborium::Value as Cbor;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::ceremony::authenticator_data::{AuthenticatorData, parse_attestation_object};
use crate::domain::ceremony::client_data::{self, Expected};
use crate::domain::ceremony::{claimed_ceremony, read_assertion};

const ORIGIN: &str = "https://auth.example.com";

/// CBOR of any shape, deeper than anything that is read.
fn cbor() -> impl Strategy<Value = Cbor> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Cbor::from),
        any::<Vec<u8>>().prop_map(Cbor::from),
        ".*".prop_map(Cbor::from),
        any::<bool>().prop_map(Cbor::from),
        Just(Cbor::Null),
    ];
    leaf.prop_recursive(12, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Cbor::Array),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Cbor::Map),
        ]
    })
}

/// JSON of any shape, with the members that answers have.
fn answer() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[A-Za-z0-9_=+/-]{0,80}".prop_map(Value::from),
        Just(json!("public-key")),
    ];
    let name = prop_oneof![
        Just("id".to_owned()),
        Just("rawId".to_owned()),
        Just("type".to_owned()),
        Just("response".to_owned()),
        Just("clientDataJSON".to_owned()),
        Just("authenticatorData".to_owned()),
        Just("signature".to_owned()),
        Just("userHandle".to_owned()),
        ".*",
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..9)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = AuthenticatorData::parse(&bytes);
        let _ = parse_attestation_object(&bytes);
        let _ = client_data::check(&bytes, Expected::Get, &[ORIGIN.to_owned()]);
    }

    #[test]
    fn any_cbor_is_read_or_refused(value in cbor(), more in any::<Vec<u8>>()) {
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        let alone = parse_attestation_object(&bytes).is_ok();
        bytes.extend_from_slice(&more);
        // Bytes after the end are never overlooked.
        prop_assert!(more.is_empty() || !alone || parse_attestation_object(&bytes).is_err());
    }

    #[test]
    fn any_answer_is_read_or_refused(answer in answer()) {
        let _ = claimed_ceremony(&answer);
        if let Ok(read) = read_assertion(&answer) {
            prop_assert!(answer.get("response").is_some());
            prop_assert!(!read.credential_id().as_bytes().is_empty());
        }
    }

    /// A model of its own: what is accepted has our type, our very origin and no foreign frame.
    #[test]
    fn client_data_is_ours_in_every_member(
        kind in prop_oneof![Just("webauthn.get".to_owned()), Just("webauthn.create".to_owned()), ".*"],
        origin in prop_oneof![Just(ORIGIN.to_owned()), Just(format!("{ORIGIN}/")), Just("null".to_owned()), ".*"],
        cross_origin in prop::option::of(any::<bool>()),
        top_origin in any::<bool>(),
    ) {
        let mut data = json!({ "type": kind, "origin": origin, "challenge": "AA" });
        if let Some(cross_origin) = cross_origin {
            data["crossOrigin"] = json!(cross_origin);
        }
        if top_origin {
            data["topOrigin"] = json!(ORIGIN);
        }
        let checked = client_data::check(data.to_string().as_bytes(), Expected::Get, &[ORIGIN.to_owned()]);
        let ours = kind == "webauthn.get" && origin == ORIGIN && cross_origin != Some(true) && !top_origin;
        prop_assert_eq!(checked.is_ok(), ours);
    }
}
