//! Every caller that is refused at each endpoint of the admin API, and how (S-23, S-33).

use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, bob, id_of, user};
use crate::dialect_clients::DialectClient;
use crate::harness::{Browser, Reply, Scene};

/// Every endpoint of the description, about Bob where it is about a user.
async fn endpoints(scene: &Scene) -> Vec<(Method, String)> {
    let description = scene.anonymous().get("openapi.json").await.expect(200).json();
    let bob = id_of(scene, "bob");
    let mut endpoints = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let Some(below) = path.strip_prefix("/auth/").filter(|below| below.starts_with("admin/")) else {
            continue;
        };
        let id = match below.split('/').nth(2) {
            Some("invitations") => "0123456789abcdef0123456789abcdef",
            Some("bans") => "192.0.2.0-24",
            _ => &bob,
        };
        let below = below
            .replace("{id}", id)
            .replace("{session}", "0123456789abcdef0123456789abcdef")
            .replace("{credential}", "AQ");
        for method in item.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                endpoints.push((method, below.clone()));
            }
        }
    }
    assert!(endpoints.len() >= 18, "the description has lost the admin API: {endpoints:?}");
    endpoints
}

async fn ask(browser: &Browser, method: &Method, below: &str) -> Reply {
    let body = (*method != Method::GET && *method != Method::DELETE).then(|| json!({}));
    browser.fetch(method.clone(), &browser.api(below), body.as_ref()).await
}

/// Refused with this status and code, at every endpoint.
async fn refused_everywhere(scene: &Scene, browser: &Browser, status: u16, code: &str) {
    for (method, below) in endpoints(scene).await {
        let problem = ask(browser, &method, &below).await.expect_problem(status);
        assert_eq!(problem["code"], code, "{method} {below}");
    }
}

#[tokio::test]
async fn s_33_refuses_anonymous_members_and_tokens_on_admin_api() {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let bob = bob(&scene).await;
    refused_everywhere(&scene, &scene.anonymous(), 401, "unauthenticated").await;
    refused_everywhere(&scene, &bob, 403, "not_permitted").await;

    let signed_in = DialectClient::Ocore.sign_in(&scene.anonymous().showing("none"), &mut scene.device).await;
    let access =
        DialectClient::Ocore.tokens(&signed_in).into_iter().find(|(form, _)| *form == "access").unwrap().1;
    refused_everywhere(&scene, &scene.anonymous().showing(&access), 403, "not_permitted").await;

    // No request took effect, and an administrator is let in.
    let seen = scene.alice.get(&user(&scene, "bob")).await.expect(200).json();
    assert_eq!((&seen["email"], &seen["standing"]), (&json!(BOB), &json!("active")));
    assert_eq!(seen["sessions"].as_array().unwrap().len(), 1, "Bob is signed in still");
}

#[tokio::test]
async fn s_23_refuses_cross_site_requests_on_admin_api() {
    let scene = Scene::set().await;
    bob(&scene).await;
    for (method, below) in endpoints(&scene).await {
        let ours = scene.alice.fetching(method.clone(), &scene.alice.api(&below), Some(&json!({})));
        let (client, request) = ours.build_split();
        let mut request = request.unwrap();
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
        let answer = scene.alice.send(reqwest::RequestBuilder::from_parts(client, request)).await;
        assert_eq!(answer.expect_problem(403)["code"], "wrong_origin", "{method} {below}");
    }
    scene.alice.get("admin/v1/overview").await.expect(200);
}

#[tokio::test]
async fn s_26_an_administrator_without_a_fresh_passkey_is_asked_for_it_everywhere() {
    let mut scene = Scene::with(|config| config.own_clock = true, |_| {}).await;
    bob(&scene).await;
    scene.alice.get("admin/v1/overview").await.expect(200);
    scene.gateway.clock().set("+6m");
    refused_everywhere(&scene, &scene.alice, 401, "step_up_required").await;
    scene.alice.sign_in(&mut scene.device).await.expect(201);
    scene.alice.get("admin/v1/overview").await.expect(200);
}

#[tokio::test]
async fn s_18_refuses_a_demoted_or_disabled_administrator() {
    let scene = Scene::set().await;
    let bob = bob(&scene).await;
    bob.get("admin/v1/overview").await.expect_problem(403);
    scene.gateway.operate(&["user", "role", "bob", "administrator"]);
    bob.get("admin/v1/overview").await.expect(200);
    scene.gateway.operate(&["user", "role", "bob", "member"]);
    refused_everywhere(&scene, &bob, 403, "not_permitted").await;
    scene.gateway.operate(&["user", "role", "bob", "administrator"]);
    bob.get("admin/v1/overview").await.expect(200);
    scene.gateway.operate(&["user", "lock", "bob"]);
    refused_everywhere(&scene, &bob, 401, "unauthenticated").await;
}

#[tokio::test]
async fn refuses_unreadable_requests_with_reason() {
    let scene = Scene::set().await;
    bob(&scene).await;
    let bob = user(&scene, "bob");
    for (below, body) in [
        (bob.as_str(), json!({ "groups": ["a,b"] })),
        (&bob, json!({ "name": "" })),
        (&bob, json!({ "role": "owner" })),
        (&bob, json!({ "expires_at": "tomorrow" })),
        (&bob, json!({ "username": "bobby" })),
        (&bob, json!({ "note": "x".repeat(1_001) })),
    ] {
        let problem = scene.alice.patch(below, &body).await.expect_problem(422);
        assert_eq!(problem["code"], "malformed_request", "{body}");
    }
    for query in ["limit=0", "limit=201", "limit=x", "standing=asleep", "after=*", "group=a,b"] {
        scene.alice.get(&format!("admin/v1/users?{query}")).await.expect_problem(422);
    }
    for query in ["limit=501", "since=yesterday", "user=bob"] {
        scene.alice.get(&format!("admin/v1/audit?{query}")).await.expect_problem(422);
    }
    for below in ["admin/v1/users/bob", "admin/v1/users/01234567-89ab-cdef-0123-456789abcdef"] {
        scene.alice.get(below).await.expect_problem(404);
    }
    let invite = async |body: Value| scene.alice.post("admin/v1/invitations", &body).await;
    invite(json!({ "email": "carol" })).await.expect_problem(422);
    invite(json!({ "email": "c@example.com", "expires_in_seconds": 259_201 })).await.expect_problem(422);
    invite(json!({ "email": "c@example.com", "mail": true })).await.expect_problem(404);
    assert_eq!(scene.alice.get("admin/v1/invitations").await.expect(200).json(), json!([]));
}
