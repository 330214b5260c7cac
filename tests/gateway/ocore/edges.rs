//! Rules that hold for every endpoint: unknown addresses, methods, limits, and where the dialect is
//! spoken.

use reqwest::Method;
use serde_json::json;

use super::{
    LOGIN_BEGIN, LOGIN_FINISH, PASSKEYS, REGISTER_BEGIN, REGISTER_FINISH, check_refused, on, post, scene,
};
use crate::dialect_clients::DialectClient;
use crate::harness::Scene;
use crate::harness::config::Config;

#[tokio::test]
async fn other_paths_are_404() {
    let scene = scene().await;
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/user",
        "/api/user/passkeys/",
        "/api/user/passkeys/a/b",
        "/api/auth/passkey/login",
    ] {
        check_refused(scene.alice.call(Method::GET, path, None).await, 404);
    }
    assert!(scene.app.seen().is_empty(), "what is below the mount is never the application's");
}

/// A wrong method is never taken for an id.
#[tokio::test]
async fn other_methods_are_405() {
    let mut scene = scene().await;
    for (method, path) in [
        (Method::GET, LOGIN_BEGIN),
        (Method::PUT, LOGIN_FINISH),
        (Method::POST, PASSKEYS),
        (Method::DELETE, PASSKEYS),
        (Method::DELETE, REGISTER_BEGIN),
        (Method::GET, REGISTER_BEGIN),
        (Method::PATCH, REGISTER_FINISH),
        (Method::GET, "/api/user/passkeys/AAAA"),
        (Method::PUT, "/api/user/passkeys/AAAA"),
    ] {
        let body = json!({ "device_name": "x" });
        let reply = scene.alice.call(method.clone(), path, Some(&body)).await;
        assert_eq!(reply.status, 405, "{method} {path}: {reply}");
        check_refused(reply, 405);
    }
    assert_eq!(scene.alice.passkeys().await.len(), 1);
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn too_large_body_is_refused_in_the_dialect() {
    let scene = scene().await;
    let large = json!({ "credential": "x".repeat(65 * 1_024) });
    for path in [LOGIN_FINISH, REGISTER_FINISH] {
        check_refused(post(&scene.alice, path, &large).await, 413);
    }
}

#[tokio::test]
async fn rate_limit_is_429_with_retry_after() {
    let arrange = |config: &mut Config| {
        on(config);
        config.table("limits", &["network_burst = 10", "network_per_second = 1"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let mut refused = None;
    for _ in 0..30 {
        let reply = post(&scene.anonymous(), LOGIN_BEGIN, &json!({})).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("at some point it is enough");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    check_refused(refused, 429);
    scene.alice.call(Method::GET, PASSKEYS, None).await.expect(200);
}

/// Its document does not mention front ends elsewhere, so no other origin is allowed.
#[tokio::test]
async fn no_cors_for_other_origins() {
    let scene = scene().await;
    let preflight = scene.alice.request(Method::OPTIONS, &scene.url(PASSKEYS));
    let preflight =
        preflight.header("origin", "https://evil.example").header("access-control-request-method", "GET");
    let reply = scene.alice.send(preflight).await;
    assert!(reply.headers.get("access-control-allow-origin").is_none(), "{reply}");
}

#[tokio::test]
async fn a_dialect_that_is_off_leaves_its_addresses_to_the_application() {
    let scene = Scene::set().await;
    scene.app.take();
    scene.alice.call(Method::GET, PASSKEYS, None).await.expect(200);
    assert_eq!(scene.app.take_one().target(), PASSKEYS);
}

/// Both are below `/api`: each keeps its endpoints, and answers unknown addresses in its own form.
#[tokio::test]
async fn ocore_works_beside_better_auth() {
    let scene = Scene::with(DialectClient::all_on, |_| {}).await;
    post(&scene.anonymous(), LOGIN_BEGIN, &json!({})).await.expect(200);
    let there = scene.alice.call(Method::GET, "/api/auth/passkey/nothing", None).await.expect(404);
    assert!(there.body.is_empty(), "{there}");
    check_refused(scene.alice.call(Method::GET, "/api/auth/passkey/login/nothing", None).await, 404);
    check_refused(scene.alice.call(Method::GET, "/api/users", None).await, 404);
}
