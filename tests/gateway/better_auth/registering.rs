//! generate-register-options and verify-registration.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CHALLENGE, check_moment, check_refused, check_signed_in, get, passkey_shape, post, scene, session_shape,
    user_shape,
};
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Reply, Scene, shape};

const OPTIONS: &str = "passkey/generate-register-options";
const VERIFY: &str = "passkey/verify-registration";

async fn options(browser: &Browser) -> Value {
    get(browser, OPTIONS).await.expect(200).json()
}

/// The answer of a new device to new options.
async fn answer(browser: &Browser, seed: u64) -> Value {
    Authenticator::new(seed).create(&options(browser).await, browser.origin())
}

#[tokio::test]
async fn options_are_bare_and_tied_to_the_browser() {
    let scene = scene().await;
    let reply = get(&scene.alice, OPTIONS).await.expect(200);
    let options = reply.json();
    let alice = scene.alice.get("sessions/current").await.json()["user"].clone();
    assert_eq!(options["rp"], json!({ "id": "localhost", "name": "Vestibule" }));
    assert_eq!(shape(&options["user"]), json!({ "id": "text", "name": "text", "displayName": "text" }));
    assert_eq!((&options["user"]["name"], &options["user"]["displayName"]), (&json!(ALICE), &alice["name"]));
    let selection =
        json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
    assert_eq!(options["authenticatorSelection"], selection);
    assert_eq!((&options["attestation"], options["timeout"].is_number()), (&json!("none"), true));
    let algorithms = options["pubKeyCredParams"].as_array().unwrap();
    assert!(algorithms.iter().any(|it| *it == json!({ "type": "public-key", "alg": -7 })), "{options}");
    let known = scene.alice.passkeys().await[0]["id"].clone();
    let excluded = json!([{ "type": "public-key", "id": known, "transports": ["hybrid", "internal"] }]);
    assert_eq!(options["excludeCredentials"], excluded);
    let cookie = scene.alice.set_cookies(CHALLENGE).pop().unwrap();
    for (name, value) in [("max-age", "300"), ("path", "/"), ("samesite", "Lax"), ("httponly", "")] {
        assert_eq!(cookie.attributes.get(name).map(String::as_str), Some(value), "{name}: {cookie:?}");
    }
    assert!(!reply.text().contains(&cookie.value), "the challenge is not what the cookie says");
    // The same person has the same handle every time, and in every dialect.
    let native = scene.alice.registration_options().await;
    assert_eq!(native["user"]["id"], options["user"]["id"]);
}

#[tokio::test]
async fn registration_options_follow_the_query() {
    let scene = scene().await;
    for attachment in ["platform", "cross-platform"] {
        let below = format!("{OPTIONS}?authenticatorAttachment={attachment}&name=Blue%20key&context=any");
        let options = get(&scene.alice, &below).await.expect(200).json();
        assert_eq!(options["authenticatorSelection"]["authenticatorAttachment"], attachment);
        assert_eq!(options["user"]["name"], ALICE, "a label is not the account's name");
    }
    for query in ["authenticatorAttachment=toaster", "name=%00"] {
        let message =
            check_refused(get(&scene.alice, &format!("{OPTIONS}?{query}")).await, 400, "VALIDATION_ERROR");
        assert!(message.starts_with("[query"), "{message}");
    }
    check_refused(get(&scene.anonymous(), OPTIONS).await, 401, "UNAUTHORIZED");
}

#[tokio::test]
async fn registration_answer_has_every_member() {
    let scene = scene().await;
    let mut device = Authenticator::counting(10);
    let options = options(&scene.alice).await;
    let answer = device.create(&options, scene.alice.origin());
    let reply = post(&scene.alice, VERIFY, &json!({ "response": answer, "name": " Blue key " })).await;
    let passkey = reply.expect(200).json();
    assert_eq!(shape(&passkey), passkey_shape());
    let expected = json!({
        "name": "Blue key", "credentialID": answer["id"], "counter": 0, "deviceType": "singleDevice",
        "backedUp": false, "transports": "hybrid,internal", "aaguid": "00000000-0000-0000-0000-000000000000",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(passkey[name], *value, "{name}");
    }
    check_moment(&passkey["createdAt"]);
    assert!(scene.alice.set_cookies(CHALLENGE).pop().unwrap().removes(), "the challenge is taken back");
    let listed = get(&scene.alice, "passkey/list-user-passkeys").await.expect(200).json();
    assert_eq!(listed[1], passkey);
}

/// A synced passkey; with a label in the query, in the body, and with none.
#[tokio::test]
async fn a_label_comes_from_the_body_else_from_the_query_else_from_us() {
    let scene = scene().await;
    let cases = [
        ("?name=Query", json!({ "name": "Body" }), "Body"),
        ("?name=Query", json!({}), "Query"),
        ("", json!({ "name": null }), "Linux - Firefox"),
        ("", json!({ "name": "  " }), "Linux - Firefox"),
    ];
    for (seed, (query, mut body, label)) in (20..).zip(cases) {
        let options = get(&scene.alice, &format!("{OPTIONS}{query}")).await.expect(200).json();
        body["response"] = Authenticator::new(seed).create(&options, scene.alice.origin());
        let passkey = post(&scene.alice, VERIFY, &body).await.expect(200).json();
        assert_eq!(passkey["name"], label);
        assert_eq!((&passkey["deviceType"], &passkey["backedUp"]), (&json!("multiDevice"), &json!(true)));
    }
}

/// Clients from 1.6 on leave `clientExtensionResults` out, others write `null`; the documents call
/// the response a text.
#[tokio::test]
async fn reads_answers_of_every_client() {
    let scene = scene().await;
    let edits: [fn(&mut Value); 4] = [
        |answer| drop(answer.as_object_mut().unwrap().remove("clientExtensionResults")),
        |answer| answer["clientExtensionResults"] = Value::Null,
        |answer| answer["authenticatorAttachment"] = Value::Null,
        |answer| *answer = json!(answer.to_string()),
    ];
    for (seed, edit) in (30..).zip(edits) {
        let mut response = answer(&scene.alice, seed).await;
        edit(&mut response);
        post(&scene.alice, VERIFY, &json!({ "response": response })).await.expect(200);
    }
}

#[tokio::test]
async fn create_session_signs_in_as_well() {
    let scene = scene().await;
    let token = scene.alice.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned();
    let script = scene.alice.showing(&token);
    let response = answer(&script, 40).await;
    let reply =
        post(&script, VERIFY, &json!({ "response": response, "createSession": true })).await.expect(200);
    let mut expected = passkey_shape();
    expected["session"] = session_shape();
    expected["user"] = user_shape();
    assert_eq!(shape(&reply.json()), expected);
    check_signed_in(&script, &reply).await;
}

#[tokio::test]
async fn an_enrolment_is_finished_in_this_dialect_too() {
    let scene = scene().await;
    let bob = scene.anonymous();
    bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    assert_eq!(get(&bob, "get-session").await.expect(200).json(), Value::Null, "not yet a user");
    let response = answer(&bob, 50).await;
    post(&bob, VERIFY, &json!({ "response": response, "name": "First" })).await.expect(200);
    let session = get(&bob, "get-session").await.expect(200).json();
    assert_eq!(session["user"]["email"], "bob@example.com");
}

#[tokio::test]
async fn refuses_a_registration_with_another_challenge() {
    let scene = scene().await;
    let alice = &scene.alice;
    let check = async |browser: &Browser, response: &Value, why: &str| {
        let reply = post(browser, VERIFY, &json!({ "response": response })).await;
        assert_eq!(reply.json()["code"], "CHALLENGE_NOT_FOUND", "{why}: {reply}");
        check_refused(reply, 400, "CHALLENGE_NOT_FOUND");
    };
    // A registration that was never begun.
    let creation = json!({ "challenge": "AAAA", "rp": { "id": "localhost" }, "user": { "id": "AAECAwQFBgcICQoLDA0ODw" } });
    check(alice, &Authenticator::new(60).create(&creation, alice.origin()), "absent").await;
    // Used before, and by an attempt that failed.
    let response = answer(alice, 61).await;
    post(alice, VERIFY, &json!({ "response": response })).await.expect(200);
    check(alice, &response, "reused").await;
    let response = answer(alice, 62).await;
    post(alice, VERIFY, &json!({})).await.expect(400);
    check(alice, &response, "used up by a request that could not be read").await;
    // Begun by the other ceremony, by another browser, and in another dialect.
    get(alice, "passkey/generate-authenticate-options").await.expect(200);
    check(alice, &Authenticator::new(63).create(&creation, alice.origin()), "minted by a sign-in").await;
    let response = answer(alice, 64).await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    check(&bob, &response, "another browser's").await;
    let cookie = alice.jar().get("localhost", CHALLENGE).unwrap();
    bob.jar().plant("localhost", CHALLENGE, &cookie);
    check(&bob, &response, "another person's").await;
    let options = alice.registration_options().await;
    let native = alice.jar().get("localhost", "challenge").unwrap();
    alice.jar().plant("localhost", CHALLENGE, &native);
    check(alice, &Authenticator::new(65).create(&options, alice.origin()), "begun in another dialect").await;
    assert_eq!((alice.passkeys().await.len(), bob.passkeys().await.len()), (2, 1));
}

#[tokio::test]
async fn refuses_an_unproven_registration() {
    let mut scene = scene().await;
    let alice = scene.alice.clone();
    let mut device = Authenticator::new(70);
    let response = device
        .create_with(&options(&alice).await, alice.origin(), |knobs| knobs.rp_id = "evil.example".to_owned());
    let refused = post(&alice, VERIFY, &json!({ "response": response })).await;
    check_refused(refused, 400, "FAILED_TO_VERIFY_REGISTRATION");
    let mut response = answer(&alice, 71).await;
    response["response"]["attestationObject"] = json!("AAAA");
    let refused = post(&alice, VERIFY, &json!({ "response": response })).await;
    check_refused(refused, 400, "FAILED_TO_VERIFY_REGISTRATION");
    let taken = scene.device.held()[0].id.clone();
    let response = Authenticator::new(72)
        .create_with(&options(&alice).await, alice.origin(), |knobs| knobs.credential_id = taken);
    let refused = post(&alice, VERIFY, &json!({ "response": response })).await;
    check_refused(refused, 400, "PREVIOUSLY_REGISTERED");
    assert_eq!(alice.passkeys().await.len(), 1);
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn a_registration_needs_a_session_and_a_body() {
    let scene = scene().await;
    let reply = post(&scene.anonymous(), VERIFY, &json!({ "response": {} })).await;
    check_refused(reply, 401, "UNAUTHORIZED");
    for (body, field) in [
        (json!({}), "[body.response]"),
        (json!({ "response": {}, "name": 7 }), "[body"),
        (json!({ "response": {}, "name": "a\u{0}b" }), "[body.name]"),
        (json!([]), "[body"),
        (json!(null), "[body"),
    ] {
        let message = check_refused(post(&scene.alice, VERIFY, &body).await, 400, "VALIDATION_ERROR");
        assert!(message.starts_with(field), "{body}: {message}");
    }
    let raw = async |kind: &str, body: &'static str| {
        let request = scene.alice.fetching(Method::POST, &scene.url(&format!("/api/auth/{VERIFY}")), None);
        scene.alice.send(request.header("content-type", kind).body(body)).await
    };
    check_refused(raw("application/json", "{").await, 400, "BAD_REQUEST");
    check_refused(
        raw("application/x-www-form-urlencoded", "response=x").await,
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    );
    check_refused(raw("text/plain", "{\"response\":{}}").await, 415, "UNSUPPORTED_MEDIA_TYPE");
}

/// Over https, on a host that an application shares, enrolling does not pay for another passkey.
#[tokio::test]
async fn a_session_that_is_not_fresh_may_not_add_a_passkey() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        super::on(config);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    check_refused(get(&scene.alice, OPTIONS).await, 403, "SESSION_NOT_FRESH");
    let only = get(&scene.alice, "passkey/list-user-passkeys").await.expect(200).json();
    let id = only[0]["id"].clone();
    let reply = post(&scene.alice, "passkey/delete-passkey", &json!({ "id": id })).await;
    check_refused(reply, 403, "SESSION_NOT_FRESH");
    let again = async |scene: &mut Scene| {
        let options = get(&scene.alice, "passkey/generate-authenticate-options").await.expect(200).json();
        let response = scene.device.get(&options, scene.alice.origin());
        let reply: Reply =
            post(&scene.alice, "passkey/verify-authentication", &json!({ "response": response })).await;
        reply.expect(200);
    };
    again(&mut scene).await;
    get(&scene.alice, OPTIONS).await.expect(200);
    let names: Vec<_> = scene.alice.jar().history.iter().map(|cookie| cookie.name.clone()).collect();
    assert!(names.iter().any(|name| name == "__Host-better-auth.better-auth-passkey"), "{names:?}");
}
