//! oCore's passkey API, as its document describes it.

use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::harness::{Browser, Reply};

const PASSKEYS: &str = "/api/user/passkeys";

pub(super) async fn begin_adding(browser: &Browser) -> Reply {
    browser.call(Method::POST, &format!("{PASSKEYS}/register/begin"), Some(&json!({}))).await
}

pub(super) async fn finish_adding(browser: &Browser, answer: &Value, label: &str) -> Reply {
    let label: String = byte_serialize(label.as_bytes()).collect();
    let path = format!("{PASSKEYS}/register/finish?device_name={label}");
    browser.call(Method::POST, &path, Some(answer)).await
}

pub(super) async fn begin_sign_in(browser: &Browser) -> Reply {
    browser.call(Method::POST, "/api/auth/passkey/login/begin", None).await
}

pub(super) async fn finish_sign_in(browser: &Browser, answer: &Value) -> Reply {
    browser.call(Method::POST, "/api/auth/passkey/login/finish", Some(answer)).await
}

pub(super) async fn list(browser: &Browser) -> Reply {
    browser.call(Method::GET, PASSKEYS, None).await
}

pub(super) async fn rename(browser: &Browser, id: &str, label: &str) -> Reply {
    browser.call(Method::PATCH, &format!("{PASSKEYS}/{id}"), Some(&json!({ "device_name": label }))).await
}

pub(super) async fn delete(browser: &Browser, id: &str) -> Reply {
    browser.call(Method::DELETE, &format!("{PASSKEYS}/{id}"), None).await
}
