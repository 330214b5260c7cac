//! Registering, signing in, listing, renaming and removing.

use reqwest::Method;
use serde_json::{Value, json};

use super::{check_moment, user_shape};
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Knobs, Reply, Scene, flag, shape};

const NOTHING: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn passkey_shape() -> Value {
    json!({
        "id": "text", "name": "text", "userId": "text", "counter": "number", "deviceType": "text",
        "backedUp": "flag", "transports": "text", "createdAt": "text", "lastUsedAt": "null",
        "aaguid": "text", "authenticator": "null",
    })
}

/// The answer of a new device to new options, with a name.
async fn named(browser: &Browser, seed: u64, name: Value) -> Value {
    let mut answer = Authenticator::new(seed).create(&browser.registration_options().await, browser.origin());
    answer["name"] = name;
    answer
}

async fn register(browser: &Browser, answer: &Value) -> Reply {
    browser.post("passkeys/register/verify", answer).await
}

#[tokio::test]
async fn creation_options_need_neither_a_body_nor_its_type() {
    let scene = Scene::set().await;
    let request = scene.alice.fetching(Method::POST, &scene.alice.api("passkeys/register/options"), None);
    let built = request.try_clone().unwrap().build().unwrap();
    assert!(built.body().is_none() && !built.headers().contains_key("content-type"));
    let options = scene.alice.send(request).await.expect(200).json();
    let known = scene.alice.passkeys().await[0]["id"].clone();
    let excluded = json!([{ "type": "public-key", "id": known, "transports": ["hybrid", "internal"] }]);
    assert_eq!(options["excludeCredentials"], excluded);
    assert_eq!((&options["user"]["name"], &options["rp"]["id"]), (&json!(ALICE), &json!("localhost")));
    assert_eq!(options["authenticatorSelection"]["requireResidentKey"], true);
    let cookie = scene.alice.set_cookies("challenge").pop().unwrap();
    for (name, value) in [("max-age", "300"), ("path", "/auth"), ("samesite", "Strict"), ("httponly", "")] {
        assert_eq!(cookie.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    scene.anonymous().post("passkeys/register/options", &json!({})).await.expect_problem(401);
}

#[tokio::test]
async fn registration_answer_has_no_public_key() {
    let scene = Scene::set().await;
    for (seed, said, name) in [
        (10, json!(" Blue key "), "Blue key"),
        (11, json!(null), "Linux - Firefox"),
        (12, json!("Zo\u{eb}s \u{1f511}"), "Zo\u{eb}s \u{1f511}"),
    ] {
        let answer = named(&scene.alice, seed, said).await;
        let passkey = register(&scene.alice, &answer).await.expect(200).json();
        assert_eq!(shape(&passkey), passkey_shape());
        assert_eq!((&passkey["id"], &passkey["name"]), (&answer["id"], &json!(name)));
        assert_eq!(passkey["transports"], "hybrid,internal");
        check_moment(&passkey["createdAt"]);
    }
    let unnamed =
        Authenticator::new(13).create(&scene.alice.registration_options().await, scene.alice.origin());
    assert_eq!(register(&scene.alice, &unnamed).await.expect(200).json()["name"], "Linux - Firefox");
    assert!(scene.alice.set_cookies("challenge").pop().unwrap().removes());
}

/// The documents' own sample has `null`s, and some clients write standard base64.
#[tokio::test]
async fn reads_answers_of_every_client() {
    let mut scene = Scene::set().await;
    let standard = |value: &mut Value| {
        let text = value.as_str().unwrap().replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - text.len() % 4) % 4);
        *value = json!(text + &padding);
    };
    let mut answer = named(&scene.alice, 20, json!("Nulls")).await;
    for name in ["clientExtensionResults", "authenticatorAttachment"] {
        answer[name] = Value::Null;
    }
    for name in ["authenticatorData", "publicKeyAlgorithm", "publicKey", "transports"] {
        answer["response"][name] = Value::Null;
    }
    register(&scene.alice, &answer).await.expect(200);
    let mut answer = named(&scene.alice, 21, json!("Standard")).await;
    for name in ["id", "rawId"] {
        standard(&mut answer[name]);
    }
    for name in ["clientDataJSON", "attestationObject"] {
        standard(&mut answer["response"][name]);
    }
    register(&scene.alice, &answer).await.expect(200);
    let browser = scene.anonymous();
    let mut answer = scene.device.get(&browser.sign_in_options().await, browser.origin());
    answer["clientExtensionResults"] = Value::Null;
    answer.as_object_mut().unwrap().remove("authenticatorAttachment");
    for name in ["clientDataJSON", "authenticatorData", "signature", "userHandle"] {
        standard(&mut answer["response"][name]);
    }
    browser.post("passkeys/authenticate/verify", &answer).await.expect(201);
}

#[tokio::test]
async fn refused_registration_has_a_code() {
    let scene = Scene::set().await;
    let alice = &scene.alice;
    let problem = register(alice, &named(&scene.alice, 30, json!(7)).await).await.expect_problem(422);
    assert_eq!(problem["code"], "malformed_request");
    for name in ["", " ", "a\u{0}b", &"n".repeat(201)] {
        register(alice, &named(alice, 31, json!(name)).await).await.expect_problem(422);
    }
    for missing in ["clientDataJSON", "attestationObject"] {
        let mut answer = named(alice, 32, json!("x")).await;
        answer["response"].as_object_mut().unwrap().remove(missing);
        register(alice, &answer).await.expect_problem(422);
    }
    let mut answer = named(alice, 33, json!("x")).await;
    answer["rawId"] = json!("AAAA");
    register(alice, &answer).await.expect_problem(422);
    let taken = scene.device.held()[0].id.clone();
    let again = alice.register_with(&mut Authenticator::new(34), |knobs| knobs.credential_id = taken).await;
    assert_eq!(again.expect_problem(409)["code"], "duplicate_credential");
    let unverified = alice.register_with(&mut Authenticator::new(35), |knobs| knobs.flags &= !flag::UV).await;
    assert_eq!(unverified.expect_problem(401)["code"], "not_verified");
    let mut device = Authenticator::new(36);
    let elsewhere =
        alice.register_with(&mut device, |knobs| knobs.origin = "https://evil.example".to_owned()).await;
    assert_eq!(elsewhere.expect_problem(401)["code"], "passkey_refused");
    let answer = named(alice, 37, json!("x")).await;
    let other = alice.another();
    other.post("passkeys/register/verify", &answer).await.expect_problem(401);
    assert_eq!(alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn a_sign_in_answers_with_a_token_and_a_cookie() {
    let mut scene = Scene::set().await;
    let browser = scene.anonymous();
    let reply = browser.sign_in(&mut scene.device).await.expect(201);
    let body = reply.json();
    assert_eq!(shape(&body), json!({ "token": "text", "user": user_shape() }));
    let user = &body["user"];
    assert_eq!((&user["firstName"], &user["lastName"]), (&json!("Alice"), &json!("Ample")));
    assert_eq!((&user["email"], &user["admin"], &user["groups"]), (&json!(ALICE), &json!(true), &json!([])));
    check_moment(&user["createdAt"]);
    assert!(browser.set_cookies("challenge").pop().unwrap().removes());
    assert_eq!(browser.account().await.as_deref(), Some(ALICE));
    assert_eq!(browser.showing(body["token"].as_str().unwrap()).account().await.as_deref(), Some(ALICE));
}

/// A client that sends `Authorization`, of whatever kind, keeps its sign-in there.
#[tokio::test]
async fn a_caller_with_authorization_is_given_no_cookie() {
    let mut scene = Scene::set().await;
    for authorization in ["Bearer none", "Basic dXNlcjpwYXNz"] {
        let browser = scene.anonymous();
        let answer = scene.device.get(&browser.sign_in_options().await, browser.origin());
        let url = browser.api("passkeys/authenticate/verify");
        let request =
            browser.fetching(Method::POST, &url, Some(&answer)).header("authorization", authorization);
        let body = browser.send(request).await.expect(201).json();
        assert!(browser.session().is_none(), "{authorization}");
        assert!(browser.showing(body["token"].as_str().unwrap()).is_signed_in().await);
    }
}

/// The fault, and the code for it.
type WrongTurn = (fn(&mut Knobs), &'static str);

#[tokio::test]
async fn refused_sign_in_has_a_code() {
    let mut scene = Scene::set().await;
    let browser = scene.anonymous();
    let answer = scene.device.get(&json!({ "challenge": "AAAA", "rpId": "localhost" }), browser.origin());
    let reply = browser.post("passkeys/authenticate/verify", &answer).await;
    assert_eq!(reply.expect_problem(401)["code"], "ceremony_expired");
    let turns: [WrongTurn; 4] = [
        (|knobs| knobs.flags &= !flag::UV, "not_verified"),
        (|knobs| knobs.signature = Some(vec![0; 70]), "passkey_refused"),
        (|knobs| knobs.user_handle = None, "passkey_refused"),
        (|knobs| knobs.credential_id = vec![1; 32], "unknown_credential"),
    ];
    for (turn, code) in turns {
        let reply = browser.sign_in_with(&mut scene.device, turn).await;
        assert!(
            reply
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|it| it.to_str().unwrap().starts_with("challenge=;"))
        );
        assert_eq!(reply.expect_problem(401)["code"], code);
    }
    for missing in ["clientDataJSON", "authenticatorData", "signature"] {
        let mut answer = scene.device.get(&browser.sign_in_options().await, browser.origin());
        answer["response"].as_object_mut().unwrap().remove(missing);
        browser.post("passkeys/authenticate/verify", &answer).await.expect_problem(422);
    }
    assert!(browser.session().is_none());
    for body in [json!({ "email": 7 }), json!([])] {
        browser.post("passkeys/authenticate/options", &body).await.expect_problem(422);
    }
}

#[tokio::test]
async fn lists_own_passkeys_with_public_keys() {
    let scene = Scene::set().await;
    scene.alice.register(&mut Authenticator::counting(40)).await.expect(200);
    let listed = scene.alice.passkeys().await;
    let mut expected = passkey_shape();
    expected["publicKey"] = json!("text");
    assert!(listed.iter().all(|it| shape(it) == expected), "{listed:?}");
    let kinds: Vec<_> = listed.iter().map(|it| (it["deviceType"].clone(), it["backedUp"].clone())).collect();
    assert_eq!(kinds, [(json!("multiDevice"), json!(true)), (json!("singleDevice"), json!(false))]);
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    assert_eq!(bob.passkeys().await.len(), 1);
}

#[tokio::test]
async fn a_passkey_is_renamed_by_its_owner() {
    let scene = Scene::set().await;
    let id = scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    let below = format!("passkeys/{id}");
    let renamed = scene.alice.patch(&below, &json!({ "name": " Blue key " })).await.expect(200).json();
    assert_eq!((shape(&renamed), &renamed["name"]), (passkey_shape(), &json!("Blue key")));
    for body in
        [json!({}), json!({ "name": null }), json!({ "name": 7 }), json!({ "name": "" }), json!(["x"])]
    {
        scene.alice.patch(&below, &body).await.expect_problem(422);
    }
    for nothing in [NOTHING, "x", "AA=="] {
        scene.alice.patch(&format!("passkeys/{nothing}"), &json!({ "name": "x" })).await.expect_problem(404);
    }
    scene.anonymous().patch(&below, &json!({ "name": "x" })).await.expect_problem(401);
    assert_eq!(scene.alice.passkeys().await[0]["name"], "Blue key");
}

#[tokio::test]
async fn removing_a_passkey_is_idempotent() {
    let scene = Scene::set().await;
    scene.alice.register(&mut Authenticator::new(50)).await.expect(200);
    let id = scene.alice.passkeys().await[1]["id"].as_str().unwrap().to_owned();
    scene.anonymous().delete(&format!("passkeys/{id}")).await.expect_problem(401);
    for id in [NOTHING, "x", &id, &id] {
        let reply = scene.alice.delete(&format!("passkeys/{id}")).await.expect(204);
        assert!(reply.body.is_empty());
    }
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}
