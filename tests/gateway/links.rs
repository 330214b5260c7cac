//! Every address that we hand out, on a page, in an answer or by mail, is made of our own (S-29).

use reqwest::Method;
use serde_json::json;

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Mode, PostOffice, Scene, port, raw};

/// Headers by which a request can claim another host.
fn lies() -> Vec<String> {
    let host = [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Server: evil.example",
        "X-Forwarded-Prefix: //evil.example",
        "X-Forwarded-Port: 6666",
        "X-Original-Host: evil.example",
        "X-Host: evil.example",
        "X-HTTP-Host-Override: evil.example",
        "X-Original-URL: https://evil.example/",
        "X-Rewrite-URL: //evil.example/",
        "Forwarded: host=evil.example;proto=https",
        "Origin: https://evil.example",
        "Referer: https://evil.example/",
        "Via: 1.1 evil.example",
    ];
    host.map(str::to_owned).to_vec()
}

/// Also from a proxy that is believed: a host that it names is one of ours, or refused.
#[tokio::test]
async fn s_29_no_answer_names_an_address_that_a_request_brought() {
    for trusted in ["trusted_proxies = []", "trusted_proxies = [\"127.0.0.1/32\"]"] {
        let scene = Scene::with(|config| config.server.push(trusted.to_owned()), |_| {}).await;
        let session = format!("Cookie: vestibule={}", scene.alice.session().unwrap());
        let mut answered = 0;
        for path in [
            "/page",
            "/auth",
            "/auth/login",
            "/auth/account",
            "/auth/logout",
            "/auth/enroll",
            "/auth/nothing",
            "/.well-known/passkey-endpoints",
        ] {
            for lie in lies() {
                for more in [vec![], vec![session.clone()], vec!["Accept: text/html".to_owned()]] {
                    let lines = [vec![lie.clone()], more].concat();
                    let reply = raw::get(scene.gateway.port, "localhost", path, &lines);
                    let ours = !reply.0.ends_with("hello");
                    answered += usize::from(matches!(reply.status(), 200 | 303));
                    assert!(!ours || !reply.0.contains("evil.example"), "{path} {lines:?}: {}", reply.0);
                    assert!(!reply.0.contains(":6666"), "{path} {lines:?}: {}", reply.0);
                }
            }
        }
        // Some of these are refused (another host); pages and redirects must be among the answers.
        assert!(answered > 50, "only {answered} pages and redirects came");
    }
}

/// The links are the same whatever host, port or target a request for a code names.
#[tokio::test]
async fn s_29_mail_links_use_the_public_url() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let arrange = |config: &mut Config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
        config.table("signin", &["email_code = \"enroll\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await.with_alice_as_member().await;
    let gateway = &scene.gateway;
    let body = json!({ "email": ALICE }).to_string();
    let mut sent = 0;
    for (target, host) in [
        ("/auth/verify", "localhost:6666"),
        ("http://evil.example/auth/verify", "localhost"),
        ("http://localhost:6666/auth/verify", "localhost:6666"),
        ("/auth/verify", "evil.example"),
    ] {
        let length = body.len();
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let reply = raw::exchange(gateway.port, request.as_bytes());
        assert!([201, 400, 421].contains(&reply.status()), "{target} {host}: {}", reply.0);
        sent += usize::from(reply.status() == 201);
    }
    assert!(sent > 0, "one of them is let in");
    for count in 1..=sent {
        let message = office.message(count).await["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&gateway.origin()), "{message}");
        assert!(!message.contains("evil.example") && !message.contains(":6666"), "{message}");
    }
    // And the link that the operator gets.
    let link = gateway.invite("bob@example.com", &[]);
    assert!(link.starts_with(&gateway.url("/auth/enroll#")), "{link}");
    let told = scene.anonymous().fetch(Method::GET, &scene.url("/page"), None).await.expect_problem(401);
    assert_eq!(told["login_url"], gateway.url("/auth/login"));
}
