//! The access log: one line for each request, on standard output.
//!
//! What always holds: writing does not hold up a request. Lines wait for a thread of their own;
//! when more wait than [`WAITING_MAX`], the newest are dropped and counted. A line is one line,
//! whatever a client sent.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::Serialize;

use crate::domain::served::Served;

/// How many lines may wait for a slow terminal or pipe.
const WAITING_MAX: usize = 8_192;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// The Common Log Format of the NCSA server, which every analyser reads.
    Common,
    Json,
}

/// Writes requests down.
pub struct AccessLog {
    format: AccessFormat,
    lines: SyncSender<String>,
    dropped: Box<dyn Fn() + Send + Sync>,
}

impl AccessLog {
    /// Starts the thread that writes; it ends with the last handle. `dropped` is called for each
    /// line that is not written.
    pub fn start(format: AccessFormat, dropped: Box<dyn Fn() + Send + Sync>) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING_MAX);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(&waiting))?;
        Ok(Self { format, lines, dropped })
    }

    /// Takes a request down. Never blocks.
    pub fn served(&self, served: &Served) {
        let line = match self.format {
            AccessFormat::Common => common(served),
            AccessFormat::Json => json(served),
        };
        if self.lines.try_send(line).is_err() {
            (self.dropped)();
        }
    }
}

fn write_all(waiting: &Receiver<String>) {
    let mut out = BufWriter::new(io::stdout());
    while let Ok(line) = waiting.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            // There is no place left to report that standard output is gone.
            let _ = writeln!(out, "{line}");
            next = waiting.try_recv().ok();
        }
        let _ = out.flush();
    }
}

/// `client - user [10/Oct/2000:13:55:36 +0000] "GET /path HTTP/1.1" 200 2326`
fn common(served: &Served) -> String {
    let client = served.client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    let user = served.user.as_deref().unwrap_or("-");
    let at = jiff::Timestamp::from_millisecond(served.at.as_millis()).unwrap_or_default();
    let at = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let request = quoted(&format!("{} {} {}", served.method, served.target, served.version));
    let bytes = if served.bytes == 0 { "-".to_owned() } else { served.bytes.to_string() };
    format!("{client} - {user} [{at}] \"{request}\" {:03} {bytes}", served.status)
}

/// Text within quotation marks: quotation marks, backslashes and unprintable bytes are written as
/// `\xNN`, as Apache does.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\') {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    target: &'a str,
    version: &'a str,
    status: u16,
    bytes: usize,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    outcome: &'static str,
    request: &'a str,
}

fn json(served: &Served) -> String {
    let line = Line {
        at: served.at.to_rfc3339(),
        client: served.client.map(|client| client.to_string()),
        user: served.user.as_deref(),
        method: &served.method,
        host: &served.host,
        target: &served.target,
        version: &served.version,
        status: served.status,
        bytes: served.bytes,
        duration_ms: served.took.as_secs_f64() * 1_000.0,
        route: served.route.as_deref(),
        outcome: served.outcome.label(),
        request: &served.request_id,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::event::Answered;
    use crate::domain::time::Timestamp;

    fn served(target: &str) -> Served {
        Served {
            at: Timestamp::from_millis(971_186_136_000),
            client: "192.0.2.1".parse().ok(),
            user: Some("alice".to_owned()),
            method: "GET".to_owned(),
            host: "wiki.example.com".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            status: 200,
            bytes: 2326,
            took: Duration::from_micros(1_500),
            route: Some("wiki".to_owned()),
            outcome: Answered::Forwarded,
            request_id: "r-1".to_owned(),
        }
    }

    #[test]
    fn writes_the_common_log_format() {
        assert_eq!(
            common(&served("/apache_pb.gif")),
            "192.0.2.1 - alice [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.1\" 200 2326"
        );
        let nobody = Served { client: None, user: None, status: 0, bytes: 0, ..served("/") };
        assert!(common(&nobody).starts_with("- - - [") && common(&nobody).ends_with("\" 000 -"));
    }

    #[test]
    fn s_22_escapes_line_breaks() {
        let hostile = "/a\" 200\r\n\u{1b}[31m\\é";
        let line = common(&served(hostile));
        assert!(line.contains("/a\\x22 200\\x0d\\x0a\\x1b[31m\\x5c\\xc3\\xa9"), "{line}");
        let line = json(&served(hostile));
        assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["target"], hostile);
        assert_eq!(read["outcome"], "forwarded");
        assert!((read["duration_ms"].as_f64().unwrap() - 1.5).abs() < 1e-9);
    }
}
