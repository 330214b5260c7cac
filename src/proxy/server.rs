//! Listeners, connections, and an orderly end.
//!
//! pingora's `Server` is not used: it owns the process's signals and threads, binds with
//! `SO_REUSEPORT` (a second instance would share the port unnoticed) and panics where an address
//! is taken. Its HTTP applications take connections from any accept loop; this is ours, on the
//! runtime of the rest of the program.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::{HttpServerApp as _, ServerApp as _};
use pingora::listeners::tls::{Acceptor, TlsSettings as PingoraTls};
use pingora::protocols::l4::stream::Stream as Connection;
use pingora::protocols::{GetSocketDigest as _, SocketDigest, Stream};
use pingora::server::ShutdownWatch;
use rustls::crypto::ring;
use rustls::server::ServerConfig;
use rustls::version;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::acme::{VALIDATION_PROTOCOL, has_validated};
use super::connection_quota::{AcceptError, ConnectionQuota, ConnectionSlot, Standings};
use super::context::{Front, NamelessTls};
use super::control::{ClientLimits, ProxyControl};
use super::forwarded::{TrustedProxies, UntrustedProxies};
use super::headers::Reserved;
use super::own_bodies::OwnBodies;
use super::request_quota::RequestQuota;
use super::sockets::Sockets;
use super::supervised::Supervised;
use super::tls::{Certificates, ServerNameRecorder};
use super::watched::Watched;
use super::write_buffer::Buffered;
use super::{Handshake, Parts, Preface, ProxyError, ProxySettings, streams};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may still bring a request after shutdown began.
const LINGER: Duration = Duration::from_millis(300);
/// How long to wait when the system has no sockets left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The proxy, listening.
pub struct Proxy {
    app: Arc<Supervised>,
    listeners: Vec<Listener>,
    certificates: Option<Arc<Certificates>>,
    control: Arc<ProxyControl>,
    connection_quota: Arc<ConnectionQuota>,
    grace_period: Duration,
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
}

impl Proxy {
    /// Listens on every address. From then on connections wait in the backlog until
    /// [`Self::serve`].
    pub async fn bind(
        settings: ProxySettings,
        parts: Parts,
        sockets: &mut Sockets,
    ) -> Result<Self, ProxyError> {
        let certificates = match &settings.tls {
            Some(tls) if tls.certificates.is_empty() => return Err(ProxyError::NoCertificate),
            Some(tls) => {
                let challenges = Arc::clone(&parts.challenges);
                Some(Arc::new(Certificates::load(tls.certificates.clone(), challenges)?))
            }
            None => None,
        };
        let mut listeners = Vec::new();
        for address in &settings.listen {
            listeners.push(listen(sockets, *address, None).await?);
        }
        if let (Some(tls), Some(certificates)) = (&settings.tls, &certificates) {
            let acceptor = Arc::new(acceptor(certificates));
            for address in &tls.listen {
                listeners.push(listen(sockets, *address, Some(Arc::clone(&acceptor))).await?);
            }
        }
        let gateway = Arc::clone(&parts.gateway);
        let standings: Standings = Arc::new(move |client| gateway.attempts.standing(client));
        let trusted = TrustedProxies::new(settings.trusted_proxies.clone(), settings.forwarded_by);
        let connection_quota =
            Arc::new(ConnectionQuota::new(settings.limits, trusted, standings, Arc::clone(&parts.elapsed)));
        let front = Arc::new(ArcSwap::from_pointee(Front {
            doors: parts.doors.clone(),
            meter: Arc::clone(&parts.meter),
            reserved: Reserved::of(&parts.gateway.ground.routes()),
            nameless_tls: NamelessTls::with(settings.tls.as_ref().map_or(0, |tls| tls.certificates.len())),
        }));
        let gateway = Arc::clone(&parts.gateway);
        let untrusted_proxies = Arc::new(UntrustedProxies::default());
        let client_limits = ClientLimits {
            connection_quota: Arc::clone(&connection_quota),
            request_quota: Arc::new(RequestQuota::new(settings.limits.connections)),
            own_bodies: Arc::new(OwnBodies::new(&settings.limits)),
        };
        let control = ProxyControl {
            client_limits: client_limits.clone(),
            gateway,
            front: Arc::clone(&front),
            certificates: certificates.clone(),
            untrusted_proxies: Arc::clone(&untrusted_proxies),
        };
        Ok(Self {
            app: Arc::new(Supervised::new(
                &settings,
                parts,
                front,
                certificates.clone(),
                client_limits,
                untrusted_proxies,
            )),
            listeners,
            certificates,
            control: Arc::new(control),
            connection_quota,
            grace_period: settings.grace_period,
        })
    }

    /// The addresses it listens on, plain ones first, with the ports that port 0 became.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// The listening sockets, for another program.
    pub fn descriptors(&self) -> impl Iterator<Item = io::Result<OwnedFd>> {
        self.listeners.iter().map(|listener| listener.socket.as_fd().try_clone_to_owned())
    }

    /// The control, by which the served state is exchanged.
    pub fn control(&self) -> Arc<ProxyControl> {
        Arc::clone(&self.control)
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
            let (app, connection_quota) = (Arc::clone(&self.app), Arc::clone(&self.connection_quota));
            accepting.spawn(accept(listener, app, connection_quota, shutdown.clone()));
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
        let until = tokio::time::Instant::now() + self.grace_period;
        // A client may be sending its next request on a connection that it was told to keep. That
        // request is answered, and the connection told to close; without this time it would be cut
        // off.
        let linger = LINGER.min(self.grace_period);
        let mut is_done = tokio::time::timeout(linger, all_ended(&mut open)).await.is_ok();
        if !is_done {
            // Wakes the connections that are waiting for their next request.
            self.app.http_cleanup().await;
            is_done = tokio::time::timeout_at(until, all_ended(&mut open)).await.is_ok();
        }
        if !is_done {
            let cut: usize = open.iter().map(JoinSet::len).sum();
            tracing::info!(connections = cut, "the grace period is over; closing what is left");
        }
    }
}

async fn all_ended(open: &mut [JoinSet<()>]) {
    for connections in open {
        while connections.join_next().await.is_some() {}
    }
}

async fn listen(
    sockets: &mut Sockets,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
) -> Result<Listener, ProxyError> {
    let refused = |source| ProxyError::Listen { address, source };
    let socket = sockets.listen(address).await.map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok(Listener { socket, address, tls })
}

/// TLS 1.2 and 1.3, HTTP/2 by ALPN, no early data (rustls's default). pingora knows no protocol
/// beside those of HTTP, so the configuration that it makes is replaced.
fn acceptor(certificates: &Arc<Certificates>) -> Acceptor {
    #[expect(clippy::expect_used, reason = "with rustls, TLS settings with callbacks cannot fail")]
    let mut settings = PingoraTls::with_callbacks(Box::new(ServerNameRecorder)).expect("TLS settings");
    settings.set_cert_resolver(Arc::clone(certificates) as _);
    let mut acceptor = settings.build();
    let versions = [&version::TLS13, &version::TLS12];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    #[expect(clippy::expect_used, reason = "ring has cipher suites for both versions")]
    let config = config.with_protocol_versions(&versions).expect("TLS versions");
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(certificates) as _);
    config.alpn_protocols = [&b"h2"[..], b"http/1.1", VALIDATION_PROTOCOL].map(<[u8]>::to_vec).to_vec();
    acceptor.acceptor = Arc::new(config).into();
    acceptor
}

/// Accepts until shutdown, then hands over the connections that are still open.
async fn accept(
    listener: Listener,
    app: Arc<Supervised>,
    connection_quota: Arc<ConnectionQuota>,
    mut shutdown: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let on_shutdown = shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = asked(&mut shutdown) => return connections,
            Some(_) = connections.join_next() => {}
            accepted = connection_quota.accept(&listener.socket) => match accepted {
                Ok((mut socket, mut peer, mut slot)) => {
                    let (app, tls) = (Arc::clone(&app), listener.tls.clone());
                    let (shutdown, connection_quota) = (on_shutdown.clone(), Arc::clone(&connection_quota));
                    connections.spawn(async move {
                        if app.preface == Preface::Proxy {
                            let identified = connection_quota.identify_client(&mut socket, peer, slot).await;
                            let Some(identified) = identified else { return };
                            (peer, slot) = identified;
                        }
                        tokio::select! {
                            () = serve_connection(socket, peer, tls, &app, &slot, shutdown) => {}
                            () = slot.activity().until_closed() => {}
                        }
                    });
                }
                Err(AcceptError::NoRoom) => {}
                Err(AcceptError::System(e)) => {
                    tracing::warn!(address = %listener.address, error = %e, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Returns when shutdown is asked for, or the sender is gone.
async fn asked(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|asked| *asked).await;
}

async fn serve_connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    app: &Arc<Supervised>,
    slot: &ConnectionSlot,
    shutdown: ShutdownWatch,
) {
    let Some(stream) = connection(socket, peer, tls, app).await else { return };
    let _known = app.know(&stream, slot.activity());
    streams::connection(Arc::clone(slot.activity()), async move {
        let mut next = Some(stream);
        while let Some(stream) = next.take() {
            next = app.process_new(stream, &shutdown).await;
        }
    })
    .await;
}

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    app: &Supervised,
) -> Option<Stream> {
    // Our buffer decides what is sent together; waiting to fill a segment only delays it.
    socket.set_nodelay(true).ok()?;
    let mut stream = Connection::from(socket);
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // The peer is set here, so that pingora need not ask the system for every request.
    let _ = digest.peer_addr.set(Some(peer.into()));
    stream.set_socket_digest(digest);
    let stream = Buffered::new(stream);
    let Some(tls) = tls else { return Some(Box::new(Watched(stream))) };
    let ended = |how| app.front.load().meter.handshake(how);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.tls_handshake(stream)).await {
        // A certificate authority needs no more than the handshake.
        Ok(Ok(stream)) if has_validated(&stream) => {
            ended(Handshake::Validation);
            None
        }
        Ok(Ok(stream)) => {
            ended(Handshake::Done);
            Some(Box::new(Watched(stream)))
        }
        Ok(Err(e)) => {
            ended(Handshake::Failed);
            tracing::debug!(client = %peer.ip(), error = %e, "TLS handshake failed");
            None
        }
        Err(_) => {
            ended(Handshake::Failed);
            None
        }
    }
}
