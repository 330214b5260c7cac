//! pingora's proxy as the application of our listeners: each request is supervised.
//!
//! What does not live here: what becomes of a request (`admission.rs`).
//!
//! What always holds: a request of HTTP/2 knows the connection that it came on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::{SocketDigest, Stream};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;

use super::admission::Phases;
use super::connection_quota::Activity;
use super::context::{Front, PlainHttp, RequestIds, Shared};
use super::control::ClientLimits;
use super::forwarded::{TrustedProxies, UntrustedProxies};
use super::tls::Certificates;
use super::upstream::{TRIES_MAX, Upstreams};
use super::{HEADER_BYTES_MAX, Parts, Preface, ProxySettings, streams};
use crate::domain::place::Scheme;
use crate::ports::entropy;

/// How long an HTTP/2 connection without requests is kept.
const H2_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How many connections to applications are kept for the next request, over all of them. With fewer
/// than there are requests at once, most requests would make a connection of their own.
const UPSTREAM_IDLE_MAX: usize = 1_024;
/// How many requests one HTTP/2 connection may have under way.
const H2_STREAMS_MAX: u32 = 100;

/// pingora's proxy, each request is supervised.
pub(super) struct Supervised {
    proxy: Arc<HttpProxy<Phases>>,
    pub(super) front: Arc<ArcSwap<Front>>,
    pub(super) preface: Preface,
    options: HttpServerOptions,
    activities: Activities,
}

/// The activity of each connection, by the digest of its socket: requests of HTTP/2 run in tasks of
/// their own, and know their connection by that digest alone.
#[derive(Clone, Default)]
struct Activities(Arc<papaya::HashMap<usize, Arc<Activity>>>);

/// Keeps a connection known until it is dropped.
pub(super) struct KnownConnection {
    activities: Activities,
    digest: Option<Arc<SocketDigest>>,
}

impl Activities {
    fn keep(&self, stream: &Stream, activity: &Arc<Activity>) -> KnownConnection {
        let digest = stream.get_socket_digest();
        if let Some(digest) = &digest {
            self.0.pin().insert(address_of(digest), Arc::clone(activity));
        }
        KnownConnection { activities: self.clone(), digest }
    }

    fn of(&self, session: &ServerSession) -> Option<Arc<Activity>> {
        let digest = session.digest()?.socket_digest.as_ref()?;
        self.0.pin().get(&address_of(digest)).cloned()
    }
}

impl Drop for KnownConnection {
    fn drop(&mut self) {
        if let Some(digest) = &self.digest {
            self.activities.0.pin().remove(&address_of(digest));
        }
    }
}

/// No other value has this address while the digest lives.
fn address_of(digest: &Arc<SocketDigest>) -> usize {
    Arc::as_ptr(digest).addr()
}

impl Supervised {
    pub(super) fn new(
        settings: &ProxySettings,
        parts: Parts,
        front: Arc<ArcSwap<Front>>,
        certificates: Option<Arc<Certificates>>,
        client_limits: ClientLimits,
        untrusted_proxies: Arc<UntrustedProxies>,
    ) -> Self {
        let place = parts.gateway.ground.place();
        // Without TLS of our own, a proxy before us has to speak https.
        let plain_http = match (&settings.tls, place.scheme) {
            (Some(_), Scheme::Https) => PlainHttp::Redirected,
            _ => PlainHttp::Served,
        };
        let shared = Shared {
            front: Arc::clone(&front),
            own_bodies: client_limits.own_bodies,
            request_quota: client_limits.request_quota,
            ids: RequestIds::new(entropy::bytes(parts.gateway.ground.entropy())),
            trusted: TrustedProxies::new(settings.trusted_proxies.clone(), settings.forwarded_by),
            untrusted_proxies,
            upstreams: Upstreams::new(Arc::clone(&parts.elapsed)),
            plain_http,
            certificates,
            challenges: parts.challenges,
            gateway: parts.gateway,
            elapsed: parts.elapsed,
        };
        let conf = ServerConf {
            threads: settings.workers.max(1),
            max_retries: TRIES_MAX,
            upstream_keepalive_pool_size: UPSTREAM_IDLE_MAX,
            ..ServerConf::default()
        };
        let proxy = http_proxy(&Arc::new(conf), Phases(Arc::new(shared)));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
        Self {
            proxy: Arc::new(proxy),
            front,
            preface: settings.preface,
            options,
            activities: Activities::default(),
        }
    }

    /// Lets the requests of HTTP/2 on `stream` know what their connection is doing, until the
    /// returned value is dropped.
    pub(super) fn know(&self, stream: &Stream, activity: &Arc<Activity>) -> KnownConnection {
        self.activities.keep(stream, activity)
    }
}

#[async_trait]
impl HttpServerApp for Supervised {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // Our supervision bounds how long a request may be in coming, so pingora need not set a
        // timer of its own for each read. 0 stands for no limit.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(0));
        }
        let activity = if session.is_http2() { self.activities.of(&session) } else { None };
        let request = self.proxy.process_new_http(session, shutdown);
        streams::supervised(activity, shutdown, request).await.flatten()
    }

    /// Asked for when a client has chosen HTTP/2, before its handshake.
    fn h2_options(&self) -> Option<H2Options> {
        streams::http2_chosen();
        let mut options = default_h2_options();
        options.max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
        options.max_concurrent_streams(H2_STREAMS_MAX);
        Some(options)
    }

    /// Asked for before anything is known of a connection, and again after an HTTP/2 handshake.
    fn server_options(&self) -> Option<&HttpServerOptions> {
        streams::http2_begun();
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::os::fd::AsRawFd as _;

    use pingora::protocols::GetSocketDigest as _;
    use pingora::protocols::l4::stream::Stream as Connection;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::domain::ledger::Standing;
    use crate::proxy::ForwardedBy;
    use crate::proxy::Limits;
    use crate::proxy::connection_quota::ConnectionQuota;

    #[tokio::test]
    async fn p_32_a_connection_is_known_for_as_long_as_it_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let trusted = TrustedProxies::new(Vec::new(), ForwardedBy::XForwarded);
        let standings = Arc::new(|_: Option<IpAddr>| Standing::Known);
        let quota = Arc::new(ConnectionQuota::new(
            Limits::default(),
            trusted,
            standings,
            Arc::new(|| Duration::ZERO),
        ));
        let activities = Activities::default();
        let mut open = Vec::new();
        for _ in 0..2 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let Ok((socket, _, slot)) = quota.accept(&listener).await else { panic!("there is room") };
            let mut connection = Connection::from(socket);
            connection.set_socket_digest(SocketDigest::from_raw_fd(connection.as_raw_fd()));
            let stream: Stream = Box::new(connection);
            let known = activities.keep(&stream, slot.activity());
            open.push((client, stream, slot, known));
        }
        assert_eq!(activities.0.len(), 2, "each by itself");
        open.pop();
        assert_eq!(activities.0.len(), 1);
        open.pop();
        assert!(activities.0.is_empty());
    }
}
