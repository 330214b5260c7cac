//! The proxy on real sockets, between raw clients and an upstream that shows the requests it got.
//!
//! The gateway is real and its store is in memory; sessions are written straight into the store,
//! because other tests show how a session is made. Names begin with the id of the hazard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod crowded;
mod rig;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use rig::{OWN_BODIES_BYTES, Rig, Sni, Tls};

/// More than enough for a flaw that closed one in a thousand.
const UPGRADES: u32 = 2_000;
const CLOSE: &str = "Connection: close\r\n";

#[tokio::test]
async fn p_10_anonymous_requests_reach_no_upstream() {
    let rig = Rig::start(Tls::Off).await;
    let answer = rig.ask("GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("outcome: sign-in\r\n"), "{answer}");
    assert!(answer.contains("x-request-id: "), "{answer}");
    for (request, outcome) in [
        ("GET / HTTP/1.1\r\nHost: other.localhost", "unknown-host"),
        ("GET /a\\b HTTP/1.1\r\nHost: app.localhost", "malformed"),
        ("GET http://app.localhost/ HTTP/1.1\r\nHost: app.localhost", "malformed"),
        ("GET /public/../x HTTP/1.1\r\nHost: app.localhost", "ambiguous"),
        ("GET /public/%2e%2e/x HTTP/1.1\r\nHost: app.localhost", "ambiguous"),
        ("GET /Public/x HTTP/1.1\r\nHost: app.localhost", "ambiguous"),
        ("GET /DEAD HTTP/1.1\r\nHost: app.localhost", "ambiguous"),
        ("GET /dead%20 HTTP/1.1\r\nHost: app.localhost", "ambiguous"),
        ("GET / HTTP/1.1\r\nHost: auth.localhost", "no-route"),
        ("TRACE / HTTP/1.1\r\nHost: app.localhost", "method"),
        ("get / HTTP/1.1\r\nHost: app.localhost", "method"),
        ("GET / HTTP/1.0", "malformed"),
    ] {
        let answer = rig.ask(&format!("{request}\r\n{CLOSE}\r\n")).await;
        assert!(answer.contains(&format!("outcome: {outcome}\r\n")), "{request}: {answer}");
    }
    assert_eq!(rig.upstream_requests(), 0);
}

#[tokio::test]
async fn p_02_upstream_gets_only_our_identity_headers() {
    let rig = Rig::start(Tls::Off).await;
    let seen = rig
        .ask(&format!(
            "GET /x?y=%20 HTTP/1.1\r\nHost: App.localhost:80\r\nCookie: a=1; vestibule={}; b=\"2\"\r\n\
             Remote-User: root\r\nREMOTE-USER: root\r\nremote_user: root\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Vestibule-Assertion: forged\r\n\
             Remote-Groups: admin\r\nX-Request-Id: theirs\r\nForwarded: for=6.6.6.6\r\n\
             Connection: close, Remote-User, X-Vestibule-Assertion, X-Request-Id\r\n\
             Authorization: Basic eDp5\r\nX-Real-IP: 6.6.6.6\r\n\r\n",
            rig.token("app.localhost")
        ))
        .await
        .to_lowercase();
    assert!(seen.contains("get /x?y=%20 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: app.localhost\r\n"), "{seen}");
    assert!(seen.contains("\r\nremote-user: alice\r\n"), "{seen}");
    assert!(seen.contains("\r\nremote-email: alice@example.com\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-forwarded-proto: http\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-forwarded-host: app.localhost\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-vestibule-assertion: ey"), "{seen}");
    assert!(seen.contains("\r\ncookie: a=1; b=\"2\"\r\n"), "{seen}");
    assert!(seen.contains("\r\nauthorization: basic edp5\r\n"), "{seen}");
    for forged in
        ["root", "6.6.6.6", "evil", "forged", "theirs", "remote_user", "remote-groups", "vestibule="]
    {
        assert!(!seen.contains(forged), "{forged}: {seen}");
    }
    for ours in
        ["\r\nremote-user:", "\r\nx-forwarded-for:", "\r\nx-request-id:", "\r\nx-vestibule-assertion:"]
    {
        assert_eq!(seen.matches(ours).count(), 1, "{ours}: {seen}");
    }
}

#[tokio::test]
async fn p_02_public_path_sends_no_identity() {
    let rig = Rig::start(Tls::Off).await;
    let seen = rig
        .ask(
            "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nRemote-User: root\r\nConnection: close\r\n\r\n",
        )
        .await
        .to_lowercase();
    assert!(seen.contains("get /public/a"), "{seen}");
    assert!(!seen.contains("remote-user"), "{seen}");
}

#[tokio::test]
async fn p_16_an_upstream_cannot_set_our_cookie() {
    let rig = Rig::start(Tls::Off).await;
    let answer = rig.ask_signed_in("GET /set-cookie HTTP/1.1", "").await;
    assert!(answer.to_lowercase().contains("set-cookie: sid=1"), "{answer}");
    assert!(!answer.contains("evil"), "{answer}");
}

#[tokio::test]
async fn p_25_ignores_bytes_after_a_refused_request() {
    let rig = Rig::start(Tls::Off).await;
    let answer = rig
        .ask(
            "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 100\r\n\r\n\
             GET /public/smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
        )
        .await;
    assert!(answer.contains("outcome: sign-in"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(rig.upstream_requests(), 0);
}

#[tokio::test]
async fn p_33_headers_and_bodies_have_limits() {
    let rig = Rig::start(Tls::Off).await;
    let own = |body: usize| {
        format!(
            "POST /auth/echo HTTP/1.1\r\nHost: auth.localhost\r\n{CLOSE}Content-Length: {body}\r\n\r\n{}",
            "x".repeat(body)
        )
    };
    assert!(rig.ask(&own(64 * 1024)).await.contains("length: 65536\r\n"));
    assert!(rig.ask(&own(64 * 1024 + 1)).await.contains("outcome: body-too-large\r\n"));
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let chunked = format!(
        "POST /auth/echo HTTP/1.1\r\nHost: auth.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    );
    assert!(rig.ask(&chunked).await.contains("outcome: body-too-large\r\n"));
    let long = format!("X-Long: {}", "x".repeat(33 * 1024));
    let answer = rig.ask_signed_in("GET / HTTP/1.1", &long).await;
    assert!(answer.contains("outcome: headers-too-large\r\n"), "{answer}");
}

#[tokio::test]
async fn p_33_limits_anonymous_bodies_in_total() {
    let rig = Rig::start(Tls::Off).await;
    let request = |line: &str, headers: &str| {
        format!("{line} /auth/echo HTTP/1.1\r\nHost: auth.localhost\r\n{CLOSE}{headers}\r\n")
    };
    let length = OWN_BODIES_BYTES * 2 / 5;
    let slow = request("POST", &format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"));
    let mut slow_ones = Vec::new();
    for _ in 0..2 {
        let mut open = rig.open(&slow).await;
        open.read_until("100 Continue").await;
        open.write(&vec![b'x'; length - 1]).await;
        slow_ones.push(open);
    }
    let post =
        |length: usize| request("POST", &format!("Content-Length: {length}\r\n")) + &"x".repeat(length);
    // The gateway has read the sent bytes when it refuses the next request.
    let mut refused = String::new();
    for _ in 0..200 {
        refused = rig.ask(&post(length)).await;
        if refused.contains("outcome: unavailable\r\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused.contains("outcome: unavailable\r\n"), "{refused}");
    assert!(rig.ask(&post(5)).await.contains("length: 5\r\n"), "a small one has room");
    assert!(rig.ask(&request("GET", "")).await.contains("length: 0\r\n"), "no body needs no room");
    for mut open in slow_ones {
        open.write(b"x").await;
        open.read_until(&format!("length: {length}\r\n")).await;
    }
    assert!(rig.ask(&post(length)).await.contains(&format!("length: {length}\r\n")));
}

/// Requests whose bodies do not come take nothing from others (more of them than there were permits).
#[tokio::test]
async fn f_01_unsent_bodies_reserve_nothing() {
    let rig = Rig::start(Tls::Off).await;
    let request = |body: &str| {
        format!(
            "POST /auth/echo HTTP/1.1\r\nHost: auth.localhost\r\n{CLOSE}Content-Length: 65536\r\n\r\n{body}"
        )
    };
    let mut silent = Vec::new();
    for n in 0..1_100 {
        silent.push(rig.open(&request(if n % 2 == 0 { "" } else { "x" })).await);
    }
    assert!(rig.ask(&request(&"x".repeat(65_536))).await.contains("length: 65536\r\n"));
    // After the time that a body may take, the silent connections are gone.
    silent.swap_remove(0).read_to_end().await;
}

#[tokio::test]
async fn p_36_upstream_failures_show_our_pages() {
    let rig = Rig::start(Tls::Off).await;
    for (path, outcome) in [("/reset", "failed"), ("/never", "timed-out"), ("/garbage", "failed")] {
        let answer = rig.ask_signed_in(&format!("GET {path} HTTP/1.1"), "").await;
        assert!(answer.contains(&format!("outcome: upstream-{outcome}\r\n")), "{path}: {answer}");
    }
    let answer = rig.ask_signed_in("GET /dead/x HTTP/1.1", "").await;
    assert!(answer.contains("outcome: upstream-failed\r\n"), "{answer}");
    let answer = rig.ask_signed_in("GET /half/x HTTP/1.1", "").await;
    assert!(answer.contains("200 OK"), "one dead upstream of two: {answer}");
    let answer = rig.ask_signed_in("POST /by-name/x HTTP/1.1", "Content-Length: 0").await;
    assert!(answer.contains("200 OK"), "one dead address of two: {answer}");
}

#[tokio::test]
async fn p_27_websockets_pass_where_they_may() {
    let rig = Rig::start(Tls::Off).await;
    let upgrade = |origin: &str| {
        format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nOrigin: {origin}")
    };
    let origin = rig.origin("app.localhost");
    let mut open = rig.open_signed_in("GET /ws HTTP/1.1", &upgrade(&origin)).await;
    assert!(open.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 101"), "{}", open.seen());
    open.write(b"hello").await;
    open.read_until("hello").await;

    let foreign = upgrade("http://evil.localhost");
    for (path, headers) in [("/ws", &foreign), ("/no-ws/ws", &upgrade(&origin))] {
        let mut refused = rig.open_signed_in(&format!("GET {path} HTTP/1.1"), headers).await;
        let answer = refused.read_until("gate").await;
        assert!(answer.contains("outcome: upgrade-refused\r\n"), "{answer}");
    }
}

/// An application that answers an upgrade before it has read the request, and then echoes.
async fn hasty_application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

/// An address at which no process answers or refuses: the queue of its listener is full, so that
/// the kernel drops new connections. It stays so for as long as the returned value is kept.
async fn silent_address() -> (SocketAddr, impl Sized) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 64, "the queue is never full");
    }
    (address, (listener, waiting))
}

/// A connection for an upgrade is made by a connector of its own, which the route's time bounds as
/// well.
#[tokio::test]
async fn p_27_a_websocket_to_an_address_that_never_answers_is_given_up() {
    let (address, _kept) = silent_address().await;
    let rig = Rig::before(Tls::Off, address, Arc::default()).await;
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x";
    let mut open = rig.open_signed_in("GET /ws HTTP/1.1", upgrade).await;
    // The rig's routes have a second for it; a kernel tries for minutes.
    let answer = tokio::time::timeout(Duration::from_secs(5), open.read_until("gate")).await;
    let answer = answer.expect("it is given up");
    assert!(answer.contains("outcome: upstream-"), "{answer}");
}

/// cloudflare/pingora#946: a 101 that overtook the end of the request's empty body closed the
/// WebSocket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p_27_websocket_survives_an_early_101() {
    let rig = Rig::before(Tls::Off, hasty_application().await, Arc::default()).await;
    for n in 0..UPGRADES {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade";
        let mut open = rig.open_signed_in("GET /ws HTTP/1.1", upgrade).await;
        assert!(open.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 101"), "{n}: {}", open.seen());
        open.write(b"hello").await;
        open.read_until("hello").await;
    }
}

#[tokio::test]
async fn p_27_read_timeout_ends_an_idle_websocket() {
    let rig = Rig::start(Tls::Off).await;
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade";
    let mut idle = rig.open_signed_in("GET /brief/ws HTTP/1.1", upgrade).await;
    assert!(idle.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 101"), "{}", idle.seen());
    idle.write(b"hello").await;
    idle.read_until("hello").await;
    idle.read_to_end().await;
    rig.no_streams_left().await;
}

#[tokio::test]
async fn p_31_open_streams_end_with_their_session() {
    let rig = Rig::start(Tls::Off).await;
    let mut socket =
        rig.open_signed_in("GET /ws HTTP/1.1", "Upgrade: websocket\r\nConnection: Upgrade").await;
    socket.read_until("\r\n\r\n").await;
    let mut events = rig.open_signed_in("GET /events HTTP/1.1", "").await;
    events.read_until("first").await;
    assert_eq!(rig.open_streams(), 2);

    rig.end_session().await;
    tokio::time::timeout(Duration::from_secs(5), async {
        socket.read_to_end().await;
        events.read_to_end().await;
    })
    .await
    .expect("both streams end within five seconds");
    rig.no_streams_left().await;
}

#[tokio::test]
async fn p_31_one_http2_stream_ends_without_its_neighbours() {
    let rig = Rig::start(Tls::Off).await;
    let client = rig.http2_client("app.localhost");
    let mut events = rig.get_signed_in(&client, "/events").send().await.unwrap();
    assert_eq!(events.version(), http::Version::HTTP_2);
    assert!(events.chunk().await.unwrap().is_some());
    let mut public = client.get(rig.url("/public/events")).send().await.unwrap();
    assert!(public.chunk().await.unwrap().is_some());

    rig.end_session().await;
    let ended = tokio::time::timeout(Duration::from_secs(5), events.chunk()).await.unwrap();
    assert!(ended.is_err(), "{ended:?}");
    rig.release_events();
    assert_eq!(public.chunk().await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn p_38_shutdown_lets_requests_finish_and_closes_idle_connections() {
    let rig = Rig::start(Tls::Off).await;
    let mut idle = rig.open_signed_in("GET /keep HTTP/1.1", "").await;
    idle.read_until("\r\n\r\n").await;
    let mut busy = rig.open_signed_in("GET /events HTTP/1.1", "").await;
    busy.read_until("first").await;
    rig.shut_down();
    idle.read_to_end().await;
    rig.release_events();
    busy.read_until("second").await;
    rig.ended().await;
}

#[tokio::test]
async fn p_11_refuses_a_host_other_than_sni() {
    let rig = Rig::start(Tls::On).await;
    let client = rig.tls_client("app.localhost", Sni::Sent);
    let seen = rig.tls_get(&client, "app.localhost", "/x", None).await.to_lowercase();
    assert!(seen.contains("x-forwarded-proto: https"), "{seen}");
    assert!(seen.contains("remote-user: alice"), "{seen}");
    let seen = rig.tls_get(&client, "app.localhost", "/x", Some("other-app.localhost")).await;
    assert!(seen.contains("outcome: misdirected"), "{seen}");

    let plain = rig.ask("GET /deep?a=b HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 308"), "{plain}");
    assert!(plain.to_lowercase().contains("location: https://app.localhost/deep?a=b\r\n"), "{plain}");
    let unknown = rig.ask("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(unknown.contains("outcome: unknown-host"), "{unknown}");
    let post = rig
        .ask("POST / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(post.starts_with("HTTP/1.1 403"), "{post}");
}

#[tokio::test]
async fn p_11_nameless_tls_uses_the_only_certificate() {
    for (tls, sni, word) in [
        (Tls::On, Sni::Omitted, "remote-user: alice"),
        (Tls::Twice, Sni::Omitted, "outcome: misdirected"),
        (Tls::Twice, Sni::Sent, "remote-user: alice"),
    ] {
        let rig = Rig::start(tls).await;
        let client = rig.tls_client("app.localhost", sni);
        let seen = rig.tls_get(&client, "app.localhost", "/x", None).await.to_lowercase();
        assert!(seen.contains(word), "{word}: {seen}");
    }
}

#[tokio::test]
async fn p_37_only_idempotent_requests_are_sent_twice() {
    for (method, outcome, received) in [("GET", "200 OK", 3), ("POST", "outcome: upstream-failed\r\n", 2)] {
        let rig = Rig::start(Tls::Off).await;
        let mut first =
            rig.open_signed_in(&format!("{method} /keep-alive HTTP/1.1"), "Content-Length: 0").await;
        first.read_until("kept").await;
        // The upstream reads one more request from that connection, and closes it.
        let answer = rig.ask_signed_in(&format!("{method} /x HTTP/1.1"), "Content-Length: 0").await;
        assert!(answer.contains(outcome), "{method}: {answer}");
        assert_eq!(rig.upstream_requests(), received, "{method}");
    }
}

#[tokio::test]
async fn p_32_http2_requests_arrive_as_the_same_http1_requests() {
    let rig = Rig::start(Tls::Off).await;
    let client = rig.http2_client("app.localhost");
    let request = rig.get_signed_in(&client, "/x?y");
    let request = request.header("cookie", "a=1").header("cookie", "b=2").header("remote-user", "root");
    let seen = request.send().await.unwrap().text().await.unwrap().to_lowercase();
    assert!(seen.starts_with("get /x?y http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: app.localhost\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-forwarded-host: app.localhost\r\n"), "{seen}");
    assert!(seen.contains("\r\nremote-user: alice\r\n"), "{seen}");
    assert!(seen.contains("\r\ncookie: a=1; b=2\r\n"), "{seen}");
    assert!(!seen.contains("root") && !seen.contains("vestibule="), "{seen}");
}

/// Each second half is sent when the first has been echoed, so a proxy that waits for the whole of
/// a body waits for ever.
#[tokio::test]
async fn bodies_stream_both_ways() {
    let rig = Rig::start(Tls::Off).await;
    let half = "x".repeat(100_000);
    let length = 2 * (half.len() + 4);
    let headers = format!("Content-Length: {length}\r\nConnection: close");
    let mut open = rig.open_signed_in("POST /echo-body HTTP/1.1", &headers).await;
    for end in ["HALF", "DONE"] {
        open.write(format!("{half}{end}").as_bytes()).await;
        open.read_until(end).await;
    }

    let client = rig.http2_client("app.localhost");
    let (pieces, request) = rig.post_pieces_signed_in(&client, "/echo-body", length);
    pieces.send(format!("{half}HALF").into()).unwrap();
    let mut echo = rig::within(request.send(), "the head of the answer").await.unwrap();
    assert_eq!(echo.version(), http::Version::HTTP_2);
    let mut seen = Vec::new();
    for (end, next) in [("HALF", Some(format!("{half}DONE"))), ("DONE", None)] {
        while !seen.ends_with(end.as_bytes()) {
            let chunk = rig::within(echo.chunk(), end).await.unwrap();
            seen.extend_from_slice(&chunk.expect("the answer ends with the request"));
        }
        if let Some(next) = next {
            pieces.send(next.into()).unwrap();
        }
    }
    assert_eq!(seen, format!("{half}HALF{half}DONE").into_bytes());
}

#[tokio::test]
async fn a_body_that_is_longer_than_any_window_arrives_whole() {
    let rig = Rig::start(Tls::Off).await;
    let client = rig.http2_client("app.localhost");
    let body = "x".repeat(3_000_000);
    let answer = rig.post_signed_in(&client, "/echo-body", body.clone()).send().await.unwrap();
    assert!(answer.text().await.unwrap() == body);
}

/// Each refused request stands beside a request that differs only in the reason for the refusal,
/// and is sent on as it came. Bytes that are no request are answered before anything is decided.
#[tokio::test]
async fn p_14_forwards_the_path_that_was_decided_on() {
    let rig = Rig::start(Tls::Off).await;
    for (sent, refused, outcome) in [
        ("GET /a?b", "GET /a?b#c", Some("malformed")),
        ("GET /a%20b?c=%2F..%2f", "GET /a b?c=%2F..%2f", None),
        ("GET /%3Cx%3E", "GET /<x>", None),
        ("GET /\u{e9}", "GET /\u{1}", Some("malformed")),
        ("GET /public/x", "GET /public/\u{1}x", Some("malformed")),
        ("GET /public/x/y", "GET /public/x/..;/y", Some("ambiguous")),
        ("GET /public/x", "GET //public/x", Some("ambiguous")),
        ("GET /public%20x", "GET /public%2fx", Some("ambiguous")),
        ("GET /%20ublic/x", "GET /%2570ublic/x", Some("ambiguous")),
        ("OPTIONS /", "OPTIONS *", Some("malformed")),
    ] {
        let answer = rig.ask_signed_in(&format!("{sent} HTTP/1.1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}: {answer}");
        assert!(answer.contains(&format!("\r\n\r\n{sent} HTTP/1.1\r\n")), "{sent}: {answer}");
        let before = rig.upstream_requests();
        let answer = rig.ask_signed_in(&format!("{refused} HTTP/1.1"), "").await;
        let (status, code) = match outcome {
            // Answered by the gate of the rig, whose one status is this.
            Some(outcome) => ("418 I'm a teapot", Some(format!("outcome: {outcome}"))),
            None => ("400 Bad Request", None),
        };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{refused}: {answer}");
        let told = answer.lines().find(|line| line.starts_with("outcome: "));
        assert_eq!(told, code.as_deref(), "{refused}: {answer}");
        assert_eq!(rig.upstream_requests(), before, "{refused}: {answer}");
    }
}

#[tokio::test]
async fn p_28_odd_framing_is_refused() {
    let rig = Rig::start(Tls::Off).await;
    for headers in [
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: x\r\nContent-Length: 3",
        "Transfer-Encoding : chunked",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: +3",
        "Content-Length: 3,4",
        "X: a\r\n b",
        "Connection: close, X-Forwarded-For",
        "Host: app.localhost",
    ] {
        let before = rig.upstream_requests();
        let answer = rig.ask_signed_in("POST /x HTTP/1.1", headers).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{headers}: {answer}");
        assert_eq!(rig.upstream_requests(), before, "{headers}: {answer}");
    }
}

/// Over TLS as well as without.
#[tokio::test]
async fn f_27_refuses_ambiguous_heads() {
    let (plain, tls) = (Rig::start(Tls::Off).await, Rig::start(Tls::On).await);
    for (line, headers, outcome) in [
        ("GET /x HTTP/1.1\r\n", "X: y\r\n", None),
        ("POST /x HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\n", None),
        ("GET /x HTTP/1.1\n", "", Some("malformed")),
        ("GET /x HTTP/1.1\r\n", "X: y\n", Some("malformed")),
        ("\nGET /x HTTP/1.1\r\n", "", Some("malformed")),
        ("GET /x y HTTP/1.1\r\n", "", Some("malformed")),
        ("GET /x  HTTP/1.1\r\n", "", Some("malformed")),
        ("GET /x#y HTTP/1.1\r\n", "", Some("malformed")),
        ("GET /x\ty HTTP/1.1\r\n", "", Some("malformed")),
        ("POST /x HTTP/1.1\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Some("malformed")),
        ("POST /x HTTP/1.1\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Some("malformed")),
        ("POST /x HTTP/1.1\r\n", "Transfer-Encoding: gzip, chunked\r\n", Some("malformed")),
    ] {
        for (rig, cookie) in [(&plain, "vestibule"), (&tls, "__Host-vestibule")] {
            let token = rig.token("app.localhost");
            let request = format!(
                "{line}Host: app.localhost\r\nCookie: {cookie}={token}\r\n{CLOSE}{headers}\r\n0\r\n\r\n"
            );
            let before = rig.upstream_requests();
            let answer = if rig.has_tls() { rig.tls_ask(&request).await } else { rig.ask(&request).await };
            let expected = outcome.map_or("HTTP/1.1 200 OK\r\n".to_owned(), |o| format!("outcome: {o}\r\n"));
            assert!(answer.contains(&expected), "{line:?} {headers:?}: {answer}");
            let forwarded = usize::from(outcome.is_none());
            assert_eq!(rig.upstream_requests(), before + forwarded, "{line:?} {headers:?}: {answer}");
        }
    }
}

/// Ten seconds for a whole head, however many reads it takes, on a connection that is new or was
/// kept.
#[tokio::test]
async fn f_27_a_head_that_comes_byte_by_byte_has_one_deadline() {
    let rig = Rig::start(Tls::Off).await;
    let rest = "X: ";
    let mut new = rig.open("GET /x HTTP/1.1\r\nHost: app.localhost\r\n").await;
    let mut kept = rig.open_signed_in("GET /x HTTP/1.1", "").await;
    kept.read_until("remote-user").await;
    let patience = Duration::from_secs(20);
    let mut slow = rig.open("GET /x HTTP/1.1\r\nHost: app.localhost\r\n").await;
    let close = "X: slow\r\nConnection: close\r\n\r\n";
    let (new, kept, _) = tokio::join!(
        new.trickle(rest, patience),
        kept.trickle("GET /x HTTP/1.1\r\nX: ", patience),
        slow.trickle(close, patience),
    );
    for taken in [new, kept] {
        assert!((9..13).contains(&taken.as_secs()), "{taken:?}");
    }
    assert!(slow.seen().contains("outcome: sign-in\r\n"), "slow, but in time: {}", slow.seen());
}

#[tokio::test]
async fn f_27_a_bad_chunk_gets_an_answer() {
    let rig = Rig::start(Tls::Off).await;
    for (path, good) in [("/x", "HTTP/1.1 200 OK\r\n"), ("/auth/x", "length: 3\r\n")] {
        let begin = format!("POST {path} HTTP/1.1");
        let ask = async |body: &str| {
            let mut open =
                rig.open_signed_in(&begin, "Connection: close\r\nTransfer-Encoding: chunked").await;
            open.write(body.as_bytes()).await;
            open.read_to_end().await;
            open.seen()
        };
        let answer = ask("3\r\nabc\r\n0\r\n\r\n").await;
        assert!(answer.contains(good), "{answer}");
        for bad in [
            "x\r\nabc\r\n0\r\n\r\n",
            "-3\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3;\nx\r\nabc\r\n0\r\n\r\n",
            "\r\n\r\n",
            "3\r\nabc\r\n;x\r\n\r\n",
        ] {
            let answer = ask(bad).await;
            assert!(answer.contains("outcome: malformed\r\n"), "{path} {bad:?}: {answer}");
        }
    }
}
