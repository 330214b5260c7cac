//! Fresh assertions: what pays for a sensitive change.
//!
//! Adding or removing a passkey needs a person who was verified a short time ago. Where an
//! application shares the auth host, its scripts share our origin and could make any request that
//! our pages make (ASVS 3.5.4). There every account change needs it; and over https, where such a
//! host serves people rather than a developer's machine, signing in does not pay: only a passkey
//! shown again by somebody who is signed in does, once.

use super::{FlowError, Gateway};
use crate::domain::ceremony::VerifiedAssertion;
use crate::domain::place::Scheme;
use crate::domain::session::{Scope, Session};
use crate::domain::time::Timestamp;
use crate::ports::Batch;
use crate::records::{self, keys};

/// How far one verification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Price {
    /// It pays for every change within `session.fresh_for`.
    Window,
    /// It pays for one change within `session.fresh_for`.
    EachChange,
}

impl Gateway {
    fn is_beside_applications(&self) -> bool {
        self.routes.host(&self.place.host).is_some()
    }

    fn price(&self) -> Price {
        match self.place.scheme {
            Scheme::Https if self.is_beside_applications() => Price::EachChange,
            Scheme::Https | Scheme::Http => Price::Window,
        }
    }

    /// What a sign-in pays for, given the session this browser had before.
    pub(super) fn freshness_of(
        &self,
        proof: &VerifiedAssertion,
        before: Option<&Session>,
    ) -> Option<Timestamp> {
        let again = before.is_some_and(|it| it.user == proof.user() && it.scope == Scope::Full);
        (again || self.price() == Price::Window).then(|| proof.at())
    }

    /// What the first passkey of an enrolment pays for.
    pub(super) fn freshness_of_enrolment(&self, now: Timestamp) -> Option<Timestamp> {
        (self.price() == Price::Window).then_some(now)
    }

    /// Refuses a session whose person was not verified a short time ago.
    pub(super) fn must_be_fresh(&self, session: &Session) -> Result<(), FlowError> {
        if session.is_fresh(&self.lifetimes, self.clock.now()) { Ok(()) } else { Err(FlowError::NotFresh) }
    }

    /// Whether `session` may add a passkey now: it is enrolling its first one, or fresh.
    pub(super) fn may_add_credential(&self, session: &Session) -> Result<(), FlowError> {
        match session.scope {
            Scope::Enrol => Ok(()),
            Scope::Full => self.must_be_fresh(session),
        }
    }

    /// The session after it has paid for a change that it was fresh for when the change began.
    pub(super) fn having_paid(&self, session: &Session) -> Result<Session, FlowError> {
        match self.price() {
            Price::Window => Ok(session.clone()),
            Price::EachChange => {
                self.must_be_fresh(session)?;
                Ok(Session { fresh_since: None, ..session.clone() })
            }
        }
    }

    /// The batch that pays for a sensitive change.
    pub(super) async fn pay(&self, session: &Session) -> Result<Batch, FlowError> {
        let key = keys::session(&session.id);
        let found = self.records.get_exact::<Session>(&key).await?;
        let (record, stored) = found.ok_or(FlowError::NotPermitted)?;
        self.must_be_fresh(&record)?;
        match self.price() {
            // Whatever ends the session meanwhile ends the change as well.
            Price::Window => Ok(Batch::default().expect(key, stored)),
            Price::EachChange => Ok(Batch::default()
                .expect(key, stored)
                .and(records::put_session(&self.having_paid(&record)?)?)),
        }
    }

    /// The batch that pays for a change that is sensitive only where applications share the auth
    /// host.
    pub(super) async fn pay_beside_applications(&self, session: &Session) -> Result<Batch, FlowError> {
        if self.is_beside_applications() { self.pay(session).await } else { Ok(Batch::default()) }
    }
}
