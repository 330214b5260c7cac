//! Ring 2: the use cases. Each loads, decides, saves once and reports.
//!
//! [`Gateway`] is the program without its edges: no HTTP, no sockets, no files. The proxy asks it
//! to `admit`; pages and dialects call the other flows; operators reach it through `administer`.
//!
//! What always holds: a flow consumes its pending state first and writes at most once,
//! atomically, at its end. Any `.await` may be where the caller vanishes.

pub mod access_tokens;
pub mod account;
pub mod address;
pub mod administration;
pub mod admit;
mod bans;
pub mod caller;
pub mod codes;
mod commit;
pub mod departure;
pub mod device_links;
pub mod dispatches;
pub mod enroll;
pub mod error;
pub mod explain;
pub mod freshness;
pub mod index;
pub mod keys;
mod life;
mod limits;
mod notices;
pub mod outbox;
mod own_link;
pub mod passport;
pub mod pending;
pub mod process;
pub mod profile;
pub mod questions;
pub mod recovery;
pub mod recovery_codes;
pub mod registration;
pub mod rules;
pub mod sessions;
pub mod sign_in;
pub mod sign_up;
mod stirred;
pub mod upkeep;
pub mod way_back;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::domain::audit::Retention;
use crate::domain::ceremony::RelyingParty;
use crate::domain::event::{Event, Kind, Origin};
use crate::domain::id::UserId;
use crate::domain::limits::RateLimits;
use crate::domain::network::Network;
use crate::domain::place::Place;
use crate::domain::user::Email;
use crate::ports::{Clock, Entropy, KeyValue, Observer, SigningKeys, StoreError, Vault, entropy};
use crate::records::Records;
use access_tokens::index::TokenIndex;
use administration::backup::Tap;
use administration::trail::Trail;
pub use error::FlowError;
use index::SessionIndex;
use keys::OpenKeys;
use pending::Waiting;
use rules::{Book, Rules};

/// What an installation has decided about itself.
pub struct Installation {
    pub place: Place,
    pub relying_party: RelyingParty,
    pub rules: Rules,
    pub limits: RateLimits,
    pub audit: Retention,
    /// Their own addresses are never banned.
    pub trusted_proxies: Vec<Network>,
    pub keys: SigningKeys,
}

/// What the world provides.
pub struct World {
    pub store: Arc<dyn KeyValue>,
    pub vault: Arc<dyn Vault>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
}

/// The running gateway, without its edges.
pub struct Gateway {
    place: Place,
    relying_party: RelyingParty,
    /// Our public origin: issuer of assertions and audience of tokens.
    issuer: String,
    book: Book,
    limiters: limits::Limiters,
    bans: bans::Bans,
    outbox: outbox::Outbox,
    dispatches: dispatches::Dispatches,
    trail: Trail,
    tap: Arc<Tap>,
    records: Records,
    index: Arc<SessionIndex>,
    access_tokens: Arc<TokenIndex>,
    ceremonies: Waiting,
    ways_back: Waiting,
    hand_offs: Waiting,
    codes: Waiting,
    processes: Waiting,
    rounds: way_back::Rounds,
    questions: questions::Questions,
    upkeep: upkeep::Upkeep,
    keys: Mutex<SigningKeys>,
    open_keys: ArcSwap<OpenKeys>,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
}

impl Gateway {
    /// Opens the gateway: reads sessions and people into memory and follows the store from there.
    pub async fn open(installation: Installation, world: World) -> Result<Arc<Self>, FlowError> {
        let records = Records::new(world.store);
        let index = SessionIndex::follow(&records).await?;
        let access_tokens = TokenIndex::follow(&records).await?;
        let tap = Tap::follow(&records).await?;
        let Installation { place, relying_party, rules, limits, audit, trusted_proxies, keys } = installation;
        let bans = bans::Bans::follow(&records, trusted_proxies).await?;
        let gateway = Self {
            issuer: place.origin(),
            place,
            relying_party,
            book: Book::new(rules),
            limiters: limits::Limiters::new(limits, &world.clock),
            bans,
            records,
            index,
            access_tokens,
            ceremonies: Waiting::new(limits),
            ways_back: Waiting::new(limits),
            hand_offs: Waiting::new(limits),
            codes: Waiting::new(limits),
            processes: Waiting::new(limits),
            outbox: outbox::Outbox::new(),
            dispatches: dispatches::Dispatches::default(),
            trail: Trail::new(audit),
            tap,
            rounds: way_back::Rounds::default(),
            questions: questions::Questions::default(),
            upkeep: upkeep::Upkeep::default(),
            open_keys: ArcSwap::from_pointee(OpenKeys::of(&keys)?),
            keys: Mutex::new(keys),
            vault: world.vault,
            clock: world.clock,
            entropy: world.entropy,
            observer: world.observer,
        };
        gateway.resume_waiting().await?;
        gateway.resume_outbox().await?;
        gateway.resume_dispatches().await?;
        gateway.make_directory().await?;
        gateway.recall_activity().await?;
        Ok(Arc::new(gateway))
    }

    /// Our public address.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The relying party.
    pub fn relying_party(&self) -> &RelyingParty {
        &self.relying_party
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The source of randomness that everything here draws from.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The public keys of assertions (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        self.open_keys.load().assertions.jwks(self.clock.now())
    }

    /// Whether changes can be stored; existing sessions go on either way.
    pub fn health(&self) -> Result<(), StoreError> {
        self.records.store().health()
    }

    /// Whose passkey a sign-in that begins with this address wants. An address without an account
    /// gets the id of nobody: every passkey is refused then, as anybody else's would be for an
    /// address that has one, so that not even somebody with a passkey learns which it is.
    pub async fn account_or_nobody(&self, email: &str) -> Result<UserId, FlowError> {
        let holder = match Email::parse(email) {
            Ok(email) => self.records.holder_of(&email).await?,
            Err(_) => None,
        };
        let nobody = UserId::from_random(entropy::bytes(&*self.entropy));
        Ok(holder.unwrap_or(nobody))
    }

    fn report(&self, origin: Origin, kind: Kind) {
        let event = Event { kind, origin };
        self.observer.record(&event);
        self.trail.note(&event, self.clock.now());
    }
}
