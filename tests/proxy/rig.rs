//! A gateway with one person signed in, a proxy in front of it, and an upstream that shows the
//! requests it got. Everything listens on a port of the system's choosing and ends with the test.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::{Extension, Router};
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt as _, Full, StreamBody};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use vestibule::domain::access_token::TokenLimits;
use vestibule::domain::access_token::grant::GrantText;
use vestibule::domain::assertion::AssertionKeys;
use vestibule::domain::attribute::Attributes;
use vestibule::domain::audit::Retention;
use vestibule::domain::ceremony::RelyingParty;
use vestibule::domain::code::EmailCode;
use vestibule::domain::dialect::Dialect;
use vestibule::domain::event::Answered;
use vestibule::domain::event::Event;
use vestibule::domain::id::{AccessTokenId, SessionId, UserId};
use vestibule::domain::identifier::UsernameChange;
use vestibule::domain::keyring::Keyring;
use vestibule::domain::ledger::Budget;
use vestibule::domain::limits::{RateLimits, Shares};
use vestibule::domain::place::{Place, Scheme};
use vestibule::domain::policy::decide::{Decision, Policy};
use vestibule::domain::policy::headers::HeaderRules;
use vestibule::domain::policy::identity::{IdentityHeaders, Template};
use vestibule::domain::policy::public::PublicPath;
use vestibule::domain::policy::route::{
    CrossOrigin, HostPattern, Route, RouteTable, Timeouts, Upstream, UpstreamScheme, WebSocket,
};
use vestibule::domain::policy::who::Allow;
use vestibule::domain::served::Served;
use vestibule::domain::session::token::Carrier;
use vestibule::domain::session::{Lifetimes, Scope, Session};
use vestibule::domain::signup::SignUp;
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{DisplayName, Email, User, Username};
use vestibule::flows::access_tokens::NewToken;
use vestibule::flows::admission::Outcome;
use vestibule::flows::authority::Authority;
use vestibule::flows::rules::Rules;
use vestibule::flows::visit::Visit;
use vestibule::flows::{Gateway, Installation, Ports};
use vestibule::ports::store::{Entry, Follower, StoreError, Told};
use vestibule::ports::{
    Batch, Clock, CommitError, Entropy, KeyValue, Observer, SigningKeys, Vault, VaultError,
};
use vestibule::proxy::{
    AccessDetail, CertificateFiles, Doors, ForwardedBy, Handshake, Limits, Meter, Parts, Preface, Proxy,
    ProxyError, ProxySettings, Sockets, TlsSettings,
};
use vestibule::records;
use vestibule::store::MemoryStore;

/// How long anything in a test may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a slow client waits between two bytes.
const TRICKLE_PAUSE: Duration = Duration::from_millis(100);
const GRACE_PERIOD: Duration = Duration::from_secs(8);
/// How long an unused session lives.
pub(crate) const SESSION_IDLE: Duration = Duration::from_mins(30);
/// Bytes of bodies for our own endpoints that one rig takes at once.
pub(crate) const OWN_BODIES_BYTES: usize = 100 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    On,
    /// With a second certificate.
    Twice,
    Off,
}

/// Whether a client names the host in its TLS handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sni {
    Sent,
    Omitted,
}

pub(crate) struct Rig {
    gateway: Arc<Gateway>,
    session: Session,
    plain: SocketAddr,
    tls: Option<(SocketAddr, reqwest::Certificate)>,
    upstream: Arc<UpstreamState>,
    pub(crate) meter: Arc<RigMeter>,
    millis: Arc<AtomicU64>,
    hands: Controls,
    upstream_port: u16,
    shutdown: watch::Sender<bool>,
    serving: Mutex<Option<JoinHandle<()>>>,
    folder: tempfile::TempDir,
}

/// The parts of the world that a test moves by hand.
#[derive(Clone)]
struct Controls {
    clock: Arc<HandClock>,
    store: Arc<Followed>,
}

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store whose followers a test can also tell things itself.
struct Followed {
    store: MemoryStore,
    followers: Mutex<Vec<Follower>>,
}

#[async_trait::async_trait]
impl KeyValue for Followed {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.store.scan(prefix, after, limit).await
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.take(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.store.commit(batch).await
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        self.followers.lock().unwrap().push(Arc::clone(&follower));
        self.store.follow(prefix, follower).await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.store.health()
    }
}

struct StubPorts;

#[async_trait::async_trait]
impl Vault for StubPorts {
    async fn save(&self, _: &SigningKeys) -> Result<(), VaultError> {
        Ok(())
    }
}

impl Clock for StubPorts {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }
}

impl Entropy for StubPorts {
    fn fill(&self, into: &mut [u8]) {
        into.fill(7);
    }
}

impl Observer for StubPorts {
    fn record(&self, _: &Event) {}
}

/// A meter that keeps what it is told.
#[derive(Default)]
pub(crate) struct RigMeter {
    open: AtomicI64,
    opened: AtomicUsize,
    changed: Notify,
    answered: Mutex<Vec<String>>,
    retried: AtomicUsize,
}

impl RigMeter {
    /// The routes whose upstreams have begun an answer, since this was last asked.
    pub(crate) fn upstreams_answered(&self) -> Vec<String> {
        std::mem::take(&mut self.answered.lock().unwrap())
    }

    /// How many streams there have been.
    pub(crate) fn streams_opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// How often a request was sent again, since this was last asked.
    pub(crate) fn retried(&self) -> usize {
        self.retried.swap(0, Ordering::SeqCst)
    }
}

impl Meter for RigMeter {
    fn request(&self, _: Option<&str>, _: Answered, _: Option<Decision>, _: Duration) {}

    fn upstream_answered(&self, route: &str, _: Duration) {
        self.answered.lock().unwrap().push(route.to_owned());
    }

    fn stream_opened(&self) {
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    fn stream_closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn upstream_retried(&self, _: &str) {
        self.retried.fetch_add(1, Ordering::SeqCst);
    }

    fn handshake(&self, _: Handshake) {}

    fn access_detail(&self) -> AccessDetail {
        AccessDetail::Nothing
    }

    fn served(&self, _: &Served) {}
}

impl Rig {
    pub(crate) async fn start(tls: Tls) -> Self {
        let upstream = Arc::new(UpstreamState::default());
        let address = start_upstream(Arc::clone(&upstream)).await;
        Self::before(tls, address, upstream).await
    }

    /// With other settings.
    pub(crate) async fn tuned(tune: impl FnOnce(&mut ProxySettings)) -> Self {
        let upstream = Arc::new(UpstreamState::default());
        let address = start_upstream(Arc::clone(&upstream)).await;
        Self::set_up(Tls::Off, address, upstream, tune).await
    }

    /// In front of another application, whose requests are not counted.
    pub(crate) async fn before(tls: Tls, address: SocketAddr, upstream: Arc<UpstreamState>) -> Self {
        Self::set_up(tls, address, upstream, |_| {}).await
    }

    async fn set_up(
        tls: Tls,
        address: SocketAddr,
        upstream: Arc<UpstreamState>,
        tune: impl FnOnce(&mut ProxySettings),
    ) -> Self {
        let (gateway, session, hands) = gateway(tls, address.port()).await;
        let folder = tempfile::tempdir().unwrap();
        let upstream_port = address.port();
        let (mut settings, root) = settings(tls, folder.path());
        tune(&mut settings);
        let meter = Arc::new(RigMeter::default());
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let parts =
            parts(&gateway, &meter, Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst))));
        let proxy = Proxy::bind(settings, parts, &mut Sockets::default()).await.unwrap();
        let addresses: Vec<_> = proxy.addresses().collect();
        let (shutdown, asked) = watch::channel(false);
        let serving = Mutex::new(Some(tokio::spawn(proxy.serve(asked))));
        let plain = addresses[0];
        let tls = root.map(|root| (addresses[1], root));
        Self {
            gateway,
            session,
            plain,
            tls,
            upstream,
            meter,
            millis,
            hands,
            upstream_port,
            shutdown,
            serving,
            folder,
        }
    }

    /// Whether a proxy listens with so many certificates.
    pub(crate) async fn listens_with(certificates: usize) -> Result<(), ProxyError> {
        let (gateway, _, _) = gateway(Tls::On, 1).await;
        let folder = tempfile::tempdir().unwrap();
        let (mut settings, _) = settings(Tls::On, folder.path());
        settings.tls.as_mut().unwrap().certificates.truncate(certificates);
        let parts = parts(&gateway, &Arc::default(), Arc::new(|| Duration::ZERO));
        Proxy::bind(settings, parts, &mut Sockets::default()).await.map(drop)
    }

    /// Puts rules in force by which every application is told the user's name and groups in these
    /// headers. The proxy is not told of the new rules yet.
    pub(crate) fn tell_in(&self, username: &'static str, groups: &'static str) {
        let field = |name, text| {
            (HeaderName::from_static(name), Template::parse(text, &Attributes::default()).unwrap())
        };
        let identity =
            IdentityHeaders::custom(vec![field(username, "{username}"), field(groups, "{groups}")]);
        let mut routes = routes(self.upstream_port);
        for route in &mut routes {
            route.identity = identity.clone();
        }
        self.gateway.adopt(rules(routes));
    }

    pub(crate) fn token(&self, host: &str) -> String {
        self.gateway.sessions.token(&self.session, Carrier::Cookie(host.to_owned())).unwrap()
    }

    pub(crate) fn origin(&self, host: &str) -> String {
        self.gateway.ground.place().origin_of(host)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://app.localhost:{}{path}", self.plain.port())
    }

    pub(crate) async fn open(&self, request: &str) -> Open {
        let mut open = Open { stream: TcpStream::connect(self.plain).await.unwrap(), seen: Vec::new() };
        open.write(request.as_bytes()).await;
        open
    }

    /// Sends and reads until the proxy closes the connection.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut open = self.open(request).await;
        open.read_to_end().await;
        open.seen()
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Like [`Self::ask`], over TLS, which has to be ended as it should be.
    pub(crate) async fn tls_ask(&self, request: &str) -> String {
        self.tls_exchange(b"http/1.1", request, PATIENCE).await.unwrap()
    }

    /// Fails when the proxy leaves the connection open for longer than this.
    pub(crate) async fn tls_exchange(
        &self,
        protocol: &[u8],
        request: &str,
        patience: Duration,
    ) -> std::io::Result<String> {
        let (address, request) = (self.tls.as_ref().unwrap().0, request.to_owned());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path().join("crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let client = rustls::ClientConnection::new(Arc::new(config), "app.localhost".try_into().unwrap());
        let mut client = client.unwrap();
        let exchange = move || {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(patience)).unwrap();
            let mut stream = rustls::Stream::new(&mut client, &mut socket);
            stream.write_all(request.as_bytes())?;
            let mut seen = Vec::new();
            match stream.read_to_end(&mut seen) {
                Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof || !request.is_empty() => {
                    Err(error)
                }
                _ => Ok(String::from_utf8_lossy(&seen).into_owned()),
            }
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    /// An access token of the user for the first route, and its id.
    pub(crate) async fn access_token(&self) -> (AccessTokenId, String) {
        let grant = GrantText { routes: vec!["app.localhost/".to_owned()], ..GrantText::default() };
        let new = NewToken::parse("rig", &grant, 3_600).unwrap();
        let tokens = &self.gateway.access_tokens;
        let made = tokens.make_token(&Authority::of_operator(), &self.session.user, new).await.unwrap();
        (made.token.id, made.text)
    }

    pub(crate) async fn revoke(&self, token: &AccessTokenId) {
        self.gateway.access_tokens.revoke_token(&Authority::of_operator(), token).await.unwrap();
    }

    fn signed_in(&self, line: &str, headers: &str) -> String {
        let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
        let token = self.token("app.localhost");
        format!("{line}\r\nHost: app.localhost\r\nCookie: vestibule={token}\r\n{headers}")
    }

    pub(crate) async fn open_signed_in(&self, line: &str, headers: &str) -> Open {
        self.open(&format!("{}\r\n", self.signed_in(line, headers))).await
    }

    pub(crate) async fn ask_signed_in(&self, line: &str, headers: &str) -> String {
        let connection = if headers.contains("Connection:") { "" } else { "Connection: close\r\n" };
        self.ask(&format!("{}{connection}\r\n", self.signed_in(line, headers))).await
    }

    pub(crate) fn http2_client(&self, host: &str) -> reqwest::Client {
        reqwest::Client::builder().resolve(host, self.plain).http2_prior_knowledge().build().unwrap()
    }

    pub(crate) fn get_signed_in(&self, client: &reqwest::Client, path: &str) -> reqwest::RequestBuilder {
        let cookie = format!("vestibule={}", self.token("app.localhost"));
        client.get(self.url(path)).header("Cookie", cookie)
    }

    pub(crate) fn post_signed_in(
        &self,
        client: &reqwest::Client,
        path: &str,
        body: String,
    ) -> reqwest::RequestBuilder {
        let cookie = format!("vestibule={}", self.token("app.localhost"));
        client.post(self.url(path)).header("Cookie", cookie).body(body)
    }

    /// A request with a body of this length, whose pieces come when they are sent into the returned
    /// end.
    pub(crate) fn post_pieces_signed_in(
        &self,
        client: &reqwest::Client,
        path: &str,
        length: usize,
    ) -> (mpsc::UnboundedSender<Bytes>, reqwest::RequestBuilder) {
        let (pieces, coming) = mpsc::unbounded_channel::<Bytes>();
        let frames = stream::unfold(coming, async |mut coming| {
            let frame = Full::new(coming.recv().await?).frame().await?;
            Some((frame, coming))
        });
        let cookie = format!("vestibule={}", self.token("app.localhost"));
        let request = client.post(self.url(path)).header("Cookie", cookie).header("Content-Length", length);
        (pieces, request.body(reqwest::Body::wrap(StreamBody::new(frames))))
    }

    pub(crate) fn tls_client(&self, host: &str, sni: Sni) -> reqwest::Client {
        let (address, root) = self.tls.clone().unwrap();
        reqwest::Client::builder()
            .tls_sni(sni == Sni::Sent)
            .add_root_certificate(root)
            .resolve(host, address)
            .http1_only()
            .build()
            .unwrap()
    }

    pub(crate) async fn tls_get(
        &self,
        client: &reqwest::Client,
        host: &str,
        path: &str,
        other_host: Option<&str>,
    ) -> String {
        let port = self.tls.as_ref().unwrap().0.port();
        let mut request = client
            .get(format!("https://{host}:{port}{path}"))
            .header("Cookie", format!("__Host-vestibule={}", self.token(host)));
        if let Some(other) = other_host {
            request = request.header("Host", other);
        }
        let answer = request.send().await.unwrap();
        let headers = format!("{:?}", answer.headers()).replace("\": \"", ": ");
        format!("{headers}\n{}", answer.text().await.unwrap())
    }

    pub(crate) async fn end_session(&self) {
        self.gateway.sessions.end_session(&self.session, &self.session.id, &visit()).await.unwrap();
    }

    pub(crate) fn upstream_requests(&self) -> usize {
        self.upstream.requests.load(Ordering::SeqCst)
    }

    /// Moves the clock by which the proxy measures how long things take; it stands still otherwise.
    pub(crate) fn pass(&self, time: Duration) {
        self.millis.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The store loses track of its changes, and so much time passes.
    pub(crate) fn fall_behind(&self, time: Duration) {
        for follower in &*self.hands.store.followers.lock().unwrap() {
            follower(Told::Behind).unwrap();
        }
        self.hands.clock.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Lets time pass, and does the regular chores.
    pub(crate) async fn sweep_after(&self, time: Duration) {
        self.hands.clock.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        self.gateway.sweep().await;
    }

    /// Returns when so many requests have come upstream.
    pub(crate) async fn upstream_has_got(&self, requests: usize) {
        let mut changes = self.upstream.progress.subscribe();
        let come = changes.wait_for(|()| self.upstream_requests() >= requests);
        within(come, "a request upstream").await.unwrap();
    }

    /// Returns when so many bytes of bodies have come to `/sink`.
    pub(crate) async fn upstream_has_swallowed(&self, bytes: usize) {
        let mut changes = self.upstream.progress.subscribe();
        let come = changes.wait_for(|()| self.upstream.swallowed.load(Ordering::SeqCst) >= bytes);
        within(come, "a body upstream").await.unwrap();
    }

    /// Lets every `/events` go on.
    pub(crate) fn release_events(&self) {
        self.upstream.go_on.notify_waiters();
    }

    pub(crate) fn open_streams(&self) -> i64 {
        self.meter.open.load(Ordering::SeqCst)
    }

    pub(crate) async fn no_streams_left(&self) {
        let none = async {
            while self.open_streams() != 0 {
                self.meter.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, none).await.unwrap();
    }

    pub(crate) fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    pub(crate) async fn ended(&self) {
        let serving = self.serving.lock().unwrap().take().unwrap();
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
    }
}

/// The result of `coming`, within the time that a step of a test may take.
pub(crate) async fn within<T>(coming: impl Future<Output = T>, what: &str) -> T {
    tokio::time::timeout(PATIENCE, coming).await.unwrap_or_else(|_| panic!("this did not come: {what}"))
}

/// A connection that is still open.
pub(crate) struct Open {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Open {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Forgets the bytes that have been seen.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// The payload of a frame of HTTP/2.
    pub(crate) async fn http2_frame(&mut self) -> Vec<u8> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        self.stream.read_exact(&mut payload).await.unwrap();
        payload
    }

    /// Whether the proxy closes the connection within this time, without a word.
    pub(crate) async fn is_closed_within(&mut self, patience: Duration) -> bool {
        let read = self.stream.read_buf(&mut self.seen);
        tokio::time::timeout(patience, read).await.is_ok_and(|read| read.unwrap_or(0) == 0)
    }

    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        while !self.seen().contains(text) {
            assert!(self.read().await > 0, "closed before {text:?}: {}", self.seen());
        }
        self.seen()
    }

    pub(crate) async fn read_to_end(&mut self) {
        while self.read().await > 0 {}
    }

    /// Sends `bytes`, and reads until the proxy closes the connection. Fails where the proxy reset
    /// the connection, which may lose its answer.
    pub(crate) async fn send_to_the_end(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let all = async {
            // Piece by piece, so that the piece after the end is refused.
            for piece in bytes.chunks(10_000) {
                self.stream.write_all(piece).await?;
                tokio::task::yield_now().await;
            }
            while self.stream.read_buf(&mut self.seen).await? > 0 {}
            Ok(())
        };
        within(all, "the end").await
    }

    /// Sends `bytes` slowly, and then one more again and again until the proxy closes the
    /// connection or `patience` is over. Returns how long it was open.
    #[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
    pub(crate) async fn trickle(&mut self, bytes: &str, patience: Duration) -> Duration {
        let began = std::time::Instant::now();
        let mut bytes = bytes.bytes();
        while began.elapsed() < patience {
            if self.stream.write_all(&[bytes.next().unwrap_or(b'x')]).await.is_err() {
                break;
            }
            let read = self.stream.read_buf(&mut self.seen);
            if tokio::time::timeout(TRICKLE_PAUSE, read).await.is_ok_and(|read| read.unwrap_or(0) == 0) {
                break;
            }
        }
        began.elapsed()
    }

    async fn read(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.seen);
        let Ok(read) = tokio::time::timeout(PATIENCE, read).await else {
            panic!("nothing more came: {}", self.seen())
        };
        read.unwrap_or(0)
    }
}

fn parts(
    gateway: &Arc<Gateway>,
    meter: &Arc<RigMeter>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
) -> Parts {
    Parts {
        gateway: Arc::clone(gateway),
        doors: doors(),
        meter: Arc::clone(meter) as _,
        challenges: Arc::default(),
        elapsed,
    }
}

fn visit() -> Visit {
    Visit {
        host: "auth.localhost".into(),
        scheme: Scheme::Http,
        client: None,
        request_id: "t".into(),
        dialect: Dialect::Native,
        shows_live_session: false,
        by_access_token: false,
        change: None,
        step_up: None,
        device: None,
    }
}

async fn gateway(tls: Tls, upstream: u16) -> (Arc<Gateway>, Session, Controls) {
    let now = StubPorts.now();
    let clock = Arc::new(HandClock(AtomicI64::new(now.as_millis())));
    let store = Arc::new(Followed { store: MemoryStore::new(), followers: Mutex::default() });
    let hands = Controls { clock: Arc::clone(&clock), store: Arc::clone(&store) };
    let place = match tls {
        Tls::Off => Place::new(Scheme::Http, "auth.localhost", 80, "/auth"),
        Tls::On | Tls::Twice => Place::new(Scheme::Https, "auth.localhost", 443, "/auth"),
    };
    let user = alice(now);
    let session = Session {
        id: SessionId([9; 16]),
        user: user.id,
        scope: Scope::Full,
        credential: None,
        created_at: now,
        authenticated_at: Some(now),
        fresh_since: Some(now),
        stepped_up_at: None,
        step_up: None,
        by_mailed_code: false,
        last_seen_at: now,
        expires_at: now.plus(Duration::from_secs(3_600)),
        client: None,
        user_agent: None,
    };
    store.commit(records::create_user(&user).unwrap()).await.unwrap();
    store.commit(records::put_session(&session).unwrap()).await.unwrap();
    let installation = Installation {
        relying_party: RelyingParty::new("localhost", "Test", &[place.origin()]).unwrap(),
        place,
        rules: rules(routes(upstream)),
        limits: RateLimits::default(),
        audit: Retention::default(),
        trusted_proxies: Vec::new(),
        keys: SigningKeys {
            sessions: Keyring::generate(&[1; 32], now).unwrap(),
            assertions: AssertionKeys::generate(&[2; 32]).unwrap(),
            access_tokens: Some(Keyring::generate(&[3; 32], now).unwrap()),
        },
    };
    let ports = Ports {
        store,
        vault: Arc::new(StubPorts),
        clock,
        entropy: Arc::new(StubPorts),
        observer: Arc::new(StubPorts),
    };
    (Gateway::open(installation, ports).await.unwrap(), session, hands)
}

fn rules(routes: Vec<Route>) -> Rules {
    let hour = Duration::from_secs(3_600);
    Rules {
        routes: RouteTable::new(routes),
        lifetimes: Lifetimes {
            idle: SESSION_IDLE,
            absolute: hour,
            short: hour,
            sessions_max: 20,
            fresh: hour,
        },
        email_code: EmailCode::Off,
        username_change: UsernameChange::Forbidden,
        has_mail: false,
        webhooks: Vec::new(),
        sign_up: SignUp::default(),
        recovery_delay: Duration::ZERO,
        automatic_bans: None,
        access_tokens: TokenLimits::default(),
        attributes: Arc::default(),
    }
}

fn alice(now: Timestamp) -> User {
    let (username, email) = (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
    User {
        id: UserId::from_random([1; 16]),
        display_name: DisplayName::parse("Alice").unwrap(),
        created_at: now,
        updated_at: now,
        ..User::hypothetical(username, email, [].into()).unwrap()
    }
}

/// At a host that cannot be looked up, because no name has so long a part.
fn nameless() -> Upstream {
    Upstream { scheme: UpstreamScheme::Http, host: format!("{}.localhost", "x".repeat(64)), port: 1 }
}

fn routes(port: u16) -> Vec<Route> {
    let upstream = |port| Upstream { scheme: UpstreamScheme::Http, host: "127.0.0.1".into(), port };
    let route = |host: &str, path: &str| Route {
        name: format!("{host}{path}"),
        host: HostPattern::parse(host).unwrap(),
        path: path.to_owned(),
        upstreams: vec![upstream(port)],
        policy: Policy::allowing(vec![Allow::AnyUser], None),
        public: vec![],
        identity: IdentityHeaders::preset("remote").unwrap(),
        credentials: None,
        logout: None,
        websocket: WebSocket::Allowed,
        cross_origin: CrossOrigin::Refused,
        headers: HeaderRules::default(),
        tile: None,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(2),
            write: Duration::from_secs(2),
            idle: Duration::from_secs(60),
        },
    };
    // Port 1 refuses connections.
    vec![
        Route {
            public: vec![PublicPath::parse("/public/*").unwrap()],
            timeouts: Timeouts { read: Duration::from_secs(2), ..route("app.localhost", "/").timeouts },
            ..route("app.localhost", "/")
        },
        Route { websocket: WebSocket::Refused, ..route("app.localhost", "/no-ws") },
        Route {
            policy: Policy::allowing(vec![Allow::parse("user:bob@example.com").unwrap()], None),
            public: vec![PublicPath::parse("/bobs/public/*").unwrap()],
            ..route("app.localhost", "/bobs")
        },
        Route { upstreams: vec![upstream(1)], ..route("app.localhost", "/dead") },
        Route { upstreams: vec![nameless()], ..route("app.localhost", "/nameless") },
        Route { upstreams: vec![nameless(), upstream(port)], ..route("app.localhost", "/half-nameless") },
        // It listens on 127.0.0.1 only; on many machines the name means ::1, too.
        Route {
            upstreams: vec![Upstream { host: "localhost".into(), ..upstream(port) }],
            ..route("app.localhost", "/by-name")
        },
        Route { upstreams: vec![upstream(1), upstream(port)], ..route("app.localhost", "/half") },
        Route {
            timeouts: Timeouts { read: Duration::from_millis(200), ..route("app.localhost", "/").timeouts },
            ..route("app.localhost", "/brief")
        },
        Route {
            timeouts: Timeouts { read: Duration::from_mins(1), ..route("app.localhost", "/").timeouts },
            ..route("app.localhost", "/patient")
        },
        route("other-app.localhost", "/"),
    ]
}

fn settings(tls: Tls, folder: &std::path::Path) -> (ProxySettings, Option<reqwest::Certificate>) {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut root = None;
    let tls = (tls != Tls::Off).then(|| {
        let names = vec!["app.localhost".to_owned(), "other-app.localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let files = CertificateFiles::given(folder.join("crt"), folder.join("key"));
        std::fs::write(&files.chain, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        root = Some(reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap());
        let mut certificates = vec![files.clone()];
        if tls == Tls::Twice {
            certificates.push(files);
        }
        TlsSettings { listen: vec![any], certificates }
    });
    let own_bodies =
        Budget { total: OWN_BODIES_BYTES, per_network: OWN_BODIES_BYTES, shares: Shares::default() };
    let settings = ProxySettings {
        listen: vec![any],
        tls,
        trusted_proxies: vec![],
        forwarded_by: ForwardedBy::XForwarded,
        preface: Preface::No,
        workers: 2,
        grace_period: GRACE_PERIOD,
        limits: Limits { own_bodies, ..Limits::default() },
    };
    (settings, root)
}

/// A body that does not say how long it is.
fn pieces_of(pieces: &'static [&'static str]) -> axum::body::Body {
    axum::body::Body::from_stream(stream::iter(pieces.iter().map(|it| Ok::<_, std::io::Error>(*it))))
}

fn pieces() -> axum::body::Body {
    pieces_of(&["in ", "pieces"])
}

fn doors() -> Doors {
    let own = Router::new()
        .route("/auth/pieces", axum::routing::get(|| async { pieces() }))
        .route(
            "/auth/nothing",
            axum::routing::get(|| async { (http::StatusCode::NO_CONTENT, pieces_of(&[])) }),
        )
        .fallback(|Extension(visit): Extension<Visit>, body: Bytes| async move {
            assert!(!visit.request_id.is_empty());
            ([("length", body.len().to_string())], "own")
        });
    let gate =
        Router::new().fallback(|Extension(outcome): Extension<Outcome>, headers: HeaderMap| async move {
            assert!(!headers.contains_key("outcome"));
            (http::StatusCode::IM_A_TEAPOT, [("outcome", label(&outcome))], "gate")
        });
    Doors { own, gate }
}

fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::SignIn { .. } => "sign-in",
        Outcome::Forbidden { .. } => "forbidden",
        Outcome::StepUp { .. } => "step up",
        Outcome::Undecided { .. } => "undecided",
        Outcome::TokenRefused { .. } => "token-refused",
        Outcome::UnknownHost => "unknown-host",
        Outcome::NoRoute => "no-route",
        Outcome::MalformedRequest => "malformed",
        Outcome::AmbiguousPath => "ambiguous",
        Outcome::UpgradeRefused { .. } => "upgrade-refused",
        Outcome::CrossOriginRefused { .. } => "cross-origin-refused",
        Outcome::ServiceWorkerRefused { .. } => "service-worker-refused",
        Outcome::MethodRefused => "method",
        Outcome::BodyTooLarge => "body-too-large",
        Outcome::HeadersTooLarge => "headers-too-large",
        Outcome::Misdirected => "misdirected",
        Outcome::Unavailable => "unavailable",
        Outcome::UpstreamFailed { .. } => "upstream-failed",
        Outcome::UpstreamTimedOut { .. } => "upstream-timed-out",
        Outcome::Internal => "internal",
    }
}

#[derive(Default)]
pub(crate) struct UpstreamState {
    requests: AtomicUsize,
    swallowed: AtomicUsize,
    go_on: Notify,
    progress: watch::Sender<()>,
}

async fn start_upstream(state: Arc<UpstreamState>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, Arc::clone(&state)));
        }
    });
    address
}

/// Does what the path says; by default answers with the request's head as it came.
async fn behave(mut stream: TcpStream, state: Arc<UpstreamState>) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let go_on = state.go_on.notified();
    state.requests.fetch_add(1, Ordering::SeqCst);
    state.progress.send_replace(());
    let text = String::from_utf8_lossy(&head).into_owned();
    let path = text.split(' ').nth(1)?;
    if path.ends_with("/ws") {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.ok()?;
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok()?;
    } else if path.ends_with("/events") {
        let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(begin).await.ok()?;
        go_on.await;
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.ok()?;
    } else if path == "/reset" {
        return None;
    } else if path == "/garbage" {
        stream.write_all(b"what?\r\n\r\n").await.ok()?;
    } else if path == "/keep-alive" {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkept").await.ok()?;
        stream.read_buf(&mut head).await.ok()?;
        state.requests.fetch_add(1, Ordering::SeqCst);
    } else if path == "/echo-body" {
        let length = text.to_lowercase().split_once("content-length: ")?.1.split('\r').next()?.to_owned();
        let begun = text.find("\r\n\r\n")? + 4;
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .await
            .ok()?;
        stream.write_all(&head[begun..]).await.ok()?;
        let left = length.parse::<usize>().unwrap() - (head.len() - begun);
        let (from, mut to) = stream.split();
        tokio::io::copy(&mut from.take(left as u64), &mut to).await.ok()?;
    } else if path == "/late" {
        go_on.await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.ok()?;
    } else if path == "/hint" {
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhinted").await.ok()?;
    } else if path == "/hint-and-reset" {
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.ok()?;
    } else if path == "/break-off" {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nhalf").await.ok()?;
    } else if path == "/sink" {
        let begun = head.len() - (text.find("\r\n\r\n")? + 4);
        swallow(stream, begun, &state).await?;
    } else if path == "/never" {
        std::future::pending::<()>().await;
    } else {
        let extra = if path == "/set-cookie" {
            "Set-Cookie: sid=1; Path=/\r\nSet-Cookie: __Host-vestibule=evil\r\nSet-Cookie: vestibule=evil\r\n"
        } else {
            ""
        };
        let head =
            format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(text.as_bytes()).await.ok()?;
    }
    Some(())
}

/// Counts the bytes of a body, of which so many have come.
async fn swallow(mut stream: TcpStream, begun: usize, state: &UpstreamState) -> Option<()> {
    let mut swallowed = begun;
    loop {
        state.swallowed.fetch_add(swallowed, Ordering::SeqCst);
        state.progress.send_replace(());
        swallowed = stream.read(&mut vec![0; 0x1_0000]).await.ok().filter(|read| *read > 0)?;
    }
}
