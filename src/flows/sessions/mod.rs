//! Sessions: minting and listing them.
//!
//! `caller` says who asks, `freshness` when a change needs a passkey shown again, `kept` asks the
//! store, `ending` ends sessions and `sweep` those that are over. What always holds: a session is
//! minted only from [`Evidence`]. A session that may only enrol takes its account with it when it
//! ends before the first passkey, in the same commit, so that an abandoned enrolment leaves nothing
//! behind.

pub mod caller;
mod ending;
mod freshness;
mod kept;
mod sweep;

pub(in crate::flows) use ending::{Ended, each_once};

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::End;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::access;
use crate::domain::session::token::{Carrier, Claims, TokenError};
use crate::domain::session::{ENROL_LIFETIME, Scope, Session, USER_AGENT_BYTES_MAX};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, User};
use crate::flows::FlowError;
use crate::flows::attempts::Attempts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::evidence::Evidence;
use crate::flows::ground::Ground;
use crate::flows::index::LiveSession;
use crate::flows::index::SessionIndex;
use crate::flows::sessions::caller::{Caller, CheckUnavailable};
use crate::flows::sessions::freshness::step_up_of;
use crate::flows::visit::{Device, Visit};
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// The most sessions that a new session ends because there are too many. After the limit was
/// lowered, several sign-ins may be needed to reach it.
const TOO_MANY_AT_ONCE_MAX: usize = 16;

/// Every session, and its user.
pub struct Sessions {
    pub(in crate::flows) ground: Arc<Ground>,
    pub(in crate::flows) attempts: Arc<Attempts>,
    pub(in crate::flows) index: Arc<SessionIndex>,
}

impl Sessions {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        index: Arc<SessionIndex>,
    ) -> Self {
        Self { ground, attempts, index }
    }

    /// A token for `session` in a cookie of `host`, or for an `Authorization` header.
    pub fn token(&self, session: &Session, carrier: Carrier) -> Result<String, TokenError> {
        self.ground.open_keys.load().tokens.sign(&Claims {
            session: session.id,
            user: session.user,
            audience: self.ground.issuer.clone(),
            carrier,
            issued_at: self.ground.clock.now(),
            // The record decides; the token must only not outlive the longest session.
            expires_at: session.created_at.plus(self.ground.lifetimes().absolute),
        })
    }

    /// A short-lived JWT that points at `session`; see [`access`].
    pub fn access_token(&self, session: &Session, user: &User) -> Result<String, FlowError> {
        let (id, now) = (entropy::bytes(&*self.ground.entropy), self.ground.clock.now());
        access::sign(&self.ground.open_keys.load().assertions, &self.ground.issuer, user, session, id, now)
            .ok_or(FlowError::Signing)
    }

    /// A new record with a new id.
    pub(in crate::flows) fn mint(&self, evidence: &Evidence<'_>, visit: &Visit, device: &Device) -> Session {
        let now = self.ground.clock.now();
        let longest =
            if device.is_shared { self.ground.lifetimes().short } else { self.ground.lifetimes().absolute };
        let absolute = now.plus(longest);
        let blank = Session {
            id: SessionId(entropy::bytes(&*self.ground.entropy)),
            user: evidence.user(),
            scope: Scope::Full,
            credential: None,
            created_at: now,
            authenticated_at: None,
            fresh_since: None,
            stepped_up_at: None,
            step_up: None,
            by_mailed_code: matches!(evidence, Evidence::Code(_)),
            last_seen_at: now,
            expires_at: absolute,
            client: visit.client,
            user_agent: device.user_agent.as_deref().map(shortened),
        };
        match evidence {
            Evidence::Assertion { proof, before } => Session {
                credential: Some(proof.credential_id().clone()),
                authenticated_at: Some(proof.at()),
                fresh_since: self.freshness_of(proof, *before),
                stepped_up_at: step_up_of(proof, *before),
                ..blank
            },
            Evidence::Link(_) | Evidence::SignUp(_) | Evidence::RecoveryCode(_) | Evidence::DeviceLink(_) => {
                Session { scope: Scope::Enrol, expires_at: absolute.min(now.plus(ENROL_LIFETIME)), ..blank }
            }
            // Whatever its scope, the session is not fresh: an address is not a passkey.
            Evidence::Code(proof) => match proof.scope() {
                Scope::Full => blank,
                Scope::Enrol => Session {
                    scope: Scope::Enrol,
                    expires_at: absolute.min(now.plus(ENROL_LIFETIME)),
                    ..blank
                },
            },
            Evidence::Exchange(session) => Session {
                scope: session.scope,
                credential: session.credential.clone(),
                authenticated_at: session.authenticated_at,
                fresh_since: session.fresh_since,
                stepped_up_at: session.stepped_up_at,
                step_up: session.step_up.clone(),
                by_mailed_code: session.by_mailed_code,
                expires_at: session.expires_at,
                ..blank
            },
        }
    }

    /// The batch that adds `session`, ends `replaced`, and keeps the person's number of sessions
    /// within its limit.
    pub(in crate::flows) async fn adding(
        &self,
        session: &Session,
        replaced: impl IntoIterator<Item = Arc<LiveSession>>,
    ) -> Result<(Batch, Ended), FlowError> {
        let mut ended = each_once(replaced, End::Replaced);
        let decided = self.deciding_about_all(&session.user).await?;
        let mut others = self.ids_of(&session.user).await?;
        others.retain(|id| ended.iter().all(|(gone, _)| gone.record().id != *id));
        let too_many = (others.len() + 1).saturating_sub(self.ground.lifetimes().sessions_max);
        // Nearly always there is room, and then the oldest need not be found.
        if too_many > 0 {
            let mut kept = self.kept_of(&session.user).await?;
            kept.retain(|other| others.contains(&other.record().id));
            ended.extend(
                kept.into_iter()
                    .take(too_many.min(TOO_MANY_AT_ONCE_MAX))
                    .map(|oldest| (oldest, End::TooMany)),
            );
        }
        let batch = self.ending(&ended, Some(&session.user)).await?;
        Ok((batch.and_unless_gone(decided).and(records::create_session(session)?), ended))
    }

    /// Takes the token that a sign-in of the person with this address was answered with, and
    /// replaces its session by a new one. `before` is the session whose cookie the browser shows;
    /// it ends as well.
    pub async fn exchange_token(
        &self,
        token: &str,
        email: &str,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<(Session, Arc<User>), FlowError> {
        self.attempts.spend(visit)?;
        let email = Email::parse(email)?;
        let caller =
            self.caller_by_sign_in(token, before.as_deref()).map_err(|CheckUnavailable| FlowError::Busy)?;
        let (session, user) = match caller {
            Caller::Known(session, user) if user.email == email => (session, user),
            Caller::Known(..) | Caller::Anonymous { .. } => return Err(FlowError::WrongToken),
        };
        match self.exchange_session(&session, before, visit, device).await {
            Ok(renewed) => Ok((renewed, user)),
            Err(FlowError::NotFresh) => Err(FlowError::WrongToken),
            Err(error) => Err(error),
        }
    }

    /// Replaces a session whose person was verified a short time ago by a new one with the same
    /// evidence, whether or not that verification pays for changes. Of several callers with the same
    /// session at most one gets a new one. `before` is what the browser had until now.
    pub async fn exchange_session(
        &self,
        session: &Arc<LiveSession>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Session, FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let key = keys::session(&session.record().id);
            let found = self.ground.records.get_exact::<Session>(&key).await?;
            let (record, stored) = found.ok_or(FlowError::NotFresh)?;
            if !record.is_exchangeable(self.ground.clock.now()) {
                return Err(FlowError::NotFresh);
            }
            let renewed = self.mint(&Evidence::Exchange(&record), visit, device);
            let replaced = std::iter::once(Arc::clone(session)).chain(before.clone());
            let (batch, ended) = self.adding(&renewed, replaced).await?;
            if self.ground.is_committed(batch.expect(key, stored)).await? {
                self.report_ended(&visit.origin(), &ended);
                return Ok(renewed);
            }
        }
        Err(FlowError::Busy)
    }

    /// A person's sessions that can still be used, newest first.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<LiveSession>> {
        let now = self.ground.clock.now();
        let mut live: Vec<_> = self.index.sessions_of(user);
        live.retain(|session| session.is_live(&self.ground.lifetimes(), now));
        live.reverse();
        live
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.index.len()
    }

    /// How long the cookie of a session is kept: as long as a session can live, or as long as a
    /// short one still does. The record decides either way.
    pub fn cookie_lifetime(&self, session: &Session) -> Duration {
        let whole = session.expires_at.since(session.created_at);
        if whole < self.ground.lifetimes().absolute && session.scope == Scope::Full {
            session.expires_at.since(self.ground.clock.now())
        } else {
            self.ground.lifetimes().absolute
        }
    }

    /// When a session that is used now would end for idleness, or end anyway.
    pub fn expires_at(&self, session: &LiveSession) -> Timestamp {
        session.record().ends_at(session.last_seen_at(), &self.ground.lifetimes())
    }
}

pub(in crate::flows) fn shortened(user_agent: &str) -> String {
    let mut text: String = user_agent.chars().filter(|c| !c.is_control()).collect();
    let mut end = text.len().min(USER_AGENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
