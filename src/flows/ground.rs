//! The common ground of every part of the gateway: the installation's own settings, and the ports.
//!
//! What does not live here: anything that only one kind of flow needs. What always holds: an event
//! that is reported reaches the observer and the audit trail alike.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::keys::OpenKeys;
use super::rules::{Rules, RulesInForce};
use super::trail::Trail;
use crate::domain::ceremony::RelyingParty;
use crate::domain::event::{Event, Kind, Origin};
use crate::domain::place::Place;
use crate::domain::policy::route::RouteTable;
use crate::domain::session::Lifetimes;
use crate::ports::{Clock, Entropy, Observer, StoreError};
use crate::records::Records;

/// The common ground of every part.
pub struct Ground {
    pub(in crate::flows) place: Place,
    pub(in crate::flows) relying_party: RelyingParty,
    /// Our public origin: issuer of assertions and audience of tokens.
    pub(in crate::flows) issuer: String,
    pub(in crate::flows) in_force: RulesInForce,
    pub(in crate::flows) records: Records,
    pub(in crate::flows) trail: Trail,
    pub(in crate::flows) open_keys: ArcSwap<OpenKeys>,
    pub(in crate::flows) clock: Arc<dyn Clock>,
    pub(in crate::flows) entropy: Arc<dyn Entropy>,
    pub(in crate::flows) observer: Arc<dyn Observer>,
}

impl Ground {
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

    pub(in crate::flows) fn report(&self, origin: Origin, kind: Kind) {
        let event = Event { kind, origin };
        self.observer.record(&event);
        self.trail.note(&event, self.clock.now());
    }

    /// The rules in force at this moment. A caller that decides more than one thing asks once.
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.in_force.rules()
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

    /// Returns as soon as the rules in force are such that `holds` says no.
    pub(in crate::flows) async fn while_rules(&self, holds: impl Fn() -> bool) {
        self.in_force.while_rules(holds).await;
    }

    /// Notes that a newer configuration was refused, and that the old one goes on.
    pub fn note_newer_refused(&self) {
        self.in_force.note_newer_refused();
    }

    /// Whether a newer configuration than the one in force was refused.
    pub fn is_newer_refused(&self) -> bool {
        self.in_force.is_newer_refused()
    }
}

struct Routes(Guard<Arc<Rules>>);

impl Deref for Routes {
    type Target = RouteTable;

    fn deref(&self) -> &RouteTable {
        &self.0.routes
    }
}
