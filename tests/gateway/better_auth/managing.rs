//! list-user-passkeys, update-passkey and delete-passkey.

use serde_json::{Value, json};

use super::{check_refused, get, passkey_shape, post, scene};
use crate::harness::{Authenticator, Browser, Reply, Scene, shape};

const LIST: &str = "passkey/list-user-passkeys";
const UPDATE: &str = "passkey/update-passkey";
const DELETE: &str = "passkey/delete-passkey";
/// An id of the right form that nothing has.
const NOTHING: &str = "00000000-0000-8000-8000-000000000000";

async fn list(browser: &Browser) -> Vec<Value> {
    get(browser, LIST).await.expect(200).json().as_array().unwrap().clone()
}

/// Alice, with a second passkey; their ids here.
async fn with_two() -> (Scene, Vec<String>) {
    let scene = scene().await;
    scene.alice.register(&mut Authenticator::new(9)).await.expect(200);
    let ids = list(&scene.alice).await.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    (scene, ids)
}

#[tokio::test]
async fn lists_own_passkeys_oldest_first() {
    let (scene, ids) = with_two().await;
    let listed = list(&scene.alice).await;
    assert!(listed.iter().all(|it| shape(it) == passkey_shape()), "{listed:?}");
    let native = scene.alice.passkeys().await;
    for (here, there) in listed.iter().zip(&native) {
        for name in
            ["name", "publicKey", "userId", "counter", "deviceType", "backedUp", "transports", "createdAt"]
        {
            assert_eq!(here[name], there[name], "{name}");
        }
        assert_eq!(here["credentialID"], there["id"]);
    }
    assert_eq!((listed.len(), native.len()), (2, 2));
    // The ids are the same every time.
    assert_eq!(list(&scene.alice).await.iter().map(|it| it["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    check_refused(get(&scene.anonymous(), LIST).await, 401, "UNAUTHORIZED");
    let bob = scene.anonymous();
    bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    check_refused(get(&bob, LIST).await, 401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_passkey_is_renamed_and_its_name_is_trimmed() {
    let (scene, ids) = with_two().await;
    let reply = post(&scene.alice, UPDATE, &json!({ "id": ids[1], "name": "  Blue key " })).await.expect(200);
    let body = reply.json();
    assert_eq!(shape(&body), json!({ "passkey": passkey_shape() }));
    assert_eq!((&body["passkey"]["id"], &body["passkey"]["name"]), (&json!(ids[1]), &json!("Blue key")));
    let names: Vec<_> = list(&scene.alice).await.iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["Linux - Firefox", "Blue key"]);
    for name in ["", "   ", "a\nb", &"n".repeat(201)] {
        let message = check_refused(
            post(&scene.alice, UPDATE, &json!({ "id": ids[1], "name": name })).await,
            400,
            "VALIDATION_ERROR",
        );
        assert!(message.starts_with("[body.name]"), "{name:?}: {message}");
    }
    check_body(&scene.alice, UPDATE, &ids[1]).await;
    let unknown = post(&scene.alice, UPDATE, &json!({ "id": NOTHING, "name": "x" })).await;
    check_refused(unknown, 404, "PASSKEY_NOT_FOUND");
    let anonymous = post(&scene.anonymous(), UPDATE, &json!({ "id": ids[1], "name": "x" })).await;
    check_refused(anonymous, 401, "UNAUTHORIZED");
    assert_eq!(list(&scene.alice).await[1]["name"], "Blue key", "nothing of that changed anything");
}

#[tokio::test]
async fn removes_passkeys_but_not_the_last() {
    let (scene, ids) = with_two().await;
    let delete = async |id: &str| -> Reply { post(&scene.alice, DELETE, &json!({ "id": id })).await };
    check_refused(delete(NOTHING).await, 404, "PASSKEY_NOT_FOUND");
    let anonymous = post(&scene.anonymous(), DELETE, &json!({ "id": ids[1] })).await;
    check_refused(anonymous, 401, "UNAUTHORIZED");
    check_body(&scene.alice, DELETE, &ids[1]).await;
    assert_eq!(delete(&ids[1]).await.expect(200).json(), json!({ "status": true }));
    check_refused(delete(&ids[1]).await, 404, "PASSKEY_NOT_FOUND");
    check_refused(delete(&ids[0]).await, 400, "LAST_PASSKEY");
    assert_eq!(list(&scene.alice).await.len(), 1);
}

/// Bodies that both endpoints refuse: another type, and no member. The answer names the member only
/// if it is known.
async fn check_body(browser: &Browser, below: &str, id: &str) {
    for (body, begins) in [
        (json!({ "name": "x" }), "[body.id] "),
        (json!({ "id": 5, "name": "x" }), "[body"),
        (json!({ "id": [id], "name": "x" }), "[body"),
        (json!([id]), "[body"),
        (json!(null), "[body"),
    ] {
        let message = check_refused(post(browser, below, &body).await, 400, "VALIDATION_ERROR");
        let field = message.split(']').next().unwrap();
        assert!(message.starts_with(begins), "{body}: {message}");
        assert!(["[body", "[body.id", "[body.name"].contains(&field), "{body}: no such member: {message}");
    }
    assert_eq!(list(browser).await.len(), 2);
}
