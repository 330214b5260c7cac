//! The list, renaming and removing.

use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSKEYS, check_refused, scene};
use crate::dialect_clients::DialectClient;
use crate::harness::{Authenticator, Browser, Reply, Scene, shape};

/// An id of the right form that nothing has.
const NOTHING: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn list(browser: &Browser) -> Vec<Value> {
    let body = browser.call(Method::GET, PASSKEYS, None).await.expect(200).json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["passkeys"].as_array().unwrap().clone()
}

async fn rename(browser: &Browser, id: &str, body: &Value) -> Reply {
    browser.call(Method::PATCH, &format!("{PASSKEYS}/{id}"), Some(body)).await
}

async fn delete(browser: &Browser, id: &str) -> Reply {
    browser.call(Method::DELETE, &format!("{PASSKEYS}/{id}"), None).await
}

/// Alice, with a second passkey that stays on its device; their ids here.
async fn with_two() -> (Scene, Vec<String>) {
    let scene = scene().await;
    scene.alice.register(&mut Authenticator::counting(9)).await.expect(200);
    let ids = list(&scene.alice).await.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    (scene, ids)
}

#[tokio::test]
async fn lists_passkeys_in_camel_case_oldest_first() {
    let (mut scene, ids) = with_two().await;
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    let listed = list(&scene.alice).await;
    let mut expected = json!({
        "id": "text", "deviceName": "text", "createdAt": "text", "lastUsedAt": "text",
        "backupEligible": "flag", "backupState": "flag", "transport": ["text"],
    });
    assert_eq!(shape(&listed[0]), expected);
    expected["lastUsedAt"] = json!("null");
    assert_eq!(shape(&listed[1]), expected, "a passkey that was never used");
    for (passkey, synced) in listed.iter().zip([true, false]) {
        assert_eq!((&passkey["backupEligible"], &passkey["backupState"]), (&json!(synced), &json!(synced)));
        assert_eq!(passkey["transport"], json!(["hybrid", "internal"]));
    }
    let native = scene.alice.passkeys().await;
    assert_eq!(ids, [&native[0]["id"], &native[1]["id"]].map(|id| id.as_str().unwrap()), "the credential's");
    check_refused(scene.anonymous().call(Method::GET, PASSKEYS, None).await, 401);
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    assert_eq!(list(&bob).await.len(), 1, "one's own");
}

#[tokio::test]
async fn a_passkey_is_renamed_in_snake_case() {
    let (scene, ids) = with_two().await;
    let renamed = rename(&scene.alice, &ids[1], &json!({ "device_name": " Blue key " })).await.expect(200);
    assert_eq!(renamed.json(), json!({ "id": ids[1], "device_name": "Blue key" }));
    for wrong in [
        json!({}),
        json!({ "deviceName": "Red key" }),
        json!({ "device_name": null }),
        json!({ "device_name": "" }),
        json!({ "device_name": "a\nb" }),
        json!({ "device_name": "n".repeat(201) }),
        json!(["Red key"]),
    ] {
        check_refused(rename(&scene.alice, &ids[1], &wrong).await, 400);
    }
    let name = json!({ "device_name": "Red key" });
    for nothing in [NOTHING, "x", "%C3%A9"] {
        check_refused(rename(&scene.alice, nothing, &name).await, 404);
    }
    check_refused(rename(&scene.anonymous(), &ids[1], &name).await, 401);
    assert_eq!(list(&scene.alice).await[1]["deviceName"], "Blue key");
}

/// Other dialects have short ids, and a program may have learnt one there.
#[tokio::test]
async fn a_short_id_names_the_same_passkey() {
    let scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let short = DialectClient::BetterAuth.list(&scene.alice).await.remove(0).id;
    let renamed = rename(&scene.alice, &short, &json!({ "device_name": "Blue key" })).await.expect(200);
    assert_eq!(renamed.json()["id"], scene.alice.passkeys().await[0]["id"], "and it is told by its own");
}

#[tokio::test]
async fn removes_passkeys_but_not_the_last() {
    let (scene, ids) = with_two().await;
    for nothing in [NOTHING, "x"] {
        check_refused(delete(&scene.alice, nothing).await, 404);
    }
    check_refused(delete(&scene.anonymous(), &ids[1]).await, 401);
    let gone = delete(&scene.alice, &ids[1]).await.expect(204);
    assert!(gone.body.is_empty());
    check_refused(delete(&scene.alice, &ids[1]).await, 404);
    check_refused(delete(&scene.alice, &ids[0]).await, 409);
    assert_eq!(list(&scene.alice).await.len(), 1);
}

/// With the cookie alone, a change comes from a page of ours; with a token from anywhere.
#[tokio::test]
async fn a_cookie_counts_only_from_our_own_pages() {
    let (scene, ids) = with_two().await;
    let url = scene.url(&format!("{PASSKEYS}/{}", ids[1]));
    for (header, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "same-site"), ("x-nothing", "said")]
    {
        let request = scene.alice.request(Method::DELETE, &url).header(header, value);
        check_refused(scene.alice.send(request).await, 403);
    }
    assert_eq!(list(&scene.alice).await.len(), 2);
    let token = scene.alice.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned();
    let program = scene.anonymous();
    program.send(program.request(Method::DELETE, &url).bearer_auth(token)).await.expect(204);
}
