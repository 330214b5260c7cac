//! A pingora proxy that does nothing but forward, with the lock file and the profile of the
//! gateway: the difference between the two is the gateway's own work. It writes eight headers, as
//! the gateway does for a signed-in user.
//!
//! `bare_proxy [THREADS shared|own] UPSTREAM LISTEN [TLS_LISTEN CERT KEY]`: so many threads (one),
//! which share their tasks, or have a runtime of their own each.

use std::env;
use std::error::Error;

use async_trait::async_trait;
use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the gateway tells of a user and of where they came in, in about as many bytes.
const HEADERS: [(&str, &str); 8] = [
    ("remote-user", "bench"),
    ("remote-email", "bench@example.com"),
    ("remote-name", "Bench"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "localhost"),
    ("x-request-id", "6afad3c80000000035"),
    ("x-vestibule-assertion", ASSERTION),
];
const ASSERTION: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6IjAxMjM0NTY3ODlhYmNkZWYifQ.\
                         eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJhdWQiOiJiZW5jaCIsInN1YiI6IjAxMjM0NTY3LTg5YWItY2RlZi0wMTIzLTQ1Njc4OWFiY2RlZiIsImVtYWlsIjoiYmVuY2hAZXhhbXBsZS5jb20iLCJuYW1lIjoiQmVuY2giLCJncm91cHMiOltdfQ.\
                         c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbg";

struct Bare {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> pingora::Result<()> {
        for (name, value) in HEADERS {
            request.insert_header(name, HeaderValue::from_static(value))?;
        }
        Ok(())
    }
}

/// The threads that serve.
struct Threads {
    threads: usize,
    work_stealing: bool,
}

const USAGE: &str = "usage: bare_proxy [THREADS shared|own] UPSTREAM LISTEN [TLS_LISTEN CERT KEY]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    let mut runtime = Threads { threads: 1, work_stealing: true };
    if let Some(threads) = arguments.first().and_then(|first| first.parse().ok()) {
        let work_stealing = arguments.get(1).is_some_and(|how| how == "shared");
        runtime = Threads { threads, work_stealing };
        arguments.drain(..2);
    }
    let (upstream, listen) = match arguments.as_slice() {
        [upstream, listen] | [upstream, listen, _, _, _] => (upstream.clone(), listen),
        _ => return Err(USAGE.into()),
    };
    let conf = ServerConf {
        threads: runtime.threads,
        work_stealing: runtime.work_stealing,
        upstream_keepalive_pool_size: 1_024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(listen);
    if let [_, _, tls, cert, key] = arguments.as_slice() {
        let mut settings = TlsSettings::intermediate(cert, key)?;
        settings.enable_h2();
        service.add_tls_with_settings(tls, None, settings);
    }
    server.add_service(service);
    server.run_forever()
}
