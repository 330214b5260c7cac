//! Corbado's Frontend API: the members that every answer has, and sessions. Passkeys, identifiers
//! and the sign-in process are in the modules below.

mod identifiers;
mod passkeys;
mod process;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Reply, Scene};

const JWT_MEMBERS: [&str; 14] = [
    "aud",
    "auth_time",
    "email",
    "exp",
    "iat",
    "iss",
    "jti",
    "name",
    "nbf",
    "orig",
    "phone_number",
    "sid",
    "sub",
    "version",
];

fn switched_on(config: &mut Config) {
    config.table("dialects", &["corbado = true"]);
    config.table("account", &["change_username = true"]);
}

async fn scene() -> Scene {
    Scene::with(switched_on, |_| {}).await
}

/// The API as a page of the auth host asks it.
async fn ask(browser: &Browser, method: Method, below: &str, body: Option<&Value>) -> Reply {
    browser.fetch(method, &url(browser, below), body).await
}

async fn get(browser: &Browser, below: &str) -> Reply {
    ask(browser, Method::GET, below, None).await
}

async fn post(browser: &Browser, below: &str, body: &Value) -> Reply {
    ask(browser, Method::POST, below, Some(body)).await
}

fn url(browser: &Browser, below: &str) -> String {
    format!("{}/v2/{below}", browser.origin())
}

/// The names of an object's members, in order.
fn members(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect()
}

/// Done, in the envelope for that.
#[track_caller]
fn done(reply: Reply) {
    let reply = reply.expect(200);
    let body = reply.json();
    assert_eq!(members(&body), ["httpStatusCode", "message", "requestData", "runtime"], "{body}");
    envelope(&reply, &body);
}

/// Refused with this type, in all members that a failure has. Returns the error.
#[track_caller]
fn refused(reply: Reply, status: u16, kind: &str) -> Value {
    let reply = reply.expect(status);
    let body = reply.json();
    assert_eq!(members(&body), ["error", "httpStatusCode", "message", "requestData", "runtime"], "{body}");
    envelope(&reply, &body);
    let error = &body["error"];
    assert_eq!((&error["type"], &error["links"]), (&json!(kind), &json!([])), "{body}");
    assert!(error["details"].as_str().is_some_and(|details| !details.is_empty()), "{body}");
    for blame in error["validation"].as_array().into_iter().flatten() {
        assert_eq!(members(blame), ["field", "message"]);
    }
    error.clone()
}

#[track_caller]
fn envelope(reply: &Reply, body: &Value) {
    assert!(reply.header("content-type").starts_with("application/json"), "{reply}");
    assert_eq!(body["httpStatusCode"], reply.status, "{body}");
    assert!(body["message"].is_string(), "{body}");
    assert_eq!(body["requestData"], json!({ "requestID": reply.header("x-request-id"), "link": "" }));
    assert!(body["runtime"].as_f64().is_some_and(|seconds| (0.0..30.0).contains(&seconds)), "{body}");
}

/// A request with this bearer token and without cookies, as a program sends it.
async fn with_bearer(browser: &Browser, method: Method, below: &str, token: &str) -> Reply {
    let anonymous = browser.another();
    let request = anonymous.request(method, &url(browser, below));
    anonymous.send(request.header("authorization", format!("Bearer {token}"))).await
}

fn claims(jwt: &str) -> Value {
    use base64::Engine as _;
    let [_, claims, _] = jwt.split('.').collect::<Vec<_>>()[..] else { panic!("{jwt} has not three parts") };
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn configuration_endpoints_are_public() {
    let scene = scene().await;
    let anonymous = scene.anonymous();
    let cookie = json!({
        "domain": "", "secure": false, "sameSite": "lax", "path": "/", "lifetimeSeconds": 7 * 86_400,
    });
    let session = get(&anonymous, "session-config").await.expect(200).json();
    let expected = json!({
        "useSessionManagement": true,
        "sessionTokenCookieConfig": cookie,
        "shortSessionCookieConfig": cookie,
        "frontendApiUrl": anonymous.origin(),
    });
    assert_eq!(session, expected);
    let users = get(&anonymous, "user-details-config").await.expect(200).json();
    let identifiers = json!([{ "type": "email" }, { "type": "username" }]);
    assert_eq!(users, json!({ "fullNameRequired": true, "identifiers": identifiers }));
    let process = get(&anonymous, "process-config").await.expect(200).json();
    assert_eq!(process, json!({ "useServerSideProcessId": false, "frontendApiUrl": anonymous.origin() }));
}

#[tokio::test]
async fn configuration_names_the_mount() {
    let arrange = |config: &mut Config| {
        config.table("dialects", &["corbado = true", "corbado_mount = \"/identity/v2\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let moved = format!("{}/identity/v2/process-config", scene.gateway.origin());
    let config = scene.alice.fetch(Method::GET, &moved, None).await.expect(200).json();
    assert_eq!(config["frontendApiUrl"], format!("{}/identity", scene.gateway.origin()));
}

#[tokio::test]
async fn me_returns_the_caller() {
    let scene = scene().await;
    let me = get(&scene.alice, "me").await.expect(200).json();
    assert_eq!(members(&me), ["fullName", "id", "identifiers", "socialAccounts"]);
    assert_eq!((&me["fullName"], &me["socialAccounts"]), (&json!("Alice Ample"), &json!([])));
    let [email, username] = &me["identifiers"].as_array().unwrap()[..] else { panic!("{me}") };
    for (identifier, kind, value) in [(email, "email", ALICE), (username, "username", "alice")] {
        assert_eq!(members(identifier), ["id", "status", "type", "value"]);
        assert_eq!(
            (&identifier["type"], &identifier["value"], &identifier["status"]),
            (&json!(kind), &json!(value), &json!("verified"))
        );
        assert!(identifier["id"].as_str().unwrap().starts_with("ide-"), "{identifier}");
    }
    assert_ne!(email["id"], username["id"]);
    assert_eq!(get(&scene.alice, "me").await.json(), me, "ids stay what they are");
    refused(get(&scene.anonymous(), "me").await, 401, "login_error");
}

#[tokio::test]
async fn s_11_a_session_token_is_renewed_by_the_session_and_never_by_itself() {
    let mut scene = scene().await;
    let opaque =
        scene.anonymous().sign_in(&mut scene.device).await.json()["token"].as_str().unwrap().to_owned();
    let refreshed = ask(&scene.alice, Method::POST, "me/refresh", None).await.expect(200);
    let cookie = refreshed.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("vestibule=") && cookie.contains("; HttpOnly"), "{cookie}");
    let body = refreshed.json();
    assert_eq!(members(&body), ["sessionToken", "shortSession"]);
    assert_eq!(body["sessionToken"], body["shortSession"]);
    let jwt = body["sessionToken"].as_str().unwrap();
    let claims = claims(jwt);
    assert_eq!(members(&claims), JWT_MEMBERS);
    assert_eq!((&claims["email"], &claims["name"]), (&json!(ALICE), &json!("Alice Ample")));
    assert_eq!(claims["sub"], get(&scene.alice, "me").await.json()["id"]);

    with_bearer(&scene.alice, Method::GET, "me", jwt).await.expect(200);
    refused(with_bearer(&scene.alice, Method::POST, "me/refresh", jwt).await, 401, "login_error");
    let again = with_bearer(&scene.alice, Method::POST, "me/refresh", &opaque).await.expect(200);
    let cookie = again.headers["set-cookie"].to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    let elsewhere = scene.anonymous();
    elsewhere.jar().plant("localhost", "vestibule", &cookie);
    get(&elsewhere, "me").await.expect(200);
    ask(&elsewhere, Method::POST, "me/refresh", None).await.expect(200);
    for nothing in ["garbage", jwt.split('.').next().unwrap()] {
        refused(with_bearer(&scene.alice, Method::POST, "me/refresh", nothing).await, 401, "login_error");
    }
    refused(ask(&scene.anonymous(), Method::POST, "me/refresh", None).await, 401, "login_error");
}

/// The official client writes its token into the header, and after its first refresh it has none.
#[tokio::test]
async fn cookie_works_beside_an_empty_authorization() {
    let scene = scene().await;
    for nothing in ["Bearer undefined", "Bearer null", "Bearer ", "Bearer"] {
        let request = scene.alice.fetching(Method::POST, &url(&scene.alice, "me/refresh"), None);
        scene.alice.send(request.header("authorization", nothing)).await.expect(200);
    }
}

#[tokio::test]
async fn signing_out_ends_everything_that_points_at_the_session() {
    let scene = scene().await;
    let refreshed = ask(&scene.alice, Method::POST, "me/refresh", None).await.json();
    let jwt = refreshed["sessionToken"].as_str().unwrap();
    let stale = scene.alice.session().unwrap();
    let left = post(&scene.alice, "me/logout", &json!({})).await.expect(204);
    assert!(left.body.is_empty() && scene.alice.session().is_none());
    refused(with_bearer(&scene.alice, Method::GET, "me", jwt).await, 401, "login_error");
    scene.alice.jar().plant("localhost", "vestibule", &stale);
    refused(get(&scene.alice, "me").await, 401, "login_error");
    ask(&scene.anonymous(), Method::POST, "me/logout", None).await.expect(204);
}

#[tokio::test]
async fn every_failure_has_a_type() {
    let arrange = |config: &mut Config| {
        switched_on(config);
        config.table("limits", &["network_burst = 20", "network_per_second = 1"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let alice = &scene.alice;
    refused(get(alice, "nothing").await, 404, "not_found");
    refused(get(alice, "me/nothing").await, 404, "not_found");
    refused(ask(alice, Method::DELETE, "me/refresh", None).await, 405, "method_not_allowed");
    refused(post(alice, "session-config", &json!({})).await, 405, "method_not_allowed");
    let start = url(alice, "me/passkeys/append/start");
    let sent = |kind: &'static str, body: Vec<u8>| {
        alice.fetching(Method::POST, &start, None).header("content-type", kind).body(body)
    };
    refused(alice.send(sent("application/json", b"{".to_vec())).await, 400, "invalid_json");
    refused(alice.send(sent("text/plain", b"{}".to_vec())).await, 415, "invalid_json");
    let huge = vec![b' '; 1 << 20];
    refused(alice.send(sent("application/json", huge)).await, 413, "validation_error");
    let wrong = json!({ "clientInformation": { "clientEnvHandle": 7 } });
    refused(post(alice, "me/passkeys/append/start", &wrong).await, 400, "validation_error");
    let missing =
        refused(post(alice, "me/passkeys/append/finish", &json!({})).await, 400, "validation_error");
    assert_eq!(missing["validation"][0]["field"], "attestationResponse");

    for below in ["me/refresh", "me/logout"] {
        let foreign =
            alice.request(Method::POST, &url(alice, below)).header("origin", "https://evil.example");
        refused(alice.send(foreign).await, 403, "invalid_origin");
    }
    get(alice, "me").await.expect(200);

    let mut last = None;
    for _ in 0..40 {
        let reply = post(alice, "me/passkeys/append/start", &json!({ "clientInformation": {} })).await;
        if reply.status != 200 {
            last = Some(reply);
            break;
        }
    }
    let limited = last.expect("a client that asks that often is held up");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    refused(limited, 429, "rate_limited");
}

#[tokio::test]
async fn pages_of_related_origins_may_call_it_and_others_may_not() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.com");
        config.rp_id = Some("example.com".to_owned());
        switched_on(config);
    };
    let scene = Scene::with(
        |config| {
            arrange(config);
            config.related_origins = vec!["https://shop.example.com".to_owned()];
        },
        |route| {
            route.host("app.example.com");
        },
    )
    .await;
    let preflight = |origin: &str| {
        let anonymous = scene.anonymous();
        let headers = "authorization,cache-control,content-type,expires,pragma,x-corbado-client-timezone,\
             x-corbado-flags,x-corbado-process-id,x-corbado-projectid,x-corbado-sdk";
        let request = anonymous
            .request(Method::OPTIONS, &url(&anonymous, "me/passkeys/append/start"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", headers);
        (async move { anonymous.send(request).await }, headers)
    };
    let (allowed, headers) = preflight("https://shop.example.com");
    let allowed = allowed.await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example.com");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    let mut listed: Vec<_> = allowed.header("access-control-allow-headers").split(',').collect();
    listed.sort_unstable();
    assert_eq!(listed.join(","), headers);
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        assert!(allowed.header("access-control-allow-methods").contains(method), "{allowed}");
    }
    let (foreign, _) = preflight("https://evil.example");
    assert!(!foreign.await.headers.contains_key("access-control-allow-origin"));

    let from = |origin: &str| {
        let request = scene.alice.request(Method::POST, &url(&scene.alice, "me/refresh"));
        scene.alice.send(request.header("origin", origin).header("sec-fetch-site", "same-site"))
    };
    let refreshed = from("https://shop.example.com").await.expect(200);
    assert_eq!(refreshed.header("access-control-allow-origin"), "https://shop.example.com");
    assert!(refreshed.headers["set-cookie"].to_str().unwrap().starts_with("__Host-vestibule="));
    let foreign = from("https://elsewhere.example.com").await;
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
    refused(foreign, 403, "invalid_origin");
    let config = get(&scene.anonymous(), "session-config").await.json();
    assert_eq!(config["sessionTokenCookieConfig"]["secure"], true);
}

/// Adds a passkey of `device` through this API.
async fn append(browser: &Browser, device: &mut Authenticator, client: &Value) -> Reply {
    let asked = json!({ "clientInformation": client });
    let started = post(browser, "me/passkeys/append/start", &asked).await.expect(200).json();
    let options: Value = serde_json::from_str(started["attestationOptions"].as_str().unwrap()).unwrap();
    let answer = device.create(&options, browser.origin()).to_string();
    let finished = json!({ "attestationResponse": answer, "clientInformation": client });
    post(browser, "me/passkeys/append/finish", &finished).await
}
