//! The programs that ask: wrk, h2load, and WebSockets of our own.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::contestants::Contestant;
use crate::process::LOAD_CORE;
use crate::scenarios::{Ask, Scenario};

/// The result of one round.
#[derive(Clone, Copy)]
pub struct Measured {
    /// How many of the scenario's unit a second.
    pub rate: f64,
    /// Microseconds; 0 where the program does not say.
    pub p99_us: f64,
    /// Microseconds of processor time for one of the unit: the program's own, and the system's for
    /// it.
    pub user_us: f64,
    pub system_us: f64,
}

/// Counts of one round, before they are divided.
struct Counted {
    count: f64,
    rate: f64,
    p99_us: f64,
}

/// Asks for so many seconds.
pub async fn measure(contestant: &Contestant<'_>, scenario: &Scenario, seconds: u32) -> Measured {
    let used = || {
        let each = contestant.processes.iter().map(|process| process.cpu_s());
        each.fold((0.0, 0.0), |(user, system), (u, s)| (user + u, system + s))
    };
    let _idle = match scenario.ask {
        Ask::GetBeside { idle, .. } => opened(contestant, idle).await,
        _ => Vec::new(),
    };
    let before = used();
    let counted = match scenario.ask {
        Ask::Echo { connections } => echo(contestant, connections, seconds).await,
        Ask::Streams { streams } => h2load(contestant, streams, seconds),
        ask => wrk(contestant, ask, seconds),
    };
    let after = used();
    let each = |from: f64, to: f64| (to - from) * 1e6 / counted.count;
    Measured {
        rate: counted.rate,
        p99_us: counted.p99_us,
        user_us: each(before.0, after.0),
        system_us: each(before.1, after.1),
    }
}

fn wrk(contestant: &Contestant<'_>, ask: Ask, seconds: u32) -> Counted {
    let (connections, path, more) = match ask {
        Ask::Get { connections }
        | Ask::GetBeside { connections, .. }
        | Ask::SecureGet { connections }
        | Ask::Post { connections } => (connections, "/", vec![]),
        Ask::GetOnce { connections } | Ask::SecureGetOnce { connections } => {
            (connections, "/", vec!["Connection: close"])
        }
        Ask::Download { connections } => (connections, "/file", vec![]),
        Ask::Anonymous { is_led, connections } => {
            let page = vec!["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"];
            (connections, "/", if is_led { page } else { vec![] })
        }
        Ask::Streams { .. } | Ask::Echo { .. } => unreachable!("others ask these"),
    };
    let is_secure = matches!(ask, Ask::SecureGet { .. } | Ask::SecureGetOnce { .. });
    let url = match contestant.tls.filter(|_| is_secure) {
        Some(tls) => format!("https://localhost:{}{path}", tls.port()),
        None => format!("http://{}{path}", contestant.http),
    };
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", "--latency", "--timeout", "20s"]);
    command.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    for header in contestant.headers.iter().map(String::as_str).chain(more) {
        command.args(["-H", header]);
    }
    if matches!(ask, Ask::Post { .. }) {
        command.arg("-s").arg(contestant.script);
    }
    let output = command.arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = format!("{}:\n{text}", contestant.name);
    assert!(output.status.success(), "{said}");
    let requests: f64 = word_before(&text, " requests in ").parse().unwrap();
    let others: f64 = found_after(&text, "Non-2xx or 3xx responses:").map_or(0.0, |it| it.parse().unwrap());
    let refused = matches!(ask, Ask::Anonymous { is_led, .. } if !is_led || others > 0.0);
    assert!((others - if refused { requests } else { 0.0 }).abs() < 0.5, "{said}");
    let p99_us = found_after(&text, " 99% ").map_or(0.0, microseconds);
    if matches!(ask, Ask::Download { .. }) {
        let rate = mebibytes(word_after(&text, "Transfer/sec:"));
        return Counted { count: rate * f64::from(seconds), rate, p99_us: 0.0 };
    }
    Counted { count: requests, rate: word_after(&text, "Requests/sec:").parse().unwrap(), p99_us }
}

/// Connections that have each brought one request, and stay.
async fn opened(contestant: &Contestant<'_>, count: u32) -> Vec<TcpStream> {
    let mut request = "GET / HTTP/1.1\r\n".to_owned();
    if !contestant.headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str("Host: localhost\r\n");
    }
    for header in &contestant.headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(contestant.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200", "{}", contestant.name);
        all.push(stream);
    }
    all
}

fn h2load(contestant: &Contestant<'_>, streams: u32, seconds: u32) -> Counted {
    let tls = contestant.tls.expect("HTTP/2 is spoken over TLS");
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "h2load", "-t1", "-c10"]);
    command.args([format!("-m{streams}"), format!("-D{seconds}s")]);
    for header in contestant.headers.iter().filter(|header| !header.starts_with("Host:")) {
        command.args(["-H", header]);
    }
    let output = command.arg(format!("https://localhost:{}/", tls.port())).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let good: f64 = word_before(&text, " 2xx").parse().unwrap();
    let said = format!("{}:\n{text}", contestant.name);
    assert!(output.status.success() && good > 0.0, "{said}");
    assert!(text.contains(" 0 3xx, 0 4xx, 0 5xx"), "{said}");
    assert!(text.contains("Application protocol: h2"), "{said}");
    Counted { count: good, rate: word_before(&text, " req/s").parse().unwrap(), p99_us: 0.0 }
}

async fn echo(contestant: &Contestant<'_>, connections: u32, seconds: u32) -> Counted {
    let (count, until) =
        (Arc::new(AtomicU64::new(0)), Instant::now() + Duration::from_secs(u64::from(seconds)));
    let mut talking = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let mut request = format!("ws://{}/socket", contestant.http).into_client_request().unwrap();
        for header in &contestant.headers {
            let (name, value) = header.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (count, address, name) = (Arc::clone(&count), contestant.http, contestant.name.clone());
        talking.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let opened = tokio_tungstenite::client_async(request, stream).await;
            let (mut socket, _) = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
            while Instant::now() < until {
                socket.send(Message::binary(vec![7; 64])).await.unwrap();
                let back = socket.next().await.unwrap().unwrap();
                assert_eq!(back.len(), 64, "{name}");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(talked) = talking.join_next().await {
        talked.unwrap();
    }
    let count = count.load(Ordering::Relaxed) as f64;
    Counted { count, rate: count / f64::from(seconds), p99_us: 0.0 }
}

fn found_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark).and_then(|(_, rest)| rest.split_whitespace().next())
}

fn word_after<'t>(text: &'t str, mark: &str) -> &'t str {
    found_after(text, mark).unwrap_or_else(|| panic!("no {mark:?} in:\n{text}"))
}

fn word_before<'t>(text: &'t str, mark: &str) -> &'t str {
    let found = text.split_once(mark).and_then(|(rest, _)| rest.split_whitespace().last());
    found.unwrap_or_else(|| panic!("no {mark:?} in:\n{text}"))
}

/// wrk writes `870.00us`, `1.20ms` or `1.01s`.
fn microseconds(text: &str) -> f64 {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (text.trim_end_matches('s'), 1e6)
    };
    number.parse::<f64>().unwrap() * factor
}

/// wrk writes `870.00KB`, `1.20MB` or `1.01GB`.
fn mebibytes(text: &str) -> f64 {
    let (number, factor) = if let Some(number) = text.strip_suffix("GB") {
        (number, 1_024.0)
    } else if let Some(number) = text.strip_suffix("MB") {
        (number, 1.0)
    } else {
        (text.trim_end_matches("KB"), 1.0 / 1_024.0)
    };
    number.parse::<f64>().unwrap() * factor
}
