//! Refusals of the methods, and their form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Program, encoded, refused, refused_plainly, scene, url, verification, zitadel};
use crate::harness::config::Config;
use crate::harness::{Authenticator, Scene, flag};

/// Every method, with an id where one is called for.
const METHODS: [(Method, &str); 6] = [
    (Method::POST, ""),
    (Method::POST, "/_verify"),
    (Method::POST, "/_search"),
    (Method::DELETE, "/1234"),
    (Method::POST, "/_link"),
    (Method::POST, "/_send_link"),
];

#[tokio::test]
async fn refuses_anonymous_calls() {
    let scene = scene().await;
    let anonymous = scene.anonymous();
    for (method, below) in METHODS {
        let body = json!({});
        let request = || anonymous.request(method.clone(), &url(&anonymous, below)).json(&body);
        refused_plainly(anonymous.send(request()).await, 401, 16, "auth header missing");
        for value in ["Bearer nonsense", "Bearer ", "Basic YTpi", "nonsense"] {
            let reply = anonymous.send(request().header("authorization", value)).await;
            assert_eq!(refused(reply, 401, 16), "token_invalid", "{method} {below} with {value}");
        }
    }
    // A page of another site has the cookie, and may not use it.
    let request = scene.alice.request(Method::POST, &url(&scene.alice, "/_search"));
    let request = request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    assert_eq!(refused(scene.alice.send(request).await, 403, 7), "wrong_origin");
    // One of our own pages may use the cookie.
    let reply = scene.alice.fetch(Method::POST, &url(&scene.alice, "/_search"), None).await.expect(200);
    assert_eq!(reply.json()["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn enrolling_session_may_only_add_a_passkey() {
    let scene = scene().await;
    let browser = scene.anonymous();
    let link = scene.gateway.invite("bob@example.com", &[]);
    let token = browser.redeem(&link, None, "Bob").await.expect(201).json()["token"].clone();
    let bob = Program { browser: browser.another(), token: token.as_str().unwrap().to_owned() };
    for below in ["/_search", "/_link", "/_send_link"] {
        assert_eq!(refused(bob.post(below, &json!({})).await, 401, 16), "token_invalid");
    }
    refused(bob.delete("1").await, 401, 16);
    bob.enrol(7, "First").await;
    assert_eq!(bob.names().await, ["First"], "the passkey has made the session a full one");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_plain() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    alice.enrol(7, "Phone").await;
    let ask = async |method: &Method, below: &str| {
        let request = alice.request(method.clone(), below).json(&json!({}));
        alice.browser.send(request).await
    };
    // A fixed word is never taken for an id.
    for (allowed, below) in METHODS {
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::POST, Method::DELETE] {
            if method != allowed {
                let reply = ask(&method, below).await;
                refused_plainly(reply, 405, 12, "Method Not Allowed");
            }
        }
    }
    for below in ["/1/2", "/_verify/1", "/", "/_search/"] {
        refused_plainly(ask(&Method::POST, below).await, 404, 5, "Not Found");
    }
    for path in ["/auth/v1/users/me", "/auth/v1/users/me/mfa/_search", "/auth/v1/nothing"] {
        let request = alice.browser.request(Method::POST, &scene.url(path)).bearer_auth(&alice.token);
        refused_plainly(alice.browser.send(request).await, 404, 5, "Not Found");
    }
    assert_eq!(alice.list().await.len(), 2);
}

#[tokio::test]
async fn refuses_an_incomplete_verification() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let origin = scene.alice.origin().to_owned();
    let answer = Authenticator::new(7).create(&alice.add().await, &origin);
    let credential = encoded(&answer);
    let long = "x".repeat(60);
    let object = |members: &[(&str, &Value)]| {
        let members: Map<String, Value> =
            members.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
        json!({ "verification": members })
    };
    let phone = json!("Phone");
    for body in [
        json!({}),
        json!({ "verification": null }),
        json!({ "verification": "text" }),
        json!([]),
        json!(null),
        object(&[("tokenName", &phone)]),
        object(&[("tokenName", &phone), ("publicKeyCredential", &json!(null))]),
        object(&[("tokenName", &json!(7)), ("publicKeyCredential", &json!(long))]),
        object(&[("tokenName", &phone), ("token_name", &phone), ("publicKeyCredential", &json!(long))]),
        verification(&json!(""), "Phone"),
        verification(&json!(7), "Phone"),
        verification(&json!("not base64!"), "Phone"),
        verification(&json!(STANDARD.encode("{\"id\":\"too short\"}")), "Phone"),
        verification(&json!({ "id": "too short" }), "Phone"),
        verification(&json!(STANDARD.encode(&long)), "Phone"),
        verification(&json!(format!("{{{long}")), "Phone"),
    ] {
        assert_eq!(refused(alice.post("/_verify", &body).await, 400, 3), "malformed_request", "{body}");
    }
    // None of these named the attempt, so it is still under way.
    alice.verify(&credential, "Phone").await.expect(200);

    for name in [json!(null), json!(""), json!("  "), json!("x".repeat(201)), json!("a\nb")] {
        let answer = encoded(&Authenticator::new(8).create(&alice.add().await, &origin));
        let body = object(&[("publicKeyCredential", &answer), ("tokenName", &name)]);
        refused(alice.post("/_verify", &body).await, 400, 3);
        let again = alice.verify(&answer, "Phone").await;
        assert_eq!(refused(again, 400, 9), "ceremony_expired", "that was an attempt");
    }
    let answer = Authenticator::new(8).create(&alice.add().await, &origin);
    alice.verify(&encoded(&answer), &"ü".repeat(200)).await.expect(200);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    for below in ["", "/_verify", "/_link", "/_send_link"] {
        let send = async |kind: &str, body: String| {
            alice
                .browser
                .send(alice.request(Method::POST, below).header("content-type", kind).body(body))
                .await
        };
        for body in ["{", "{}{}", "nonsense", "[]", "7", "\u{feff}{}"] {
            refused(send("application/json", body.to_owned()).await, 400, 3);
        }
        refused(send("application/x-www-form-urlencoded", "{}".to_owned()).await, 415, 3);
        refused(send("text/plain", "{}".to_owned()).await, 415, 3);
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        assert_eq!(refused(send("application/json", large).await, 413, 8), "body_too_large");
    }
    refused(alice.browser.send(alice.request(Method::POST, "/_verify")).await, 415, 3);
}

#[tokio::test]
async fn w_02_ceremony_works_once_for_its_user_and_dialect() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    let origin = scene.alice.origin().to_owned();
    let expired = |reply| assert_eq!(refused(reply, 400, 9), "ceremony_expired");

    let answer = encoded(&Authenticator::new(7).create(&alice.add().await, &origin));
    alice.verify(&answer, "Phone").await.expect(200);
    expired(alice.verify(&answer, "Phone").await);

    // Another user's attempt is used up by trying it, and makes nothing.
    let answer = encoded(&Authenticator::new(9).create(&alice.add().await, &origin));
    expired(bob.verify(&answer, "Mine").await);
    expired(alice.verify(&answer, "Mine").await);

    // A ceremony that was begun elsewhere, or never.
    let options = scene.alice.registration_options().await;
    expired(alice.verify(&encoded(&Authenticator::new(10).create(&options, &origin)), "Native").await);
    let mut options = alice.add().await;
    options["publicKey"]["challenge"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    expired(alice.verify(&encoded(&Authenticator::new(11).create(&options, &origin)), "Own").await);

    // Several registrations may be under way, and be finished in any order.
    let begun = [alice.add().await, alice.add().await];
    for (seed, options) in (20..).zip(begun.iter().rev()) {
        let answer = encoded(&Authenticator::new(seed).create(options, &origin));
        alice.verify(&answer, "Parallel").await.expect(200);
    }
    assert_eq!((alice.list().await.len(), bob.list().await.len()), (4, 1));
}

#[tokio::test]
async fn unaccepted_passkey_is_400() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let origin = scene.alice.origin().to_owned();
    let mut device = Authenticator::new(7);
    let answer = encoded(&device.create_with(&alice.add().await, "https://evil.example", |_| {}));
    assert_eq!(refused(alice.verify(&answer, "Phone").await, 400, 3), "passkey_refused");
    let answer =
        device.create_with(&alice.add().await, &origin, |knobs| "other.example".clone_into(&mut knobs.rp_id));
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "passkey_refused");
    let answer = device.create_with(&alice.add().await, &origin, |knobs| knobs.flags &= !flag::UV);
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "not_verified");
    let answer =
        device.create_with(&alice.add().await, &origin, |knobs| knobs.object = Some(b"nonsense".to_vec()));
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "malformed_request");
    let alices = scene.device.held()[0].id.clone();
    let answer = device.create_with(&alice.add().await, &origin, |knobs| knobs.credential_id = alices);
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 409, 6), "duplicate_credential");
    assert_eq!(alice.list().await.len(), 1);
}

#[tokio::test]
async fn s_26_changes_need_a_fresh_passkey() {
    // Beside an application, over https, a sign-in pays for nothing.
    let arrange = |config: &mut Config| {
        zitadel(config);
        config.tls("auth.example.com");
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let browser = scene.anonymous();
    let signed_in = browser.sign_in(&mut scene.device).await.expect(201).json();
    let stale =
        Program { browser: browser.another(), token: signed_in["token"].as_str().unwrap().to_owned() };
    let id = stale.list().await[0]["id"].as_str().unwrap().to_owned();
    for below in ["", "/_link"] {
        assert_eq!(refused(stale.post(below, &json!({})).await, 403, 7), "session_not_fresh");
    }
    assert_eq!(refused(stale.delete(&id).await, 403, 7), "session_not_fresh");
    // Shown again by a signed-in user, it pays once.
    let again = browser.sign_in(&mut scene.device).await.expect(201).json();
    let fresh = Program { token: again["token"].as_str().unwrap().to_owned(), ..stale };
    fresh.post("/_link", &json!({})).await.expect(200);
    assert_eq!(refused(fresh.post("/_link", &json!({})).await, 403, 7), "session_not_fresh");
}

#[tokio::test]
async fn s_34_rate_limit_has_retry_after() {
    let arrange = |config: &mut Config| {
        zitadel(config);
        config.table("limits", &["network_burst = 12", "network_per_second = 1"]);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let mut limited = None;
    for _ in 0..40 {
        let reply = alice.post("/_link", &json!({})).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
        reply.expect(200);
    }
    let limited = limited.expect("the network is held up");
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused(limited, 429, 8), "rate_limited");
    assert_eq!(alice.list().await.len(), 1, "looking is not counted");
}
