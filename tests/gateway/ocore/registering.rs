//! register/begin and register/finish.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CEREMONY, PASSKEYS, REGISTER_BEGIN, REGISTER_FINISH, check_refused, forget_ceremony, post, scene,
};
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Scene, shape};

async fn begin(browser: &Browser) -> Value {
    post(browser, REGISTER_BEGIN, &json!({})).await.expect(200).json()
}

/// The answer of a new device to new options.
async fn answer(browser: &Browser, seed: u64) -> Value {
    Authenticator::new(seed).create(&begin(browser).await, browser.origin())
}

#[tokio::test]
async fn creation_options_are_wrapped_and_strict() {
    let scene = scene().await;
    let options = begin(&scene.alice).await;
    assert_eq!(options.as_object().unwrap().len(), 1, "{options}");
    let bare = &options["publicKey"];
    let native = scene.alice.registration_options().await;
    for name in [
        "rp",
        "user",
        "pubKeyCredParams",
        "timeout",
        "attestation",
        "authenticatorSelection",
        "excludeCredentials",
    ] {
        assert!(!bare[name].is_null(), "{name}");
        assert_eq!(bare[name], native[name], "{name}");
    }
    assert_eq!(bare["user"]["name"], ALICE);
    assert_ne!(bare["challenge"], native["challenge"]);
    let cookie = scene.alice.set_cookies(CEREMONY).pop().unwrap();
    assert!(!cookie.removes() && cookie.attributes.contains_key("httponly"));
    check_refused(post(&scene.anonymous(), REGISTER_BEGIN, &json!({})).await, 401);
    for body in
        [json!({ "device_name": 7 }), json!({ "device_name": "a\nb" }), json!(["Blue key"]), json!(null)]
    {
        check_refused(post(&scene.alice, REGISTER_BEGIN, &body).await, 400);
    }
    // The body is required.
    let request = scene.alice.fetching(Method::POST, &scene.url(REGISTER_BEGIN), None);
    check_refused(scene.alice.send(request).await, 415);
}

#[tokio::test]
async fn registration_answer_is_in_snake_case() {
    let scene = scene().await;
    for (seed, begun, query, label) in [
        (20, json!({ "device_name": "Begun" }), "?device_name=Blue%20key", "Blue key"),
        (21, json!({ "device_name": "Begun" }), "", "Begun"),
        (22, json!({ "device_name": "Begun" }), "?device_name=", "Begun"),
        (23, json!({ "device_name": null }), "?device_name=%20", "Linux - Firefox"),
        (24, json!({ "deviceName": "not in this request" }), "", "Linux - Firefox"),
    ] {
        let options = post(&scene.alice, REGISTER_BEGIN, &begun).await.expect(200).json();
        let response = Authenticator::new(seed).create(&options, scene.alice.origin());
        let body =
            post(&scene.alice, &format!("{REGISTER_FINISH}{query}"), &response).await.expect(201).json();
        assert_eq!(shape(&body), json!({ "id": "text", "device_name": "text", "created_at": "text" }));
        assert_eq!((&body["id"], &body["device_name"]), (&response["id"], &json!(label)), "{begun} {query}");
        assert!(body["created_at"].as_str().unwrap().ends_with('Z'));
    }
    assert!(scene.alice.set_cookies(CEREMONY).pop().unwrap().removes());
}

#[tokio::test]
async fn a_registration_is_found_by_its_challenge_and_belongs_to_its_person() {
    let scene = scene().await;
    let alice = &scene.alice;
    let token = alice.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned();
    // A program with a token and no cookie.
    let program = alice.showing(&token);
    let response = answer(&program, 30).await;
    forget_ceremony(&program);
    post(&program, REGISTER_FINISH, &response).await.expect(201);
    check_refused(post(&program, REGISTER_FINISH, &response).await, 400);
    // An anonymous client's attempt uses nothing up; another user's is refused.
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let response = answer(alice, 31).await;
    check_refused(post(&scene.anonymous(), REGISTER_FINISH, &response).await, 401);
    post(alice, REGISTER_FINISH, &response).await.expect(201);
    let response = answer(alice, 32).await;
    check_refused(post(&bob, REGISTER_FINISH, &response).await, 400);
    let response = answer(alice, 33).await;
    let cookie = alice.jar().get("localhost", CEREMONY).unwrap();
    bob.jar().plant("localhost", CEREMONY, &cookie);
    check_refused(post(&bob, REGISTER_FINISH, &response).await, 400);
    assert_eq!((alice.passkeys().await.len(), bob.passkeys().await.len()), (3, 1));
}

#[tokio::test]
async fn a_registration_is_not_another_ceremony() {
    let scene = scene().await;
    let alice = &scene.alice;
    // With the cookie of a registration that was begun later.
    let response = answer(alice, 40).await;
    begin(alice).await;
    check_refused(post(alice, REGISTER_FINISH, &response).await, 400);
    // A sign-in's ceremony.
    let options = post(alice, super::LOGIN_BEGIN, &json!({})).await.expect(200).json();
    let creation = json!({
        "challenge": options["publicKey"]["challenge"],
        "rp": { "id": "localhost" }, "user": { "id": "AAECAwQFBgcICQoLDA0ODw" },
    });
    let response = Authenticator::new(41).create(&creation, alice.origin());
    check_refused(post(alice, REGISTER_FINISH, &response).await, 400);
    // A registration of another dialect.
    let response = Authenticator::new(42).create(&alice.registration_options().await, alice.origin());
    forget_ceremony(alice);
    check_refused(post(alice, REGISTER_FINISH, &response).await, 400);
    // A registration that was used up by a request that could not be read.
    let response = answer(alice, 43).await;
    let request = alice.fetching(Method::POST, &scene.url(REGISTER_FINISH), None);
    check_refused(alice.send(request.header("content-type", "application/json").body("{")).await, 400);
    check_refused(post(alice, REGISTER_FINISH, &response).await, 400);
    assert_eq!(alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn unproven_registration_is_400_and_duplicate_409() {
    let mut scene = scene().await;
    let alice = scene.alice.clone();
    let response = Authenticator::new(50)
        .create_with(&begin(&alice).await, alice.origin(), |knobs| knobs.rp_id = "evil.example".to_owned());
    check_refused(post(&alice, REGISTER_FINISH, &response).await, 400);
    let mut response = answer(&alice, 51).await;
    response["response"]["attestationObject"] = json!("AAAA");
    check_refused(post(&alice, REGISTER_FINISH, &response).await, 400);
    let labelled = answer(&alice, 52).await;
    for (query, body) in [("", json!({})), ("", json!([])), ("?device_name=a%0ab", labelled)] {
        check_refused(post(&alice, &format!("{REGISTER_FINISH}{query}"), &body).await, 400);
    }
    let taken = scene.device.held()[0].id.clone();
    let response = Authenticator::new(53)
        .create_with(&begin(&alice).await, alice.origin(), |knobs| knobs.credential_id = taken);
    check_refused(post(&alice, REGISTER_FINISH, &response).await, 409);
    let url = scene.url(REGISTER_FINISH);
    let raw = |kind: &str| alice.fetching(Method::POST, &url, None).header("content-type", kind);
    check_refused(alice.send(raw("application/json").body("{")).await, 400);
    check_refused(alice.send(raw("text/plain").body("{}")).await, 415);
    assert_eq!(alice.passkeys().await.len(), 1);
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn an_enrolment_is_finished_in_this_dialect_too() {
    let scene = scene().await;
    let bob = scene.anonymous();
    bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    check_refused(bob.call(Method::GET, PASSKEYS, None).await, 401);
    let response = answer(&bob, 60).await;
    post(&bob, REGISTER_FINISH, &response).await.expect(201);
    bob.call(Method::GET, PASSKEYS, None).await.expect(200);
}

/// Over https, on a host that an application shares, enrolling does not pay for another passkey.
#[tokio::test]
async fn a_session_that_is_not_fresh_may_change_no_passkey() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        super::on(config);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    check_refused(post(&scene.alice, REGISTER_BEGIN, &json!({})).await, 403);
    let id = scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("{PASSKEYS}/{id}");
    check_refused(scene.alice.call(Method::DELETE, &path, None).await, 403);
    let renaming = scene.alice.call(Method::PATCH, &path, Some(&json!({ "device_name": "x" }))).await;
    check_refused(renaming, 403);
}
