//! Properties that hold for any bytes that a browser could send.

use ciborium::Value as Cbor;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::ceremony::authenticator_data::{
    ATTESTED_CREDENTIAL, AuthenticatorData, parse_attestation_object,
};
use crate::domain::ceremony::client_data::{self, Expected};
use crate::domain::ceremony::{claimed_ceremony, read_assertion};

/// The flag for extensions (WebAuthn Level 3, section 6.1).
const EXTENSIONS: u8 = 0x80;
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

/// The parts of a good attestation object.
#[derive(Debug, Clone)]
struct Attested {
    id: Vec<u8>,
    flags: u8,
    counter: u32,
    extensions: bool,
}

impl Attested {
    fn data(&self) -> Vec<u8> {
        let mut data = vec![7; 32];
        let extensions = if self.extensions { EXTENSIONS } else { 0 };
        data.push(self.flags | ATTESTED_CREDENTIAL | extensions);
        data.extend(self.counter.to_be_bytes());
        data.extend([9; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let key = [(1, 2.into()), (3, (-7).into()), (-1, 1.into())];
        let key: [(i64, Cbor); 3] = key;
        let coordinates = [(-2, Cbor::Bytes(vec![1; 32])), (-3, Cbor::Bytes(vec![2; 32]))];
        let members = key.into_iter().chain(coordinates).map(|(label, value)| (Cbor::from(label), value));
        ciborium::into_writer(&Cbor::Map(members.collect()), &mut data).unwrap();
        if self.extensions {
            ciborium::into_writer(&Cbor::Map(vec![("credProtect".into(), 2.into())]), &mut data).unwrap();
        }
        data
    }

    fn members(&self) -> Vec<(Cbor, Cbor)> {
        vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Cbor::Map(Vec::new())),
            ("authData".into(), Cbor::Bytes(self.data())),
        ]
    }
}

fn attested() -> impl Strategy<Value = Attested> {
    let flags = prop_oneof![Just(0x05), Just(0x0d), Just(0x1d)];
    let id = prop::collection::vec(any::<u8>(), 1..=64);
    (id, flags, any::<u32>(), any::<bool>()).prop_map(|(id, flags, counter, extensions)| Attested {
        id,
        flags,
        counter,
        extensions,
    })
}

fn written(members: Vec<(Cbor, Cbor)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Cbor::Map(members), &mut bytes).unwrap();
    bytes
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

    /// A good object is read as it was written; any single fault refuses it.
    #[test]
    fn an_attestation_object_is_read_whole_or_refused(
        good in attested(),
        member in 0_usize..3,
        other in cbor(),
        cut in any::<prop::sample::Index>(),
        more in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let read = parse_attestation_object(&written(good.members())).unwrap();
        let credential = read.attested.unwrap();
        prop_assert_eq!(credential.id.as_bytes(), good.id.as_slice());
        prop_assert_eq!(read.counter, good.counter);

        let mut missing = good.members();
        let gone = missing.remove(member);
        prop_assert!(parse_attestation_object(&written(missing.clone())).is_err(), "without {:?}", gone.0);
        let mut twice = good.members();
        twice.push(gone.clone());
        prop_assert!(parse_attestation_object(&written(twice)).is_err(), "{:?} twice", gone.0);
        let same_kind = match member {
            0 => other.is_text(),
            1 => other.is_map(),
            _ => other.is_bytes(),
        };
        if !same_kind {
            missing.push((gone.0.clone(), other));
            prop_assert!(parse_attestation_object(&written(missing)).is_err(), "{:?} of another kind", gone.0);
        }
        let data = good.data();
        let short = data[..cut.index(data.len())].to_vec();
        let long = [data, more].concat();
        for odd in [short, long] {
            let mut members = good.members();
            members[2].1 = Cbor::Bytes(odd);
            prop_assert!(parse_attestation_object(&written(members)).is_err(), "cut, or with more");
        }
    }

    #[test]
    fn any_answer_is_read_or_refused(answer in answer()) {
        let _ = claimed_ceremony(&answer);
        if let Ok(read) = read_assertion(&answer) {
            prop_assert!(answer.get("response").is_some());
            prop_assert!(!read.credential_id().as_bytes().is_empty());
        }
    }

    /// A model of its own: accepted client data has our type, our exact origin and no foreign
    /// frame.
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
