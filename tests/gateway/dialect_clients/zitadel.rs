//! Zitadel's passwordless methods, as JSON. It has no methods for signing in or out, nor for
//! renaming.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::native;
use crate::harness::{Browser, Reply};

const PASSWORDLESS: &str = "/auth/v1/users/me/passwordless";

async fn ask(browser: &Browser, method: Method, below: &str, body: &Value) -> Reply {
    browser.call(method, &format!("{PASSWORDLESS}{below}"), Some(body)).await
}

/// This API sends options in base64, inside of a key.
pub(super) async fn begin_adding(browser: &Browser) -> Reply {
    let reply = ask(browser, Method::POST, "", &json!({})).await;
    reply.opened(|answer| STANDARD.decode(answer["key"]["publicKey"].as_str().unwrap()).unwrap())
}

pub(super) async fn finish_adding(browser: &Browser, answer: &Value, label: &str) -> Reply {
    let credential = STANDARD.encode(answer.to_string());
    let verification = json!({ "publicKeyCredential": credential, "tokenName": label });
    ask(browser, Method::POST, "/_verify", &json!({ "verification": verification })).await
}

pub(super) async fn list(browser: &Browser) -> Reply {
    ask(browser, Method::POST, "/_search", &json!({})).await
}

/// The native id of the passkey with this number: both lists are ordered by age.
pub(super) async fn rename(browser: &Browser, id: &str, label: &str) -> Reply {
    let listed = list(browser).await;
    let at = match listed.status {
        200 => listed.json()["result"].as_array().and_then(|all| all.iter().position(|it| it["id"] == id)),
        _ => None,
    };
    native::rename_at(browser, at, id, label).await
}

pub(super) async fn delete(browser: &Browser, id: &str) -> Reply {
    browser.call(Method::DELETE, &format!("{PASSWORDLESS}/{id}"), None).await
}
