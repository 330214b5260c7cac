//! better-auth's passkey API: each documented endpoint, its success in all members, and each
//! documented failure.
//!
//! What is shown elsewhere: that a challenge runs out (`flows`), the whole journey (`equivalence`),
//! and that no user reaches another user's things (`owners`).

mod edges;
mod managing;
mod registering;
mod signing_in;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::{Browser, Reply, Scene, shape};

/// The cookie that ties a browser to a ceremony, over http.
const CHALLENGE: &str = "better-auth.better-auth-passkey";

fn on(config: &mut Config) {
    config.table("dialects", &["better_auth = true"]);
}

async fn scene() -> Scene {
    Scene::with(on, |_| {}).await
}

async fn get(browser: &Browser, below: &str) -> Reply {
    browser.call(Method::GET, &format!("/api/auth/{below}"), None).await
}

async fn post(browser: &Browser, below: &str, body: &Value) -> Reply {
    browser.call(Method::POST, &format!("/api/auth/{below}"), Some(body)).await
}

/// Refused as upstream refuses: a message, a code and nothing else.
#[track_caller]
fn check_refused(reply: Reply, status: u16, code: &str) -> String {
    let reply = reply.expect(status);
    assert!(reply.header("content-type").starts_with("application/json"), "{reply}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply}");
    let body = reply.json();
    assert_eq!(shape(&body), json!({ "message": "text", "code": "text" }), "{reply}");
    assert_eq!(body["code"], code, "{reply}");
    body["message"].as_str().unwrap().to_owned()
}

fn passkey_shape() -> Value {
    json!({
        "id": "text", "name": "text", "publicKey": "text", "userId": "text", "credentialID": "text",
        "counter": "number", "deviceType": "text", "backedUp": "flag", "transports": "text",
        "createdAt": "text", "aaguid": "text",
    })
}

fn session_shape() -> Value {
    json!({
        "id": "text", "token": "text", "userId": "text", "expiresAt": "text", "createdAt": "text",
        "updatedAt": "text", "ipAddress": "text", "userAgent": "text", "impersonatedBy": "null",
        "activeOrganizationId": "null",
    })
}

fn user_shape() -> Value {
    json!({
        "id": "text", "name": "text", "email": "text", "emailVerified": "flag", "createdAt": "text",
        "updatedAt": "text", "image": "null", "username": "text", "displayUsername": "text",
        "twoFactorEnabled": "flag", "role": "text", "banned": "flag", "banReason": "null", "banExpires": "null",
    })
}

/// The answer that says who has signed in, with a token of the session in its header and its body.
async fn check_signed_in(browser: &Browser, reply: &Reply) {
    let body = reply.json();
    assert_eq!(shape(&body["session"]), session_shape(), "{reply}");
    assert_eq!(shape(&body["user"]), user_shape(), "{reply}");
    assert_eq!(body["session"]["userId"], body["user"]["id"]);
    let token = reply.header("set-auth-token");
    assert_eq!(token, body["session"]["token"].as_str().unwrap());
    let shown = get(&browser.showing(token), "get-session").await.expect(200).json();
    assert_eq!(shown["session"]["id"], body["session"]["id"], "{reply}");
    let exposed = reply.headers.get_all("access-control-expose-headers").iter();
    assert!(exposed.into_iter().any(|value| value.to_str().unwrap().contains("set-auth-token")), "{reply}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let cookie = browser.set_cookies("vestibule").pop().expect("a session cookie");
    assert!(!cookie.removes() && cookie.attributes.contains_key("httponly"), "{reply}");
    assert_eq!(cookie.attributes.get("samesite").map(String::as_str), Some("Lax"));
}

/// Milliseconds and a Z, as `toISOString` writes it.
#[track_caller]
fn check_moment(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
}
