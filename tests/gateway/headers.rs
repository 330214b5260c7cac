//! The request that reaches an application: identity headers that only we can write, cookies that
//! are not ours, and nothing that could be read twice (P-02, P-13, P-16, P-20, P-21).

use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::upstream::response;
use crate::harness::{Authenticator, Recorded, Scene, SeededRandom, Upstream, raw, socket};

/// Every header that an application might believe about a person or their address.
const BELIEVED: [&str; 22] = [
    "Remote-User",
    "Remote-Email",
    "Remote-Name",
    "Remote-Groups",
    "X-Vestibule-Assertion",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Auth-Request-User",
    "X-Authentik-Username",
    "X-WebAuth-User",
    "X-Remote-User",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
];
const LIE: &str = "root";

/// Spells names of headers in other ways.
struct Speller(SeededRandom);

impl Speller {
    /// Another spelling of a header's name that some application reads alike.
    fn spell(&mut self, name: &str) -> String {
        name.chars()
            .map(|c| match (c, self.0.roll(3)) {
                ('-', 0) => '_',
                (c, 1) => c.to_ascii_uppercase(),
                (c, 2) => c.to_ascii_lowercase(),
                (c, _) => c,
            })
            .collect()
    }
}

/// Our values, once each, whatever the client said.
#[track_caller]
fn check_identity(request: &Recorded, person: Option<&str>, context: &str) {
    let context = format!("{context}\n{}", request.text());
    assert!(!request.headers().iter().any(|(_, value)| value.contains(LIE)), "{context}");
    let expected: Vec<String> = person.map(str::to_owned).into_iter().collect();
    assert_eq!(request.folded("remote-user"), expected, "{context}");
    let email: Vec<_> = person.map(|person| format!("{person}@example.com")).into_iter().collect();
    assert_eq!(request.folded("remote-email"), email, "{context}");
    assert_eq!(request.folded("remote-name").len(), expected.len(), "{context}");
    assert_eq!(request.folded("x-vestibule-assertion").len(), expected.len(), "{context}");
    assert_eq!(request.folded("x-forwarded-for"), ["127.0.0.1"], "{context}");
    for (name, _) in request.headers() {
        assert!(!name.contains('_'), "{context}");
    }
    for gone in &BELIEVED[8..] {
        assert!(request.folded(gone).is_empty(), "{gone}: {context}");
    }
}

#[tokio::test]
async fn p_02_application_sees_only_our_identity_headers() {
    const SEED: u64 = 20_260_102;
    const ROUNDS: usize = 300;
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/open"]);
        },
    )
    .await;
    let token = scene.alice.session().unwrap();
    let mut random = Speller(SeededRandom::new(SEED));
    for round in 0..ROUNDS {
        let mut lines: Vec<_> = (0..=random.0.roll(6))
            .map(|_| {
                let name = BELIEVED[random.0.roll(BELIEVED.len())];
                let separator = [":", ": ", ":\t", ":   "][random.0.roll(4)];
                format!("{}{separator}{LIE}", random.spell(name))
            })
            .collect();
        let (path, person) =
            [("/page", Some("alice")), ("/open", Some("alice")), ("/open", None)][random.0.roll(3)];
        if person.is_some() {
            lines.insert(random.0.roll(lines.len()), format!("Cookie: vestibule={token}"));
        }
        scene.app.take();
        let reply = raw::get(scene.gateway.port, "localhost", path, &lines);
        let seen = scene.app.take();
        let context = format!("seed {SEED}, round {round}: {lines:#?}");
        assert!([200, 400].contains(&reply.status()), "{context}: {}", reply.0);
        assert_eq!(seen.len(), usize::from(reply.status() == 200), "{context}");
        for request in &seen {
            check_identity(request, person, &context);
        }
    }
    // Every name at least once as itself, with both values empty and not.
    for name in BELIEVED {
        let lines = [format!("Cookie: vestibule={token}"), format!("{name}:"), format!("{name}: {LIE}")];
        raw::get(scene.gateway.port, "localhost", "/page", &lines);
        check_identity(&scene.app.take_one(), Some("alice"), name);
    }
}

#[tokio::test]
async fn p_02_refuses_header_name_variants() {
    let scene = Scene::set().await;
    let token = scene.alice.session().unwrap();
    for line in [
        "Remote-User : root",
        "Remote-User\t: root",
        " Remote-User: root",
        "Remote\0User: root",
        "R\u{e9}mote-User: root",
    ] {
        let lines = [format!("Cookie: vestibule={token}"), line.to_owned()];
        scene.app.take();
        let reply = raw::get(scene.gateway.port, "localhost", "/page", &lines);
        for request in scene.app.take() {
            check_identity(&request, Some("alice"), line);
        }
        assert_eq!(reply.status(), 400, "{line:?}: {}", reply.0);
    }
    let lines = [format!("Cookie: vestibule={token}"), "Remote-User: root".to_owned()];
    assert_eq!(raw::get(scene.gateway.port, "localhost", "/page", &lines).status(), 200);
    check_identity(&scene.app.take_one(), Some("alice"), "a header like any other");
}

#[tokio::test]
async fn p_02_over_http_2_too() {
    let scene = Scene::with(|config| config.tls("auth.example.test"), |_| {}).await;
    scene.app.take();
    for name in BELIEVED {
        for spelling in [name.to_lowercase(), name.to_lowercase().replace('-', "_")] {
            let request = scene.alice.request(Method::GET, &scene.url("/page")).header(spelling, LIE);
            let reply = scene.alice.send(request).await.expect(200);
            assert_eq!(reply.version, reqwest::Version::HTTP_2);
            let request = scene.app.take_one();
            check_identity(&request, Some("alice"), name);
            assert_eq!(request.value("x-forwarded-proto"), "https");
        }
    }
}

/// Opens a WebSocket as Alice's browser would, with every lie there is, and waits for an echo.
async fn echo(scene: &Scene) -> Result<Message, tokio_tungstenite::tungstenite::Error> {
    let port = scene.gateway.port;
    let mut request = format!("ws://127.0.0.1:{port}/socket").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("host", format!("localhost:{port}").parse().unwrap());
    headers.insert("origin", format!("http://localhost:{port}").parse().unwrap());
    let cookies = format!("a=1; vestibule={}; b=2", scene.alice.session().unwrap());
    headers.insert("cookie", cookies.parse().unwrap());
    for name in BELIEVED {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), LIE.parse().unwrap());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    socket.send(Message::text("hello")).await?;
    socket.next().await.unwrap()
}

#[tokio::test]
async fn p_02_over_a_websocket_too() {
    let scene = Scene::set().await;
    scene.app.take();
    assert_eq!(echo(&scene).await.unwrap(), Message::text("hello"));
    let request = scene.app.take_one();
    check_identity(&request, Some("alice"), "WebSocket");
    assert_eq!(request.value("cookie"), "a=1; b=2");
}

#[tokio::test]
async fn p_13_connection_header_cannot_remove_ours() {
    let scene = Scene::set().await;
    let token = scene.alice.session().unwrap();
    let port = scene.gateway.port;
    scene.app.take();
    for connection in [
        "Connection: close, Remote-User",
        "Connection: remote-user, close",
        "Connection: close,REMOTE-USER,x-vestibule-assertion",
        "Connection: close\r\nConnection: Remote-User",
        "connection: close,\tremote-user\t,",
        "Connection: Remote_User, close",
        "Connection: close, x-forwarded-for, X-Forwarded-Proto",
        "Connection: close, cookie",
        "Connection: close, host",
        "Connection: close, Remote-User, Remote-User, Remote-Email, Remote-Name, Remote-Groups",
        "Connection: close, a, b, c, d, e, f, g, h, i, j, k, Remote-User",
        "Proxy-Connection: Remote-User\r\nConnection: close",
        "Connection: close\r\nKeep-Alive: Remote-User",
    ] {
        let request = format!(
            "GET /page HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: a=1; vestibule={token}\r\nRemote-User: {LIE}\r\n{connection}\r\n\r\n"
        );
        let reply = raw::exchange(port, request.as_bytes());
        let seen = scene.app.take();
        assert_eq!(seen.len(), usize::from(reply.status() == 200), "{connection}: {}", reply.0);
        assert!([200, 400].contains(&reply.status()), "{connection}: {}", reply.0);
        for request in seen {
            check_identity(&request, Some("alice"), connection);
            assert_eq!(request.values("x-forwarded-proto"), ["http"], "{connection}");
        }
    }
}

#[tokio::test]
async fn p_16_removes_our_cookies_and_keeps_others() {
    let scene = Scene::set().await;
    let token = scene.alice.session().unwrap();
    let port = scene.gateway.port;
    let ours = format!("vestibule={token}");
    for (sent, forwarded) in [
        (ours.clone(), None),
        (format!("a=1; {ours}"), Some("a=1")),
        (format!("{ours}; a=1; b=\"x y\";c=;  d"), Some("a=1; b=\"x y\";c=;  d")),
        (format!("a=1;{ours};b=2"), Some("a=1;b=2")),
        (format!("vestibule-nonce=x; {ours}; z=__Host-vestibule"), Some("z=__Host-vestibule")),
        (format!("__Host-vestibule=x; {ours}; __Host-vestibule-nonce=y; q=\u{e9}"), Some("q=\u{e9}")),
        (
            format!("xvestibule=1; {ours}; vestibule2=2; Vestibule=3"),
            Some("xvestibule=1; vestibule2=2; Vestibule=3"),
        ),
    ] {
        scene.app.take();
        let reply = raw::get(port, "localhost", "/page", &[format!("Cookie: {sent}")]);
        assert_eq!(reply.status(), 200, "{sent}: {}", reply.0);
        let request = scene.app.take_one();
        assert!(!request.text().contains(&token), "{sent}");
        let expected: Vec<String> = forwarded.map(str::to_owned).into_iter().collect();
        assert_eq!(request.values("cookie"), expected, "{sent}");
    }
}

#[tokio::test]
async fn p_16_over_https_the_application_keeps_its_own_challenge() {
    let scene = Scene::with(|config| config.tls("auth.example.test"), |_| {}).await;
    scene.app.take();
    let session = scene.alice.session().unwrap();
    for (name, value) in
        [("challenge", "app"), ("__Host-challenge", "ours"), ("__Host-vestibule-nonce", "ours"), ("sid", "1")]
    {
        scene.alice.jar().plant("auth.example.test", name, value);
    }
    scene.alice.fetch(Method::GET, &scene.url("/page"), None).await.expect(200);
    let request = scene.app.take_one();
    assert!(!request.text().contains(&session));
    assert_eq!(request.value("cookie"), "challenge=app; sid=1", "{}", request.text());
}

#[tokio::test]
async fn p_20_no_header_without_a_value() {
    let custom = "headers = { X-Groups = \"{groups}\", Remote-User = \"{username}\" }";
    for line in ["headers = \"remote\"", custom] {
        let scene = Scene::with(
            |_| {},
            |route| {
                route.public(&["/open"]).line(line);
            },
        )
        .await;
        let lies = ["Remote-Groups: admin", "X-Groups: admin", "Remote-User: admin", "Remote-Name: admin"];
        let mut sent: Vec<String> = lines_of(&lies);
        scene.app.take();
        raw::get(scene.gateway.port, "localhost", "/open", &sent);
        let anonymous = scene.app.take_one();
        for name in [
            "remote-user",
            "remote-groups",
            "remote-name",
            "remote-email",
            "x-groups",
            "x-vestibule-assertion",
        ] {
            // A header that no route writes is the client's own.
            let ours = name != "x-groups" || line == custom;
            assert!(!ours || anonymous.folded(name).is_empty(), "{name}: {}", anonymous.text());
        }
        sent.push(format!("Cookie: vestibule={}", scene.alice.session().unwrap()));
        raw::get(scene.gateway.port, "localhost", "/page", &sent);
        let request = scene.app.take_one();
        assert_eq!(request.folded("remote-user"), ["alice"]);
        assert!(request.folded("remote-groups").is_empty());
        assert!(line != custom || request.folded("x-groups").is_empty());
        // As soon as there is a value, the header is sent.
        scene.gateway.operate(&["user", "groups", "alice", "staff", "ops"]);
        raw::get(scene.gateway.port, "localhost", "/page", &sent);
        let name = if line == custom { "x-groups" } else { "remote-groups" };
        assert_eq!(scene.app.take_one().folded(name), ["ops,staff"]);
    }
}

fn lines_of(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[tokio::test]
async fn p_21_names_cannot_split_headers() {
    let scene = Scene::set().await;
    let long = "n".repeat(4_096);
    for wrong in ["a\r\nX-Admin: 1", "a\nb", "a\0b", "\u{85}", "\u{202e}evil", "", long.as_str()] {
        // Without a name, one is made from the address.
        if !wrong.trim().is_empty() {
            let link = scene.gateway.invite("x@example.com", &[]);
            scene.anonymous().redeem(&link, None, wrong).await.expect_problem(422);
        }
        let below = format!("passkeys/{}", first_passkey(&scene).await);
        scene.alice.patch(&below, &json!({ "name": wrong })).await.expect_problem(422);
    }
    let emoji = "\u{1f511}".repeat(200);
    for (number, name) in
        (10..).zip(["Zo\u{eb} \u{1f511}", "100% \"quoted\", comma; semi", "a\u{2028}line", &emoji])
    {
        let mut device = Authenticator::new(number);
        let browser = scene.anonymous();
        let email = format!("p{number}@example.com");
        browser.enrol(&scene.gateway.invite(&email, &[]), &email, name, &mut device).await;
        scene.app.take();
        browser.fetch(Method::GET, &scene.url("/page"), None).await.expect(200);
        let value = scene.app.take_one().value("remote-name");
        assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value}");
        assert_eq!(percent_decoded(&value), name, "nothing is lost");
    }
    // The requested address comes back in Location without making a header of its own.
    for target in ["/page?x=%0d%0aX-Evil:%201", "/page?x=%E2%80%A8", "/a%20b?c=%00d"] {
        let reply = raw::get(scene.gateway.port, "localhost", target, &lines_of(&["Accept: text/html"]));
        assert!([302, 303, 307].contains(&reply.status()), "{target}: {}", reply.0);
        assert!(reply.values("x-evil").is_empty(), "{}", reply.0);
    }
}

async fn first_passkey(scene: &Scene) -> String {
    scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut hex = String::new();
            let _ = write!(hex, "{}{}", char::from(rest.next().unwrap()), char::from(rest.next().unwrap()));
            bytes.push(u8::from_str_radix(&hex, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn f_27_a_body_whose_end_has_two_readings_is_refused() {
    let scene = Scene::set().await;
    let ask = |line: &str| raw::get(scene.gateway.port, "localhost", "/page", &[line.to_owned()]).status();
    for line in ["Content-Length: 3, 3", "Content-Length: 0\r\nContent-Length: 0"] {
        assert_eq!(ask(line), 400, "{line}");
    }
    assert_eq!(ask("Content-Length: 0"), 401, "a body with one end is asked to sign in");
    assert!(scene.app.take().is_empty());
}

/// An HTTP/2 body whose end is an empty frame once reached the application with two ends, and the
/// second one stood before another user's request on the pooled connection.
#[tokio::test]
async fn f_25_a_body_that_ends_with_an_empty_frame_has_one_end() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/upload"]);
        },
    )
    .await;
    scene.app.take();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for _ in 0..3 {
        let frame = Full::new(Bytes::from_static(b"last")).frame().await.unwrap();
        // Its length is not known before, so the end comes in a frame of its own.
        let body = StreamBody::new(futures_util::stream::iter([frame]));
        let sent = client.post(scene.url("/upload")).body(reqwest::Body::wrap(body)).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
    let seen = scene.app.take();
    assert_eq!(seen.len(), 3, "{seen:?}");
    for request in seen {
        assert!(request.text().starts_with("POST /upload "), "{}", request.text());
        assert_eq!(request.body, b"last");
    }
}

/// A page of one application acts in another with its visitor's cookie, which browsers send along
/// within one domain.
#[tokio::test]
async fn f_13_refuses_changes_from_another_applications_page() {
    for (line, refused) in [("", true), ("cross_origin = \"pass\"", false)] {
        let scene = Scene::with(
            |_| {},
            |route| {
                route.line(line);
            },
        )
        .await;
        scene.app.take();
        for (name, value) in [
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://wiki.localhost"),
            ("origin", "null"),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                let request = scene.alice.request(method.clone(), &scene.url("/change")).header(name, value);
                let reply = scene.alice.send(request).await;
                if refused {
                    let problem = reply.expect_problem(403);
                    assert_eq!(problem["code"], "wrong_origin", "{method} {name}: {value}");
                    assert!(scene.app.take().is_empty(), "{method} {name}: {value} was forwarded");
                } else {
                    reply.expect(200);
                    assert_eq!(scene.app.take_one().value("remote-user"), "alice");
                }
            }
            // Reading changes nothing, and links between applications go on working.
            let request = scene.alice.request(Method::GET, &scene.url("/page")).header(name, value);
            scene.alice.send(request).await.expect(200);
            scene.app.take();
        }
        for (name, value) in
            [("origin", scene.alice.origin()), ("sec-fetch-site", "same-origin"), ("accept", "*/*")]
        {
            let request = scene.alice.request(Method::POST, &scene.url("/change")).header(name, value);
            scene.alice.send(request).await.expect(200);
            assert_eq!(scene.app.take_one().value("remote-user"), "alice");
        }
    }
}

/// Applications make links for mails from this host.
#[tokio::test]
async fn f_20_forwards_the_configured_host() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/page"]);
        },
    )
    .await;
    let right = format!("localhost:{}", scene.gateway.port);
    scene.app.take();
    for written in [right.as_str(), "localhost", "LOCALHOST:1", "localhost.:8443", "localhost:0443"] {
        let request = format!("GET /page HTTP/1.1\r\nHost: {written}\r\nConnection: close\r\n\r\n");
        let reply = raw::exchange(scene.gateway.port, request.as_bytes());
        assert_eq!(reply.status(), 200, "{written}: {}", reply.0);
        let seen = scene.app.take_one();
        assert_eq!(seen.value("host"), right, "{written}");
        assert_eq!(seen.value("x-forwarded-host"), right, "{written}");
    }
}

#[tokio::test]
async fn f_05_removal_from_a_group_ends_the_stream() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&["group:staff", "group:guests"]);
        },
    )
    .await;
    let (bob, _) = scene.invited("bob@example.com", 41).await;
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    let open = async || {
        let mut socket = socket::open(&scene.gateway, &bob).await;
        socket.says("one").await;
        socket
    };
    // A change that keeps Bob's rights keeps the stream.
    let mut socket = open().await;
    scene.gateway.operate(&["user", "groups", "bob", "guests"]);
    socket.says("two").await;

    scene.gateway.operate(&["user", "groups", "bob", "others"]);
    socket.ends().await;
    assert!(bob.is_signed_in().await, "the session goes on");

    // Disabling the account ends it as well, and a group that comes back opens the route again.
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    let socket = open().await;
    scene.gateway.operate(&["user", "disable", "bob"]);
    socket.ends().await;
}

/// A route that names users lets no stream of a user go on whose username is another one by then.
#[tokio::test]
async fn f_05_a_lost_username_ends_the_stream() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&["user:carol", "user:robin"]);
        },
    )
    .await;
    let (bob, _) = scene.invited("bob@example.com", 41).await;
    let rename = async |name: &str| {
        let file = scene.gateway.directory().join("users.toml");
        let declared = format!("[[user]]\nemail = \"bob@example.com\"\nusername = \"{name}\"\n");
        std::fs::write(&file, declared).unwrap();
        scene.gateway.operate(&["apply", file.to_str().unwrap()]);
    };
    rename("carol").await;
    let mut socket = socket::open(&scene.gateway, &bob).await;
    socket.says("one").await;
    // The second name is the route's as well.
    rename("robin").await;
    socket.says("two").await;
    rename("dave").await;
    socket.ends().await;
    assert!(bob.is_signed_in().await, "the session goes on");
}

/// The headers that a route strips and lets through, beyond the families.
#[tokio::test]
async fn f_11_route_header_rules_apply() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.line("strip_headers = [\"X-Legacy-*\"]");
            route.line("pass_headers = [\"X-Auth-Token\", \"Remote-User\"]");
        },
    )
    .await;
    let url = scene.url("/page");
    let mut request = scene.alice.fetching(Method::GET, &url, None);
    for (name, value) in [
        ("X-Legacy-User", LIE),
        ("X-Auth-Token", "the application's own"),
        ("X-Auth-Username", LIE),
        ("Remote-User", LIE),
        ("X-Plain", "kept"),
    ] {
        request = request.header(name, value);
    }
    scene.app.take();
    scene.alice.send(request).await.expect(200);
    let seen = scene.app.take().pop().unwrap();
    assert_eq!(seen.value("x-auth-token"), "the application's own");
    assert_eq!(seen.value("x-plain"), "kept");
    assert_eq!(seen.value("remote-user"), "alice", "an identity is never let through");
    for name in ["x-legacy-user", "x-auth-username"] {
        assert!(seen.values(name).is_empty(), "{name}");
    }
}

/// A service worker would control the sign-in pages, and stay when the application is repaired.
#[tokio::test]
async fn f_09_refuses_service_workers_on_the_auth_host() {
    let scene = Scene::with(
        |config| {
            config.route("elsewhere", 9).host("app.localhost");
        },
        |_| {},
    )
    .await;
    let fetch = async |worker: bool| {
        let request = scene.alice.fetching(Method::GET, &scene.url("/sw.js"), None);
        let request = if worker { request.header("service-worker", "script") } else { request };
        scene.alice.send(request).await
    };
    scene.app.take();
    assert_eq!(fetch(true).await.expect_problem(403)["code"], "forbidden");
    assert!(scene.app.take().is_empty());
    fetch(false).await.expect(200);
    assert_eq!(scene.app.take().len(), 1);
}

/// On a host of its own an application installs what it likes, and nothing there reaches the
/// sign-in pages.
#[tokio::test]
async fn f_09_an_application_installs_a_service_worker_on_its_own_host() {
    let allowing = Upstream::answering(|_| {
        response("200 OK", &[("Service-Worker-Allowed", "/"), ("X-Plain", "kept")], "self")
    });
    let scene = Scene::with(
        |config| {
            config.route("elsewhere", allowing.port).host("app.localhost").public(&["/*"]);
        },
        |route| {
            route.public(&["/open/*"]);
        },
    )
    .await;
    let host = format!("Host: app.localhost:{}", scene.gateway.port);
    let ask = |host: String, path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\n{host}\r\nService-Worker: script\r\nConnection: close\r\n\r\n");
        raw::exchange(scene.gateway.port, request.as_bytes())
    };
    let own = ask(host, "/sw.js");
    assert_eq!(own.status(), 200, "{}", own.0);
    assert!(own.0.to_ascii_lowercase().contains("service-worker-allowed: /"), "{}", own.0);
    let shared = ask(format!("Host: localhost:{}", scene.gateway.port), "/open/sw.js");
    assert_eq!(shared.status(), 403, "{}", shared.0);
}

/// On the auth host no answer of an application widens what a service worker may control.
#[tokio::test]
async fn f_09_the_auth_host_passes_no_service_worker_allowed_on() {
    let allowing = Upstream::answering(|_| {
        response("200 OK", &[("Service-Worker-Allowed", "/"), ("X-Plain", "kept")], "self")
    });
    let scene = Scene::with(
        |config| {
            config.route("shared", allowing.port).path("/shared").public(&["/shared/*"]);
        },
        |_| {},
    )
    .await;
    let reply = raw::get(scene.gateway.port, "localhost", "/shared/page", &[]);
    let head = reply.0.to_ascii_lowercase();
    assert_eq!(reply.status(), 200, "{head}");
    assert!(head.contains("x-plain: kept"), "{head}");
    assert!(!head.contains("service-worker-allowed"), "{head}");
}

/// F24: a trusted proxy's `X-Forwarded-Host` is not read. The host is the one of `Host`, which
/// decides about routes and origins.
#[tokio::test]
async fn f_24_a_forwarded_host_chooses_no_route_also_from_a_trusted_proxy() {
    let other = Upstream::start();
    let scene = Scene::with(
        |config| {
            config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
            config.route("other", other.port).host("app.localhost").public(&["/*"]);
        },
        |_| {},
    )
    .await;
    let port = scene.gateway.port;
    let said = vec![format!("X-Forwarded-Host: app.localhost:{port}")];
    assert_eq!(raw::get(port, "localhost", "/page", &said).status(), 401);
    assert!(other.take().is_empty());
    assert_eq!(raw::get(port, "app.localhost", "/page", &said).status(), 200, "the control");
    assert_eq!(other.take_one().value("x-forwarded-host"), format!("app.localhost:{port}"));
}
