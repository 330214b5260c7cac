//! The use cases on a stage: real flows over a store in memory, with a clock moved by hand.
#![allow(unreachable_pub, reason = "shared by the modules of one test binary")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use vestibule::domain::assertion::AssertionKeys;
use vestibule::domain::ceremony::RelyingParty;
use vestibule::domain::credential::Planned;
use vestibule::domain::dialect::Dialect;
use vestibule::domain::event::Event;
use vestibule::domain::id::CeremonyId;
use vestibule::domain::identifier::UsernameChange;
use vestibule::domain::limits::RateLimits;
use vestibule::domain::place::{Place, Scheme};
use vestibule::domain::policy::Allow;
use vestibule::domain::policy::headers::HeaderRules;
use vestibule::domain::policy::identity::IdentityHeaders;
use vestibule::domain::policy::route::{
    CrossOrigin, HostPattern, Route, RouteTable, Timeouts, Upstream, UpstreamScheme, WebSocket,
};
use vestibule::domain::session::step_up::Change;
use vestibule::domain::session::token::{Carrier, Keyring};
use vestibule::domain::session::{Lifetimes, Session};
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{Email, Role};
use vestibule::flows::administer::{Guest, Invited};
use vestibule::flows::admit::{Admission, Visit};
use vestibule::flows::codes::EmailCode;
use vestibule::flows::enroll::{Introduction, Redeemed};
use vestibule::flows::index::LiveSession;
use vestibule::flows::registration::Registered;
use vestibule::flows::sessions::Device;
use vestibule::flows::sign_in::{Attempt, SignedIn};
use vestibule::flows::{FlowError, Gateway, Installation, World};
use vestibule::ports::{Clock, Entropy, KeyValue, Observer, SigningKeys, Vault, VaultError};
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::yielding::Yielding;

pub const ORIGIN: &str = "https://auth.example.com";
pub const AUTH_HOST: &str = "auth.example.com";
pub const APP_HOST: &str = "app.example.com";
const START: i64 = 1_800_000_000_000;

pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 86_400);
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
struct Dice(AtomicU64);

impl Entropy for Dice {
    fn fill(&self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let drawn = Sha256::digest(number.to_be_bytes());
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

struct Pocket;

#[async_trait]
impl Vault for Pocket {
    async fn save(&self, _: &SigningKeys) -> Result<(), VaultError> {
        Ok(())
    }
}

struct Nobody;

impl Observer for Nobody {
    fn record(&self, _: &Event) {}
}

/// A gateway without edges, and the hands that move its world.
pub struct Stage {
    pub gateway: Arc<Gateway>,
    pub clock: Arc<HandClock>,
    pub store: Arc<dyn KeyValue>,
    dice: Arc<Dice>,
}

impl Stage {
    pub async fn set(store: Arc<dyn KeyValue>) -> Result<Self, FlowError> {
        let (clock, dice) = (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(Dice(AtomicU64::new(0))));
        Self::open(store, clock, dice, &[APP_HOST], EmailCode::Off).await
    }

    /// A fresh world with one application on each of these hosts, which may be patterns.
    pub async fn with_applications(hosts: &[&str]) -> Self {
        let (clock, dice) = (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(Dice(AtomicU64::new(0))));
        Self::open(Arc::new(MemoryStore::new()), clock, dice, hosts, EmailCode::Off).await.unwrap()
    }

    /// A fresh world in which codes by mail are good for this.
    pub async fn with_codes(codes: EmailCode) -> Self {
        let (clock, dice) = (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(Dice(AtomicU64::new(0))));
        Self::open(Arc::new(MemoryStore::new()), clock, dice, &[APP_HOST], codes).await.unwrap()
    }

    /// The same on a store that lets other tasks go on in the middle of everything.
    pub async fn with_codes_and_yielding_store(codes: EmailCode) -> Self {
        let (clock, dice) = (Arc::new(HandClock(AtomicI64::new(START))), Arc::new(Dice(AtomicU64::new(0))));
        Self::open(Arc::new(Yielding::default()), clock, dice, &[APP_HOST], codes).await.unwrap()
    }

    /// The same world after a restart.
    pub async fn again(&self) -> Self {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Self::open(store, clock, Arc::clone(&self.dice), &[APP_HOST], EmailCode::Off).await.unwrap()
    }

    async fn open(
        store: Arc<dyn KeyValue>,
        clock: Arc<HandClock>,
        dice: Arc<Dice>,
        hosts: &[&str],
        codes: EmailCode,
    ) -> Result<Self, FlowError> {
        let world = World {
            store: Arc::clone(&store),
            vault: Arc::new(Pocket),
            clock: Arc::<HandClock>::clone(&clock),
            entropy: Arc::<Dice>::clone(&dice),
            observer: Arc::new(Nobody),
        };
        let gateway = Gateway::open(installation(hosts, codes), world).await?;
        Ok(Self { gateway, clock, store, dice })
    }

    pub async fn invite(&self, email: &str, lifetime: Duration) -> Result<Invited, FlowError> {
        let guest = Guest {
            email: Email::parse(email).unwrap(),
            display_name: None,
            username: None,
            groups: [].into(),
            role: Role::Member,
            lifetime,
            invited_by: "a test".to_owned(),
        };
        self.gateway.invite(guest).await
    }

    pub async fn redeem(&self, secret: &str) -> Result<Redeemed, FlowError> {
        let who = Introduction { email: Some("first@example.com".to_owned()), name: None };
        self.gateway.redeem(secret, &who, None, &visit(AUTH_HOST), &Device::default()).await
    }

    pub async fn register(
        &self,
        redeemed: &Redeemed,
        device: &mut Authenticator,
    ) -> Result<Registered, FlowError> {
        let (id, options) =
            self.gateway.begin_registration(&redeemed.session, Planned::default(), &visit(AUTH_HOST)).await?;
        let answer = device.create(&options.0, ORIGIN);
        let (session, at) = (&redeemed.session, visit(AUTH_HOST));
        self.gateway.finish_registration(session, Some(id), &answer, None, &at).await
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
        let (id, options) = self.gateway.begin_sign_in(None, &visit(AUTH_HOST)).await?;
        let answer = device.get(&options.0, ORIGIN);
        let at = visit(AUTH_HOST);
        let attempt = Attempt { before, ..attempt(id, &answer) };
        self.gateway.finish_sign_in(attempt, &at, &Device::default()).await
    }

    /// Shows a passkey again for one change, and makes the visit that changes it.
    pub async fn step_up(
        &self,
        before: &Session,
        device: &mut Authenticator,
        change: &str,
    ) -> (Session, Visit) {
        let change = Change::parse(change);
        let begun = self.gateway.begin_sign_in_for(change.clone(), None, &visit(AUTH_HOST)).await;
        let (id, options) = begun.unwrap();
        let answer = device.get(&options.0, ORIGIN);
        let attempt = Attempt { before: self.live(before), ..attempt(id, &answer) };
        let at = visit(AUTH_HOST);
        let signed_in = self.gateway.finish_sign_in(attempt, &at, &Device::default()).await.unwrap();
        let step_up = signed_in.step_up.map(|nonce| nonce.hashed());
        (signed_in.session, Visit { change, step_up, ..at })
    }

    /// A session as the gateway knows it.
    pub fn live(&self, session: &Session) -> Option<Arc<LiveSession>> {
        let sessions = self.gateway.sessions_of(&session.user);
        sessions.into_iter().find(|live| live.record().id == session.id)
    }

    /// A cookie token of the session for a host.
    pub fn cookie(&self, session: &Session, host: &str) -> String {
        self.gateway.token(session, Carrier::Cookie(host.to_owned())).unwrap()
    }

    /// Whether a request with this cookie reaches the application.
    pub fn enters(&self, token: &str) -> bool {
        let header = format!("__Host-vestibule={token}");
        let admission = self.gateway.admit(&visit(APP_HOST), b"/page", [header.as_bytes()]);
        matches!(admission, Admission::Forward(_))
    }
}

/// An answer to a ceremony by a browser without a session.
pub fn attempt(id: CeremonyId, answer: &Value) -> Attempt<'_> {
    Attempt { ceremony: Some(id), answer, expected: None, before: None }
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
        by_access_token: false,
        change: None,
        step_up: None,
    }
}

/// Whoever has this address may enter, as everybody else may.
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
        allow: vec![Allow::AnyUser, Allow::parse(&format!("user:{ON_CALL}")).unwrap()],
        public: Vec::new(),
        identity: IdentityHeaders::preset("remote").unwrap(),
        websocket: WebSocket::Allowed,
        cross_origin: CrossOrigin::Refused,
        headers: HeaderRules::default(),
        timeouts: Timeouts { connect: seconds(1), read: seconds(1), write: seconds(1), idle: seconds(1) },
    };
    let keys = SigningKeys {
        sessions: Keyring::generate(&[7; 32], Timestamp::from_millis(START)).unwrap(),
        assertions: AssertionKeys::generate(&[8; 32]).unwrap(),
    };
    let lifetimes = Lifetimes { idle: IDLE, absolute: ABSOLUTE, fresh: FRESH };
    Installation {
        place,
        relying_party,
        routes: RouteTable::new(hosts.iter().map(route).collect()),
        lifetimes,
        limits: RateLimits::default(),
        email_code,
        username_change: UsernameChange::Allowed,
        has_mail: email_code != EmailCode::Off,
        keys,
    }
}
