//! Rules that hold for every endpoint: a slash at the end or not, unknown addresses, methods and
//! bodies.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Browser, Reply, Scene, shape};

/// Every endpoint of the contract, with a body that would do, if it takes one.
fn endpoints() -> Vec<(Method, &'static str, Option<Value>)> {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let email = json!({ "email": "nobody@example.com" });
    vec![
        (post.clone(), "verify", Some(email.clone())),
        (post.clone(), "passkeys/register/options", None),
        (post.clone(), "passkeys/register/verify", Some(json!({ "name": "x" }))),
        (post.clone(), "passkeys/authenticate/options", None),
        (post.clone(), "passkeys/authenticate/verify", Some(json!({ "id": "AA" }))),
        (get.clone(), "passkeys", None),
        (Method::PATCH, "passkeys/AAAA", Some(json!({ "name": "x" }))),
        (delete.clone(), "passkeys/AAAA", None),
        (get.clone(), "sessions", None),
        (post.clone(), "sessions", Some(json!({ "method": "passkey", "email": "a@b.c", "token": "x" }))),
        (get.clone(), "sessions/current", None),
        (get, "sessions/current/permissions", None),
        (delete.clone(), "sessions/all", None),
        (delete.clone(), "sessions/AAAA", None),
        (delete, "sessions/others", None),
        (post.clone(), "invitations/preview", Some(json!({ "token": "x" }))),
        (post, "invitations/redeem", Some(json!({ "token": "x" }))),
    ]
}

async fn ask(browser: &Browser, method: &Method, below: &str, body: Option<&Value>) -> Reply {
    // The cookie is removed, so that no request leaves a ceremony for the next.
    browser.jar().plant("localhost", "challenge", "");
    browser.fetch(method.clone(), &browser.api(below), body).await
}

/// The status, type and shape of an answer, without the values that differ in every answer.
fn essence(reply: &Reply) -> (u16, String, Value) {
    let body = if reply.body.is_empty() { Value::Null } else { shape(&reply.json()) };
    (reply.status, reply.header("content-type").to_owned(), body)
}

#[tokio::test]
async fn trailing_slash_is_accepted() {
    let scene = Scene::set().await;
    for browser in [&scene.alice, &scene.anonymous()] {
        for (method, below, body) in endpoints() {
            let [bare, slashed] = [below.to_owned(), format!("{below}/")];
            let bare = ask(browser, &method, &bare, body.as_ref()).await;
            let slashed = ask(browser, &method, &slashed, body.as_ref()).await;
            assert_eq!(essence(&bare), essence(&slashed), "{method} {below}");
            assert_ne!(bare.status, 405, "{method} {below} is one of ours: {bare}");
        }
    }
    // Signing out comes last.
    for slash in ["", "/"] {
        ask(&scene.anonymous(), &Method::DELETE, &format!("sessions{slash}"), None).await.expect(204);
        ask(&scene.anonymous(), &Method::DELETE, &format!("sessions/current{slash}"), None).await.expect(204);
    }
    // The prefix itself leads to the account.
    for path in ["/auth", "/auth/"] {
        let reply = scene.alice.navigate(&scene.url(path)).await;
        assert_eq!(reply.header("location"), "/auth/account", "{path}: {reply}");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_other_addresses_404() {
    let scene = Scene::set().await;
    for (_, below, _) in endpoints() {
        let reply = ask(&scene.alice, &Method::PUT, below, Some(&json!({}))).await;
        assert_eq!(reply.expect_problem(405)["code"], "method_not_allowed", "{below}");
    }
    for (method, below) in [
        (Method::GET, "verify"),
        (Method::GET, "passkeys/register/options"),
        (Method::POST, "passkeys"),
        (Method::GET, "passkeys/AAAA"),
        (Method::PATCH, "sessions/AAAA"),
        (Method::POST, "sessions/current"),
        (Method::POST, "health"),
        (Method::DELETE, "jwks.json"),
    ] {
        ask(&scene.alice, &method, below, None).await.expect_problem(405);
    }
    for below in ["nothing", "passkeys/a/b", "sessions/current/nothing", "passkeys/register"] {
        let reply = ask(&scene.alice, &Method::GET, below, None).await;
        assert!([404, 405].contains(&reply.status), "{below}: {reply}");
        let status = reply.status;
        reply.expect_problem(status);
    }
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn refuses_bodies_that_are_not_json_or_too_large() {
    let scene = Scene::set().await;
    let bodies = endpoints().into_iter().filter(|(_, _, body)| body.is_some());
    for (method, below, _) in bodies {
        let url = scene.alice.api(below);
        let send = async |kind: Option<&str>, body: String| {
            let request = scene.alice.fetching(method.clone(), &url, None).body(body);
            let request = match kind {
                Some(kind) => request.header("content-type", kind),
                None => request,
            };
            scene.alice.send(request).await
        };
        for kind in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")]
        {
            let problem = send(kind, "{}".to_owned()).await.expect_problem(415);
            assert_eq!(problem["code"], "unsupported_media_type", "{below} {kind:?}");
        }
        for body in ["", "{", "[]", "{\"token\":1,\"token\":2}x", "\u{feff}{}"] {
            let reply = send(Some("application/json"), body.to_owned()).await;
            assert_eq!(reply.expect_problem(422)["code"], "malformed_request", "{below} {body:?}");
        }
        let large = json!({ "token": "x".repeat(65 * 1_024) }).to_string();
        let problem = send(Some("application/json"), large).await.expect_problem(413);
        assert_eq!(problem["code"], "body_too_large", "{below}");
    }
}
