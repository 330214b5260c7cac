//! The hosts that the gateway connects to: the upstreams of its configuration, and no host that a
//! request or an answer names (P-22).

use std::io::ErrorKind;
use std::net::TcpListener;

use reqwest::Method;

use crate::harness::upstream::response;
use crate::harness::{Scene, Upstream, raw};

/// A port that no client has any business with. It answers nothing; a connection is enough.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    #[track_caller]
    fn check_alone(&self, context: &str) {
        match self.0.accept() {
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{context}"),
            Ok(_) => panic!("the gateway connected to where a request led it: {context}"),
        }
    }
}

/// Sends a request as Alice; it is refused, or the application gets it, and no other host does.
fn check(scene: &Scene, canary: &Canary, line: &str, host: &str, more: &str) {
    let session = scene.alice.session().unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\n{host}Connection: close\r\nCookie: vestibule={session}\r\nAccept: text/html\r\n{more}\r\n"
    );
    scene.app.take();
    let reply = raw::exchange(scene.gateway.port, request.as_bytes());
    canary.check_alone(&request);
    let seen = scene.app.take().len();
    let served = reply.status() == 200 && reply.0.ends_with("hello");
    assert_eq!(seen, usize::from(served), "{request}\n{}", reply.0);
    assert!(seen == 1 || reply.status() < 500, "{request}\n{}", reply.0);
}

/// The same for a WebSocket, which is closed as soon as it is open.
fn check_upgrade(scene: &Scene, canary: &Canary, line: &str, host: &str) {
    const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
    let session = scene.alice.session().unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    let head = format!("{line} HTTP/1.1\r\n{host}Cookie: vestibule={session}\r\n{upgrade}\r\n\r\n");
    raw::exchange(scene.gateway.port, &[head.as_bytes(), CLOSE].concat());
    canary.check_alone(line);
}

#[tokio::test]
async fn p_22_target_cannot_change_the_upstream() {
    let (scene, canary) = (Scene::set().await, Canary::new());
    let (port, there) = (scene.gateway.port, canary.port());
    let host = format!("Host: localhost:{port}\r\n");
    for target in [
        format!("http://127.0.0.1:{there}/page"),
        format!("http://localhost:{there}/page"),
        format!("https://localhost:{there}/page"),
        format!("HTTP://LOCALHOST:{there}/page"),
        format!("http://localhost@127.0.0.1:{there}/page"),
        format!("http://localhost:{port}@127.0.0.1:{there}/page"),
        format!("http://127.0.0.1:{there}#@localhost:{port}/page"),
        format!("http:127.0.0.1:{there}/page"),
        format!("ftp://127.0.0.1:{there}/page"),
        format!("file://127.0.0.1:{there}/page"),
        format!("unix:/tmp/x|http://127.0.0.1:{there}/page"),
        format!("//127.0.0.1:{there}/page"),
        format!("///127.0.0.1:{there}/page"),
        format!("/\\127.0.0.1:{there}/page"),
        format!("\\\\127.0.0.1:{there}\\page"),
        format!("/@127.0.0.1:{there}/page"),
        format!("@127.0.0.1:{there}/page"),
        format!(":{there}/page"),
        format!("127.0.0.1:{there}"),
        format!("/http://127.0.0.1:{there}/page"),
        format!("/page#http://127.0.0.1:{there}/"),
        format!("/..//127.0.0.1:{there}/"),
        "*".to_owned(),
    ] {
        for method in ["GET", "OPTIONS", "CONNECT", "PURGE"] {
            check(&scene, &canary, &format!("{method} {target}"), &host, "");
        }
        check_upgrade(&scene, &canary, &format!("GET {target}"), &host);
    }
}

#[tokio::test]
async fn p_22_host_cannot_change_the_upstream() {
    let (scene, canary) = (Scene::set().await, Canary::new());
    let (port, there) = (scene.gateway.port, canary.port());
    for host in [
        format!("Host: 127.0.0.1:{there}\r\n"),
        format!("Host: localhost:{there}\r\n"),
        format!("Host: localhost@127.0.0.1:{there}\r\n"),
        format!("Host: 127.0.0.1:{there}@localhost\r\n"),
        format!("Host: localhost:{port}#127.0.0.1:{there}\r\n"),
        format!("Host: localhost:{port}, 127.0.0.1:{there}\r\n"),
        format!("Host: localhost:{port} 127.0.0.1:{there}\r\n"),
        format!("Host: [::ffff:127.0.0.1]:{there}\r\n"),
        format!("Host: localhost.:{there}\r\n"),
        format!("Host: LOCALHOST:{there}\r\n"),
        format!("Host: 2130706433:{there}\r\n"),
        format!("Host: http://127.0.0.1:{there}/\r\n"),
        format!("Host: localhost:{port}\r\nHost: 127.0.0.1:{there}\r\n"),
        format!("Host: 127.0.0.1:{there}\r\nHost: localhost:{port}\r\n"),
        "Host:\r\n".to_owned(),
        String::new(),
    ] {
        for line in ["GET /page".to_owned(), format!("GET http://127.0.0.1:{there}/page")] {
            check(&scene, &canary, &line, &host, "");
        }
    }
}

/// Headers by which some proxies choose an upstream.
fn leading_headers(there: u16) -> Vec<String> {
    let names = [
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "X-Forwarded-For",
        "X-Original-Host",
        "X-Host",
        "X-HTTP-Host-Override",
        "X-Upstream",
        "X-Backend",
        "X-Proxy-Pass",
        "X-Accel-Redirect",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Uri",
        "Destination",
        "Referer",
        "Origin",
        "Via",
        "Alt-Used",
        "Proxy-Connection",
    ];
    let values = [format!("127.0.0.1:{there}"), format!("http://127.0.0.1:{there}/")];
    let all = names.iter().flat_map(|name| values.iter().map(move |value| format!("{name}: {value}\r\n")));
    let forwarded = format!("Forwarded: for=127.0.0.1;host=127.0.0.1:{there};proto=http\r\n");
    all.chain([forwarded, format!("X-Forwarded-Port: {there}\r\n")]).collect()
}

#[tokio::test]
async fn p_22_headers_cannot_change_the_upstream() {
    for trusted in ["trusted_proxies = []", "trusted_proxies = [\"127.0.0.1/32\"]"] {
        let scene = Scene::with(|config| config.server.push(trusted.to_owned()), |_| {}).await;
        let canary = Canary::new();
        let host = format!("Host: localhost:{}\r\n", scene.gateway.port);
        for header in leading_headers(canary.port()) {
            check(&scene, &canary, "GET /page", &host, &header);
        }
    }
}

#[tokio::test]
async fn p_22_parameters_cause_no_outgoing_request() {
    let (scene, canary) = (Scene::set().await, Canary::new());
    let there = format!("http://127.0.0.1:{}/", canary.port());
    let encoded: String = url::form_urlencoded::byte_serialize(there.as_bytes()).collect();
    let names = [
        "next",
        "rd",
        "to",
        "url",
        "redirect",
        "redirect_uri",
        "return_to",
        "target",
        "upstream",
        "callback",
        "logo",
        "jwks_uri",
    ];
    let query = names.map(|name| format!("{name}={encoded}")).join("&");
    let anonymous = scene.anonymous();
    for path in [
        "/page",
        "/auth",
        "/auth/login",
        "/auth/logout",
        "/auth/account",
        "/auth/enroll",
        "/auth/hand-off",
        "/auth/ready",
        "/auth/jwks.json",
        "/auth/sessions/current",
        "/auth/nothing",
        "/.well-known/passkey-endpoints",
    ] {
        for browser in [&scene.alice, &anonymous] {
            let url = scene.url(&format!("{path}?{query}"));
            browser.navigate(&url).await;
            browser.fetch(Method::GET, &url, None).await;
            canary.check_alone(path);
        }
    }
}

/// The browser follows an application's redirect, the gateway does not.
#[tokio::test]
async fn p_22_upstream_redirects_are_not_followed() {
    let canary = Canary::new();
    let there = format!("http://127.0.0.1:{}/elsewhere", canary.port());
    let port = canary.port();
    let app = Upstream::answering(move |request| {
        let target = request.target();
        let status = target.trim_start_matches('/');
        let alternative = format!("h2=\"127.0.0.1:{port}\"; ma=3600; persist=1");
        let preload = format!("<{there}>; rel=preload; as=script");
        let refresh = format!("0; url={there}");
        let headers = [
            ("Location", there.as_str()),
            ("Content-Location", &there),
            ("Refresh", &refresh),
            ("X-Accel-Redirect", &there),
            ("X-Sendfile", &there),
            ("X-Reproxy-URL", &there),
            ("Alt-Svc", &alternative),
            ("Link", &preload),
            ("Proxy-Authenticate", "Basic"),
        ];
        response(&format!("{status} Somewhere Else"), &headers, "look there")
    });
    let scene = Scene::before(app, |_| {}, |_| {}).await;
    scene.app.take();
    for status in [200, 201, 300, 301, 302, 303, 305, 307, 308, 401, 404, 407, 502, 503] {
        for round in 0..2 {
            let reply = scene.alice.fetch(Method::GET, &scene.url(&format!("/{status}")), None).await;
            assert_eq!(reply.status, status, "{reply}");
            let location = reply.header("location");
            assert!(location.ends_with("/elsewhere"), "{status}: it is passed on: {reply}");
            canary.check_alone(&format!("{status}, {round}"));
            assert_eq!(scene.app.take().len(), 1, "{status}: asked once, and no other");
        }
    }
}
