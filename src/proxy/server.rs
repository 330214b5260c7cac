//! Listeners, connections, and an orderly end.
//!
//! pingora's `Server` is not used: it owns the process's signals and threads, binds with
//! `SO_REUSEPORT` (a second instance would share the port unnoticed) and panics where an address
//! is taken. Its HTTP applications take connections from any accept loop; this is ours, on the
//! runtime of the rest of the program.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::tls::{Acceptor, TlsSettings as PingoraTls};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::stream::Stream as Connection;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admission::Phases;
use super::context::{NamelessTls, PlainHttp, RequestIds, Shared};
use super::crowd::Crowd;
use super::forwarded::TrustedProxies;
use super::gate::{Activity, Full, Gate, Pass, Standings};
use super::headers::Reserved;
use super::own_bodies::OwnBodies;
use super::tls::{Certificates, NameKeeper};
use super::upstream::{TRIES_MAX, Upstreams};
use super::watched::Watched;
use super::write_buffer::Buffered;
use super::{HEADER_BYTES_MAX, Parts, ProxyError, ProxySettings, streams};
use crate::domain::place::Scheme;
use crate::ports::entropy;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an HTTP/2 connection without requests is kept.
const H2_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How many requests one HTTP/2 connection may have under way.
const H2_STREAMS_MAX: u32 = 100;
/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The proxy, listening.
pub struct Proxy {
    app: Arc<Leashed>,
    listeners: Vec<Listener>,
    certificates: Option<Arc<Certificates>>,
    gate: Arc<Gate>,
    grace_period: Duration,
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
}

impl Proxy {
    /// Binds every address. From then on connections wait in the backlog until [`Self::serve`].
    pub async fn bind(settings: ProxySettings, parts: Parts) -> Result<Self, ProxyError> {
        let certificates = match &settings.tls {
            Some(tls) if tls.certificates.is_empty() => return Err(ProxyError::NoCertificate),
            Some(tls) => Some(Arc::new(Certificates::load(tls.certificates.clone())?)),
            None => None,
        };
        let mut listeners = Vec::new();
        for address in &settings.listen {
            listeners.push(listen(*address, None).await?);
        }
        if let (Some(tls), Some(certificates)) = (&settings.tls, &certificates) {
            let acceptor = Arc::new(acceptor(certificates));
            for address in &tls.listen {
                listeners.push(listen(*address, Some(Arc::clone(&acceptor))).await?);
            }
        }
        let gateway = Arc::clone(&parts.gateway);
        let standings: Standings = Arc::new(move |client| gateway.standing(client));
        let trusted = TrustedProxies::new(settings.trusted_proxies.clone());
        let gate = Arc::new(Gate::new(settings.limits, trusted, standings, Arc::clone(&parts.elapsed)));
        Ok(Self {
            app: Arc::new(Leashed::new(&settings, parts)),
            listeners,
            certificates,
            gate,
            grace_period: settings.grace_period,
        })
    }

    /// The addresses it listens on, plain ones first, with the ports that port 0 became.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// Serves until `shutdown` holds `true`, and then until every request is done or the grace
    /// period is over. Returns early, with all connections cut, if a part of it breaks.
    pub async fn serve(self, shutdown: watch::Receiver<bool>) {
        let mut reloading = JoinSet::new();
        if let Some(certificates) = self.certificates {
            reloading.spawn(certificates.follow_files());
        }
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let (app, gate) = (Arc::clone(&self.app), Arc::clone(&self.gate));
            accepting.spawn(accept(listener, app, gate, shutdown.clone()));
        }
        let mut open = Vec::new();
        loop {
            let ended = tokio::select! {
                ended = accepting.join_next() => ended,
                Some(_) = reloading.join_next() => {
                    tracing::error!("certificates are no longer followed");
                    return;
                }
            };
            match ended {
                Some(Ok(connections)) => open.push(connections),
                Some(Err(error)) => {
                    tracing::error!(%error, "a listener has broken");
                    return;
                }
                None => break,
            }
        }
        // Wakes the connections that are waiting for their next request.
        self.app.http_cleanup().await;
        let all_done = async {
            for connections in &mut open {
                while connections.join_next().await.is_some() {}
            }
        };
        if tokio::time::timeout(self.grace_period, all_done).await.is_err() {
            let cut: usize = open.iter().map(JoinSet::len).sum();
            tracing::info!(connections = cut, "the grace period is over; closing what is left");
        }
    }
}

async fn listen(address: SocketAddr, tls: Option<Arc<Acceptor>>) -> Result<Listener, ProxyError> {
    let refused = |source| ProxyError::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok(Listener { socket, address, tls })
}

/// TLS 1.2 and 1.3, HTTP/2 by ALPN, no early data (rustls's default).
fn acceptor(certificates: &Arc<Certificates>) -> Acceptor {
    #[expect(clippy::expect_used, reason = "with rustls, TLS settings with callbacks cannot fail")]
    let mut settings = PingoraTls::with_callbacks(Box::new(NameKeeper)).expect("TLS settings");
    settings.set_cert_resolver(Arc::clone(certificates) as _);
    settings.enable_h2();
    settings.build()
}

/// Accepts until shutdown, then hands over the connections that are still open.
async fn accept(
    listener: Listener,
    app: Arc<Leashed>,
    gate: Arc<Gate>,
    mut shutdown: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let on_shutdown = shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = asked(&mut shutdown) => return connections,
            Some(_) = connections.join_next() => {}
            accepted = gate.accept(&listener.socket) => match accepted {
                Ok((socket, peer, pass)) => {
                    let (app, tls) = (Arc::clone(&app), listener.tls.clone());
                    let shutdown = on_shutdown.clone();
                    connections.spawn(async move {
                        tokio::select! {
                            () = serve_connection(socket, peer, tls, &app, &pass, shutdown) => {}
                            () = pass.activity().until_closed() => {}
                        }
                    });
                }
                Err(Full::Gate) => {}
                Err(Full::System(e)) => {
                    tracing::warn!(address = %listener.address, error = %e, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Returns when shutdown is asked for, or nobody is left who could ask.
async fn asked(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|asked| *asked).await;
}

async fn serve_connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    app: &Arc<Leashed>,
    pass: &Pass,
    shutdown: ShutdownWatch,
) {
    let Some(stream) = connection(socket, peer, tls).await else { return };
    let _known = app.activities.keep(&stream, pass.activity());
    streams::connection(Arc::clone(pass.activity()), async move {
        let mut next = Some(stream);
        while let Some(stream) = next.take() {
            next = app.process_new(stream, &shutdown).await;
        }
    })
    .await;
}

async fn connection(socket: TcpStream, peer: SocketAddr, tls: Option<Arc<Acceptor>>) -> Option<Stream> {
    // Our buffer decides what is sent together; waiting to fill a segment only delays it.
    socket.set_nodelay(true).ok()?;
    let mut stream = Connection::from(socket);
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // Known already, so that pingora need not ask the system for every request.
    let _ = digest.peer_addr.set(Some(peer.into()));
    stream.set_socket_digest(digest);
    let stream = Buffered::new(stream);
    let Some(tls) = tls else { return Some(Box::new(Watched(stream))) };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.tls_handshake(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(Watched(stream))),
        Ok(Err(e)) => {
            tracing::debug!(client = %peer.ip(), error = %e, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// pingora's proxy, each request on a leash.
struct Leashed {
    proxy: Arc<HttpProxy<Phases>>,
    options: HttpServerOptions,
    activities: Activities,
}

/// What connections are doing, by the digest of their socket: requests of HTTP/2 run in tasks of their
/// own, and that digest is what they know of their connection.
#[derive(Clone, Default)]
struct Activities(Arc<papaya::HashMap<usize, Arc<Activity>>>);

/// Keeps a connection known until it is dropped.
struct Known {
    activities: Activities,
    digest: Option<Arc<SocketDigest>>,
}

impl Activities {
    fn keep(&self, stream: &Stream, activity: &Arc<Activity>) -> Known {
        let digest = stream.get_socket_digest();
        if let Some(digest) = &digest {
            self.0.pin().insert(address_of(digest), Arc::clone(activity));
        }
        Known { activities: self.clone(), digest }
    }

    fn of(&self, session: &ServerSession) -> Option<Arc<Activity>> {
        let digest = session.digest()?.socket_digest.as_ref()?;
        self.0.pin().get(&address_of(digest)).cloned()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(digest) = &self.digest {
            self.activities.0.pin().remove(&address_of(digest));
        }
    }
}

/// Nothing else is there while the digest lives.
fn address_of(digest: &Arc<SocketDigest>) -> usize {
    Arc::as_ptr(digest).addr()
}

impl Leashed {
    fn new(settings: &ProxySettings, parts: Parts) -> Self {
        let place = parts.gateway.place();
        // Without TLS of our own, somebody else has to speak https for us.
        let plain_http = match (&settings.tls, place.scheme) {
            (Some(_), Scheme::Https) => PlainHttp::Redirected,
            _ => PlainHttp::Served,
        };
        let certificates = settings.tls.as_ref().map_or(0, |tls| tls.certificates.len());
        let shared = Shared {
            nameless_tls: if certificates > 1 { NamelessTls::Refused } else { NamelessTls::Served },
            own_bodies: OwnBodies::new(&settings.limits),
            crowd: Arc::new(Crowd::new(settings.limits.connections)),
            reserved: Reserved::of(parts.gateway.routes()),
            ids: RequestIds::new(entropy::bytes(parts.gateway.entropy())),
            trusted: TrustedProxies::new(settings.trusted_proxies.clone()),
            upstreams: Upstreams::new(Arc::clone(&parts.elapsed)),
            plain_http,
            gateway: parts.gateway,
            doors: parts.doors,
            meter: parts.meter,
            elapsed: parts.elapsed,
        };
        let conf =
            ServerConf { threads: settings.workers.max(1), max_retries: TRIES_MAX, ..ServerConf::default() };
        let proxy = http_proxy(&Arc::new(conf), Phases(Arc::new(shared)));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
        Self { proxy: Arc::new(proxy), options, activities: Activities::default() }
    }
}

#[async_trait]
impl HttpServerApp for Leashed {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let activity = if session.is_http2() { self.activities.of(&session) } else { None };
        streams::leashed(activity, self.proxy.process_new_http(session, shutdown)).await.flatten()
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
