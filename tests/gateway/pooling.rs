//! Connections to an application that are kept for the next request, and an application that closes
//! them sooner than the gateway would (F26).

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::harness::Gateway;

/// The application closes a connection that has been idle for two seconds, as gunicorn does. A
/// request that comes after the first span meets it closing the connection, at the end of the
/// second.
const APPLICATION_KEEPS: Duration = Duration::from_millis(1_500);
const APPLICATION_IS_CLOSING: Duration = Duration::from_millis(500);
/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests one after the other, of which one at least finds the connection of another in the pool.
const TRIES_MAX: usize = 5;

/// An application that answers, and closes its connections after a while.
struct Closing {
    port: u16,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Notes {
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    /// Connections that carried a request.
    connections: usize,
    /// Requests that the application answered.
    answered: usize,
    /// Requests that were lost because the application was closing their connection.
    lost: usize,
    /// Idle connections that have become too old for another request, on either side.
    stale: usize,
}

impl Closing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let notes = Arc::<Notes>::default();
        let noting = Arc::clone(&notes);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&noting);
                std::thread::spawn(move || notes.serve(&stream));
            }
        });
        Self { port, notes }
    }

    fn seen(&self) -> Seen {
        self.notes.seen.lock().unwrap().clone()
    }

    /// Waits until one more connection than in `before` is too old, and says what had been seen then.
    fn wait_until_stale(&self, before: &Seen) -> Seen {
        let seen = self.notes.seen.lock().unwrap();
        let waiting =
            self.notes.more.wait_timeout_while(seen, PATIENCE, |seen| seen.stale == before.stale).unwrap();
        assert!(!waiting.1.timed_out(), "no connection was kept: {:?}", waiting.0);
        waiting.0.clone()
    }
}

impl Notes {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.more.notify_all();
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        let mut is_first = true;
        loop {
            let idle_since = Instant::now();
            stream.set_read_timeout(Some(APPLICATION_KEEPS)).unwrap();
            let mut came = reader.fill_buf().map(<[u8]>::len);
            if !is_first && came.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
                self.note(|seen| seen.stale += 1);
                stream.set_read_timeout(Some(APPLICATION_IS_CLOSING)).unwrap();
                came = reader.fill_buf().map(<[u8]>::len);
                if came.is_ok_and(|bytes| bytes > 0) {
                    self.note(|seen| seen.lost += 1);
                }
                return;
            }
            if !came.is_ok_and(|bytes| bytes > 0) {
                if !is_first && idle_since.elapsed() > Duration::from_millis(500) {
                    self.note(|seen| seen.stale += 1);
                }
                return;
            }
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            self.note(|seen| {
                seen.connections += usize::from(is_first);
                seen.answered += 1;
            });
            is_first = false;
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
    }
}

async fn gateway(app: &Closing, line: &'static str) -> Gateway {
    Gateway::start(|config| {
        config.route("app", app.port).public(&["/page"]).line(line);
    })
    .await
}

/// Sends a request of an anonymous client to a public path, on a connection of its own.
async fn send(gateway: &Gateway, method: &Method) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method.clone(), gateway.url("/page")).header("content-length", "0");
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn f_26_unsafe_requests_avoid_closing_connections() {
    let app = Closing::start();
    let gateway = gateway(&app, "").await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let before = app.seen();
        assert_eq!(send(&gateway, &method).await, 200, "{method}");
        let seen = app.wait_until_stale(&before);
        assert_eq!(send(&gateway, &method).await, 200, "{method} on a connection that had been idle");
        let after = app.seen();
        assert_eq!(after.lost, 0, "{method}: {after:?}");
        assert_eq!(after.connections, seen.connections + 1, "{method}: {after:?}");
        // The last connection goes before the next method has its turn.
        app.wait_until_stale(&after);
    }
    // A request that changes nothing is sent on such a connection, and again when that fails.
    let before = app.seen();
    assert_eq!(send(&gateway, &Method::GET).await, 200);
    app.wait_until_stale(&before);
    assert_eq!(send(&gateway, &Method::GET).await, 200);
    assert_eq!(app.seen().lost, before.lost + 1, "{:?}", app.seen());
}

#[tokio::test]
async fn f_26_connections_are_kept_as_long_as_the_route_says() {
    let app = Closing::start();
    let gateway = gateway(&app, "idle_timeout = \"1s\"").await;
    for method in [Method::GET, Method::POST] {
        assert_eq!(send(&gateway, &method).await, 200);
        // A connection is in the pool a moment after the answer that came on it has left.
        let mut is_kept = false;
        for _ in 0..TRIES_MAX {
            let before = app.seen().connections;
            assert_eq!(send(&gateway, &method).await, 200);
            is_kept |= app.seen().connections == before;
        }
        assert!(is_kept, "{method}: none was used again");
        app.wait_until_stale(&app.seen());
    }
    let before = app.seen();
    assert_eq!(send(&gateway, &Method::GET).await, 200);
    let seen = app.seen();
    assert_eq!((seen.connections, seen.lost), (before.connections + 1, 0), "{seen:?}");
}
