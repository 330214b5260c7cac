//! A pingora proxy that does nothing but forward, an application that answers every request alike,
//! and a client, for tests that count the gateway's own cost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

const PATIENCE: Duration = Duration::from_secs(60);

/// Forwards, and writes as many headers as the gateway does.
struct Bare {
    application: SocketAddr,
}

const HEADERS: [&str; 8] = [
    "remote-user",
    "remote-email",
    "remote-name",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "x-vestibule-assertion",
];

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.application, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        for name in HEADERS {
            request
                .insert_header(name, HeaderValue::from_static("a value that is as long as most of them"))?;
        }
        Ok(())
    }
}

/// An application that answers every request alike, over connections that stay open, and allocates
/// nothing for it.
pub(crate) fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                let mut read = 0;
                loop {
                    match stream.read(&mut buffer[read..]) {
                        Ok(more) if more > 0 => read += more,
                        _ => return,
                    }
                    if buffer[..read].ends_with(b"\r\n\r\n") {
                        read = 0;
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
                    }
                }
            });
        }
    });
    address
}

/// Starts the proxy for as long as the process lives, and waits until it listens.
pub(crate) fn bare(application: SocketAddr) -> SocketAddr {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::thread::spawn(move || {
        let conf = ServerConf { threads: 1, ..ServerConf::default() };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let mut service = http_proxy_service(&server.configuration, Bare { application });
        service.add_tcp(&address.to_string());
        server.add_service(service);
        server.run_forever();
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(std::time::Instant::now() < deadline, "the bare proxy does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    address
}

/// Asks again and again on one connection.
pub(crate) struct Client {
    stream: TcpStream,
    request: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, request: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, request: request.to_owned() }
    }

    pub(crate) fn ask(&mut self, times: u32) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..times {
            self.stream.write_all(self.request.as_bytes()).unwrap();
            let mut read = 0;
            while !is_whole(&buffer[..read]) {
                let more = self.stream.read(&mut buffer[read..]).unwrap();
                assert!(more > 0, "{}", String::from_utf8_lossy(&buffer[..read]));
                read += more;
            }
        }
    }
}

/// Whether an answer with a `Content-Length` is complete.
fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    let name = "content-length: ";
    let at = head.char_indices().map(|(at, _)| at);
    let found = at.filter_map(|at| head.get(at..at + name.len()).map(|it| (at, it)));
    let length = found.filter(|(_, it)| it.eq_ignore_ascii_case(name)).map(|(at, _)| at + name.len()).next();
    let length = head[length.expect("a length")..].split("\r\n").next().unwrap();
    body.len() == length.parse::<usize>().unwrap()
}
