//! Access tokens: what they open, what they never open, and how they end.

mod carriers;
mod lives;
mod made;
mod narrowed;
mod others;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Gateway, Reply, Scene};

/// A token for a user, as an operator makes it.
pub(crate) fn token(gateway: &Gateway, user: &str, options: &[&str]) -> String {
    made(gateway, user, options)["token"].as_str().unwrap().to_owned()
}

/// The whole answer of the command.
fn made(gateway: &Gateway, user: &str, options: &[&str]) -> Value {
    let begun = ["token", "create", "--user", user, "--name", "a script", "--route", "app"];
    let command = [&begun[..], &["--expires", "30d", "--json"], options].concat();
    serde_json::from_str(&gateway.operate(&command)).unwrap()
}

/// The answer for a program without a browser that shows this token.
async fn with_token(scene: &Scene, method: Method, path: &str, token: &str) -> Reply {
    let browser = scene.anonymous();
    let request =
        browser.request(method, &scene.url(path)).header("Authorization", format!("Bearer {token}"));
    browser.send(request).await
}

async fn get(scene: &Scene, path: &str, token: &str) -> Reply {
    with_token(scene, Method::GET, path, token).await
}

/// A token that is invalid: the same answer for every reason.
#[track_caller]
fn is_invalid(reply: Reply) {
    let challenge = reply.header("www-authenticate").to_owned();
    let problem = reply.expect_problem(401);
    assert_eq!(problem["code"], "token_invalid");
    assert_eq!(problem["detail"], "The access token is not valid.");
    assert_eq!(challenge, "Bearer realm=\"vestibule\", error=\"invalid_token\"");
}

/// A token that is valid, but does not cover the request.
#[track_caller]
fn is_not_for_this(reply: Reply) {
    let challenge = reply.header("www-authenticate").to_owned();
    let problem = reply.expect_problem(403);
    assert_eq!(problem["code"], "token_not_for_this");
    assert_eq!(problem["detail"], "The access token is not for this request.");
    assert_eq!(challenge, "Bearer realm=\"vestibule\", error=\"insufficient_scope\"");
}

/// The reasons in the audit trail, oldest first.
fn reasons(gateway: &Gateway) -> Vec<String> {
    events(gateway, "token_refused").iter().map(|it| it["reason"].as_str().unwrap().to_owned()).collect()
}

/// Events of a kind, oldest first.
fn events(gateway: &Gateway, event: &str) -> Vec<Value> {
    let text = gateway.operate(&["audit", "--json", "--event", event, "--limit", "500"]);
    let mut lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.reverse();
    lines
}

/// The claims of an assertion that the application has seen.
fn assertion_of(value: &str) -> Value {
    use base64::Engine as _;
    let claims = value.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// The operator's list of tokens, whole.
fn listed(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.operate(&["token", "list", "--json"]);
    serde_json::from_str::<Value>(&text).unwrap().as_array().cloned().unwrap_or_else(|| vec![json!(text)])
}
