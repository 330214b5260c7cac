//! What a browser's answer has to say, in every member (W-05 to W-08, W-12 to W-14, W-16, W-17).
//! The full tables of the rules are beside the code; these tests ask the binary.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Knobs, Reply, Scene, flag};

/// Whether an answer was accepted. An unreadable answer is 422, every other refused answer 401.
fn is_accepted(reply: &Reply, success: u16) -> bool {
    assert!(reply.status == success || [401, 422].contains(&reply.status), "{reply}");
    reply.status == success
}

/// Whether Alice can sign in with a wrong turn, in a browser of its own.
async fn sign_in(scene: &mut Scene, turn: impl FnOnce(&mut Knobs)) -> bool {
    let browser = scene.anonymous();
    let reply = browser.sign_in_with(&mut scene.device, turn).await;
    let accepted = is_accepted(&reply, 201);
    assert_eq!(browser.session().is_some(), accepted, "{reply}");
    accepted
}

/// Whether Alice can add a passkey with a wrong turn.
async fn register(scene: &Scene, seed: u64, turn: impl FnOnce(&mut Knobs)) -> bool {
    let before = scene.alice.passkeys().await.len();
    let reply = scene.alice.register_with(&mut Authenticator::new(seed), turn).await;
    let after = scene.alice.passkeys().await.len();
    let accepted = is_accepted(&reply, 200);
    assert_eq!(after - before, usize::from(accepted), "{reply}");
    accepted
}

#[tokio::test]
async fn w_05_refuses_a_mismatched_owner_or_handle() {
    let mut scene = Scene::set().await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let id = bob.get("sessions/current").await.json()["user"]["id"].as_str().unwrap().to_owned();
    let bobs = uuid::Uuid::parse_str(&id).unwrap().as_bytes().to_vec();
    let alices = scene.device.held()[0].user_handle.clone();
    let handles = [(Some(alices), true), (Some(bobs), false), (None, false), (Some(Vec::new()), false)];
    for (named, named_fits) in [(None, true), (Some(ALICE), true), (Some("bob@example.com"), false)] {
        for (handle, handle_fits) in &handles {
            let browser = scene.anonymous();
            let body = named.map_or_else(|| json!({}), |email| json!({ "email": email }));
            let options = browser.post("passkeys/authenticate/options", &body).await.expect(200).json();
            let answer = scene
                .device
                .get_with(&options, browser.origin(), |knobs| knobs.user_handle.clone_from(handle));
            let reply = browser.post("passkeys/authenticate/verify", &answer).await;
            let expected = if named_fits && *handle_fits { 201 } else { 401 };
            assert_eq!(reply.status, expected, "named {named:?}, handle {handle:?}: {reply}");
            assert_eq!(browser.account().await.is_some(), expected == 201);
        }
    }
}

#[tokio::test]
async fn w_06_refuses_other_origins() {
    let mut scene = Scene::set().await;
    let port = scene.gateway.port;
    let other_port = port + 1;
    let wrong = [
        format!("https://localhost:{port}"),
        format!("http://localhost:{other_port}"),
        "http://localhost".to_owned(),
        format!("http://app.localhost:{port}"),
        format!("http://localhost.:{port}"),
        format!("http://LOCALHOST:{port}"),
        format!("http://localhost:{port}/"),
        format!("http://user@localhost:{port}"),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{port}"),
        "null".to_owned(),
        String::new(),
    ];
    for (number, origin) in (100..).zip(&wrong) {
        assert!(!sign_in(&mut scene, |knobs| knobs.origin.clone_from(origin)).await, "{origin}");
        assert!(!register(&scene, number, |knobs| knobs.origin.clone_from(origin)).await, "{origin}");
    }
    assert!(sign_in(&mut scene, |_| {}).await);
}

#[tokio::test]
async fn w_07_refuses_framed_ceremonies() {
    let mut scene = Scene::set().await;
    let turns: [fn(&mut Knobs); 4] = [
        |knobs| knobs.cross_origin = Some(json!(true)),
        |knobs| knobs.top_origin = Some(json!("https://evil.example")),
        |knobs| {
            knobs.cross_origin = Some(json!(true));
            knobs.top_origin = Some(json!("https://evil.example"));
        },
        |knobs| knobs.cross_origin = Some(json!("false")),
    ];
    for (number, turn) in (100..).zip(turns) {
        assert!(!sign_in(&mut scene, turn).await);
        assert!(!register(&scene, number, turn).await);
    }
    assert!(sign_in(&mut scene, |knobs| knobs.cross_origin = None).await);
}

#[tokio::test]
async fn w_08_nested_oversize_and_truncated_answers_are_refused() {
    let mut scene = Scene::set().await;
    // Arrays in arrays, deeper than any stack.
    let nested = [vec![0x81; 20_000], vec![0xf6]].concat();
    let in_key = nested.clone();
    assert!(!register(&scene, 100, |knobs| knobs.object = Some(nested)).await);
    assert!(!register(&scene, 101, |knobs| knobs.public_key = Some(in_key)).await);
    for length in [0, 1, 37, 100] {
        assert!(!register(&scene, 102, |knobs| knobs.object = Some(vec![0xa3; length])).await);
    }
    assert!(!sign_in(&mut scene, |knobs| knobs.data_trailing = vec![0; 16]).await);

    let browser = scene.anonymous();
    let url = browser.api("passkeys/authenticate/verify");
    let post = |body: String| {
        let request = browser.fetching(reqwest::Method::POST, &url, None);
        request.header("content-type", "application/json").body(body)
    };
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    browser.send(post(deep)).await.expect(422);
    let large = json!({ "id": "A".repeat(70_000) }).to_string();
    browser.send(post(large)).await.expect(413);
    browser.send(post("{\"id\":\"AA".to_owned())).await.expect(422);
    assert!(sign_in(&mut scene, |_| {}).await, "and it still works");
}

#[tokio::test]
async fn w_12_a_counter_only_grows() {
    let scene = Scene::set().await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let mut key = Authenticator::counting(3);
    bob.register(&mut key).await.expect(200);
    let id = URL_SAFE_NO_PAD.encode(&key.held()[0].id);
    for (counter, expected) in [
        (5, 201),
        (5, 401),
        (4, 401),
        (0, 401),
        (6, 201),
        (u32::MAX, 201),
        (0, 401),
        (1, 401),
        (u32::MAX, 401),
    ] {
        let browser = scene.anonymous();
        let reply = browser.sign_in_with(&mut key, |knobs| knobs.counter = counter).await;
        assert_eq!(reply.status, expected, "counter {counter}: {reply}");
    }
    let stored = bob.passkeys().await.into_iter().find(|passkey| passkey["id"] == *id).unwrap();
    assert_eq!(stored["counter"], u32::MAX, "a refused counter was stored");
    assert!(
        scene.gateway.log().contains("\"event\":\"counter_regressed\""),
        "no event says that a counter went back"
    );
}

#[tokio::test]
async fn w_13_backup_state_may_change_and_eligibility_may_not() {
    let mut scene = Scene::set().await;
    let up = flag::UP | flag::UV;
    for (flags, expected) in [
        (up | flag::BE | flag::BS, true),
        (up | flag::BE, true),
        (up, false),
        (up | flag::BS, false),
        (up | flag::BE | flag::BS, true),
        (flag::UV | flag::BE, false),
        (flag::UP | flag::BE, false),
    ] {
        assert_eq!(sign_in(&mut scene, |knobs| knobs.flags = flags).await, expected, "{flags:#x}");
    }
    assert!(!register(&scene, 100, |knobs| knobs.flags = up | flag::AT | flag::BS).await);
    assert!(!register(&scene, 101, |knobs| knobs.flags = flag::UP | flag::AT | flag::BE).await);
}

#[tokio::test]
async fn w_14_refuses_mismatched_ids_and_types() {
    let mut scene = Scene::set().await;
    assert!(register(&scene, 100, |knobs| knobs.credential_id = vec![1; 1_023]).await);
    assert!(!register(&scene, 101, |knobs| knobs.credential_id = vec![2; 1_024]).await);
    assert!(!register(&scene, 102, |knobs| knobs.credential_id = Vec::new()).await);
    assert!(!register(&scene, 103, |knobs| knobs.raw_id = Some("AAAA".to_owned())).await);
    assert!(!sign_in(&mut scene, |knobs| knobs.raw_id = Some("AAAA".to_owned())).await);
    assert!(!sign_in(&mut scene, |knobs| knobs.client_type = "webauthn.create".to_owned()).await);
    let edits: [fn(&mut Value); 4] = [
        |answer| answer["type"] = json!("not-a-type"),
        |answer| answer["type"] = Value::Null,
        |answer| answer["id"] = json!("AA=="),
        |answer| answer["rawId"] = json!(7),
    ];
    for edit in edits {
        let browser = scene.anonymous();
        let mut answer = scene.device.get(&browser.sign_in_options().await, browser.origin());
        edit(&mut answer);
        browser.post("passkeys/authenticate/verify", &answer).await.expect(422);
        assert!(browser.session().is_none());
        let mut answer =
            Authenticator::new(104).create(&scene.alice.registration_options().await, browser.origin());
        edit(&mut answer);
        scene.alice.post("passkeys/register/verify", &answer).await.expect(422);
    }
    assert_eq!(scene.alice.passkeys().await.len(), 2);
}

/// Hexadecimal as base64url.
fn recoded(hex: &Value) -> String {
    let text = hex.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    URL_SAFE_NO_PAD.encode((0..text.len() / 2).map(byte).collect::<Vec<u8>>())
}

/// The published vectors are judged in `src/domain/ceremony/tests/vectors.rs`; the binary can only
/// be shown that an answer to another site's challenge proves nothing.
#[tokio::test]
async fn w_16_refuses_published_vectors() {
    let scene = Scene::set().await;
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/webauthn-vectors.json"));
    let vectors: Value = serde_json::from_str(&file.unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.len() > 5);
    for vector in vectors {
        let (registration, sign_in) = (&vector["registration"], &vector["authentication"]);
        let id = recoded(&registration["credential_id"]);
        let browser = scene.anonymous();
        browser.sign_in_options().await;
        let answer = json!({ "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {}, "response": {
            "clientDataJSON": recoded(&sign_in["client_data"]),
            "authenticatorData": recoded(&sign_in["authenticator_data"]),
            "signature": recoded(&sign_in["signature"]),
        }});
        browser.post("passkeys/authenticate/verify", &answer).await.expect(401);
        assert!(browser.session().is_none());
        scene.alice.registration_options().await;
        let answer = json!({ "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {}, "response": {
            "clientDataJSON": recoded(&registration["client_data"]),
            "attestationObject": recoded(&registration["attestation_object"]),
        }});
        scene.alice.post("passkeys/register/verify", &answer).await.expect(401);
    }
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

/// Its name, and the wrong turn.
type Case = (&'static str, fn(&mut Knobs));

/// The groups of the FIDO server conformance list are worked through beside the code; here one
/// case of each, over HTTP.
#[tokio::test]
async fn w_17_one_case_of_each_conformance_group() {
    let mut scene = Scene::set().await;
    let registrations: [Case; 6] = [
        ("Resp-2: type", |knobs| knobs.client_type = "webauthn.get".to_owned()),
        ("Resp-2: challenge", |knobs| knobs.challenge = "AAAA".to_owned()),
        ("Resp-3: leftover bytes", |knobs| knobs.object_trailing = vec![0]),
        ("Resp-3: RP ID", |knobs| knobs.rp_id = "evil.example".to_owned()),
        ("Resp-4: RS1", |knobs| knobs.algorithm = -65_535),
        ("Resp-7: a statement inside none", |knobs| {
            knobs.statement = ciborium::Value::Map(vec![("x5c".into(), ciborium::Value::Array(Vec::new()))]);
        }),
    ];
    for (number, (case, turn)) in (100..).zip(registrations) {
        assert!(!register(&scene, number, turn).await, "{case}");
    }
    let sign_ins: [Case; 5] = [
        ("Resp-2: type", |knobs| knobs.client_type = "webauthn.create".to_owned()),
        ("Resp-2: challenge", |knobs| knobs.challenge = "AAAA".to_owned()),
        ("Resp-3: RP ID", |knobs| knobs.rp_id = "evil.example".to_owned()),
        ("Resp-1: signature", |knobs| knobs.signature = Some(Vec::new())),
        ("Resp-3: presence", |knobs| knobs.flags &= !flag::UP),
    ];
    for (case, turn) in sign_ins {
        assert!(!sign_in(&mut scene, turn).await, "{case}");
    }
}
