//! Fresh assertions: what pays for a sensitive change.
//!
//! Adding or removing a passkey needs a person who was verified a short time ago. Where an
//! application shares the auth host, its scripts share our origin and could make any request that
//! our pages make (ASVS 3.5.4). There every account change needs it; and over https, where such a
//! host serves people rather than a developer's machine, signing in does not pay: only a passkey
//! shown again by a signed-in user does, once.

use crate::domain::ceremony::VerifiedAssertion;
use crate::domain::dialect::Dialect;
use crate::domain::place::Scheme;
use crate::domain::session::{Scope, Session};
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::sessions::Sessions;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

/// How far one verification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FreshnessScope {
    /// It pays for every change within `session.fresh_for`.
    Window,
    /// It pays for one change within `session.fresh_for`.
    EachChange,
    /// It pays, for one change, only if its user was signed in already.
    StepUp,
}

impl Sessions {
    fn is_beside_applications(&self) -> bool {
        self.ground.routes().host(&self.ground.place.host).is_some()
    }

    /// The freshness that a change costs on this installation.
    fn freshness_scope(&self) -> FreshnessScope {
        match self.ground.place.scheme {
            Scheme::Https if self.is_beside_applications() => FreshnessScope::EachChange,
            Scheme::Https | Scheme::Http => FreshnessScope::Window,
        }
    }

    /// The freshness that a change costs this caller. An access token may have been shown to
    /// others, and one sign-in makes many, so its session's beginning does not make it fresh.
    fn freshness_scope_for(&self, visit: &Visit) -> FreshnessScope {
        if visit.by_access_token { FreshnessScope::StepUp } else { self.freshness_scope() }
    }

    /// The freshness that a sign-in gives, given the session this browser had before.
    pub(in crate::flows) fn freshness_of(
        &self,
        proof: &VerifiedAssertion,
        before: Option<&Session>,
    ) -> Option<Timestamp> {
        let again = step_up_of(proof, before).is_some();
        (again || self.freshness_scope() == FreshnessScope::Window).then(|| proof.at())
    }

    /// The freshness that the first passkey of an enrolment gives.
    pub(in crate::flows) fn freshness_of_enrolment(&self, now: Timestamp) -> Option<Timestamp> {
        (self.freshness_scope() == FreshnessScope::Window).then_some(now)
    }

    /// Refuses a session whose person was not verified a short time ago.
    pub(in crate::flows) fn must_be_fresh(&self, session: &Session, visit: &Visit) -> Result<(), FlowError> {
        let now = self.ground.clock.now();
        let is_fresh = match self.freshness_scope_for(visit) {
            FreshnessScope::Window => session.is_fresh(&self.ground.lifetimes(), now),
            FreshnessScope::EachChange => {
                session.is_fresh(&self.ground.lifetimes(), now) && is_meant(session, visit)
            }
            FreshnessScope::StepUp => {
                session.is_stepped_up(&self.ground.lifetimes(), now) && is_bound_to(session, visit)
            }
        };
        if is_fresh { Ok(()) } else { Err(FlowError::NotFresh) }
    }

    /// Whether `session` may add a passkey now: it is enrolling its first one, or fresh.
    pub(in crate::flows) fn may_add_credential(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        match session.scope {
            Scope::Enrol => Ok(()),
            Scope::Full => self.must_be_fresh(session, visit),
        }
    }

    /// The session after it has spent for a change that it was fresh for when the change began.
    pub(in crate::flows) fn after_spending_freshness(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<Session, FlowError> {
        match self.freshness_scope_for(visit) {
            FreshnessScope::Window => Ok(session.clone()),
            FreshnessScope::EachChange | FreshnessScope::StepUp => {
                self.must_be_fresh(session, visit)?;
                let fresh_since =
                    session.fresh_since.filter(|_| self.freshness_scope() == FreshnessScope::Window);
                Ok(Session { fresh_since, stepped_up_at: None, step_up: None, ..session.clone() })
            }
        }
    }

    /// The batch that pays for a sensitive change.
    pub(in crate::flows) async fn spend_freshness(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<Batch, FlowError> {
        let key = keys::session(&session.id);
        let found = self.ground.records.get_exact::<Session>(&key).await?;
        let (record, stored) = found.ok_or(FlowError::NotPermitted)?;
        self.must_be_fresh(&record, visit)?;
        // A commit that ends the session meanwhile makes the change fail as well.
        let unchanged = Batch::default().expect(key, stored);
        let after = self.after_spending_freshness(&record, visit)?;
        if after == record { Ok(unchanged) } else { Ok(unchanged.and(records::put_session(&after)?)) }
    }

    /// The batch that pays for a change that is sensitive only where applications share the auth
    /// host, or where the caller shows an access token.
    pub(in crate::flows) async fn spend_freshness_beside_applications(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<Batch, FlowError> {
        if self.is_beside_applications() || visit.by_access_token {
            return self.spend_freshness(session, visit).await;
        }
        let key = keys::session(&session.id);
        let stored = self.ground.records.store().get(&key).await?;
        Ok(Batch::default().expect(key, stored.ok_or(FlowError::NotPermitted)?))
    }
}

/// Whether a step-up is for what this request changes. The scripts of an application on this host
/// can call our own API as our pages do, so it takes no step-up that is bound to no change; the
/// other APIs know no such binding.
fn is_meant(session: &Session, visit: &Visit) -> bool {
    let needs_binding = visit.dialect == Dialect::Native;
    is_bound_to(session, visit) && (session.step_up.is_some() || !needs_binding)
}

/// Whether a step-up that is bound to a change is bound to this one, and the caller has its nonce.
fn is_bound_to(session: &Session, visit: &Visit) -> bool {
    session.step_up.as_ref().is_none_or(|step_up| {
        visit.change.as_ref() == Some(&step_up.change) && visit.step_up.as_ref() == Some(&step_up.nonce)
    })
}

/// When a signed-in user showed a passkey again, if that is what happened.
pub(in crate::flows) fn step_up_of(proof: &VerifiedAssertion, before: Option<&Session>) -> Option<Timestamp> {
    let again = before.is_some_and(|it| it.user == proof.user() && it.scope == Scope::Full);
    again.then(|| proof.at())
}
