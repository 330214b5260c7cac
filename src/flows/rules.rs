//! The settings that an operator may change while the gateway runs.
//!
//! What always holds: the rules are replaced as a whole, so that no request sees half of the old
//! and half of the new ones. Settings that cannot change at run time (addresses, the relying party,
//! the store) are in [`crate::flows::Installation`], not here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::domain::access_token::TokenLimits;
use crate::domain::attribute::Attributes;
use crate::domain::ban::AutomaticBans;
use crate::domain::code::EmailCode;
use crate::domain::dispatch::Subscription;
use crate::domain::identifier::UsernameChange;
use crate::domain::policy::route::RouteTable;
use crate::domain::session::Lifetimes;
use crate::domain::signup::SignUp;
use crate::flows::waiters::Waiters;

/// The rules of an installation.
#[derive(Debug, Clone)]
pub struct Rules {
    pub routes: RouteTable,
    pub lifetimes: Lifetimes,
    pub email_code: EmailCode,
    pub username_change: UsernameChange,
    /// Whether there is a mailer to carry messages away.
    pub has_mail: bool,
    /// The webhooks, and the events that each is told.
    pub webhooks: Vec<Subscription>,
    pub sign_up: SignUp,
    /// How long a passkey sleeps that a code by mail has led to.
    pub recovery_delay: Duration,
    /// `None`: the gateway makes no bans.
    pub automatic_bans: Option<AutomaticBans>,
    pub access_tokens: TokenLimits,
    /// The attributes that people can have besides a name and groups.
    pub attributes: Arc<Attributes>,
}

/// The rules in force, and whether a newer file was refused.
pub(in crate::flows) struct RulesInForce {
    rules: ArcSwap<Rules>,
    newer_refused: AtomicBool,
    waiters: Waiters,
}

impl RulesInForce {
    /// Puts `rules` in force.
    pub(in crate::flows) fn exchange(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.newer_refused.store(false, Ordering::Relaxed);
    }

    /// Lets every task ask again that waits for the rules to change.
    pub(in crate::flows) fn wake_waiters(&self) {
        self.waiters.wake();
    }

    pub(in crate::flows) fn new(rules: Rules) -> Self {
        let rules = ArcSwap::from_pointee(rules);
        Self { rules, newer_refused: AtomicBool::new(false), waiters: Waiters::default() }
    }

    /// The rules in force at this moment.
    pub(in crate::flows) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Returns as soon as the rules in force are such that `holds` says no.
    pub(in crate::flows) async fn while_rules(&self, holds: impl Fn() -> bool) {
        self.waiters.while_holds(holds).await;
    }

    /// Notes that a newer configuration was refused.
    pub(in crate::flows) fn note_newer_refused(&self) {
        self.newer_refused.store(true, Ordering::Relaxed);
    }

    pub(in crate::flows) fn is_newer_refused(&self) -> bool {
        self.newer_refused.load(Ordering::Relaxed)
    }
}
