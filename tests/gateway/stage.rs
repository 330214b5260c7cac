//! The use cases on a stage: real flows over a store in memory, with a clock moved by hand.
#![allow(unreachable_pub, reason = "shared by the modules of one test binary")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use sha2::{Digest, Sha256};
use vestibule::domain::access_token::TokenLimits;
use vestibule::domain::assertion::AssertionKeys;
use vestibule::domain::audit::Retention;
use vestibule::domain::ban::AutomaticBans;
use vestibule::domain::ceremony::RelyingParty;
use vestibule::domain::code::EmailCode;
use vestibule::domain::credential::Planned;
use vestibule::domain::dialect::Dialect;
use vestibule::domain::dispatch::Subscription;
use vestibule::domain::event::Event;
use vestibule::domain::id::{CeremonyId, UserId};
use vestibule::domain::identifier::UsernameChange;
use vestibule::domain::invitation::{Invited, LinkDelivery};
use vestibule::domain::keyring::Keyring;
use vestibule::domain::limits::RateLimits;
use vestibule::domain::network::Network;
use vestibule::domain::place::{Place, Scheme};
use vestibule::domain::policy::decide::Policy;
use vestibule::domain::policy::headers::HeaderRules;
use vestibule::domain::policy::identity::IdentityHeaders;
use vestibule::domain::policy::route::{
    CrossOrigin, HostPattern, Route, RouteTable, Timeouts, Upstream, UpstreamScheme, WebSocket,
};
use vestibule::domain::policy::who::Allow;
use vestibule::domain::session::step_up::Change;
use vestibule::domain::session::token::Carrier;
use vestibule::domain::session::{Lifetimes, Session};
use vestibule::domain::signup::SignUp;
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{Email, Role, Standing};
use vestibule::flows::administration::invitations::Guest;
use vestibule::flows::administration::people::UserEdit;
use vestibule::flows::admission::{Admission, Asked};
use vestibule::flows::authority::Authority;
use vestibule::flows::index::LiveSession;
use vestibule::flows::rules::Rules;
use vestibule::flows::sign_in::Redeemed;
use vestibule::flows::sign_in::enroll::Introduction;
use vestibule::flows::sign_in::passkey::{Attempt, SignedIn};
use vestibule::flows::sign_in::registration::Registered;
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;
use vestibule::flows::{FlowError, Gateway, Installation, Ports};
use vestibule::ports::{Clock, Entropy, KeyValue, Observer, SigningKeys, Vault, VaultError};
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::yielding::Yielding;

pub const ORIGIN: &str = "https://auth.example.com";
pub const AUTH_HOST: &str = "auth.example.com";
pub const APP_HOST: &str = "app.example.com";
pub const START: i64 = 1_800_000_000_000;

pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 86_400);
pub const SHORT: Duration = Duration::from_secs(8 * 3_600);
pub const FRESH: Duration = Duration::from_secs(300);

/// A clock that stands still until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn back(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that no two draws share and every run repeats.
struct SeededEntropy(AtomicU64);

impl Entropy for SeededEntropy {
    fn fill(&self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let drawn = Sha256::digest(number.to_be_bytes());
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

struct StubVault;

#[async_trait]
impl Vault for StubVault {
    async fn save(&self, _: &SigningKeys) -> Result<(), VaultError> {
        Ok(())
    }
}

struct StubObserver;

impl Observer for StubObserver {
    fn record(&self, _: &Event) {}
}

/// A gateway without edges, with a clock and a store that a test controls.
pub struct Stage {
    pub gateway: Arc<Gateway>,
    pub clock: Arc<HandClock>,
    pub store: Arc<dyn KeyValue>,
    entropy: Arc<SeededEntropy>,
    codes: EmailCode,
}

impl Stage {
    pub async fn set(store: Arc<dyn KeyValue>) -> Result<Self, FlowError> {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        Self::open(store, clock, entropy, &[APP_HOST], EmailCode::Off).await
    }

    /// A fresh world with one application on each of these hosts, which may be patterns.
    pub async fn with_applications(hosts: &[&str]) -> Self {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        Self::open(Arc::new(MemoryStore::new()), clock, entropy, hosts, EmailCode::Off).await.unwrap()
    }

    /// A fresh world in which codes by mail are good for this.
    pub async fn with_codes(codes: EmailCode) -> Self {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        Self::open(Arc::new(MemoryStore::new()), clock, entropy, &[APP_HOST], codes).await.unwrap()
    }

    /// The same on a store that lets other tasks run before and after every call.
    pub async fn with_codes_and_yielding_store(codes: EmailCode) -> Self {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        Self::open(Arc::new(Yielding::default()), clock, entropy, &[APP_HOST], codes).await.unwrap()
    }

    /// A fresh world whose trail keeps this many entries.
    pub async fn keeping(entries_max: usize) -> Self {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        let audit = Retention { entries_max, ..Retention::default() };
        let installation = Installation { audit, ..installation(&[APP_HOST], EmailCode::Off) };
        Self::install(Arc::new(MemoryStore::new()), clock, entropy, installation).await.unwrap()
    }

    /// A world on this store in which bans are made by this rule, behind these proxies.
    pub async fn banning(
        store: Arc<dyn KeyValue>,
        rule: Option<AutomaticBans>,
        proxies: &[&str],
    ) -> Result<Self, FlowError> {
        let (clock, entropy) =
            (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(SeededEntropy(AtomicU64::new(0))));
        let mut installation = installation(&[APP_HOST], EmailCode::Off);
        installation.rules.automatic_bans = rule;
        installation.trusted_proxies = proxies.iter().map(|it| Network::parse(it).unwrap()).collect();
        Self::install(store, clock, entropy, installation).await
    }

    /// The same world after a restart.
    pub async fn again(&self) -> Self {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Self::open(store, clock, Arc::clone(&self.entropy), &[APP_HOST], self.codes).await.unwrap()
    }

    /// A second gateway at the same time, with its own view of the same store.
    pub async fn beside(&self, store: Arc<dyn KeyValue>) -> Self {
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        Self::open(store, clock, entropy, &[APP_HOST], self.codes).await.unwrap()
    }

    async fn open(
        store: Arc<dyn KeyValue>,
        clock: Arc<HandClock>,
        entropy: Arc<SeededEntropy>,
        hosts: &[&str],
        codes: EmailCode,
    ) -> Result<Self, FlowError> {
        Self::install(store, clock, entropy, installation(hosts, codes)).await
    }

    async fn install(
        store: Arc<dyn KeyValue>,
        clock: Arc<HandClock>,
        entropy: Arc<SeededEntropy>,
        installation: Installation,
    ) -> Result<Self, FlowError> {
        let codes = installation.rules.email_code;
        let ports = Ports {
            store: Arc::clone(&store),
            vault: Arc::new(StubVault),
            clock: Arc::<HandClock>::clone(&clock),
            entropy: Arc::<SeededEntropy>::clone(&entropy),
            observer: Arc::new(StubObserver),
        };
        let gateway = Gateway::open(installation, ports).await?;
        Ok(Self { gateway, clock, store, entropy, codes })
    }

    /// Puts these webhooks in force.
    pub fn tell(&self, webhooks: Vec<Subscription>) {
        let rules = Rules { webhooks, ..Rules::clone(&self.gateway.ground.rules()) };
        self.gateway.adopt(rules);
    }

    /// Closes an account, as an operator does.
    pub async fn disable(&self, user: &UserId) {
        self.stand(user, Standing::Disabled).await;
    }

    /// Opens it again.
    pub async fn enable(&self, user: &UserId) {
        self.stand(user, Standing::Active).await;
    }

    async fn stand(&self, user: &UserId, standing: Standing) {
        let edit = UserEdit { standing: Some(standing), ..UserEdit::default() };
        self.gateway.administration.edit_user(&Authority::of_operator(), user, &edit).await.unwrap();
    }

    pub async fn invite(&self, email: &str, lifetime: Duration) -> Result<Invited, FlowError> {
        self.invite_by(email, lifetime, LinkDelivery::ByHand).await
    }

    pub async fn invite_by(
        &self,
        email: &str,
        lifetime: Duration,
        go: LinkDelivery,
    ) -> Result<Invited, FlowError> {
        let guest = Guest {
            email: Email::parse(email).unwrap(),
            display_name: None,
            username: None,
            groups: [].into(),
            role: Role::Member,
            lifetime,
            invited_by: "a test".to_owned(),
        };
        self.gateway.administration.invite(&Authority::of_operator(), guest, go).await
    }

    pub async fn redeem(&self, secret: &str) -> Result<Redeemed, FlowError> {
        let who = Introduction { email: Some("first@example.com".to_owned()), name: None };
        self.gateway.sign_in.redeem(secret, &who, None, &visit(AUTH_HOST), &Device::default()).await
    }

    pub async fn register(
        &self,
        redeemed: &Redeemed,
        device: &mut Authenticator,
    ) -> Result<Registered, FlowError> {
        let (id, options) = self
            .gateway
            .sign_in
            .begin_registration(&redeemed.session, Planned::default(), &visit(AUTH_HOST))
            .await?;
        let answer = device.create(&options.0, ORIGIN);
        let (session, at) = (&redeemed.session, visit(AUTH_HOST));
        self.gateway.sign_in.finish_registration(session, Some(id), &answer, None, &at).await
    }

    /// Invites, redeems and registers.
    pub async fn enrol(&self, email: &str, device: &mut Authenticator) -> Result<Registered, FlowError> {
        let invited = self.invite(email, Duration::from_secs(3_600)).await?;
        let redeemed = self.redeem(&invited.secret.reveal()).await?;
        self.register(&redeemed, device).await
    }

    pub async fn sign_in(&self, device: &mut Authenticator) -> Result<SignedIn, FlowError> {
        self.sign_in_again(None, device).await
    }

    /// Signs in with a browser that has a session already, or not.
    pub async fn sign_in_again(
        &self,
        before: Option<&Session>,
        device: &mut Authenticator,
    ) -> Result<SignedIn, FlowError> {
        let before = before.and_then(|session| self.live(session));
        let (id, options) = self.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await?;
        let answer = device.get(&options.0, ORIGIN);
        let at = visit(AUTH_HOST);
        let attempt = Attempt { before, ..attempt(id, &answer) };
        self.gateway.sign_in.finish_sign_in(attempt, &at, &Device::default()).await
    }

    /// Shows a passkey again for one change, and makes the visit that changes it.
    pub async fn step_up(
        &self,
        before: &Session,
        device: &mut Authenticator,
        change: &str,
    ) -> (Session, Visit) {
        let change = Change::parse(change);
        let begun = self.gateway.sign_in.begin_sign_in_for(change.clone(), None, &visit(AUTH_HOST)).await;
        let (id, options) = begun.unwrap();
        let answer = device.get(&options.0, ORIGIN);
        let attempt = Attempt { before: self.live(before), ..attempt(id, &answer) };
        let at = visit(AUTH_HOST);
        let signed_in = self.gateway.sign_in.finish_sign_in(attempt, &at, &Device::default()).await.unwrap();
        let step_up = signed_in.step_up.map(|nonce| nonce.hashed());
        (signed_in.session, Visit { change, step_up, ..at })
    }

    /// A session as the gateway knows it.
    pub fn live(&self, session: &Session) -> Option<Arc<LiveSession>> {
        let sessions = self.gateway.sessions.sessions_of(&session.user);
        sessions.into_iter().find(|live| live.record().id == session.id)
    }

    /// A cookie token of the session for a host.
    pub fn cookie(&self, session: &Session, host: &str) -> String {
        self.gateway.sessions.token(session, Carrier::Cookie(host.to_owned())).unwrap()
    }

    /// Whether a request with this cookie reaches the application.
    pub fn enters(&self, token: &str) -> bool {
        let header = format!("__Host-vestibule={token}");
        let admission = self.gateway.admission.admit(
            &visit(APP_HOST),
            &Asked { method: &Method::GET, raw_path: b"/page", headers: &cookie_header(&header) },
        );
        matches!(admission, Admission::Forward(_))
    }
}

/// An answer to a ceremony by a browser without a session.
pub fn attempt(id: CeremonyId, answer: &Value) -> Attempt<'_> {
    Attempt { ceremony: Some(id), answer, expected: None, before: None }
}

/// Headers with these cookies.
pub fn cookie_header(cookies: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookies).unwrap())])
}

/// A visit to the auth host from this address.
pub fn visit_from(client: &str) -> Visit {
    Visit { client: Some(client.parse().unwrap()), ..visit(AUTH_HOST) }
}

pub fn visit(host: &str) -> Visit {
    Visit {
        host: host.to_owned(),
        scheme: Scheme::Https,
        client: None,
        request_id: "test".to_owned(),
        dialect: Dialect::Native,
        shows_live_session: false,
        by_access_token: false,
        change: None,
        step_up: None,
        device: None,
    }
}

/// The user who has this address may enter, as every other user may.
pub const ON_CALL: &str = "on-call@example.com";

fn installation(hosts: &[&str], email_code: EmailCode) -> Installation {
    let place = Place::new(Scheme::Https, AUTH_HOST, 443, "/auth");
    let relying_party = RelyingParty::new(AUTH_HOST, "Test", &[ORIGIN.to_owned()]).unwrap();
    let seconds = Duration::from_secs;
    let route = |host: &&str| Route {
        name: format!("app on {host}"),
        host: HostPattern::parse(host).unwrap(),
        path: "/".to_owned(),
        upstreams: vec![Upstream { scheme: UpstreamScheme::Http, host: "127.0.0.1".to_owned(), port: 9 }],
        policy: Policy::allowing(
            vec![Allow::AnyUser, Allow::parse(&format!("user:{ON_CALL}")).unwrap()],
            None,
        ),
        public: Vec::new(),
        identity: IdentityHeaders::preset("remote").unwrap(),
        credentials: None,
        logout: None,
        websocket: WebSocket::Allowed,
        cross_origin: CrossOrigin::Refused,
        headers: HeaderRules::default(),
        tile: None,
        timeouts: Timeouts { connect: seconds(1), read: seconds(1), write: seconds(1), idle: seconds(1) },
    };
    let keys = SigningKeys {
        sessions: Keyring::generate(&[7; 32], Timestamp::from_millis(START)).unwrap(),
        assertions: AssertionKeys::generate(&[8; 32]).unwrap(),
        access_tokens: Some(Keyring::generate(&[9; 32], Timestamp::from_millis(START)).unwrap()),
    };
    let lifetimes =
        Lifetimes { idle: IDLE, absolute: ABSOLUTE, short: SHORT, sessions_max: 20, fresh: FRESH };
    Installation {
        place,
        relying_party,
        rules: Rules {
            routes: RouteTable::new(hosts.iter().map(route).collect()),
            lifetimes,
            email_code,
            username_change: UsernameChange::Allowed,
            has_mail: email_code != EmailCode::Off,
            webhooks: Vec::new(),
            sign_up: SignUp::default(),
            recovery_delay: Duration::ZERO,
            automatic_bans: None,
            access_tokens: TokenLimits::default(),
            attributes: Arc::default(),
        },
        limits: RateLimits::default(),
        audit: Retention::default(),
        trusted_proxies: Vec::new(),
        keys,
    }
}
