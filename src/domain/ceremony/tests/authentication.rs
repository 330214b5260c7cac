//! The answers that prove who the user is, and answers that do not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::super::authenticator::flag;
use super::*;
use crate::domain::credential::Backup;

fn refusal(turn: impl FnOnce(&mut Knobs)) -> Option<Refusal> {
    let (mut device, credential) = registered(Authenticator::new(1));
    sign_in(&mut device, &credential, turn).err()
}

fn edited(edit: impl FnOnce(&mut Value)) -> Option<Refusal> {
    let (mut device, credential) = registered(Authenticator::new(1));
    sign_in_edited(&mut device, &credential, edit).err()
}

#[test]
fn assertion_yields_the_owner() {
    let (mut device, credential) = registered(Authenticator::counting(1));
    let verified = sign_in(&mut device, &credential, |_| {}).unwrap();
    assert_eq!(verified.user(), user(1).id);
    assert_eq!(verified.credential_id(), &credential.id);
    assert_eq!(verified.at(), NOW);
    assert_eq!(verified.credential().counter, 1);
    assert_eq!(verified.credential().last_used_at, Some(NOW));
    assert!(!verified.is_backup_changed());
    assert_ne!(verified.credential().verifier, credential.verifier);
}

#[test]
fn reads_assertions_in_every_client_encoding() {
    let (mut device, credential) = registered(Authenticator::new(1));
    let (options, _) = relying_party().begin_authentication(None, NOW).unwrap();
    let mut answer = device.get(&options.0, ORIGIN);
    let read = |answer: &Value| read_assertion(answer).unwrap();
    for answer in [&answer, &json!(answer.to_string())] {
        assert_eq!(read(answer).credential_id(), &credential.id);
        assert_eq!(read(answer).user_handle(), Some(user(1).id.as_handle().as_slice()));
    }
    for absent in [json!(null), json!("")] {
        answer["response"]["userHandle"] = absent;
        assert_eq!(read(&answer).user_handle(), None);
    }
    answer["response"]["userHandle"] = json!("A".repeat(88));
    assert_eq!(read_assertion(&answer).unwrap_err().why(), Refusal::Malformed);
}

#[test]
fn w_05_refuses_a_mismatched_handle_or_user() {
    let rp = relying_party();
    let (alice, mallory) = (user(1).id, user(2).id);
    for handle in [Some(alice), Some(mallory), None] {
        for expected in [None, Some(alice), Some(mallory)] {
            let (mut device, credential) = registered(Authenticator::new(1));
            let (options, pending) = rp.begin_authentication(expected, NOW).unwrap();
            let answer = device.get_with(&options.0, ORIGIN, |knobs| {
                knobs.user_handle = handle.map(|handle| handle.as_handle().to_vec());
            });
            let outcome = finish_sign_in(&rp, pending, &answer, &credential).map(|verified| verified.user());
            let fits = handle == Some(alice) && expected != Some(mallory);
            let right = if fits { Ok(alice) } else { Err(Refusal::WrongOwner) };
            assert_eq!(outcome, right, "handle {handle:?}, expected {expected:?}");
        }
    }
    for length in [0, 1, 15, 17, 64] {
        let why = refusal(|knobs| knobs.user_handle = Some(vec![1; length]));
        assert_eq!(why, Some(Refusal::WrongOwner), "{length} bytes");
    }
}

#[test]
fn w_05_refuses_a_credential_of_another_user() {
    let (mut device, mut credential) = registered(Authenticator::new(1));
    credential.user = user(2).id;
    assert_eq!(sign_in(&mut device, &credential, |_| {}).err(), Some(Refusal::WrongOwner));
}

#[test]
fn refuses_a_credential_that_did_not_sign() {
    let (mut device, credential) = registered(Authenticator::new(1));
    let (_, mut other) = registered(Authenticator::new(2));
    assert_eq!(sign_in(&mut device, &other, |_| {}).err(), Some(Refusal::UnknownCredential));
    // Even when the store mixed them up, the other key does not verify.
    other.id = credential.id.clone();
    assert_eq!(sign_in(&mut device, &other, |_| {}).err(), Some(Refusal::BadProof));
}

#[test]
fn w_06_only_the_very_origin_is_accepted() {
    for origin in [
        "http://auth.example.com",
        "https://auth.example.com:8443",
        "https://other.example.com",
        "https://example.com",
        "https://auth.example.com.",
        "https://AUTH.example.com",
        "https://auth.example.com/path",
        "https://user@auth.example.com",
    ] {
        let why = refusal(|knobs| origin.clone_into(&mut knobs.origin));
        assert_eq!(why, Some(Refusal::WrongContext), "{origin:?}");
    }
}

#[test]
fn w_07_a_framed_sign_in_is_refused() {
    assert_eq!(refusal(|knobs| knobs.cross_origin = None), None);
    assert_eq!(refusal(|knobs| knobs.cross_origin = Some(json!(true))), Some(Refusal::WrongContext));
    for top in [json!("https://example.org"), json!(ORIGIN), json!(null)] {
        assert_eq!(refusal(|knobs| knobs.top_origin = Some(top)), Some(Refusal::WrongContext));
    }
}

#[test]
fn refuses_another_challenge() {
    assert_eq!(
        refusal(|knobs| knobs.client_type = "webauthn.create".to_owned()),
        Some(Refusal::WrongContext)
    );
    assert_eq!(refusal(|knobs| knobs.challenge = "A".repeat(43)), Some(Refusal::WrongContext));
    assert_eq!(refusal(|knobs| knobs.rp_id = "example.org".to_owned()), Some(Refusal::WrongContext));
}

#[test]
fn presence_and_verification_are_both_required() {
    for flags in [0, flag::UP, flag::UV] {
        let why = refusal(|knobs| knobs.flags = flags | flag::BE | flag::BS);
        assert_eq!(why, Some(Refusal::NotVerified), "{flags:#x}");
    }
}

#[test]
fn leftover_bytes_after_authenticator_data_are_refused() {
    assert_eq!(refusal(|knobs| knobs.data_trailing = vec![0]), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.extensions = Some(vec![0xa0])), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.flags |= flag::ED), Some(Refusal::Malformed));
    let extended = |knobs: &mut Knobs| {
        knobs.flags |= flag::ED;
        knobs.extensions = Some(vec![0xa0]);
    };
    assert_eq!(refusal(extended), None);
}

#[test]
fn w_08_every_truncation_of_authenticator_data_is_refused() {
    for length in 0..49 {
        let cut = |answer: &mut Value| {
            let text = answer["response"]["authenticatorData"].as_str().unwrap().to_owned();
            answer["response"]["authenticatorData"] = json!(text[..length]);
        };
        assert_eq!(edited(cut), Some(Refusal::Malformed), "{length} characters");
    }
}

#[test]
fn refuses_a_signature_over_other_data() {
    for signature in [vec![], vec![0; 64], vec![0x30, 0x06, 2, 1, 1, 2, 1, 1], vec![0xff; 1_024]] {
        assert_eq!(refusal(|knobs| knobs.signature = Some(signature)), Some(Refusal::BadProof));
    }
    assert_eq!(refusal(|knobs| knobs.signature = Some(vec![0; 1_025])), Some(Refusal::Malformed));
    for byte in [32, 36] {
        let changed = |answer: &mut Value| {
            let member = &mut answer["response"]["authenticatorData"];
            let mut data = URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap();
            data[byte] ^= 0x02;
            *member = json!(URL_SAFE_NO_PAD.encode(data));
        };
        assert_eq!(edited(changed), Some(Refusal::BadProof), "byte {byte}");
    }
    let more = |answer: &mut Value| {
        let member = &mut answer["response"]["clientDataJSON"];
        let mut data = URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap();
        data.push(b' ');
        *member = json!(URL_SAFE_NO_PAD.encode(data));
    };
    assert_eq!(edited(more), Some(Refusal::BadProof));
}

#[test]
fn w_12_a_counter_only_grows() {
    for (stored, received, grows) in [
        (0, 0, true),
        (0, 1, true),
        (5, 6, true),
        (5, u32::MAX, true),
        (5, 5, false),
        (5, 4, false),
        (5, 0, false),
        (u32::MAX, 0, false),
        (u32::MAX, u32::MAX, false),
    ] {
        let mut device = Authenticator::new(1);
        let credential = register(&mut device, |knobs| knobs.counter = stored).unwrap();
        let outcome = sign_in(&mut device, &credential, |knobs| knobs.counter = received);
        let right = if grows { Ok(received) } else { Err(Refusal::CounterRegressed) };
        assert_eq!(outcome.map(|verified| verified.credential().counter), right, "{stored} then {received}");
    }
}

#[test]
fn w_12_unverified_assertion_reports_no_clone() {
    let mut device = Authenticator::new(1);
    let credential = register(&mut device, |knobs| knobs.counter = 5).unwrap();
    let forged = |knobs: &mut Knobs| {
        knobs.counter = 1;
        knobs.signature = Some(vec![0x30, 0x06, 2, 1, 1, 2, 1, 1]);
    };
    assert_eq!(sign_in(&mut device, &credential, forged).err(), Some(Refusal::BadProof));
}

#[test]
fn w_13_backup_state_may_change_and_eligibility_may_not() {
    const PLAIN: u8 = flag::UP | flag::UV;
    const ELIGIBLE: u8 = PLAIN | flag::BE;
    const SYNCED: u8 = ELIGIBLE | flag::BS;
    for (before, after, outcome) in [
        (PLAIN, PLAIN, Ok((Backup::DeviceBound, false))),
        (ELIGIBLE, ELIGIBLE, Ok((Backup::Eligible, false))),
        (SYNCED, SYNCED, Ok((Backup::BackedUp, false))),
        (ELIGIBLE, SYNCED, Ok((Backup::BackedUp, true))),
        (SYNCED, ELIGIBLE, Ok((Backup::Eligible, true))),
        (ELIGIBLE, PLAIN, Err(Refusal::BadProof)),
        (SYNCED, PLAIN, Err(Refusal::BadProof)),
        (PLAIN, ELIGIBLE, Err(Refusal::BadProof)),
        (PLAIN, SYNCED, Err(Refusal::BadProof)),
        (PLAIN, PLAIN | flag::BS, Err(Refusal::Malformed)),
        (SYNCED, PLAIN | flag::BS, Err(Refusal::Malformed)),
    ] {
        let mut device = Authenticator::new(1);
        let credential = register(&mut device, |knobs| knobs.flags = before | flag::AT).unwrap();
        let found = sign_in(&mut device, &credential, |knobs| knobs.flags = after)
            .map(|verified| (verified.credential().backup, verified.is_backup_changed()));
        assert_eq!(found, outcome, "{before:#x} then {after:#x}");
    }
}

#[test]
fn w_13_stores_a_changed_backup_state() {
    let (mut device, credential) = registered(Authenticator::counting(1));
    let first = sign_in(&mut device, &credential, |_| {}).unwrap();
    let second = sign_in(&mut device, first.credential(), |_| {}).unwrap();
    assert_eq!(second.credential().counter, 2);
    let replayed = sign_in(&mut device, second.credential(), |knobs| knobs.counter = 2);
    assert_eq!(replayed.err(), Some(Refusal::CounterRegressed));
}

#[test]
fn w_14_ids_and_type_are_checked() {
    assert_eq!(refusal(|knobs| knobs.id = Some("AAAA".to_owned())), Some(Refusal::Malformed));
    assert_eq!(refusal(|knobs| knobs.raw_id = Some("AAAA".to_owned())), Some(Refusal::Malformed));
    let empty = |knobs: &mut Knobs| knobs.credential_id = Vec::new();
    assert_eq!(refusal(empty), Some(Refusal::Malformed));
    let long = |knobs: &mut Knobs| knobs.credential_id = vec![7; 1_024];
    assert_eq!(refusal(long), Some(Refusal::Malformed));
    for kind in [json!("webauthn.get"), json!(""), json!(null), json!(1)] {
        assert_eq!(edited(|answer| answer["type"] = kind), Some(Refusal::Malformed));
    }
    assert_eq!(edited(|answer| drop(answer.as_object_mut().unwrap().remove("type"))), None);
}

#[test]
fn refuses_an_unreadable_stored_credential() {
    let (mut device, mut credential) = registered(Authenticator::new(1));
    credential.verifier.0 = json!({});
    assert_eq!(sign_in(&mut device, &credential, |_| {}).err(), Some(Refusal::BadProof));
}
