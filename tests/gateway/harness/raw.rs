//! Requests that no HTTP library would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer as text; "" when the connection was closed without an answer.
pub struct RawReply(pub String);

impl RawReply {
    /// The status; 0 without an answer.
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The values of a header.
    pub fn values(&self, name: &str) -> Vec<String> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        let pairs = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let found = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned()).collect()
    }
}

/// Sends `bytes` to 127.0.0.1 and reads until the end; the request should ask to close.
pub fn exchange(port: u16, bytes: &[u8]) -> RawReply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The gateway may close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    RawReply(String::from_utf8_lossy(&reply).into_owned())
}

/// A GET with these header lines, as bytes on the wire.
pub fn get(port: u16, host: &str, target: &str, lines: &[String]) -> RawReply {
    request(port, "GET", host, target, lines)
}

/// The same with another method.
pub fn request(port: u16, method: &str, host: &str, target: &str, lines: &[String]) -> RawReply {
    let lines = lines.iter().map(String::as_str).chain([""]).collect::<Vec<_>>().join("\r\n");
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{lines}\r\n");
    exchange(port, request.as_bytes())
}
