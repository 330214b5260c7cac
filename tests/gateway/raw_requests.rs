//! The same bytes to nginx and to the gateway, in front of the same application: what nginx
//! refuses, we refuse (F27).
//!
//! nginx is a parser that many applications were written behind, and it is strict about what has
//! been used for request smuggling. Being stricter than nginx is fine; each way in which we are not
//! is listed with its reason, and has to go from the list when it is gone.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Gateway, Upstream, port, raw};

const NGINX: &str = "/usr/sbin/nginx";
/// How long an answer may take. A later answer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many requests there have to be, and how many of them both have to serve, so that refusing
/// means something.
const REQUESTS_MIN: usize = 60;
const SERVED_MIN: usize = 15;

/// Where nginx refuses and we do not. No unlisted difference may be there.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[(
    "GET1 /page HTTP/1.1\r\n{H}\r\n",
    "a method may have digits (RFC 9110, section 9.1), and it is the application that knows its own",
)];

/// `{H}` is a good `Host` line and a line that asks to close the connection, `{L}` our host and
/// port.
const REQUESTS: &[&str] = &[
    // Ordinary requests, which show that the others are refused for their oddity.
    "GET /page HTTP/1.1\r\n{H}\r\n",
    "GET /page HTTP/1.0\r\n{H}\r\n",
    "HEAD /page HTTP/1.1\r\n{H}\r\n",
    "OPTIONS /page HTTP/1.1\r\n{H}\r\n",
    "DELETE /page HTTP/1.1\r\n{H}\r\n",
    "PROPFIND /page HTTP/1.1\r\n{H}\r\n",
    "GET /page?a=b&c=%20 HTTP/1.1\r\n{H}\r\n",
    "GET /page?\u{e9} HTTP/1.1\r\n{H}\r\n",
    "GET /page?a/../b HTTP/1.1\r\n{H}\r\n",
    "GET /page?<a>|\"b\" HTTP/1.1\r\n{H}\r\n",
    "GET http://{L}/page HTTP/1.1\r\n{H}\r\n",
    "\r\nGET /page HTTP/1.1\r\n{H}\r\n",
    "GET /page HTTP/1.1\r\n{H}X-Empty:\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X-Text: a b\tc\u{e9}\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 003\r\n\r\nabc",
    "PUT /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n00\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
    // Request lines.
    "GET\r\n\r\n",
    "GET /page\r\n",
    "GET /page\r\n{H}\r\n",
    "GET /page HTTP/0.9\r\n{H}\r\n",
    "GET /page HTTP/1\r\n{H}\r\n",
    "GET /page HTTP/1.\r\n{H}\r\n",
    "GET /page HTTP/.1\r\n{H}\r\n",
    "GET /page HTTP/1.2\r\n{H}\r\n",
    "GET /page HTTP/1.10\r\n{H}\r\n",
    "GET /page HTTP/01.1\r\n{H}\r\n",
    "GET /page HTTP/2.0\r\n{H}\r\n",
    "GET /page HTTP/3.0\r\n{H}\r\n",
    "GET /page http/1.1\r\n{H}\r\n",
    "GET /page HTTPS/1.1\r\n{H}\r\n",
    "GET /page HTTP/1.1x\r\n{H}\r\n",
    "GET /page HTTP/1.1 x\r\n{H}\r\n",
    "GET /page HTTP/1.1 \r\n{H}\r\n",
    "GET /page  HTTP/1.1\r\n{H}\r\n",
    "GET  /page HTTP/1.1\r\n{H}\r\n",
    "GET\t/page HTTP/1.1\r\n{H}\r\n",
    "GET /page\tHTTP/1.1\r\n{H}\r\n",
    " GET /page HTTP/1.1\r\n{H}\r\n",
    "\nGET /page HTTP/1.1\r\n{H}\r\n",
    "\rGET /page HTTP/1.1\r\n{H}\r\n",
    "GET /page HTTP/1.1\n{H}\r\n",
    "GET /page HTTP/1.1\r{H}\r\n",
    // Methods.
    "get /page HTTP/1.1\r\n{H}\r\n",
    "Get /page HTTP/1.1\r\n{H}\r\n",
    "GET1 /page HTTP/1.1\r\n{H}\r\n",
    "G\u{e9}T /page HTTP/1.1\r\n{H}\r\n",
    "G\0T /page HTTP/1.1\r\n{H}\r\n",
    "G!T /page HTTP/1.1\r\n{H}\r\n",
    "\"GET\" /page HTTP/1.1\r\n{H}\r\n",
    "TRACE /page HTTP/1.1\r\n{H}\r\n",
    "CONNECT {L} HTTP/1.1\r\n{H}\r\n",
    "CONNECT /page HTTP/1.1\r\n{H}\r\n",
    "/page HTTP/1.1\r\n{H}\r\n",
    // Targets.
    "GET page HTTP/1.1\r\n{H}\r\n",
    "GET ?page HTTP/1.1\r\n{H}\r\n",
    "GET * HTTP/1.1\r\n{H}\r\n",
    "OPTIONS * HTTP/1.1\r\n{H}\r\n",
    "GET \\page HTTP/1.1\r\n{H}\r\n",
    "GET /page?a b HTTP/1.1\r\n{H}\r\n",
    "GET /pa ge HTTP/1.1\r\n{H}\r\n",
    "GET /page?\t HTTP/1.1\r\n{H}\r\n",
    "GET /page?\u{1} HTTP/1.1\r\n{H}\r\n",
    "GET /page?\0 HTTP/1.1\r\n{H}\r\n",
    "GET /page?\u{7f} HTTP/1.1\r\n{H}\r\n",
    "GET /page?a#b HTTP/1.1\r\n{H}\r\n",
    "GET /page#b HTTP/1.1\r\n{H}\r\n",
    "GET /%00 HTTP/1.1\r\n{H}\r\n",
    "GET /% HTTP/1.1\r\n{H}\r\n",
    "GET /%4 HTTP/1.1\r\n{H}\r\n",
    "GET /%zz HTTP/1.1\r\n{H}\r\n",
    "GET /page?%00%zz HTTP/1.1\r\n{H}\r\n",
    "GET /.. HTTP/1.1\r\n{H}\r\n",
    "GET /../page HTTP/1.1\r\n{H}\r\n",
    "GET /page/../../x HTTP/1.1\r\n{H}\r\n",
    "GET /%2e%2e/page HTTP/1.1\r\n{H}\r\n",
    "GET http:/page HTTP/1.1\r\n{H}\r\n",
    "GET http:///page HTTP/1.1\r\n{H}\r\n",
    "GET http//{L}/page HTTP/1.1\r\n{H}\r\n",
    "GET ht!tp://{L}/page HTTP/1.1\r\n{H}\r\n",
    "GET http://{L}:x/page HTTP/1.1\r\n{H}\r\n",
    "GET http://a@{L}/page HTTP/1.1\r\n{H}\r\n",
    "GET http://other.localhost/page HTTP/1.1\r\n{H}\r\n",
    // The host.
    "GET /page HTTP/1.1\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}Host: {L}\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}Host: other.localhost\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: {L}/\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: local host\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: localhost\\\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: localhost..\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: .localhost\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: [localhost\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: local\0host\r\nConnection: close\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: local\u{1}host\r\nConnection: close\r\n\r\n",
    // Fields.
    "GET /page HTTP/1.1\n{H}\r\n",
    "GET /page HTTP/1.1\r\n{H}X: y\n\r\n",
    "GET /page HTTP/1.1\r\n{H}\n",
    "GET /page HTTP/1.1\r\n{H}X: a\rY: b\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X: a\0b\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X: a\u{1}b\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X: a\u{7f}b\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X : a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X\t: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H} X: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n X: a\r\n{H}\r\n",
    "GET /page HTTP/1.1\r\n{H}X: a\r\n b\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X: a\r\n\tb\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X y: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X\0: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X\u{7f}: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X\u{e9}: a\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}X(: a\r\n\r\n",
    // The length of a body.
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3, 3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: +3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: -3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 0x3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3 3\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3;\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: three\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length:\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 99999999999999999999\r\n\r\nabc",
    "POST /page HTTP/1.1\r\n{H}Content-Length: 18446744073709551619\r\n\r\nabc",
    // Transfer codings.
    "POST /page HTTP/1.1\r\n{H}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked, gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: identity\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: \u{b}chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding:\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /page HTTP/1.1\r\n{H}Transfer-Encoding: gzip\r\n\r\n",
    // Chunks.
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3 3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nab\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\rabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3;\nx\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n;\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n;x\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n x: y\r\n\r\n",
    "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
];

/// nginx, in front of an application.
struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    fn start(application: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let port = port::free();
        let here = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("    {what}_temp_path {here}/{what};\n"))
            .concat();
        // One process, which needs no user to become. The sizes are ours; the rest is as nginx has
        // it.
        let text = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\nevents {{ }}\nhttp {{\n{temporary}\
             \x20   access_log off;\n    large_client_header_buffers 4 32k;\n    server {{\n        listen 127.0.0.1:{port};\n        \
             location / {{\n            proxy_pass http://127.0.0.1:{application};\n            proxy_http_version 1.1;\n        }}\n    }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).unwrap();
        let child = Command::new(NGINX)
            .args(["-p", &here.to_string(), "-e", "error.log", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{NGINX} (Debian's nginx-light, see tests/run): {e}"));
        let nginx = Self { child, port, _folder: folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The application got it.
    Forwarded,
    /// This status, or 0 for a connection that was closed without one.
    Refused(u16),
    /// Neither side said anything.
    Nothing,
}

fn fate(port: u16, request: &str, app: &Upstream) -> Fate {
    app.take();
    let host = format!("localhost:{port}");
    let request =
        request.replace("{H}", "Host: {L}\r\nConnection: close\r\n").replace("{L}", &host).into_bytes();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(&request);
    let mut reply = Vec::new();
    let read = stream.read_to_end(&mut reply);
    if !app.take().is_empty() {
        return Fate::Forwarded;
    }
    if reply.is_empty() && read.is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
        return Fate::Nothing;
    }
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let status = reply.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    // nginx answers a request line that it cannot read with the page alone, as HTTP/0.9 would.
    let status = status.unwrap_or(if reply.contains("400 Bad Request") { 400 } else { 0 });
    Fate::Refused(status)
}

#[tokio::test]
async fn f_27_refuses_what_nginx_refuses() {
    let app = Upstream::start();
    let nginx = Nginx::start(app.port);
    let gateway = Gateway::start(|config| {
        config.route("app", app.port).public(&["/*"]);
    })
    .await;
    assert!(REQUESTS.len() >= REQUESTS_MIN, "{}", REQUESTS.len());
    let (mut wrong, mut differences, mut served) = (Vec::new(), Vec::new(), 0);
    for request in REQUESTS {
        let theirs = fate(nginx.port, request, &app);
        let ours = fate(gateway.port, request, &app);
        match (theirs, ours) {
            (Fate::Forwarded, Fate::Forwarded) => served += 1,
            (_, Fate::Refused(status @ (0 | 200..400 | 500..))) => {
                wrong.push(format!("{request:?}: answered with {status}, {theirs:?} by nginx"));
            }
            (_, Fate::Nothing) => wrong.push(format!("{request:?}: no answer, {theirs:?} by nginx")),
            (Fate::Refused(_), Fate::Forwarded) => differences.push((*request, theirs)),
            (_, Fate::Refused(_)) => {}
            (Fate::Nothing, Fate::Forwarded) => wrong.push(format!("{request:?}: nginx waited")),
        }
    }
    for (request, theirs) in &differences {
        if !KNOWN_DIFFERENCES.iter().any(|(known, _)| known == request) {
            wrong.push(format!("{request:?}: forwarded, {theirs:?} by nginx"));
        }
    }
    for (known, reason) in KNOWN_DIFFERENCES {
        if !differences.iter().any(|(request, _)| request == known) {
            wrong.push(format!("{known:?}: no difference any more ({reason}); take it from the list"));
        }
    }
    assert!(wrong.is_empty(), "\n\n  {}\n", wrong.join("\n  "));
    assert!(served >= SERVED_MIN, "{served} were served by both");
}

/// A public path, so that nothing but the bytes can be wrong.
#[tokio::test]
async fn f_27_ambiguous_requests_are_400() {
    let app = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.route("app", app.port).public(&["/*"]);
    })
    .await;
    let ask = |request: &str| {
        let host = format!("Host: localhost:{}\r\nConnection: close\r\n", gateway.port);
        app.take();
        let reply = raw::exchange(gateway.port, request.replace("{H}", &host).as_bytes());
        (reply, app.take().len())
    };
    for good in [
        "GET /page HTTP/1.1\r\n{H}\r\n",
        "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let (reply, forwarded) = ask(good);
        assert_eq!((reply.status(), forwarded), (200, 1), "{good:?}: {}", reply.0);
    }
    for bad in [
        "GET /page HTTP/1.1\n{H}\r\n",
        "GET /page HTTP/1.1\r\n{H}X: y\n\r\n",
        "GET /pa ge HTTP/1.1\r\n{H}\r\n",
        "GET /page#part HTTP/1.1\r\n{H}\r\n",
        "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nthree\r\nabc\r\n0\r\n\r\n",
        "POST /page HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
        "POST /auth/passkeys HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nthree\r\nabc\r\n0\r\n\r\n",
    ] {
        let (reply, forwarded) = ask(bad);
        assert_eq!((reply.status(), forwarded), (400, 0), "{bad:?}: {}", reply.0);
        assert!(reply.0.contains("\"code\":\"malformed_request\""), "{bad:?}: {}", reply.0);
    }
}
