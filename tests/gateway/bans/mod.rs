//! Bans: which clients are kept out, where, and which never are.

mod automatic;
mod lists;
mod operators;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::{Authenticator, Browser, Reply, Scene};

/// Whom the proxy reports, and who is banned in most of these tests.
const BANNED: &str = "192.0.2.7";
/// A client in the same building.
const NEIGHBOUR: &str = "192.0.2.8";

/// The proxy in front is this machine.
fn proxied(config: &mut Config) {
    config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
}

/// The same with every API, mail and sign-up.
fn everything(config: &mut Config) {
    proxied(config);
    DialectClient::all_on(config);
    // No server listens there: messages wait.
    config.table("mail", &["url = \"smtp://localhost:1\"", "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
    config.table("signup", &["mode = \"open\""]);
}

fn ban(scene: &Scene, network: &str) {
    scene.gateway.operate(&["ban", "add", network, "--for", "1h"]);
}

/// Refused for the network, with the time until that ends.
#[track_caller]
fn is_banned(reply: Reply) -> Value {
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{reply}");
    let problem = reply.expect_problem(403);
    assert_eq!(problem["code"], "network_banned");
    problem
}

#[tokio::test]
async fn banned_address_is_refused_in_every_dialect() {
    let mut scene = Scene::with(everything, |_| {}).await;
    let dialects =
        [DialectClient::Native, DialectClient::BetterAuth, DialectClient::Ocore, DialectClient::Corbado];
    // Begun before the ban.
    let mut begun = Vec::new();
    for dialect in dialects {
        let browser = scene.anonymous().reported_as(BANNED);
        let options = dialect.begin_sign_in(&browser).await.expect(200).json();
        let answer = scene.device.get(&options, browser.origin());
        begun.push((dialect, browser, answer));
    }
    ban(&scene, BANNED);
    for (dialect, browser, answer) in &begun {
        for reply in [dialect.finish_sign_in(browser, answer).await, dialect.begin_sign_in(browser).await] {
            let (status, body, wait) = (reply.status, reply.json(), reply.header("retry-after").to_owned());
            let code = match dialect {
                DialectClient::Corbado => &body["error"]["type"],
                _ => &body["code"],
            };
            let expected = match dialect {
                DialectClient::BetterAuth => "FORBIDDEN",
                DialectClient::Corbado => "login_error",
                _ => "network_banned",
            };
            assert_eq!((status, code), (403, &json!(expected)), "{dialect:?}: {reply}");
            assert!((3_500..=3_600).contains(&wait.parse::<u64>().unwrap()), "{dialect:?}: {wait}");
        }
    }
    for dialect in dialects {
        // The neighbour, the same address in IPv6's clothes, the proxy itself, and a client that
        // only claims the address.
        dialect.sign_in(&scene.anonymous().reported_as(NEIGHBOUR), &mut scene.device).await;
        dialect.begin_sign_in(&scene.anonymous().reported_as("::ffff:192.0.2.7")).await.expect(403);
        dialect.sign_in(&scene.anonymous(), &mut scene.device).await;
        let liar = Browser::on(&scene.gateway, "127.0.0.2").reported_as(BANNED);
        dialect.sign_in(&liar, &mut scene.device).await;
    }
    // The addresses that the client itself sent come before the address that the proxy wrote.
    let chain = scene.anonymous().reported_as(&format!("{BANNED}, {NEIGHBOUR}"));
    DialectClient::Native.begin_sign_in(&chain).await.expect(200);
    is_banned(
        DialectClient::Native
            .begin_sign_in(&scene.anonymous().reported_as(&format!("{NEIGHBOUR}, {BANNED}")))
            .await,
    );
}

/// Requests of anonymous clients that try a credential, and their status from a network that is not
/// banned.
fn attempts(link: &str) -> Vec<(&'static str, Value, u16)> {
    let secret = crate::harness::journey::secret_of(link);
    let (who, code) = ("alice@example.com", "AAAA-AAAA");
    let signed_in = json!({ "method": "passkey", "email": who, "token": "x" });
    vec![
        ("passkeys/authenticate/options", json!({}), 200),
        ("passkeys/authenticate/verify", json!({ "id": "AQ" }), 401),
        ("invitations/preview", json!({ "token": secret }), 200),
        ("invitations/redeem", json!({ "token": secret }), 201),
        ("verify", json!({ "email": who }), 201),
        ("sessions", json!({ "method": "otp", "email": who, "token": code }), 401),
        ("sessions", signed_in, 401),
        ("recovery-codes/redeem", json!({ "identifier": who, "code": "AAAA-AAAA-AAAA-AAAA" }), 401),
        ("recoveries/cancel", json!({ "token": "A".repeat(43) }), 410),
        ("device-links/ask", json!({ "code": "AAAA-AAAA" }), 401),
        ("device-links/join", json!({}), 410),
        ("signup", json!({ "email": "new@example.com" }), 201),
        ("signup/confirm", json!({ "email": "new@example.com", "code": code }), 401),
    ]
}

#[tokio::test]
async fn banned_attempts_consume_nothing() {
    let scene = Scene::with(everything, |_| {}).await;
    let link = scene.gateway.invite("bob@example.com", &[]);
    ban(&scene, "192.0.2.0/29");
    let attempts = attempts(&link);
    for (below, body, _) in &attempts {
        let problem = is_banned(scene.anonymous().reported_as(BANNED).post(below, body).await);
        let said = problem["detail"].as_str().unwrap();
        assert!(said.starts_with("You cannot sign in from this network"), "{below}: {said}");
    }
    for (below, body, status) in &attempts {
        let reply = scene.anonymous().reported_as("192.0.2.9").post(below, body).await;
        assert_eq!(reply.status, *status, "{below}: {reply}");
    }
    // These are all endpoints that take a credential from callers without a session.
    let description = scene.anonymous().get("openapi.json").await.expect(200).json();
    let open = |(path, item): (&String, &Value)| {
        let operation = &item["post"];
        let is_open = operation["tags"] == json!(["native"]) && operation["security"].is_null();
        is_open.then(|| path.strip_prefix("/auth/").unwrap().trim_end_matches('/').to_owned())
    };
    let open: BTreeSet<_> = description["paths"].as_object().unwrap().iter().filter_map(open).collect();
    let tried: BTreeSet<_> = attempts.iter().map(|(below, ..)| (*below).to_owned()).collect();
    assert_eq!(open, tried);
}

#[tokio::test]
async fn signed_in_user_goes_on_and_can_lift_the_ban() {
    let arrange = |config: &mut Config| {
        everything(config);
        config.own_clock = true;
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let alice = scene.alice.reported_as(BANNED);
    scene.gateway.clock().set("+6m");
    ban(&scene, "192.0.2.0/24");
    is_banned(scene.anonymous().reported_as(BANNED).post("passkeys/authenticate/options", &json!({})).await);
    alice.navigate(&scene.url("/page")).await.expect(200);
    scene.app.take_one();
    alice.get("sessions/current").await.expect(200);

    // Her passkey is asked for again, and she shows it from where she is; in each dialect.
    for dialect in
        [DialectClient::BetterAuth, DialectClient::Ocore, DialectClient::Corbado, DialectClient::Native]
    {
        dialect.sign_in(&alice, &mut scene.device).await;
    }
    alice.register(&mut Authenticator::new(9)).await.expect(200);
    alice.sign_in(&mut scene.device).await.expect(201);
    alice.delete("admin/v1/bans/192.0.2.0-24").await.expect(204);
    scene.anonymous().reported_as(BANNED).sign_in(&mut scene.device).await.expect(201);

    // A session that is over does not count, and neither does an invalid token.
    ban(&scene, "192.0.2.0/24");
    alice.delete("sessions").await.expect(204);
    is_banned(alice.post("passkeys/authenticate/options", &json!({})).await);
    let liar = scene.anonymous().showing("none").reported_as(BANNED);
    is_banned(liar.post("passkeys/authenticate/options", &json!({})).await);
}

#[tokio::test]
async fn cross_site_request_does_not_count_as_signed_in() {
    let scene = Scene::with(everything, |_| {}).await;
    ban(&scene, BANNED);
    let alice = scene.alice.reported_as(BANNED);
    let url = alice.api("passkeys/authenticate/options");
    let ours = alice.fetching(Method::POST, &url, None);
    let (client, request) = ours.build_split();
    let mut request = request.unwrap();
    request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let reply = alice.send(reqwest::RequestBuilder::from_parts(client, request)).await;
    assert_eq!(reply.expect_problem(403)["code"], "wrong_origin");
    alice.fetch(Method::POST, &url, None).await.expect(200);
}

#[tokio::test]
async fn refuses_a_ban_of_a_proxy_and_bans_its_clients() {
    let scene = Scene::with(proxied, |_| {}).await;
    for own in ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1"] {
        assert!(!scene.gateway.cli(&["ban", "add", own]).status.success(), "{own}");
    }
    ban(&scene, "2001:db8:1:2::/64");
    let from = |address: &str| scene.anonymous().reported_as(address);
    is_banned(from("2001:db8:1:2:3:4:5:6").post("passkeys/authenticate/options", &json!({})).await);
    from("2001:db8:1:3::1").post("passkeys/authenticate/options", &json!({})).await.expect(200);
    scene.anonymous().post("passkeys/authenticate/options", &json!({})).await.expect(200);
}
