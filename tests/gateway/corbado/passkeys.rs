//! The caller's passkeys through Corbado's API.

use reqwest::Method;
use serde_json::{Value, json};

use super::{append, ask, get, members, post, refused, scene, switched_on};
use crate::harness::config::Config;
use crate::harness::{Authenticator, Browser, Scene};

const PASSKEY_MEMBERS: [&str; 16] = [
    "aaguidDetails",
    "attestationType",
    "authenticatorAAGUID",
    "backupEligible",
    "backupState",
    "created",
    "createdMs",
    "credentialID",
    "id",
    "lastUsed",
    "lastUsedMs",
    "sourceBrowser",
    "sourceOS",
    "status",
    "tags",
    "transport",
];

async fn passkeys(browser: &Browser) -> Vec<Value> {
    let list = get(browser, "me/passkeys").await.expect(200).json();
    assert_eq!(members(&list), ["paging", "passkeys"]);
    let passkeys = list["passkeys"].as_array().unwrap().clone();
    assert_eq!(list["paging"], json!({ "page": 1, "totalPages": 1, "totalItems": passkeys.len() }));
    passkeys
}

async fn start(browser: &Browser, client: &Value) -> Value {
    let asked = json!({ "clientInformation": client });
    post(browser, "me/passkeys/append/start", &asked).await.expect(200).json()
}

fn options(started: &Value) -> Value {
    serde_json::from_str(started["attestationOptions"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_passkey_has_every_member_always() {
    let mut scene = scene().await;
    let [first] = &passkeys(&scene.alice).await[..] else { panic!() };
    assert_eq!(members(first), PASSKEY_MEMBERS);
    assert_eq!((&first["lastUsed"], &first["lastUsedMs"]), (&json!(""), &json!(0)), "never used yet");
    assert_eq!((&first["sourceOS"], &first["sourceBrowser"]), (&json!("Linux"), &json!("Firefox")));
    assert_eq!(first["aaguidDetails"], json!({ "name": "Linux - Firefox", "iconLight": "", "iconDark": "" }));
    assert_eq!(first["transport"], json!(["hybrid", "internal"]));
    assert_eq!((&first["backupEligible"], &first["backupState"]), (&json!(true), &json!(true)));
    assert_eq!((&first["status"], &first["attestationType"]), (&json!("active"), &json!("none")));
    assert_eq!(first["authenticatorAAGUID"], "00000000-0000-0000-0000-000000000000");
    assert!(first["id"].as_str().unwrap().starts_with("cre-"));
    let created = first["created"].as_str().unwrap();
    assert!(created.len() == 19 && !created.ends_with('Z'), "{created}");

    scene.alice.sign_in(&mut scene.device).await.expect(201);
    let native = scene.alice.passkeys().await;
    let [used] = &passkeys(&scene.alice).await[..] else { panic!() };
    assert_eq!(members(used), PASSKEY_MEMBERS);
    assert_eq!(used["credentialID"], native[0]["id"]);
    assert!(native[0]["lastUsedAt"].as_str().unwrap().starts_with(used["lastUsed"].as_str().unwrap()));
    assert!(native[0]["createdAt"].as_str().unwrap().starts_with(created));
    assert!(used["lastUsedMs"].as_i64().unwrap() >= used["createdMs"].as_i64().unwrap());
    refused(get(&scene.anonymous(), "me/passkeys").await, 401, "login_error");
}

#[tokio::test]
async fn a_passkey_is_appended_and_then_it_is_there() {
    let mut scene = scene().await;
    let started = start(&scene.alice, &json!({})).await;
    assert_eq!(members(&started), ["attestationOptions", "newClientEnvHandle"]);
    let options = options(&started);
    assert_eq!(members(&options), ["publicKey"]);
    let key = &options["publicKey"];
    let selection = json!({
        "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
    });
    assert_eq!(key["authenticatorSelection"], selection);
    assert_eq!(key["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(key["user"]["displayName"], "Alice Ample");
    let answer = scene.device.create(&options, scene.alice.origin());
    let finish = json!({ "attestationResponse": answer.to_string(), "clientInformation": {} });
    super::done(post(&scene.alice, "me/passkeys/append/finish", &finish).await);
    assert_eq!(passkeys(&scene.alice).await.len(), 2);

    let replayed = post(&scene.alice, "me/passkeys/append/finish", &finish).await;
    refused(replayed, 400, "validation_error");
    // The same authenticator's credential again, in a ceremony of its own.
    let held = scene.device.held().last().unwrap().id.clone();
    let started = start(&scene.alice, &json!({})).await;
    let again =
        scene.device.create_with(&super::passkeys::options(&started), scene.alice.origin(), |knobs| {
            knobs.credential_id = held;
        });
    let finish = json!({ "attestationResponse": again.to_string() });
    refused(post(&scene.alice, "me/passkeys/append/finish", &finish).await, 400, "validation_error");
}

#[tokio::test]
async fn lists_passkeys_added_in_other_dialects() {
    let arrange = |config: &mut Config| {
        config.table("dialects", &["corbado = true", "ocore = true", "better_auth = true"]);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let (alice, device) = (&scene.alice, &mut scene.device);
    let address = |path: &str| format!("{}/api/{path}", alice.origin());

    let named = json!({ "device_name": "By oCore" });
    let begin = address("user/passkeys/register/begin");
    let options = alice.fetch(Method::POST, &begin, Some(&named)).await.expect(200).json();
    let answer = device.create(&options, alice.origin());
    let finish = address("user/passkeys/register/finish");
    alice.fetch(Method::POST, &finish, Some(&answer)).await.expect(201);

    let options = alice.fetch(Method::GET, &address("auth/passkey/generate-register-options"), None).await;
    let answer = device.create(&options.expect(200).json(), alice.origin());
    let named = json!({ "response": answer, "name": "By better-auth" });
    alice.fetch(Method::POST, &address("auth/passkey/verify-registration"), Some(&named)).await.expect(200);

    let all = passkeys(alice).await;
    let labels: Vec<_> = all.iter().map(|it| it["aaguidDetails"]["name"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Linux - Firefox", "By oCore", "By better-auth"]);
    for passkey in &all {
        assert_eq!((&passkey["sourceOS"], &passkey["sourceBrowser"]), (&json!("Linux"), &json!("Firefox")));
    }
}

#[tokio::test]
async fn w_03_refuses_a_ceremony_of_another_caller() {
    let scene = scene().await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    let options = options(&start(&scene.alice, &json!({})).await);
    let answer = device.create(&options, scene.alice.origin());
    let finish = json!({ "attestationResponse": answer.to_string(), "clientInformation": {} });
    refused(post(&bob, "me/passkeys/append/finish", &finish).await, 400, "validation_error");
    refused(post(&scene.alice, "me/passkeys/append/finish", &finish).await, 400, "validation_error");
    assert_eq!((passkeys(&bob).await.len(), passkeys(&scene.alice).await.len()), (1, 1));
    // A ceremony that was begun through another API is no better.
    let native = scene.alice.registration_options().await;
    let answer = device.create(&native, scene.alice.origin());
    let finish = json!({ "attestationResponse": answer.to_string() });
    refused(post(&scene.alice, "me/passkeys/append/finish", &finish).await, 400, "validation_error");
    for below in ["me/passkeys/append/start", "me/passkeys/append/finish"] {
        let body = json!({ "clientInformation": {}, "attestationResponse": answer.to_string() });
        refused(post(&scene.anonymous(), below, &body).await, 401, "login_error");
    }
}

#[tokio::test]
async fn a_front_end_that_has_a_passkey_is_not_offered_another() {
    let scene = scene().await;
    let mut device = Authenticator::new(7);
    let started = start(&scene.alice, &json!({})).await;
    let handle = started["newClientEnvHandle"].as_str().unwrap();
    let other = start(&scene.alice, &json!({})).await;
    assert_ne!(other["newClientEnvHandle"], handle, "a handle is good for one front end");
    let client = json!({ "clientEnvHandle": handle, "clientEnvHandleMeta": { "ts": 1, "source": "ls" } });
    assert_eq!(members(&start(&scene.alice, &client).await), ["attestationOptions"]);

    // The handle that was told at the start counts, although the client does not say it at the end.
    let answer = device.create(&options(&started), scene.alice.origin());
    let finish = json!({ "attestationResponse": answer.to_string(), "clientInformation": {} });
    super::done(post(&scene.alice, "me/passkeys/append/finish", &finish).await);
    let exists = json!({ "attestationOptions": "", "appendNotAllowedReason": "passkey_already_exists" });
    assert_eq!(start(&scene.alice, &client).await, exists);
    assert_eq!(members(&start(&scene.alice, &json!({})).await), ["attestationOptions", "newClientEnvHandle"]);
    let mine = json!({ "clientEnvHandle": "a handle from elsewhere" });
    super::done(append(&scene.alice, &mut device, &mine).await);
    assert_eq!(start(&scene.alice, &mine).await, exists);

    let (bob, _) = scene.invited("bob@example.com", 2).await;
    assert_eq!(members(&start(&bob, &client).await), ["attestationOptions"], "Bob has none there");
    let too_long = json!({ "clientInformation": { "clientEnvHandle": "x".repeat(257) } });
    refused(post(&bob, "me/passkeys/append/start", &too_long).await, 400, "validation_error");
    let bare = json!({
        "isUserVerifyingPlatformAuthenticatorAvailable": false,
        "clientCapabilities": { "hybridTransport": false, "signalAllAcceptedCredentials": true },
    });
    let unsupported = json!({ "attestationOptions": "", "appendNotAllowedReason": "passkeys_not_supported" });
    assert_eq!(start(&bob, &bare).await, unsupported);
}

#[tokio::test]
async fn owner_removes_passkeys_but_not_the_last() {
    let scene = scene().await;
    let mut device = Authenticator::new(7);
    super::done(append(&scene.alice, &mut device, &json!({})).await);
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let listed = passkeys(&scene.alice).await;
    let id = listed[1]["id"].as_str().unwrap();
    let path = format!("me/passkeys/{id}");
    refused(ask(&bob, Method::DELETE, &path, None).await, 404, "not_found");
    refused(ask(&bob, Method::DELETE, "me/passkeys/cre-unknown", None).await, 404, "not_found");
    refused(ask(&scene.anonymous(), Method::DELETE, &path, None).await, 401, "login_error");
    let removed = ask(&scene.alice, Method::DELETE, &path, None).await.expect(200).json();
    assert_eq!(removed, json!({ "id": id }));
    refused(ask(&scene.alice, Method::DELETE, &path, None).await, 404, "not_found");
    let last = format!("me/passkeys/{}", listed[0]["id"].as_str().unwrap());
    refused(ask(&scene.alice, Method::DELETE, &last, None).await, 400, "validation_error");
    assert_eq!(passkeys(&scene.alice).await, listed[..1]);
}

#[tokio::test]
async fn s_26_a_passkey_is_added_and_removed_with_a_fresh_one_only() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.com");
        switched_on(config);
    };
    // Beside an application, over https, an enrolment pays for nothing.
    let mut scene = Scene::with(arrange, |_| {}).await;
    let asked = json!({ "clientInformation": {} });
    refused(post(&scene.alice, "me/passkeys/append/start", &asked).await, 403, "login_error");
    let [first] = &passkeys(&scene.alice).await[..] else { panic!() };
    let path = format!("me/passkeys/{}", first["id"].as_str().unwrap());
    refused(ask(&scene.alice, Method::DELETE, &path, None).await, 403, "login_error");
    scene.alice.sign_in(&mut scene.device).await.expect(201);
    super::done(append(&scene.alice, &mut scene.device, &json!({})).await);
}
