//! An HTTP client that costs little beside its requests: one connection, one request at a time.
//!
//! What lives here: writing requests, reading answers, and the two requests of a sign-in as
//! better-auth's clients send them, to the gateway and to better-auth's own server alike. What does
//! not: passkeys (`passkeys.rs`). What always holds: an answer with another status than the caller
//! expects ends the measurement.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// The `Sec-Fetch-Site` of every request of a page of `public_url`.
const SAME_ORIGIN: &str = "same-origin";

/// A connection that stays, to a server that knows itself by `origin`.
pub struct Connection {
    address: SocketAddr,
    pub origin: String,
    stream: TcpStream,
    read: Vec<u8>,
}

/// The answer to a request.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

/// A sign-in that happened.
pub struct SignedIn {
    /// The `Cookie` header's value from then on.
    pub cookie: String,
    /// How long its two answers took together; the authenticator's time is not in it.
    pub waited: Duration,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let origin = format!("http://localhost:{}", address.port());
        Self { address, origin, stream: connected(address).await, read: Vec::new() }
    }

    /// Asks and waits for the whole answer. `headers` are whole lines without their ends.
    pub async fn ask(&mut self, line: &str, headers: &[&str], body: Option<&Value>) -> Answer {
        let mut request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nUser-Agent: {USER_AGENT}\r\nSec-Fetch-Site: {SAME_ORIGIN}\r\n",
            self.origin.trim_start_matches("http://"),
            self.origin
        );
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
            let _ = write!(request, "Content-Length: {}\r\n", body.len());
        }
        request.push_str("\r\n");
        request.push_str(&body);
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let answer = self.answer().await;
        if answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")) {
            self.stream = connected(self.address).await;
        }
        answer
    }

    /// Signs in as one visitor; `answer` is what an authenticator makes of the options.
    pub async fn sign_in(&mut self, visitor: &str, answer: impl FnOnce(&Value) -> Value) -> SignedIn {
        let from = format!("X-Forwarded-For: {visitor}");
        let began = Instant::now();
        let path = "GET /api/auth/passkey/generate-authenticate-options";
        let options = self.ask(path, &[&from], None).await.expected(200);
        let mut waited = began.elapsed();
        let challenge = options.cookies().next().expect("a challenge's cookie").to_owned();
        let body = json!({ "response": answer(&options.json()) });
        let cookie = format!("Cookie: {challenge}");
        let began = Instant::now();
        let path = "POST /api/auth/passkey/verify-authentication";
        let verified = self.ask(path, &[&from, &cookie], Some(&body)).await.expected(200);
        waited += began.elapsed();
        SignedIn { cookie: verified.session(), waited }
    }

    async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = position(&self.read, END_OF_HEAD) {
                break at + END_OF_HEAD.len();
            }
            self.more().await;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks().await;
        } else if let Some(length) = answer.header("content-length") {
            answer.body = self.exactly(length.parse().unwrap()).await;
        }
        answer
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match position(&self.read, b"\r\n") {
                    Some(at) => break at,
                    None => self.more().await,
                }
            };
            let line: Vec<u8> = self.read.drain(..end + 2).collect();
            let length = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
            let mut chunk = self.exactly(length + 2).await;
            chunk.truncate(length);
            if length == 0 {
                return body;
            }
            body.extend(chunk);
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) {
        self.read.reserve(READ_BYTES);
        let count = self.stream.read_buf(&mut self.read).await.unwrap();
        assert!(count > 0, "the server closed the connection in the middle of an answer");
    }
}

impl Answer {
    /// This answer, if it has this status.
    pub fn expected(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `name=value` of each cookie that is set, and not taken back.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let lines = self.lines("set-cookie").filter(|line| !line.to_ascii_lowercase().contains("max-age=0"));
        lines.filter_map(|line| line.split(';').next())
    }

    fn session(&self) -> String {
        let pairs: Vec<&str> = self.cookies().collect();
        assert!(!pairs.is_empty(), "no session's cookie: {}", self.head);
        pairs.join("; ")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.lines(name).next()
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

async fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn position(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}
