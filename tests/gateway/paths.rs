//! Decisions depend on the request that is forwarded: public paths, our own prefix, and unclear
//! requests (P-01, P-10, P-12).

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Gateway, Scene, raw};

fn html() -> Vec<String> {
    vec!["Accept: text/html".to_owned(), "Sec-Fetch-Mode: navigate".to_owned()]
}

/// The code of a problem; "" where the answer is none.
fn code_of(reply: &raw::RawReply) -> String {
    let body = reply.0.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn p_01_public_paths_are_literals() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/public", "/static/*"]);
        },
    )
    .await;
    let port = scene.gateway.port;
    scene.app.take();
    for open in [
        "/public",
        "/public?x=/private",
        "/static/",
        "/static/a.css",
        "/static/a/b?c=..",
        "/public?../private",
    ] {
        let reply = raw::get(port, "localhost", open, &[]);
        assert_eq!(reply.status(), 200, "{open}: {}", reply.0);
        assert_eq!(scene.app.take_one().target(), open);
    }
    for (status, code, closed) in [
        (
            401,
            "unauthenticated",
            &[
                "/private?x=/public",
                "/private?/public",
                "/private/public",
                "/static",
                "/statics/a",
                "/static*",
                "/publicx",
                "/public/",
            ][..],
        ),
        (
            400,
            "malformed_request",
            &[
                "/private#/public",
                "/static/..%5cprivate",
                "/static/..\\private",
                "/static/..%00/private",
                "/static/%00",
                "/static/x\x01y",
                "public",
                "*",
            ][..],
        ),
        (
            400,
            "ambiguous_path",
            &[
                "/private;/public",
                "/private%23/public",
                "/private%3f/public",
                "/private/%2e%2e/public",
                "/private/../public",
                "/public/../private",
                "/public/..;/private",
                "/static/../private",
                "/static/%2e%2e/private",
                "/static/.%2e/private",
                "/static/..%2fprivate",
                "/static%2f../private",
                "/static/%252e%252e/private",
                "/static/a/../../private",
                "/static//../private",
                "/static/./../private",
                "/static;/x",
                "/static/;/../private",
                "/public//",
                "/public;",
                "/public%20",
                "/public.",
                "/public%2f",
                "/PUBLIC",
                "/Public",
                "/%70ublic",
                "/%2570ublic",
                "//public",
                "/./public",
                "/.//public",
                "//localhost/public",
                "/%c0%ae%c0%ae/public",
                "/static/%c0%ae%c0%ae/private",
                "/static/\u{ff0e}\u{ff0e}/private",
            ][..],
        ),
        // An absolute target is refused before any look-up.
        (400, "", &["http://localhost/private?/public", "http://evil.example/public"]),
    ] {
        for target in closed {
            let reply = raw::get(port, "localhost", target, &[]);
            assert_eq!(reply.status(), status, "{target}: {}", reply.0);
            assert_eq!(code_of(&reply), code, "{target}: {}", reply.0);
            assert!(scene.app.take().is_empty(), "{target} reached the application: {}", reply.0);
        }
    }
    // Neither the method nor the client's headers about the path change the decision.
    for line in [
        "X-Original-URL: /public",
        "X-Rewrite-URL: /public",
        "X-Forwarded-Uri: /public",
        "X-Original-URI: /public",
        "X-Forwarded-Prefix: /public",
        "Forwarded: for=1.2.3.4;path=/public",
    ] {
        let reply = raw::get(port, "localhost", "/private", &[line.to_owned()]);
        assert_eq!(reply.status(), 401, "{line}");
        assert!(scene.app.take().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn p_12_prefix_comes_from_the_target_and_is_not_forwarded() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/open"]);
        },
    )
    .await;
    let port = scene.gateway.port;
    let session = format!("Cookie: vestibule={}", scene.alice.session().unwrap());
    scene.app.take();
    for ours in [
        "/auth",
        "/auth/",
        "/auth/x",
        "/auth/login",
        "/auth/health",
        "/auth?x",
        "/auth/nothing/here",
        "/auth/;x",
        "/auth/../page",
        "/auth/%2e%2e/page",
        "/auth//x",
    ] {
        let reply = raw::get(port, "localhost", ours, std::slice::from_ref(&session));
        assert!(scene.app.take().is_empty(), "{ours} was forwarded: {}", reply.0);
        assert_ne!(reply.status(), 0, "{ours}");
    }
    // With public paths on the host, a path that may be our prefix in another reading is refused.
    for maybe in [
        "//auth/x",
        "/./auth/x",
        "/x/../auth/health",
        "/%61uth/health",
        "/auth%2fhealth",
        "/open/../auth/health",
    ] {
        let reply = raw::get(port, "localhost", maybe, std::slice::from_ref(&session));
        assert_eq!(reply.status(), 400, "{maybe}: {}", reply.0);
        assert!(scene.app.take().is_empty(), "{maybe}");
    }
    for line in [
        "X-Original-URI: /auth/health",
        "X-Original-URL: /auth/health",
        "X-Forwarded-Uri: /auth/health",
        "X-Rewrite-URL: /auth/login",
        "X-Forwarded-Prefix: /auth",
        "X-Forwarded-Host: auth.example.com",
        "X-HTTP-Method-Override: OPTIONS",
    ] {
        let reply = raw::get(port, "localhost", "/page", &[line.to_owned()]);
        assert_eq!(reply.status(), 401, "{line}: {}", reply.0);
        assert!(scene.app.take().is_empty(), "{line}");
    }
    // A path that only begins alike is the application's.
    for theirs in ["/authx", "/auth.html", "/Auth", "/authentication/x"] {
        let reply = raw::get(port, "localhost", theirs, std::slice::from_ref(&session));
        assert_eq!(reply.status(), 200, "{theirs}: {}", reply.0);
        assert_eq!(scene.app.take_one().target(), theirs);
    }
}

#[tokio::test]
async fn p_12_prefix_is_reserved_on_application_hosts() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.host("app.localhost");
        },
    )
    .await;
    let port = scene.gateway.port;
    scene.app.take();
    for (ours, status) in [
        ("/auth", 404),
        ("/auth/health", 200),
        ("/auth/hand-off", 400),
        ("/auth/passkeys/", 404),
        ("/auth/x", 404),
    ] {
        assert_eq!(raw::get(port, "app.localhost", ours, &[]).status(), status, "{ours}");
        assert!(scene.app.take().is_empty(), "{ours}");
    }
    // The host has a route: everything else there is the application's.
    let token = scene.alice.session().unwrap();
    let page = raw::get(port, "app.localhost", "/page", &[format!("Cookie: vestibule={token}")]);
    assert_eq!(page.status(), 401, "the cookie of another host");
}

#[tokio::test]
async fn p_10_refuses_malformed_cookies_and_forwarded_headers() {
    let scene =
        Scene::with(|config| config.server.push("trusted_proxies = [\"127.0.0.0/8\"]".to_owned()), |_| {})
            .await;
    let port = scene.gateway.port;
    let token = scene.alice.session().unwrap();
    scene.app.take();
    let cookies = [
        "vestibule",
        "vestibule=",
        "vestibule==",
        "vestibule=;",
        "=vestibule",
        ";;;;",
        "vestibule=\"\"",
        "vestibule=null",
        "vestibule=undefined",
        "vestibule=AAAA",
        "vestibule=../../etc/passwd",
        "vestibule=%00",
        "vestibule=\u{fffd}\u{e9}",
        "vestibule={\"user\":\"alice\"}",
        "vestibule=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
        "vestibule=true; admin=1",
    ];
    let cut = format!("vestibule={}", &token[..token.len() - 1]);
    let huge = format!("vestibule={}", "A".repeat(20_000));
    let many = "vestibule=a; ".repeat(500);
    let addresses = [
        "",
        " ",
        ",",
        ",,,",
        "unknown",
        "1.2.3.4.5",
        "::",
        "[::1",
        "999.1.1.1",
        "127.0.0.1:99999",
        "\u{e9}",
        "a".repeat(5_000).as_str(),
        "1.1.1.1,".repeat(200).as_str(),
    ]
    .map(str::to_owned);
    for cookie in cookies.into_iter().chain([cut.as_str(), huge.as_str(), many.as_str()]) {
        let lines = [format!("Cookie: {cookie}")];
        let reply = raw::get(port, "localhost", "/page", &lines);
        assert!((400..500).contains(&reply.status()), "{cookie}: {}", reply.0);
    }
    for address in &addresses {
        for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"] {
            let lines = [format!("{name}: {address}"), format!("{name}: {address}")];
            let reply = raw::get(port, "localhost", "/page", &lines);
            assert!((400..500).contains(&reply.status()), "{name}: {address}: {}", reply.0);
        }
    }
    assert!(scene.app.take().is_empty(), "an anonymous client reached the application");
    // The same junk beside a valid session neither adds nor takes away anything.
    for address in &addresses {
        let lines = [format!("Cookie: vestibule={token}"), format!("X-Forwarded-For: {address}")];
        let reply = raw::get(port, "localhost", "/page", &lines);
        if reply.status() == 200 {
            assert_eq!(scene.app.take_one().folded("remote-user"), ["alice"], "{address}");
        }
    }
}

#[tokio::test]
async fn p_10_an_unknown_host_has_no_route() {
    let scene = Scene::set().await;
    let port = scene.gateway.port;
    let session = format!("Cookie: vestibule={}", scene.alice.session().unwrap());
    scene.app.take();
    for host in [
        "evil.example",
        "app.localhost",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1",
        "[::1]",
        "xn--lcalhost-54a",
    ] {
        let reply = raw::get(port, host, "/page", std::slice::from_ref(&session));
        assert_eq!(reply.status(), 421, "{host}: {}", reply.0);
    }
    for request in [
        format!(
            "GET /page HTTP/1.1\r\nHost: localhost:{port}\r\nHost: localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"
        ),
        format!("GET /page HTTP/1.1\r\nHost: \r\nConnection: close\r\n{session}\r\n\r\n"),
        format!("GET /page HTTP/1.1\r\nConnection: close\r\n{session}\r\n\r\n"),
        format!("GET /page HTTP/1.0\r\n{session}\r\n\r\n"),
        format!(
            "GET http://evil.example/page HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"
        ),
        format!(
            "GET /page HTTP/1.1\r\nHost: user@localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"
        ),
        format!(
            "CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"
        ),
        format!("TRACE /page HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"),
        format!("get /page HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{session}\r\n\r\n"),
    ] {
        let reply = raw::exchange(port, request.as_bytes());
        assert!((400..500).contains(&reply.status()) || reply.status() == 0, "{request}: {}", reply.0);
    }
    assert!(scene.app.take().is_empty());
}

#[tokio::test]
async fn p_10_refuses_to_start_with_an_ambiguous_configuration() {
    let wrong: [(&str, &[&str]); 8] = [
        ("allow = []", &["allow"]),
        ("allow = [\"user\", \"grp:x\"]", &["grp:x"]),
        ("alow = [\"user\"]", &["alow"]),
        ("public = [\"/a/../b\"]", &["public"]),
        ("public = [\"/a*\"]", &["public"]),
        ("headers = \"remot\"", &["headers"]),
        ("websocket = \"yes\"", &["websocket"]),
        ("host = \"*\"", &["host"]),
    ];
    for (line, named) in wrong {
        let mut gateway = Gateway::prepare(|config| {
            config.route("app", 9);
        });
        let file = gateway.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        let key = line.split(' ').next().unwrap();
        let kept: Vec<_> = text.lines().filter(|old| !old.starts_with(key)).collect();
        std::fs::write(&file, format!("{}\n{line}\n", kept.join("\n"))).unwrap();
        let output = gateway.cli(&["check"]);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(named.iter().all(|word| said.contains(word)), "{line}: {said}");
        gateway.spawn(&[]);
        assert_eq!(gateway.wait_for_end(), Some(1), "serve started with {line}");
    }
    // A key that cannot be read is no reason to go on without TLS.
    let mut gateway = Gateway::prepare(|config| config.tls("auth.example.test"));
    std::fs::remove_file(gateway.directory().join("key.pem")).unwrap();
    gateway.spawn(&[]);
    assert_eq!(gateway.wait_for_end(), Some(1));
}

#[tokio::test]
async fn anonymous_navigation_redirects_and_programs_get_401() {
    let scene = Scene::set().await;
    let anonymous = scene.anonymous();
    scene.app.take();
    let reply = anonymous.navigate(&scene.url("/deep?a=1&b=%20")).await;
    assert!([302, 303].contains(&reply.status), "{reply}");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.header("location").starts_with(&scene.url("/auth/login?to=")), "{reply}");
    let problem = anonymous.fetch(Method::GET, &scene.url("/deep"), None).await.expect_problem(401);
    assert_eq!(problem["login_url"], scene.url("/auth/login"));
    let reply = raw::get(scene.gateway.port, "localhost", "/deep", &html());
    assert!([302, 303].contains(&reply.status()), "{}", reply.0);
    assert!(scene.app.take().is_empty());
}

/// Headers by which other gateways let health checks and their own machines in.
const SWORN: [(&str, &str); 12] = [
    ("User-Agent", "kube-probe/1.30"),
    ("User-Agent", "GoogleHC/1.0"),
    ("User-Agent", "ELB-HealthChecker/2.0"),
    ("X-Health-Check", "1"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Original-URL", "/health"),
    ("X-Forwarded-Uri", "/health"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-HTTP-Method-Override", "OPTIONS"),
    ("Remote-User", "alice"),
    ("X-Vestibule-Internal", "true"),
];

/// P-03: whether the gateway lives is told at one address, and no header changes the decision about
/// a request.
#[tokio::test]
async fn p_03_no_header_changes_a_decision_and_health_has_one_address() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/health"]);
        },
    )
    .await;
    let ask = |method: &str, target: &str, lines: &[String]| {
        raw::request(scene.gateway.port, method, "localhost", target, lines)
    };
    for (name, value) in SWORN {
        let line = [format!("{name}: {value}")];
        for target in ["/page", "/healthz", "/health/", "/auth", "/auth/sessions"] {
            let plain = ask("GET", target, &[]).status();
            let sworn = ask("GET", target, &line);
            assert_eq!(sworn.status(), plain, "{name}: {value} for {target}: {}", sworn.0);
            assert!(![200, 204].contains(&sworn.status()), "{target}: {}", sworn.0);
        }
        assert!(scene.app.take().is_empty(), "{name}: {value} reached the application");
        assert_eq!(ask("GET", "/health", &line).status(), 200, "the control: a public path");
        assert_eq!(scene.app.take_one().target(), "/health");
    }
    assert_eq!(ask("GET", "/auth/health", &[]).status(), 200, "the control: the gateway lives");
    for (method, target) in [
        ("POST", "/auth/health"),
        ("GET", "/auth/health/x"),
        ("GET", "/auth/healthz"),
        ("GET", "/auth/Health"),
        ("GET", "/AUTH/health"),
        ("GET", "//auth/health"),
    ] {
        let status = ask(method, target, &["Content-Length: 0".to_owned()]).status();
        assert!((300..500).contains(&status), "{method} {target}: {status}");
    }
    assert!(scene.app.take().is_empty());
}
