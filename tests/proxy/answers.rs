//! Answers as clients see them: their framing, their end, and the next answer.

use std::time::Duration;

use vestibule::proxy::ProxyError;

use crate::CLOSE;
use crate::rig::{Rig, SESSION_IDLE, Tls, within};

/// The most bytes that the gateway reads at once without looking whether the session lives on.
const SHORT_BYTES: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 32 * 1024;
const ANONYMOUS: &str = "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

fn own(path: &str, version: &str) -> String {
    format!("GET /auth/{path} HTTP/{version}\r\nHost: auth.localhost\r\n\r\n")
}

#[tokio::test]
async fn an_answer_of_ours_without_a_length_comes_in_chunks_and_leaves_the_connection_open() {
    let rig = Rig::start(Tls::Off).await;
    let mut open = rig.open(&own("pieces", "1.1")).await;
    let answer = open.read_until("\r\n0\r\n\r\n").await.to_lowercase();
    assert!(answer.contains("\r\ntransfer-encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains("\r\n3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n"), "{answer}");
    // A body with a length has no chunks, and neither has an answer without a body.
    for (path, words) in [("x", "\r\n\r\nown"), ("nothing", "HTTP/1.1 204"), ("x", "\r\n\r\nown")] {
        open.forget();
        open.write(own(path, "1.1").as_bytes()).await;
        let answer = open.read_until(words).await.to_lowercase();
        assert!(!answer.contains("transfer-encoding"), "{path}: {answer}");
    }
    let answer = rig.ask(&own("pieces", "1.0")).await.to_lowercase();
    assert!(!answer.contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nin pieces"), "{answer}");
}

#[tokio::test]
async fn a_refused_request_that_came_whole_leaves_the_connection_open() {
    let rig = Rig::start(Tls::Off).await;
    let mut open = rig.open(ANONYMOUS).await;
    for _ in 0..3 {
        open.read_until("\r\n\r\ngate").await;
        open.forget();
        open.write(ANONYMOUS.as_bytes()).await;
    }
}

/// RFC 9112, section 9.6.
#[tokio::test]
async fn p_25_a_little_of_a_refused_body_is_read_so_that_its_client_sees_the_answer() {
    let rig = Rig::start(Tls::Off).await;
    let head =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {length}\r\n\r\n");
    let mut open = rig.open(&head(200_000)).await;
    open.read_until("\r\n\r\ngate").await;
    open.send_to_the_end(&vec![b'x'; 200_000]).await.unwrap();
    assert!(open.seen().ends_with("\r\n\r\ngate"), "{}", open.seen());

    let mut open = rig.open(&head(1 << 30)).await;
    assert!(open.send_to_the_end(&vec![b'x'; 8_000_000]).await.is_err(), "there is an end to it");
}

#[tokio::test]
async fn p_25_nobody_waits_for_a_refused_body_that_its_client_was_not_told_to_send() {
    let rig = Rig::start(Tls::Off).await;
    let request =
        |more: &str| format!("POST / HTTP/1.1\r\nHost: app.localhost\r\n{more}Content-Length: 10\r\n\r\n");
    let mut slow = rig.open(&request("")).await;
    slow.read_until("\r\n\r\ngate").await;
    let mut asking = rig.open(&request("Expect: 100-continue\r\n")).await;
    tokio::select! {
        biased;
        () = slow.read_to_end() => panic!("the connection that may be sending was closed first"),
        () = asking.read_to_end() => assert!(asking.seen().ends_with("\r\n\r\ngate"), "{}", asking.seen()),
    }
}

#[tokio::test]
async fn p_33_a_body_that_says_how_long_it_is_need_not_come_to_be_refused() {
    let rig = Rig::start(Tls::Off).await;
    let ask = async |length: usize| {
        let headers = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
        let mut open =
            rig.open(&format!("POST /auth/echo HTTP/1.1\r\nHost: auth.localhost\r\n{headers}\r\n")).await;
        open.read_until("\r\n\r\n").await
    };
    let answer = ask(64 * 1024 + 1).await;
    assert!(answer.contains("outcome: body-too-large\r\n") && !answer.contains("100 Continue"), "{answer}");
    let answer = ask(64 * 1024).await;
    assert!(answer.contains("100 Continue"), "{answer}");
}

#[tokio::test]
async fn p_33_a_head_may_have_so_many_bytes_and_not_one_more() {
    let rig = Rig::start(Tls::Off).await;
    // A method and a path, and headers with four bytes around each.
    let rest = "GET/".len() + "Hostapp.localhost".len() + "Connectionclose".len() + "X-Long".len() + 3 * 4;
    for (more, outcome) in [(0, "sign-in"), (1, "headers-too-large")] {
        let long = "x".repeat(HEAD_BYTES_MAX - rest + more);
        let answer =
            rig.ask(&format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{CLOSE}X-Long: {long}\r\n\r\n")).await;
        assert!(answer.contains(&format!("outcome: {outcome}\r\n")), "{more}: {answer}");
    }
}

#[tokio::test]
async fn p_31_an_answer_that_was_long_in_coming_is_for_somebody_who_is_still_signed_in() {
    for (has_ended, millis, words) in [
        (true, 999, "\r\n\r\nlate"),
        (true, 1_000, "outcome: sign-in\r\n"),
        (true, 5_000, "outcome: sign-in\r\n"),
        (false, 5_000, "\r\n\r\nlate"),
    ] {
        let rig = Rig::start(Tls::Off).await;
        let mut open = rig.open_signed_in("GET /late HTTP/1.1", "").await;
        rig.upstream_has_got(1).await;
        if has_ended {
            rig.end_session().await;
        }
        rig.pass(Duration::from_millis(millis));
        rig.release_events();
        open.read_until(words).await;
    }
}

/// A client that shows a token is not sent to sign in.
#[tokio::test]
async fn p_31_an_answer_that_was_long_in_coming_is_for_a_token_that_still_lives() {
    let rig = Rig::start(Tls::Off).await;
    let (id, text) = rig.access_token().await;
    let request =
        format!("GET /late HTTP/1.1\r\nHost: app.localhost\r\nAuthorization: Bearer {text}\r\n\r\n");
    for (words, is_revoked) in [("\r\n\r\nlate", false), ("outcome: token-refused\r\n", true)] {
        let before = rig.upstream_requests();
        let mut open = rig.open(&request).await;
        rig.upstream_has_got(before + 1).await;
        if is_revoked {
            rig.revoke(&id).await;
        }
        rig.pass(Duration::from_secs(2));
        rig.release_events();
        open.read_until(words).await;
    }
}

#[tokio::test]
async fn p_31_only_long_exchanges_are_tied_to_their_session() {
    let rig = Rig::start(Tls::Off).await;
    assert!(rig.ask_signed_in("GET /x HTTP/1.1", "").await.contains("200 OK"));
    assert_eq!(rig.meter.streams_opened(), 0, "the answer says that it is short");

    let length = format!("Content-Length: {}", 2 * SHORT_BYTES);
    let mut upload = rig.open_signed_in("POST /sink HTTP/1.1", &length).await;
    upload.write(&vec![b'x'; SHORT_BYTES]).await;
    rig.upstream_has_swallowed(SHORT_BYTES).await;
    assert_eq!(rig.meter.streams_opened(), 0, "so much is short");
    upload.write(b"x").await;
    rig.upstream_has_swallowed(SHORT_BYTES + 1).await;
    assert_eq!(rig.open_streams(), 1, "one byte more is long");
    rig.end_session().await;
    upload.read_to_end().await;
    rig.no_streams_left().await;
}

#[tokio::test]
async fn p_36_an_answer_that_has_begun_is_followed_by_no_page_of_ours() {
    let rig = Rig::start(Tls::Off).await;
    let answer = rig.ask_signed_in("GET /break-off HTTP/1.1", "").await;
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
    let answer = rig.ask_signed_in("GET /hint-and-reset HTTP/1.1", "").await;
    assert!(answer.contains("outcome: upstream-failed\r\n"), "a hint is no answer: {answer}");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade";
    let mut idle = rig.open_signed_in("GET /brief/ws HTTP/1.1", upgrade).await;
    idle.read_to_end().await;
    assert!(idle.seen().starts_with("HTTP/1.1 101") && idle.seen().ends_with("\r\n\r\n"), "{}", idle.seen());
}

#[tokio::test]
async fn an_upstream_is_timed_once_by_the_answer_itself() {
    let rig = Rig::start(Tls::Off).await;
    for path in ["/x", "/hint"] {
        let answer = rig.ask_signed_in(&format!("GET {path} HTTP/1.1"), "").await;
        assert!(answer.contains("200 OK"), "{path}: {answer}");
        assert_eq!(rig.meter.upstreams_answered(), ["app.localhost/"], "{path}");
    }
    rig.ask(&ANONYMOUS.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    assert!(rig.meter.upstreams_answered().is_empty(), "we have answered");
}

#[tokio::test]
async fn p_36_a_request_is_tried_as_often_as_there_is_somewhere_to_try() {
    let rig = Rig::start(Tls::Off).await;
    let ask = async |path: &str| rig.ask_signed_in(&format!("GET {path} HTTP/1.1"), "").await;
    for (path, words) in [
        ("/x", "200 OK"),
        ("/dead/x", "outcome: upstream-failed\r\n"),
        ("/nameless/x", "outcome: upstream-failed\r\n"),
    ] {
        let answer = ask(path).await;
        assert!(answer.contains(words), "{path}: {answer}");
        assert_eq!(rig.meter.retried(), 0, "{path}");
    }
    for path in ["/half/x", "/half-nameless/x"] {
        // Each upstream is the first in its turn.
        let answers = [ask(path).await, ask(path).await];
        assert!(answers.iter().all(|answer| answer.contains("200 OK")), "{path}: {answers:?}");
        assert_eq!(rig.meter.retried(), 1, "{path}");
    }
}

/// The settings that an HTTP/2 client gets first (RFC 9113, section 6.5).
#[tokio::test]
async fn p_32_http2_is_bounded_in_its_settings() {
    let rig = Rig::start(Tls::Off).await;
    let mut open = rig.open("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let settings = within(open.http2_frame(), "the settings").await;
    let has = |id: u8, value: u32| {
        let wanted = [&[0, id][..], &value.to_be_bytes()].concat();
        settings.chunks(6).any(|setting| setting == wanted)
    };
    assert!(has(3, 100), "SETTINGS_MAX_CONCURRENT_STREAMS: {settings:?}");
    assert!(has(6, u32::try_from(HEAD_BYTES_MAX).unwrap()), "SETTINGS_MAX_HEADER_LIST_SIZE: {settings:?}");
}

#[tokio::test]
async fn p_10_what_is_public_is_open_to_whoever_is_refused_beside_it() {
    let rig = Rig::start(Tls::Off).await;
    let answer = rig.ask_signed_in("GET /bobs/x HTTP/1.1", "").await;
    assert!(answer.contains("outcome: forbidden\r\n"), "{answer}");
    let answer = rig.ask_signed_in("GET /bobs/public/x HTTP/1.1", "").await;
    assert!(answer.contains("200 OK") && !answer.to_lowercase().contains("remote-user"), "{answer}");
}

/// Five seconds after the store has lost its place, a session may have ended without our having
/// heard of it.
#[tokio::test]
async fn p_10_who_cannot_be_known_for_sure_is_nobody_and_is_not_sent_to_sign_in() {
    let rig = Rig::start(Tls::Off).await;
    rig.fall_behind(Duration::from_millis(4_999));
    let ask = async |path: &str| rig.ask_signed_in(&format!("GET {path} HTTP/1.1"), "").await;
    assert!(ask("/x").await.contains("200 OK"));
    rig.fall_behind(Duration::from_millis(1));
    let answer = ask("/x").await;
    assert!(answer.contains("outcome: unavailable\r\n"), "{answer}");
    let answer = ask("/public/x").await;
    assert!(answer.contains("200 OK") && !answer.to_lowercase().contains("remote-user"), "{answer}");
}

#[tokio::test]
async fn f_13_a_page_of_another_origin_changes_nothing_for_somebody_and_anything_for_nobody() {
    let rig = Rig::start(Tls::Off).await;
    let foreign = "Origin: http://evil.localhost\r\nContent-Length: 0";
    let answer = rig.ask_signed_in("POST /public/x HTTP/1.1", foreign).await;
    assert!(answer.contains("outcome: cross-origin-refused\r\n"), "{answer}");
    let anonymous = format!("POST /public/x HTTP/1.1\r\nHost: app.localhost\r\n{CLOSE}{foreign}\r\n\r\n");
    let answer = rig.ask(&anonymous).await;
    assert!(answer.contains("200 OK"), "{answer}");
}

/// While rules are exchanged, a request may be let in by the new ones and cleaned by the old ones.
#[tokio::test]
async fn p_02_what_nobody_is_told_is_taken_from_no_client_while_rules_are_exchanged() {
    let rig = Rig::start(Tls::Off).await;
    let forged = "X-Shop-Customer: root\r\nX-Shop-Teams: root";
    let seen = rig.ask_signed_in("GET /x HTTP/1.1", forged).await.to_lowercase();
    assert_eq!(seen.matches("\r\nx-shop-").count(), 2, "no application has reserved them yet: {seen}");
    rig.tell_in("x-shop-customer", "x-shop-teams");
    let seen = rig.ask_signed_in("GET /x HTTP/1.1", forged).await.to_lowercase();
    assert!(seen.contains("\r\nx-shop-customer: alice\r\n"), "{seen}");
    assert!(!seen.contains("root") && !seen.contains("x-shop-teams"), "she is in no group: {seen}");
}

#[tokio::test]
async fn p_11_nobody_speaks_tls_without_a_certificate() {
    assert!(Rig::listens_with(1).await.is_ok());
    assert!(matches!(Rig::listens_with(0).await, Err(ProxyError::NoCertificate)));
}

/// The idle time of a session begins when its last stream has ended.
#[tokio::test]
async fn p_31_an_open_stream_keeps_its_session_in_use() {
    for (path, words) in [("/patient/events", "200 OK"), ("/x", "outcome: sign-in\r\n")] {
        let rig = Rig::start(Tls::Off).await;
        let mut open = rig.open_signed_in(&format!("GET {path} HTTP/1.1"), "").await;
        open.read_until("HTTP/1.1 200 OK").await;
        for _ in 0..2 {
            rig.sweep_after(SESSION_IDLE * 2 / 3).await;
        }
        let answer = rig.ask_signed_in("GET /x HTTP/1.1", "").await;
        assert!(answer.contains(words), "{path}: {answer}");
    }
}
