//! oCore's passkey API: each documented endpoint, its success in all members, and each failure.
//!
//! What is shown elsewhere: the whole journey (`equivalence`), which token is good where
//! (`confusion`), and that no user reaches another user's things (`owners`).

mod edges;
mod managing;
mod registering;
mod signing_in;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::{Browser, Reply, Scene, shape};

/// The cookie that ties a browser to a ceremony, over http. The document has none.
const CEREMONY: &str = "vestibule-ceremony";
const LOGIN_BEGIN: &str = "/api/auth/passkey/login/begin";
const LOGIN_FINISH: &str = "/api/auth/passkey/login/finish";
const PASSKEYS: &str = "/api/user/passkeys";
const REGISTER_BEGIN: &str = "/api/user/passkeys/register/begin";
const REGISTER_FINISH: &str = "/api/user/passkeys/register/finish";

fn on(config: &mut Config) {
    config.table("dialects", &["ocore = true"]);
}

async fn scene() -> Scene {
    Scene::with(on, |_| {}).await
}

async fn post(browser: &Browser, path: &str, body: &Value) -> Reply {
    browser.call(Method::POST, path, Some(body)).await
}

/// Refused in oCore's words: an error, and the same as a message.
#[track_caller]
fn check_refused(reply: Reply, status: u16) {
    let reply = reply.expect(status);
    assert!(reply.header("content-type").starts_with("application/json"), "{reply}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply}");
    let body = reply.json();
    assert_eq!(shape(&body), json!({ "code": "text", "error": "text", "message": "text" }), "{reply}");
    assert_eq!(body["error"], body["message"]);
}

/// A client of the document's has no cookie.
fn forget_ceremony(browser: &Browser) {
    browser.jar().plant("localhost", CEREMONY, "");
}
