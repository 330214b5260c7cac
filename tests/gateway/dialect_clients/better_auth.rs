//! better-auth's passkey API, as its client speaks it since 1.4.1.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Browser, Reply};

async fn get(browser: &Browser, below: &str) -> Reply {
    browser.call(Method::GET, &format!("/api/auth/{below}"), None).await
}

async fn post(browser: &Browser, below: &str, body: &Value) -> Reply {
    browser.call(Method::POST, &format!("/api/auth/{below}"), Some(body)).await
}

pub(super) async fn begin_adding(browser: &Browser) -> Reply {
    get(browser, "passkey/generate-register-options").await
}

pub(super) async fn finish_adding(browser: &Browser, answer: &Value, label: &str) -> Reply {
    post(browser, "passkey/verify-registration", &json!({ "response": answer, "name": label })).await
}

pub(super) async fn begin_sign_in(browser: &Browser) -> Reply {
    get(browser, "passkey/generate-authenticate-options").await
}

pub(super) async fn finish_sign_in(browser: &Browser, answer: &Value) -> Reply {
    post(browser, "passkey/verify-authentication", &json!({ "response": answer })).await
}

pub(super) async fn list(browser: &Browser) -> Reply {
    get(browser, "passkey/list-user-passkeys").await
}

pub(super) async fn rename(browser: &Browser, id: &str, label: &str) -> Reply {
    post(browser, "passkey/update-passkey", &json!({ "id": id, "name": label })).await
}

pub(super) async fn delete(browser: &Browser, id: &str) -> Reply {
    post(browser, "passkey/delete-passkey", &json!({ "id": id })).await
}

pub(super) async fn sign_out(browser: &Browser) -> Reply {
    post(browser, "sign-out", &json!({})).await
}
