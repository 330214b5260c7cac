//! Ring 2: the use cases. Each loads, decides, saves once and reports.
//!
//! [`Gateway`] is the program without its edges: no HTTP, no sockets, no files. It is made of
//! parts, each of which owns its state and holds the parts that its flows may touch: the order
//! below is the order in which one may hold another. The proxy asks `admission`; pages and dialects
//! call `sign_in`, `accounts` and the rest; operators reach `administration`.
//!
//! What always holds: a flow writes at most once, atomically, at its end, and its pending state is
//! gone by then or with that write. The caller may vanish at any `.await`.

pub mod access_tokens;
pub mod account;
pub mod administration;
pub mod admission;
pub mod attempts;
pub mod authority;
mod commit;
pub mod error;
mod evidence;
pub mod following;
pub mod ground;
pub mod index;
pub mod indexes;
pub mod keys;
mod live_state;
pub mod messages;
pub mod one_time_codes;
pub mod passport;
pub mod pending;
pub mod rules;
pub mod sessions;
pub mod sign_in;
mod sweep;
pub mod trail;
pub mod visit;
mod waiters;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::domain::audit::Retention;
use crate::domain::ceremony::RelyingParty;
use crate::domain::limits::RateLimits;
use crate::domain::network::Network;
use crate::domain::place::Place;
use crate::ports::{Clock, Entropy, KeyValue, Observer, SigningKeys, Vault};
use crate::records::Records;
use access_tokens::AccessTokens;
use account::Accounts;
use administration::Administration;
use administration::backup::Tap;
use administration::upkeep::Upkeep;
use admission::Doorkeeper;
use admission::questions::Questions;
use attempts::{Attempts, Bans, Limiters};
pub use error::FlowError;
use ground::Ground;
use indexes::Indexes;
use keys::OpenKeys;
use messages::Messages;
use one_time_codes::Codes;
use rules::{Rules, RulesInForce};
use sessions::Sessions;
use sign_in::SignIn;
use trail::Trail;

/// The settings of an installation.
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

/// The ports and keys that the program provides.
pub struct Ports {
    pub store: Arc<dyn KeyValue>,
    pub vault: Arc<dyn Vault>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
}

/// The running gateway, without its edges.
pub struct Gateway {
    pub ground: Arc<Ground>,
    pub attempts: Arc<Attempts>,
    pub messages: Arc<Messages>,
    pub sessions: Arc<Sessions>,
    pub access_tokens: Arc<AccessTokens>,
    pub accounts: Arc<Accounts>,
    pub sign_in: SignIn,
    pub admission: Doorkeeper,
    pub administration: Administration,
    pub questions: Questions,
    pub upkeep: Upkeep,
}

impl Gateway {
    /// Opens the gateway: reads sessions and people into memory and follows the store from there.
    pub async fn open(installation: Installation, ports: Ports) -> Result<Arc<Self>, FlowError> {
        let indexes = Indexes::following(&*ports.store, &ports.clock).await?;
        Self::open_with(installation, ports, indexes).await
    }

    /// Opens the gateway with indexes that the store has told of everything while it was opened.
    pub async fn open_with(
        installation: Installation,
        ports: Ports,
        indexes: Indexes,
    ) -> Result<Arc<Self>, FlowError> {
        indexes.check_told()?;
        let Indexes { sessions: index, tokens, bans } = indexes;
        let Installation { limits, trusted_proxies, keys, .. } = installation;
        let ground = Arc::new(Ground {
            issuer: installation.place.origin(),
            place: installation.place,
            relying_party: installation.relying_party,
            in_force: RulesInForce::new(installation.rules),
            records: Records::new(ports.store),
            trail: Trail::new(installation.audit),
            open_keys: ArcSwap::from_pointee(OpenKeys::of(&keys)?),
            clock: ports.clock,
            entropy: ports.entropy,
            observer: ports.observer,
        });
        let tap = Tap::follow(&ground.records).await?;
        let bans = Bans::new(bans, trusted_proxies);
        let limiters = Limiters::new(limits, &ground.clock);
        let at = || Arc::clone(&ground);
        let attempts = Arc::new(Attempts::new(at(), Arc::clone(&index), limiters, bans));
        let tried = || Arc::clone(&attempts);
        let messages = Arc::new(Messages::new(at(), Arc::clone(&index)));
        let told = || Arc::clone(&messages);
        let sessions = Arc::new(Sessions::new(at(), tried(), index));
        let known = || Arc::clone(&sessions);
        let codes = Arc::new(Codes::new(at(), tried(), told(), limits));
        let access_tokens = Arc::new(AccessTokens::new(at(), tried(), known(), tokens));
        let shown = || Arc::clone(&access_tokens);
        let accounts = Arc::new(Accounts::new(at(), tried(), told(), known(), codes, shown()));
        let owned = || Arc::clone(&accounts);
        let gateway = Self {
            sign_in: SignIn::new(at(), tried(), told(), known(), owned(), limits),
            admission: Doorkeeper::new(at(), tried(), known(), shown()),
            administration: Administration {
                ground: at(),
                attempts: tried(),
                messages: told(),
                sessions: known(),
                access_tokens: shown(),
                accounts: owned(),
                keys: Mutex::new(keys),
                vault: ports.vault,
                tap,
            },
            questions: Questions::new(at()),
            upkeep: Upkeep::default(),
            ground,
            attempts,
            messages,
            sessions,
            access_tokens,
            accounts,
        };
        gateway.resume().await?;
        Ok(Arc::new(gateway))
    }

    /// Goes on with what was under way when the gateway stopped.
    async fn resume(&self) -> Result<(), FlowError> {
        self.sign_in.resume_waiting().await?;
        self.messages.resume_outbox().await?;
        self.messages.resume_dispatches().await?;
        self.administration.make_directory().await?;
        self.administration.recall_activity().await
    }

    /// Puts `rules` in force: the next request is decided by them, and every open stream is decided
    /// about again.
    pub fn adopt(&self, rules: Rules) {
        self.ground.in_force.exchange(rules);
        self.admission.decide_again();
    }

    /// Puts `limits` in force.
    pub fn adopt_limits(&self, limits: RateLimits) {
        self.attempts.adopt_limits(limits);
        self.sign_in.adopt_limits(limits);
    }
}
