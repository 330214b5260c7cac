//! The three ways in which a token travels, and that it goes no further (S-08, P-11, P-14).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;

use super::{assertion_of, get, is_invalid, made, reasons, token};
use crate::harness::config::Config;
use crate::harness::{Scene, raw};

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn s_08_no_token_reaches_an_application_in_any_carrier_good_or_bad() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/open"]);
        },
    )
    .await;
    let good = token(&scene.gateway, "alice", &[]);
    let bad = format!("{}x", &good[..good.len() - 1]);
    let carriers = |token: &str| {
        [
            format!("Authorization: Bearer {token}"),
            format!("authorization:bearer   {token}"),
            basic(&format!("anybody:{token}")),
            basic(&format!(":{token}")),
            format!("X-Vestibule-Token: {token}"),
            format!("x-vestibule-token:{token}"),
        ]
    };
    for line in carriers(&good) {
        let reply = raw::get(scene.gateway.port, "localhost", "/page", std::slice::from_ref(&line));
        assert_eq!(reply.status(), 200, "{line}: {}", reply.0);
        let seen = scene.app.take_one();
        assert!(!seen.text().contains("vst_"), "{line}: {}", seen.text());
        assert!(seen.values("authorization").is_empty(), "{line}: {}", seen.text());
        assert_eq!(seen.value("remote-user"), "alice", "{line}");
    }
    // Where any client may enter, a bad token is refused all the same: no request is forwarded with
    // it.
    for line in carriers(&bad) {
        for path in ["/page", "/open"] {
            let reply = raw::get(scene.gateway.port, "localhost", path, std::slice::from_ref(&line));
            assert_eq!(reply.status(), 401, "{line}: {}", reply.0);
        }
    }
    // Under another scheme, in the place of a username, or twice: such a token is ours, and
    // refused.
    let other = token(&scene.gateway, "alice", &[]);
    for lines in [
        vec![format!("Authorization: Token {good}")],
        vec![basic(&format!("{good}:x"))],
        vec![format!("Authorization: Bearer {good}"), format!("X-Vestibule-Token: {other}")],
        vec![format!("Authorization: Bearer {good}"), format!("Authorization: Bearer {good}")],
    ] {
        let reply = raw::get(scene.gateway.port, "localhost", "/open", &lines);
        assert_eq!(reply.status(), 401, "{lines:?}: {}", reply.0);
    }
    assert!(scene.app.take().is_empty());
    assert!(reasons(&scene.gateway).contains(&"misplaced".to_owned()));
}

#[tokio::test]
async fn p_11_a_foreign_authorization_reaches_the_application_byte_for_byte() {
    let scene = Scene::set().await;
    let token = token(&scene.gateway, "alice", &[]);
    let cookie = format!("Cookie: vestibule={}", scene.alice.session().unwrap());
    let shown = format!("X-Vestibule-Token: {token}");
    for value in [
        "Bearer  theirs==",
        "bearer vSt_not-ours",
        "Basic YWxpY2U6c2VjcmV0",
        "Digest username=\"x\", response=\"vst\"",
        "AWS4-HMAC-SHA256 Credential=a/b, Signature=c",
        "\"odd\" ; value",
    ] {
        for who in [&cookie, &shown] {
            let lines = [who.clone(), format!("Authorization: {value}")];
            let reply = raw::get(scene.gateway.port, "localhost", "/page", &lines);
            assert_eq!(reply.status(), 200, "{lines:?}: {}", reply.0);
            let seen = scene.app.take_one();
            assert_eq!(seen.values("authorization"), [value], "{lines:?}");
            assert_eq!(seen.value("remote-user"), "alice");
            assert!(!seen.text().contains("vst_"), "{}", seen.text());
        }
    }
}

#[tokio::test]
async fn application_gets_the_token_owner_and_that_a_token_was_used() {
    let scene = Scene::set().await;
    let made = made(&scene.gateway, "alice", &[]);
    get(&scene, "/page", made["token"].as_str().unwrap()).await.expect(200);
    let seen = scene.app.take_one();
    assert_eq!(
        (seen.value("remote-user"), seen.value("remote-name")),
        ("alice".into(), "Alice Ample".into())
    );
    let claims = assertion_of(&seen.value("x-vestibule-assertion"));
    assert_eq!((&claims["amr"], &claims["token"]), (&serde_json::json!(["token"]), &made["id"]));
    assert!(claims["auth_time"].is_null() && claims.get("sid").is_none(), "{claims}");
    // A signed-in user is told apart.
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    let claims = assertion_of(&scene.app.take_one().value("x-vestibule-assertion"));
    assert!(claims["sid"].is_string() && claims.get("token").is_none(), "{claims}");
}

#[tokio::test]
async fn refuses_access_tokens_on_our_endpoints() {
    let scene = Scene::set().await;
    let token = token(&scene.gateway, "alice", &[]);
    let anonymous = scene.anonymous();
    for (method, path) in [
        (Method::GET, "/auth/sessions"),
        (Method::GET, "/auth/tokens"),
        (Method::POST, "/auth/tokens"),
        (Method::GET, "/auth/passkeys"),
        (Method::GET, "/auth/admin/v1/users"),
        (Method::GET, "/auth/admin/v1/tokens"),
    ] {
        for (name, value) in [
            ("Authorization", format!("Bearer {token}")),
            ("Authorization", basic(&format!("alice:{token}")).split_once(": ").unwrap().1.to_owned()),
            ("X-Vestibule-Token", token.clone()),
        ] {
            let request = anonymous.request(method.clone(), &scene.url(path)).header(name, value);
            let problem = anonymous.send(request).await.expect_problem(401);
            assert_eq!(problem["code"], "unauthenticated", "{method} {path} {name}");
        }
    }
    scene.alice.get("tokens").await.expect(200);
    get(&scene, "/page", &token).await.expect(200);
}

/// Browsers remember passwords of `Basic` and send them along; no page can add another header.
#[tokio::test]
async fn refuses_cross_origin_changes_with_a_remembered_password() {
    let scene = Scene::set().await;
    let token = token(&scene.gateway, "alice", &[]);
    let send = |line: String| {
        let lines = [line, "Origin: https://evil.example".to_owned(), "Content-Length: 0".to_owned()];
        raw::request(scene.gateway.port, "POST", "localhost", "/page", &lines).status()
    };
    assert_eq!(send(basic(&format!("alice:{token}"))), 403);
    assert!(scene.app.take().is_empty());
    assert_eq!(send(format!("Authorization: Bearer {token}")), 200);
    assert_eq!(send(format!("X-Vestibule-Token: {token}")), 200);
}

#[tokio::test]
async fn a_bad_token_is_not_made_good_by_a_cookie() {
    let scene = Scene::set().await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    let request = scene.alice.request(Method::GET, &scene.url("/page"));
    is_invalid(scene.alice.send(request.header("Authorization", "Bearer vst_nothing")).await);
}

#[tokio::test]
async fn forward_auth_accepts_the_forwarded_token() {
    let arrange = |config: &mut Config| {
        config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
        config.table("forward_auth", &["enabled = true"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let narrow = token(&scene.gateway, "alice", &["--path", "/a", "--network", "192.0.2.0/24"]);
    let ask = |path: &str, line: String| {
        let told = ["X-Forwarded-Host: localhost", "X-Forwarded-Method: GET", "X-Forwarded-Proto: http"];
        let told = told.map(str::to_owned).into_iter();
        let told =
            told.chain([format!("X-Forwarded-Uri: {path}"), "X-Forwarded-For: 192.0.2.7".to_owned(), line]);
        raw::get(scene.gateway.port, "localhost", "/auth/forward", &told.collect::<Vec<_>>())
    };
    let shown = [
        format!("Authorization: Bearer {narrow}"),
        basic(&format!("x:{narrow}")),
        format!("X-Vestibule-Token: {narrow}"),
    ];
    for line in shown {
        let yes = ask("/a/b?c", line.clone());
        assert_eq!(
            (yes.status(), yes.values("remote-user")),
            (200, vec!["alice".to_owned()]),
            "{line}: {}",
            yes.0
        );
        assert!(!yes.0.contains("vst_"), "{}", yes.0);
        assert_eq!(ask("/b", line.clone()).status(), 403, "{line}");
    }
    assert_eq!(ask("/a", "Authorization: Bearer vst_nothing".to_owned()).status(), 401);
}

#[tokio::test]
async fn only_forged_tokens_count_towards_a_ban() {
    let arrange = |config: &mut Config| {
        config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
        config.table("bans", &["after = 3"]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let good = made(&scene.gateway, "alice", &[]);
    let (token, id) = (good["token"].as_str().unwrap(), good["id"].as_str().unwrap());
    let show = |client: &str, token: &str| {
        let browser = scene.anonymous().reported_as(client);
        let request = browser.request(Method::GET, &scene.url("/page"));
        let request = request.header("Authorization", format!("Bearer {token}"));
        async move { browser.send(request).await }
    };
    let begins = |client: &str| {
        let browser = scene.anonymous().reported_as(client);
        async move { browser.post("passkeys/authenticate/options", &serde_json::json!({})).await }
    };
    for _ in 0..3 {
        begins("192.0.2.7").await.expect(200);
        is_invalid(show("192.0.2.7", "vst_AAAA").await);
    }
    assert_eq!(begins("192.0.2.7").await.expect_problem(403)["code"], "network_banned");
    // A ban keeps clients from trying credentials: a good token is not tried but shown.
    show("192.0.2.7", token).await.expect(200);
    scene.gateway.operate(&["token", "revoke", id]);
    for _ in 0..4 {
        is_invalid(show("192.0.2.8", token).await);
    }
    begins("192.0.2.8").await.expect(200);
}
