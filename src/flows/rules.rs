//! What an operator decides and may decide anew while the gateway runs.
//!
//! What always holds: the rules are replaced as a whole, so that no request sees half of the old and
//! half of the new ones. What cannot change at run time (addresses, the relying party, the store)
//! is in [`super::Installation`], not here.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::Gateway;
use super::codes::EmailCode;
use super::stirred::Stirred;
use crate::domain::access_token::TokenLimits;
use crate::domain::attribute::Attributes;
use crate::domain::ban::AutomaticBans;
use crate::domain::dispatch::Subscription;
use crate::domain::identifier::UsernameChange;
use crate::domain::limits::RateLimits;
use crate::domain::policy::route::RouteTable;
use crate::domain::session::Lifetimes;
use crate::domain::signup::SignUp;

/// The rules of an installation.
#[derive(Debug, Clone)]
pub struct Rules {
    pub routes: RouteTable,
    pub lifetimes: Lifetimes,
    pub email_code: EmailCode,
    pub username_change: UsernameChange,
    /// Whether there is a mailer to carry letters away.
    pub has_mail: bool,
    /// Which webhooks are told what.
    pub webhooks: Vec<Subscription>,
    pub sign_up: SignUp,
    /// How long a passkey sleeps that a code by mail has led to.
    pub recovery_delay: Duration,
    /// `None`: no ban is made by itself.
    pub automatic_bans: Option<AutomaticBans>,
    pub access_tokens: TokenLimits,
    /// What people can have besides a name and groups.
    pub attributes: Arc<Attributes>,
}

/// The rules in force, and whether a newer file was refused.
pub(super) struct Book {
    rules: ArcSwap<Rules>,
    newer_refused: AtomicBool,
    exchanged: Stirred,
}

impl Book {
    pub(super) fn new(rules: Rules) -> Self {
        let rules = ArcSwap::from_pointee(rules);
        Self { rules, newer_refused: AtomicBool::new(false), exchanged: Stirred::default() }
    }
}

impl Gateway {
    /// The rules in force at this moment. Whoever decides more than one thing asks once.
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.book.rules.load()
    }

    /// The routes in force.
    pub fn routes(&self) -> impl Deref<Target = RouteTable> + use<> {
        Routes(self.rules())
    }

    /// How long sessions live.
    pub fn lifetimes(&self) -> Lifetimes {
        self.rules().lifetimes
    }

    /// Whether anything can be sent by mail here.
    pub fn has_mail(&self) -> bool {
        self.rules().has_mail
    }

    /// Puts `rules` in force: the next request is decided by them, and every open stream is decided
    /// about again.
    pub fn adopt(&self, rules: Rules) {
        self.book.rules.store(Arc::new(rules));
        self.book.newer_refused.store(false, Ordering::Relaxed);
        self.decide_again();
    }

    /// Has every open stream decided about again.
    pub(super) fn decide_again(&self) {
        self.index.stir_all();
        self.access_tokens.stir_all();
        self.book.exchanged.stir();
    }

    /// Returns as soon as the rules in force are such that `holds` says no.
    pub(super) async fn while_rules(&self, holds: impl Fn() -> bool) {
        self.book.exchanged.while_holds(holds).await;
    }

    /// Puts `limits` in force.
    pub fn adopt_limits(&self, limits: RateLimits) {
        self.limiters.exchange(limits);
        for waiting in [&self.ceremonies, &self.ways_back, &self.hand_offs, &self.codes, &self.processes] {
            waiting.exchange(limits);
        }
    }

    /// Notes that a newer configuration was refused, and that the old one goes on.
    pub fn keep_rules(&self) {
        self.book.newer_refused.store(true, Ordering::Relaxed);
    }

    /// Whether the configuration in force is older than the last one that was asked for.
    pub fn is_newer_refused(&self) -> bool {
        self.book.newer_refused.load(Ordering::Relaxed)
    }
}

struct Routes(Guard<Arc<Rules>>);

impl Deref for Routes {
    type Target = RouteTable;

    fn deref(&self) -> &RouteTable {
        &self.0.routes
    }
}
