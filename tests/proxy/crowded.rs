//! Which connections make room when there is none, and how long a connection may stay silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use vestibule::domain::ledger::Budget;
use vestibule::domain::limits::Shares;
use vestibule::proxy::{Limits, ProxySettings};

use crate::CLOSE;
use crate::rig::{Rig, Tls, within};

/// A silent connection is closed after a quarter of a minute.
const LONGER_THAN_SILENCE: Duration = Duration::from_secs(25);

fn connections(per_network: usize) -> impl FnOnce(&mut ProxySettings) {
    move |settings| {
        let connections = Budget { total: 100, per_network, shares: Shares::default() };
        settings.limits = Limits { connections, ..settings.limits };
    }
}

/// Requests of HTTP/1.1 and of HTTP/2, which do not run in the task of their connection.
#[tokio::test]
async fn f_06_a_connection_makes_room_only_while_no_request_is_under_way_on_it() {
    let rig = Rig::tuned(connections(3)).await;
    let client = rig.http2_client("app.localhost");
    rig.get_signed_in(&client, "/x").send().await.unwrap().bytes().await.unwrap();
    let mut idle = rig.open("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    idle.read_until("\r\n\r\ngate").await;
    let mut busy = rig.open_signed_in("GET /events HTTP/1.1", "").await;
    busy.read_until("first").await;
    let mut stream = rig.get_signed_in(&client, "/events").send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "first");

    let newcomer = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{CLOSE}\r\n");
    let answer = rig.ask(&newcomer).await;
    assert!(answer.contains("outcome: sign-in\r\n"), "there was room: {answer}");
    idle.read_to_end().await;
    rig.release_events();
    busy.read_until("second").await;
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "second");
}

/// A client that asks through the proxy is counted, and the proxy itself is not.
#[tokio::test]
async fn f_07_a_trusted_proxy_has_no_share_of_its_own_requests() {
    let rig = Rig::tuned(|settings| {
        connections(1)(settings);
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    for headers in ["", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 203.0.113.1"] {
        let mut open = rig.open_signed_in("GET /events HTTP/1.1", headers).await;
        open.read_until("first").await;
        let answer = rig.ask_signed_in("GET /x HTTP/1.1", headers).await;
        let words =
            if headers.ends_with("203.0.113.1") { "outcome: unavailable\r\n" } else { "HTTP/1.1 200 OK\r\n" };
        assert!(answer.contains(words), "{headers}: {answer}");
    }
}

#[tokio::test]
async fn f_01_a_connection_that_says_nothing_is_closed_and_one_that_speaks_http2_is_not() {
    let rig = Rig::start(Tls::Off).await;
    let client = rig.http2_client("app.localhost");
    let mut stream = rig.get_signed_in(&client, "/patient/events").send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "first");
    let mut kept = rig.open("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    kept.read_until("\r\n\r\ngate").await;
    let mut silent = [
        rig.open("").await,
        // HTTP/2 that is never begun.
        rig.open("PRI * HTTP/2.0\r\n").await,
    ];
    let tls = Rig::start(Tls::On).await;
    let (http1, http2) = tokio::join!(
        tls.tls_exchange(b"http/1.1", "", LONGER_THAN_SILENCE),
        tls.tls_exchange(b"h2", "", LONGER_THAN_SILENCE),
    );
    assert!(http1.is_ok() && http2.is_ok(), "over TLS it was only chosen: {http1:?} {http2:?}");
    for (number, open) in silent.iter_mut().enumerate() {
        assert!(open.is_closed_within(LONGER_THAN_SILENCE).await, "{number}");
    }
    rig.release_events();
    assert_eq!(within(stream.chunk(), "the rest").await.unwrap().unwrap(), "second");
    kept.forget();
    kept.write(b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    kept.read_until("\r\n\r\ngate").await;
}

/// Requests that are all under way at once, at an application that answers when all have come.
#[tokio::test]
async fn connections_to_an_application_are_kept_for_as_many_requests_at_once() {
    const AT_ONCE: usize = 400;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, arrived) = (Arc::clone(&connections), Arc::new(Barrier::new(AT_ONCE)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let arrived = Arc::clone(&arrived);
            tokio::spawn(async move {
                let mut request = [0; 8 * 1024];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    arrived.wait().await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
                }
            });
        }
    });
    let rig = Rig::before(Tls::Off, address, Arc::default()).await;
    for _ in 0..2 {
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            open.push(rig.open_signed_in("GET /x HTTP/1.1", "").await);
        }
        for exchange in &mut open {
            within(exchange.read_until("done"), "an answer").await;
        }
    }
    // A connection is free for the next request a moment after its answer has left.
    let connections = connections.load(Ordering::Relaxed);
    assert!((AT_ONCE..AT_ONCE + 100).contains(&connections), "{connections}");
}
