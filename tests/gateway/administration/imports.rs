//! Passkeys of another program's: taken over from its file, they sign in here.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Authenticator, Gateway, Scene};

use super::told;

/// A user's number there, and the same as authenticators are given it.
const NUMBER: u64 = 300;
const HANDLE: [u8; 10] = [0xac, 0x02, 0, 0, 0, 0, 0, 0, 0, 0];

/// A passkey that the other program has registered for `rp_id`, as its file has it. The form is
/// built after its public documentation.
pub(crate) fn registered_elsewhere(device: &mut Authenticator, rp_id: &str) -> Value {
    let options = json!({
        "rp": { "id": rp_id },
        "user": { "id": URL_SAFE_NO_PAD.encode(HANDLE) },
        "challenge": "AAAA",
    });
    let answer = device.create(&options, "http://localhost:8080");
    let object = URL_SAFE_NO_PAD.decode(answer["response"]["attestationObject"].as_str().unwrap()).unwrap();
    let hash: [u8; 32] = Sha256::digest(rp_id).into();
    // The attestation object ends with the authenticator data.
    let data = &object[object.windows(32).position(|it| it == hash).unwrap()..];
    let (id, key) = data[55..].split_at(32);
    json!({
        "id": STANDARD.encode(id),
        "publicKey": STANDARD.encode(key),
        "attestationType": "none",
        "transport": ["internal"],
        "flags": { "userPresent": true, "userVerified": true, "backupEligible": true, "backupState": true },
        "authenticator": { "AAGUID": STANDARD.encode([0; 16]), "signCount": 0, "cloneWarning": false, "attachment": "platform" },
        "attestation": { "authenticatorData": STANDARD.encode(data) },
    })
}

fn line(name: &str, passkeys: &[&Value]) -> String {
    let user = json!({ "ID": NUMBER, "Name": name, "DisplayName": "Bob Roe", "Credentials": passkeys });
    format!("  {name}: {}\n", STANDARD.encode(user.to_string()))
}

#[track_caller]
fn import(gateway: &Gateway, users: &str) -> Value {
    let file = gateway.directory().join("credentials.yml");
    std::fs::write(&file, format!("cookie_session_secrets:\n  - secret\nuser_credentials:\n{users}"))
        .unwrap();
    let text = gateway.operate(&["import", "webauthn-proxy", file.to_str().unwrap(), "--json"]);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_passkey_of_webauthn_proxy_signs_in() {
    let mut scene = Scene::set().await;
    let (mut bobs, mut others) = (Authenticator::new(71), Authenticator::new(72));
    let passkey = registered_elsewhere(&mut bobs, "localhost");
    let foreign = registered_elsewhere(&mut others, "elsewhere.example.com");
    let users = [
        line("bob@example.com", &[&passkey, &foreign]),
        line("carol@example.com", &[&foreign]),
        line("dave", &[&passkey]),
        line("erin@example.com", &[&passkey]),
    ];
    let text = users.concat();
    let done = import(&scene.gateway, &text);
    assert_eq!(done["imported"], 1, "{done}");
    let skipped: Vec<_> = done["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["reason"].as_str().unwrap()))
        .collect();
    let reasons = [
        (4, "passkey 2: it was made for another RP ID"),
        (5, "no passkey of theirs can be used: passkey 1: it was made for another RP ID"),
        (6, "\"dave\" is not an e-mail address"),
        (7, "passkey 1 is known here already"),
    ];
    for ((line, reason), (at, expected)) in skipped.iter().zip(reasons) {
        assert!(*line == at && reason.contains(expected), "{skipped:?}");
    }
    assert_eq!(skipped.len(), reasons.len());

    let bob = scene.anonymous();
    bob.sign_in(&mut bobs).await.expect(201);
    bob.navigate(&scene.url("/")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-user"), "bob");
    let user = told(&scene, &["user", "show", "bob"]);
    assert_eq!((&user["name"], &user["role"]), (&json!("Bob Roe"), &json!("member")));
    let passkeys = user["credentials"].as_array().unwrap();
    assert!(passkeys.len() == 1 && passkeys[0]["imported_at"].is_string(), "{user}");
    let events = scene.gateway.operate(&["audit", "--user", "bob", "--json"]);
    assert!(
        events.lines().any(|it| it.contains("\"user_changed\"") && it.contains("\"imported\"")),
        "{events}"
    );

    // It goes on after a restart and beside a passkey that was made here, and is not taken over
    // twice.
    bob.register(&mut Authenticator::new(73)).await.expect(200);
    scene.gateway.restart().await;
    scene.anonymous().sign_in(&mut bobs).await.expect(201);
    assert_eq!(import(&scene.gateway, &users[0])["imported"], 0);
    // A user who has an account has the passkey beside theirs.
    let mut alices = Authenticator::new(74);
    let passkey = registered_elsewhere(&mut alices, "localhost");
    assert_eq!(import(&scene.gateway, &line("alice@example.com", &[&passkey]))["imported"], 1);
    scene.anonymous().sign_in(&mut alices).await.expect(201);
    assert_eq!(told(&scene, &["user", "show", "alice"])["passkeys"], 2);
}

#[tokio::test]
async fn refuses_imported_passkeys_without_verification_or_discoverability() {
    let scene = Scene::set().await;
    let mut bobs = Authenticator::new(71);
    let passkey = registered_elsewhere(&mut bobs, "localhost");
    assert_eq!(import(&scene.gateway, &line("bob@example.com", &[&passkey]))["imported"], 1);
    let bob = scene.anonymous();
    let refused = bob.sign_in_with(&mut bobs, |knobs| knobs.flags &= !0x04).await;
    refused.expect_problem(401);
    // A passkey that is not discoverable does not name its owner.
    bob.sign_in_with(&mut bobs, |knobs| knobs.user_handle = None).await.expect_problem(401);
    bob.sign_in(&mut bobs).await.expect(201);
}
