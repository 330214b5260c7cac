//! An application that records requests byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long a test waits for a request to reach an application.
const PATIENCE: Duration = Duration::from_secs(10);
/// One request, as it came.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Request line and headers, as sent.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// The application's answer: the bytes of a whole response.
type Answer = Arc<dyn Fn(&Recorded) -> Vec<u8> + Send + Sync>;

/// The application.
pub struct Upstream {
    pub port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Recorded>>,
    more: Condvar,
}

impl Recorded {
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    pub fn target(&self) -> String {
        self.line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Names and values, in order, names as sent.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = self.text();
        let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
        let pairs = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("{line:?}")));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// Every value of a header, whatever the case of its name.
    pub fn values(&self, name: &str) -> Vec<String> {
        let headers = self.headers().into_iter();
        headers.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The one value of a header.
    #[track_caller]
    pub fn value(&self, name: &str) -> String {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "{name} in {}", self.text());
        values[0].clone()
    }

    /// The values that a CGI application reads as `HTTP_NAME`: without case, `-` and `_` alike.
    pub fn folded(&self, name: &str) -> Vec<String> {
        let fold = |name: &str| name.to_ascii_uppercase().replace('-', "_");
        let headers = self.headers().into_iter();
        headers.filter(|(found, _)| fold(found) == fold(name)).map(|(_, value)| value).collect()
    }
}

impl Upstream {
    /// An application that says "hello" to everything, and echoes over WebSocket.
    pub fn start() -> Self {
        Self::answering(|_| response("200 OK", &[("Content-Type", "text/plain")], "hello"))
    }

    pub fn answering(answer: impl Fn(&Recorded) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Seen>::default();
        let (answer, notes): (Answer, _) = (Arc::new(answer), Arc::clone(&seen));
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, notes) = (Arc::clone(&answer), Arc::clone(&notes));
                std::thread::spawn(move || serve(&stream, &answer, &notes));
            }
        });
        Self { port, seen }
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Recorded> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Every request since the last call.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.seen.requests.lock().unwrap())
    }

    /// The one request since the last call.
    #[track_caller]
    pub fn take_one(&self) -> Recorded {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Waits until a request has come.
    #[track_caller]
    pub fn wait_for_one(&self) -> Recorded {
        let requests = self.seen.requests.lock().unwrap();
        let waited = self.seen.more.wait_timeout_while(requests, PATIENCE, |seen| seen.is_empty());
        let (mut requests, _) = waited.unwrap();
        assert!(!requests.is_empty(), "nothing came");
        requests.remove(0)
    }
}

/// A whole response.
pub fn response(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        response.extend([name, ": ", value, "\r\n"]);
    }
    response.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n", body]);
    response.into_bytes()
}

fn serve(stream: &TcpStream, answer: &Answer, seen: &Seen) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        let upgrade = request.values("upgrade").iter().any(|u| u.eq_ignore_ascii_case("websocket"));
        let reply = answer(&request);
        let key = request.values("sec-websocket-key").first().cloned();
        seen.requests.lock().unwrap().push(request);
        seen.more.notify_all();
        if let (true, Some(key)) = (upgrade, key) {
            return echo(stream, &key);
        }
        if writer.write_all(&reply).is_err() {
            return;
        }
    }
}

/// `None` at the end of the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Recorded> {
    let mut request = Recorded::default();
    while !request.head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut request.head).ok()? == 0 {
            return None;
        }
    }
    let length = request.values("content-length").first().and_then(|n| n.parse::<usize>().ok());
    if request.values("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = length {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

fn read_chunks(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn echo(stream: &TcpStream, key: &str) {
    let accept = derive_accept_key(key.as_bytes());
    let mut writer = stream;
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if writer.write_all(head.as_bytes()).is_err() {
        return;
    }
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    while let Ok(message) = socket.read() {
        if message.is_close() || socket.send(message).is_err() {
            return;
        }
    }
}
