//! Our own API, as our pages speak it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Browser, Reply};

pub(super) async fn begin_adding(browser: &Browser) -> Reply {
    browser.call(Method::POST, "/auth/passkeys/register/options", None).await
}

pub(super) async fn finish_adding(browser: &Browser, answer: &Value, label: &str) -> Reply {
    let mut body = answer.clone();
    body["name"] = json!(label);
    browser.call(Method::POST, "/auth/passkeys/register/verify", Some(&body)).await
}

pub(super) async fn begin_sign_in(browser: &Browser) -> Reply {
    browser.call(Method::POST, "/auth/passkeys/authenticate/options", None).await
}

pub(super) async fn finish_sign_in(browser: &Browser, answer: &Value) -> Reply {
    browser.call(Method::POST, "/auth/passkeys/authenticate/verify", Some(answer)).await
}

pub(super) async fn list(browser: &Browser) -> Reply {
    browser.call(Method::GET, "/auth/passkeys/", None).await
}

pub(super) async fn rename(browser: &Browser, id: &str, label: &str) -> Reply {
    browser.call(Method::PATCH, &format!("/auth/passkeys/{id}"), Some(&json!({ "name": label }))).await
}

/// For dialects without this step: names the `at`-th passkey of the list, or the one with this
/// `id`.
pub(super) async fn rename_at(browser: &Browser, at: Option<usize>, id: &str, label: &str) -> Reply {
    let listed = match at {
        Some(at) => list(browser).await.expect(200).json()[at]["id"].clone(),
        None => json!(id),
    };
    rename(browser, listed.as_str().unwrap(), label).await
}

pub(super) async fn delete(browser: &Browser, id: &str) -> Reply {
    browser.call(Method::DELETE, &format!("/auth/passkeys/{id}"), None).await
}

pub(super) async fn sign_out(browser: &Browser) -> Reply {
    browser.call(Method::DELETE, "/auth/sessions/", None).await
}
