//! The answers that make a credential, and answers that do not.

use ciborium::Value as Cbor;
use serde_json::json;

use super::super::authenticator::{cbor, flag};
use super::*;
use crate::domain::credential::{Backup, Transport};

const PLAIN: u8 = flag::UP | flag::UV | flag::AT;

fn refusal(turn: impl FnOnce(&mut Knobs)) -> Option<Refusal> {
    register(&mut Authenticator::new(1), turn).err()
}

#[test]
fn stores_what_the_authenticator_reported() {
    let mut device = Authenticator::new(1);
    let credential = register(&mut device, |knobs| {
        knobs.aaguid = uuid::Uuid::try_parse("fbfc3007-154e-4ecc-8c0b-6e020557d7bd").unwrap().into_bytes();
        knobs.transports = json!(["smart-card", "usb", "usb", "carrier-pigeon"]);
        knobs.counter = 7;
    })
    .unwrap();
    assert_eq!(credential.user, user(1).id);
    assert_eq!(credential.id.as_bytes(), device.held()[0].id);
    assert_eq!(credential.public_key, authenticator::cose_key(&device.held()[0].key, -7));
    assert_eq!(credential.transports, [Transport::SmartCard, Transport::Usb]);
    assert_eq!((credential.counter, credential.backup), (7, Backup::BackedUp));
    assert_eq!(credential.name.as_str(), aaguid::name_of(credential.aaguid).unwrap());
    assert_eq!((credential.created_at, credential.last_used_at), (NOW, None));
}

#[test]
fn reads_answers_in_every_client_encoding() {
    assert!(register_edited(|answer| *answer = json!(answer.to_string())).is_ok());
    assert!(register_edited(|answer| drop(answer.as_object_mut().unwrap().remove("type"))).is_ok());
    assert!(
        register_edited(|answer| {
            answer["clientExtensionResults"] = json!(null);
            answer["authenticatorAttachment"] = json!(null);
            for absent in ["transports", "publicKey", "publicKeyAlgorithm", "authenticatorData"] {
                answer["response"][absent] = json!(null);
            }
        })
        .is_ok()
    );
    assert!(
        register_edited(|answer| {
            for member in ["clientDataJSON", "attestationObject"] {
                let text = answer["response"][member].as_str().unwrap();
                let standard = text.replace('-', "+").replace('_', "/");
                let padding = "=".repeat((4 - standard.len() % 4) % 4);
                answer["response"][member] = json!(format!("{standard}{padding}"));
            }
        })
        .is_ok()
    );
}

#[test]
fn an_answer_in_another_form_is_refused() {
    let edits: [fn(&mut Value); 17] = [
        |answer| *answer = json!(null),
        |answer| *answer = json!([]),
        |answer| *answer = json!("{"),
        |answer| *answer = json!(" ".repeat(65_537)),
        |answer| answer["type"] = json!(null),
        |answer| answer["type"] = json!(""),
        |answer| answer["type"] = json!("not-a-type"),
        |answer| answer["id"] = json!(null),
        |answer| answer["id"] = json!("not base64"),
        |answer| drop(answer.as_object_mut().unwrap().remove("rawId")),
        |answer| answer["clientExtensionResults"] = json!("none"),
        |answer| answer["response"] = json!("none"),
        |answer| answer["response"]["transports"] = json!("usb"),
        |answer| answer["response"]["transports"] = json!([1]),
        |answer| answer["response"]["clientDataJSON"] = json!(null),
        |answer| answer["response"]["attestationObject"] = json!("A"),
        |answer| answer["response"]["attestationObject"] = json!("A".repeat(43_696)),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        assert_eq!(register_edited(edit).err(), Some(Refusal::Malformed), "edit {number}");
    }
}

#[test]
fn w_06_only_the_very_origin_is_accepted() {
    for origin in [
        "http://auth.example.com",
        "https://auth.example.com:443",
        "https://auth.example.com:8443",
        "https://other.example.com",
        "https://example.com",
        "https://a.auth.example.com",
        "https://auth.example.com.",
        "https://AUTH.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/path",
        "https://user@auth.example.com",
        "https://auth.example.com?",
        " https://auth.example.com",
        "null",
        "",
    ] {
        let why = refusal(|knobs| origin.clone_into(&mut knobs.origin));
        assert_eq!(why, Some(Refusal::WrongContext), "{origin:?}");
    }
}

#[test]
fn w_07_a_framed_registration_is_refused() {
    assert_eq!(refusal(|knobs| knobs.cross_origin = None), None);
    assert_eq!(refusal(|knobs| knobs.cross_origin = Some(json!(true))), Some(Refusal::WrongContext));
    for top in [json!("https://example.org"), json!(ORIGIN), json!(null)] {
        assert_eq!(refusal(|knobs| knobs.top_origin = Some(top)), Some(Refusal::WrongContext));
    }
}

#[test]
fn a_repeated_member_of_client_data_is_refused() {
    let twice =
        r#"{"type":"webauthn.create","origin":"https://a.example","origin":"https://auth.example.com"}"#;
    assert_eq!(refusal(|knobs| knobs.client_data = Some(twice.into())), Some(Refusal::Malformed));
}

#[test]
fn client_data_of_another_ceremony_is_refused() {
    assert_eq!(refusal(|knobs| knobs.client_type = "webauthn.get".to_owned()), Some(Refusal::WrongContext));
    assert_eq!(refusal(|knobs| knobs.challenge = "A".repeat(43)), Some(Refusal::WrongContext));
    assert_eq!(refusal(|knobs| knobs.rp_id = "example.org".to_owned()), Some(Refusal::WrongContext));
}

#[test]
fn presence_and_verification_are_both_required() {
    for flags in [flag::AT, flag::AT | flag::UP, flag::AT | flag::UV] {
        assert_eq!(refusal(|knobs| knobs.flags = flags), Some(Refusal::NotVerified), "{flags:#x}");
    }
    assert_eq!(refusal(|knobs| knobs.flags = PLAIN), None);
}

#[test]
fn w_08_oversize_nested_and_truncated_cbor_is_refused() {
    let map = |key: &str, value: Cbor| Cbor::Map(vec![(Cbor::from(key), value)]);
    let nested = |depth: usize| {
        let mut bytes = vec![0x81; depth];
        bytes.push(0x00);
        bytes
    };
    let objects = [
        Vec::new(),
        vec![0xff],
        vec![0x80],
        nested(30_000),
        vec![0xc0; 30_000],
        vec![0x5f; 30_000],
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0; 32 * 1_024 + 1],
        cbor(&map("fmt", Cbor::from("none"))),
    ];
    for (number, object) in objects.into_iter().enumerate() {
        let why = refusal(|knobs| knobs.object = Some(object));
        assert_eq!(why, Some(Refusal::Malformed), "object {number}");
    }
    for depth in [9, 200, 20_000] {
        let why = refusal(|knobs| knobs.public_key = Some(nested(depth)));
        assert_eq!(why, Some(Refusal::Malformed), "key {depth} deep");
        let why = refusal(|knobs| {
            knobs.flags |= flag::ED;
            knobs.extensions = Some(nested(depth));
        });
        assert_eq!(why, Some(Refusal::Malformed), "extensions {depth} deep");
    }
}

#[test]
fn w_08_every_truncation_of_an_attestation_object_is_refused() {
    let mut length = 0;
    loop {
        let mut whole = 0;
        let outcome = register_edited(|answer| {
            let text = answer["response"]["attestationObject"].as_str().unwrap().to_owned();
            whole = text.len();
            answer["response"]["attestationObject"] = json!(text[..length]);
        });
        if length == whole {
            assert!(outcome.is_ok());
            break;
        }
        assert_eq!(outcome.err(), Some(Refusal::Malformed), "{length} of {whole} characters");
        length += 1;
    }
}

#[test]
fn leftover_bytes_are_refused_wherever_they_are() {
    assert_eq!(refusal(|knobs| knobs.object_trailing = vec![0]), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.data_trailing = vec![0]), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.extensions = Some(vec![0xa0])), Some(Refusal::Malformed));
    let extended = |knobs: &mut Knobs| {
        knobs.flags |= flag::ED;
        knobs.extensions = Some(vec![0xa0]);
    };
    assert_eq!(refusal(extended), None);
}

#[test]
fn refuses_a_statement_with_format_none() {
    let statement = Cbor::Map(vec![(Cbor::from("sig"), Cbor::Bytes(vec![1]))]);
    assert_eq!(refusal(|knobs| knobs.statement = statement), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.statement = Cbor::Null), Some(Refusal::Malformed));
}

#[test]
fn a_repeated_member_of_the_attestation_object_is_refused() {
    let member = |name: &str, value: Cbor| (Cbor::from(name), value);
    let object = cbor(&Cbor::Map(vec![
        member("fmt", Cbor::from("none")),
        member("fmt", Cbor::from("packed")),
        member("attStmt", Cbor::Map(Vec::new())),
        member("authData", Cbor::Bytes(vec![0; 37])),
    ]));
    assert_eq!(refusal(|knobs| knobs.object = Some(object)), Some(Refusal::Malformed));
}

#[test]
fn w_13_refuses_backed_up_without_eligibility() {
    for (flags, backup) in [
        (PLAIN, Some(Backup::DeviceBound)),
        (PLAIN | flag::BE, Some(Backup::Eligible)),
        (PLAIN | flag::BE | flag::BS, Some(Backup::BackedUp)),
        (PLAIN | flag::BS, None),
    ] {
        let outcome = register(&mut Authenticator::new(1), |knobs| knobs.flags = flags);
        match backup {
            Some(backup) => assert_eq!(outcome.unwrap().backup, backup),
            None => assert_eq!(outcome.err(), Some(Refusal::Malformed)),
        }
    }
}

#[test]
fn w_14_a_credential_id_has_1_to_1023_bytes_and_is_one() {
    for (length, why) in
        [(1, None), (1_023, None), (0, Some(Refusal::Malformed)), (1_024, Some(Refusal::Malformed))]
    {
        assert_eq!(refusal(|knobs| knobs.credential_id = vec![7; length]), why, "{length} bytes");
    }
    // The limit also holds for the id that only authenticator data carries.
    let hidden = |knobs: &mut Knobs| {
        knobs.credential_id = vec![7; 1_024];
        knobs.id = Some("AAAA".to_owned());
        knobs.raw_id = Some("AAAA".to_owned());
    };
    assert_eq!(refusal(hidden), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.id = Some("AAAA".to_owned())), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.raw_id = Some("AAAA".to_owned())), Some(Refusal::Malformed));
    let both = |knobs: &mut Knobs| {
        knobs.id = Some("AAAA".to_owned());
        knobs.raw_id = Some("AAAA".to_owned());
    };
    assert_eq!(refusal(both), Some(Refusal::Malformed));
}

#[test]
fn refuses_an_answer_without_a_credential() {
    assert_eq!(refusal(|knobs| knobs.flags = flag::UP | flag::UV), Some(Refusal::Malformed));
}

#[test]
fn only_offered_algorithms_are_accepted() {
    for algorithm in [-8, -35, -36, -37, -65_535, 0] {
        let why = refusal(|knobs| knobs.algorithm = algorithm);
        assert_eq!(why, Some(Refusal::BadProof), "{algorithm}");
    }
}
