//! Rules that hold for every endpoint: origins, unknown addresses, limits, and where the dialect is
//! spoken.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{check_refused, get, on, post, scene};
use crate::harness::config::Config;
use crate::harness::{Browser, Reply, Scene};

/// What upstream answers at an unknown address.
#[track_caller]
fn check_nothing_here(reply: Reply) {
    let reply = reply.expect(404);
    assert!(reply.body.is_empty(), "{reply}");
}

/// Every endpoint that changes something.
const CHANGES: [&str; 6] = [
    "passkey/generate-authenticate-options",
    "passkey/verify-registration",
    "passkey/verify-authentication",
    "passkey/delete-passkey",
    "passkey/update-passkey",
    "sign-out",
];

/// A request without a header about its page.
fn bare(browser: &Browser, below: &str) -> RequestBuilder {
    let url = format!("{}/api/auth/{below}", browser.origin());
    browser.request(Method::POST, &url).json(&json!({ "id": "x", "name": "x", "response": {} }))
}

#[tokio::test]
async fn requests_with_cookies_require_an_origin() {
    let scene = scene().await;
    let session = scene.alice.session().unwrap();
    for below in CHANGES {
        // Any cookie counts, also one of the application.
        let visitor = scene.anonymous();
        visitor.jar().plant("localhost", "theme", "dark");
        for browser in [&scene.alice, &visitor] {
            check_refused(browser.send(bare(browser, below)).await, 403, "MISSING_OR_NULL_ORIGIN");
            let null = bare(browser, below).header("origin", "null");
            check_refused(browser.send(null).await, 403, "MISSING_OR_NULL_ORIGIN");
            for origin in ["https://evil.example", "http://localhost", "http://localhost.evil.example"] {
                let foreign = bare(browser, below).header("origin", origin);
                check_refused(browser.send(foreign).await, 403, "INVALID_ORIGIN");
            }
        }
    }
    assert_eq!(scene.alice.session().as_ref(), Some(&session), "a user was signed out");
    assert!(scene.alice.is_signed_in().await);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn a_program_without_cookies_needs_no_origin() {
    let scene = scene().await;
    let token = scene.alice.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned();
    let program = scene.anonymous();
    let url = scene.url("/api/auth/passkey/list-user-passkeys");
    program.send(program.request(Method::GET, &url).bearer_auth(&token)).await.expect(200);
    let signing_out = bare(&program, "sign-out").bearer_auth(&token);
    program.send(signing_out).await.expect(200);
    assert!(!scene.alice.is_signed_in().await, "it was the same session");
}

#[tokio::test]
async fn other_paths_and_methods_are_404() {
    let scene = scene().await;
    for below in [
        "",
        "/",
        "/nothing",
        "/passkey",
        "/passkey/list-user-passkeys/x",
        "/passkey/generate-register-options/",
    ] {
        check_nothing_here(scene.alice.call(Method::GET, &format!("/api/auth{below}"), None).await);
    }
    for (method, below) in [
        (Method::POST, "passkey/generate-register-options"),
        (Method::PUT, "passkey/generate-authenticate-options"),
        (Method::GET, "passkey/verify-registration"),
        (Method::GET, "passkey/verify-authentication"),
        (Method::POST, "passkey/list-user-passkeys"),
        (Method::DELETE, "passkey/delete-passkey"),
        (Method::PATCH, "passkey/update-passkey"),
        (Method::GET, "sign-out"),
        (Method::POST, "get-session"),
        (Method::POST, ".well-known/webauthn"),
    ] {
        let reply = scene.alice.call(method, &format!("/api/auth/{below}"), Some(&json!({}))).await;
        check_nothing_here(reply);
    }
    assert!(scene.app.seen().is_empty(), "what is below the mount is never the application's");
    assert!(scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn too_large_body_is_refused_in_the_dialect() {
    let scene = scene().await;
    let large = json!({ "response": "x".repeat(65 * 1_024) });
    for below in ["passkey/verify-authentication", "passkey/verify-registration", "passkey/update-passkey"] {
        check_refused(post(&scene.alice, below, &large).await, 413, "PAYLOAD_TOO_LARGE");
    }
}

/// Upstream's words for it: no code, not called JSON, and a header of its own.
#[tokio::test]
async fn rate_limit_is_reported_as_upstream_does() {
    let arrange = |config: &mut Config| {
        on(config);
        config.table("limits", &["network_burst = 10", "network_per_second = 1"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let mut refused = None;
    for _ in 0..30 {
        let reply = get(&scene.anonymous(), "passkey/generate-authenticate-options").await;
        if reply.status != 200 {
            refused = Some(reply.expect(429));
            break;
        }
    }
    let refused = refused.expect("at some point it is enough");
    assert!(refused.header("content-type").starts_with("text/plain"), "{refused}");
    assert!(refused.json()["message"].is_string() && refused.json().get("code").is_none(), "{refused}");
    for name in ["x-retry-after", "retry-after"] {
        let wait: u64 = refused.header(name).parse().unwrap();
        assert!((1..=60).contains(&wait), "{name}: {wait}");
    }
    get(&scene.alice, "passkey/list-user-passkeys").await.expect(200);
}

/// Front ends on origins of the relying party may call from their pages, with cookies.
#[tokio::test]
async fn pages_of_related_origins_may_call_and_others_may_not() {
    const RELATED: &str = "https://front.example.test";
    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        on(config);
        config.table(
            "relying_party",
            &["id = \"example.test\"", "related_origins = [\"https://front.example.test\"]"],
        );
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let url = scene.url("/api/auth/passkey/generate-authenticate-options");
    let from = |method: Method, origin: &str| {
        let request = scene.alice.request(method, &url).header("origin", origin);
        request.header("sec-fetch-site", "same-site").header("sec-fetch-mode", "cors")
    };
    let preflight = |origin: &str| {
        let request = from(Method::OPTIONS, origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "content-type,authorization")
    };
    let allowed = scene.alice.send(preflight(RELATED)).await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), RELATED);
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert!(allowed.header("access-control-allow-methods").contains("POST"), "{allowed}");
    let headers = allowed.header("access-control-allow-headers").to_lowercase();
    assert!(headers.contains("content-type") && headers.contains("authorization"), "{headers}");
    let answered = scene.alice.send(from(Method::POST, RELATED)).await.expect(200);
    assert_eq!(answered.header("access-control-allow-origin"), RELATED);
    let exposed = answered.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("set-auth-token") && exposed.contains("x-retry-after"), "{exposed}");
    for origin in
        ["https://evil.example", "https://front.example.test.evil.example", "https://other.example.test"]
    {
        for request in [preflight(origin), from(Method::POST, origin), from(Method::GET, origin)] {
            let reply = scene.alice.send(request).await;
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}: {reply}");
        }
    }
    // An answer that was made on such an origin signs in.
    let options = scene.alice.send(from(Method::POST, RELATED)).await.expect(200).json();
    let response = scene.device.get(&options, RELATED);
    let finish = scene.url("/api/auth/passkey/verify-authentication");
    let finish = scene.alice.request(Method::POST, &finish).json(&json!({ "response": response }));
    let reply =
        scene.alice.send(finish.header("origin", RELATED).header("sec-fetch-site", "same-site")).await;
    assert_eq!(reply.expect(200).header("access-control-allow-origin"), RELATED);
}

#[tokio::test]
async fn related_origins_are_published_twice() {
    let scene = scene().await;
    let anonymous = scene.anonymous();
    let document = get(&anonymous, ".well-known/webauthn").await.expect(200);
    assert!(document.header("content-type").starts_with("application/json"));
    assert_eq!(document.json(), json!({ "origins": [scene.gateway.origin()] }));
    // The root has a document only if it has content.
    let root = anonymous.call(Method::GET, "/.well-known/webauthn", None).await;
    assert_ne!(root.status, 200, "{root}");

    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        on(config);
        config.table("relying_party", &["related_origins = [\"https://app.auth.example.test\"]"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let anonymous = scene.anonymous();
    let expected = json!({ "origins": [scene.gateway.origin(), "https://app.auth.example.test"] });
    for path in ["/api/auth/.well-known/webauthn", "/.well-known/webauthn"] {
        let url = scene.url(path);
        // A browser fetches it without cookies, from a page of any origin.
        let reply = anonymous.send(anonymous.request(Method::GET, &url)).await.expect(200);
        assert!(reply.header("content-type").starts_with("application/json"), "{path}");
        assert_eq!(reply.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_dialect_that_is_off_leaves_its_addresses_to_the_application() {
    let scene = Scene::set().await;
    scene.app.take();
    let path = "/api/auth/passkey/list-user-passkeys";
    scene.alice.call(Method::GET, path, None).await.expect(200);
    assert_eq!(scene.app.take_one().target(), path);
}

#[tokio::test]
async fn better_auth_can_be_mounted_elsewhere() {
    let arrange = |config: &mut Config| {
        config.table("dialects", &["better_auth = true", "better_auth_mount = \"/sign/in\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let listed = scene.alice.call(Method::GET, "/sign/in/passkey/list-user-passkeys", None).await.expect(200);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(1));
    check_nothing_here(scene.alice.call(Method::GET, "/sign/in/nothing", None).await);
    scene.app.take();
    get(&scene.alice, "passkey/list-user-passkeys").await.expect(200);
    assert_eq!(scene.app.take().len(), 1, "the usual place is the application's");
}

#[tokio::test]
async fn f_21_a_page_of_another_site_begins_no_sign_in() {
    let scene = scene().await;
    let url = scene.url("/api/auth/passkey/generate-authenticate-options");
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example"),
    ] {
        let anonymous = scene.anonymous();
        let reply = anonymous.send(anonymous.request(Method::GET, &url).header(name, value)).await;
        assert!(!reply.headers.contains_key("set-cookie"), "{name}: {value}: {reply}");
        check_refused(reply, 403, "INVALID_ORIGIN");
    }
    let anonymous = scene.anonymous();
    for request in [
        anonymous.request(Method::GET, &url),
        anonymous.request(Method::GET, &url).header("sec-fetch-site", "same-origin"),
    ] {
        let reply = anonymous.send(request).await.expect(200);
        assert!(reply.headers.contains_key("set-cookie"), "{reply}");
    }
}
