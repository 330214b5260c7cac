//! Sessions: issuing, listing and ending them.

use std::sync::Arc;

use super::admit::Visit;
use super::index::LiveSession;
use super::{FlowError, Gateway};
use crate::domain::ceremony::VerifiedAssertion;
use crate::domain::event::{End, Kind, Origin};
use crate::domain::id::{CredentialId, SessionId, UserId};
use crate::domain::session::token::{Carrier, Claims, TokenError};
use crate::domain::session::{
    ENROL_LIFETIME, LAST_SEEN_GRANULARITY, SESSIONS_PER_USER_MAX, Scope, Session, USER_AGENT_BYTES_MAX,
};
use crate::domain::time::Timestamp;
use crate::ports::{Batch, CommitError, StoreError, entropy};
use crate::records::{self, keys};

/// Which program is at the other end, as far as it says.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub user_agent: Option<String>,
}

/// The sessions that a batch ends, and why.
pub(super) type Ended = Vec<(Arc<LiveSession>, End)>;

impl Gateway {
    /// A token for `session` in a cookie of `host`, or for an `Authorization` header.
    pub fn token(&self, session: &Session, carrier: Carrier) -> Result<String, TokenError> {
        self.signer.load().sign(&Claims {
            session: session.id,
            user: session.user,
            audience: self.issuer.clone(),
            carrier,
            issued_at: self.clock.now(),
            // The record decides; the token only must not outlive the longest session.
            expires_at: session.created_at.plus(self.lifetimes.absolute),
        })
    }

    /// The record of a new sign-in. Only evidence makes one.
    pub(super) fn session_from(&self, proof: &VerifiedAssertion, visit: &Visit, device: &Device) -> Session {
        let mut session = self.blank_session(proof.user(), Scope::Full, visit, device);
        session.credential = Some(proof.credential_id().clone());
        session.authenticated_at = Some(proof.at());
        session
    }

    /// A record that may only enrol a passkey.
    pub(super) fn enrol_session(&self, user: UserId, visit: &Visit, device: &Device) -> Session {
        self.blank_session(user, Scope::Enrol, visit, device)
    }

    fn blank_session(&self, user: UserId, scope: Scope, visit: &Visit, device: &Device) -> Session {
        let now = self.clock.now();
        let lifetime = match scope {
            Scope::Full => self.lifetimes.absolute,
            Scope::Enrol => ENROL_LIFETIME.min(self.lifetimes.absolute),
        };
        Session {
            id: SessionId(entropy::bytes(&*self.entropy)),
            user,
            scope,
            credential: None,
            created_at: now,
            authenticated_at: None,
            last_seen_at: now,
            expires_at: now.plus(lifetime),
            client: visit.client,
            user_agent: device.user_agent.as_deref().map(shortened),
        }
    }

    /// The batch that adds `session`, ends `replaced`, and keeps the person's number of sessions
    /// within its limit.
    pub(super) fn adding(
        &self,
        session: &Session,
        replaced: Option<Arc<LiveSession>>,
    ) -> Result<(Batch, Ended), StoreError> {
        let mut ended: Ended = replaced.into_iter().map(|session| (session, End::Replaced)).collect();
        let others = self.index.sessions_of(&session.user);
        let kept = others.iter().filter(|other| ended.iter().all(|(gone, _)| !Arc::ptr_eq(gone, other)));
        let kept: Vec<_> = kept.cloned().collect();
        let too_many = (kept.len() + 1).saturating_sub(SESSIONS_PER_USER_MAX);
        ended.extend(kept.into_iter().take(too_many).map(|oldest| (oldest, End::TooMany)));
        Ok((records::put_session(session)?.and(ending(&ended)), ended))
    }

    pub(super) fn report_ended(&self, origin: &Origin, ended: &Ended) {
        for (session, why) in ended {
            let record = session.record();
            let kind = Kind::SessionEnded { user: record.user, session: record.id, why: *why };
            self.report(origin.clone(), kind);
        }
    }

    /// Ends these sessions, durably and everywhere, before it returns.
    pub(super) async fn end_all(&self, origin: &Origin, ended: Ended) -> Result<(), FlowError> {
        if ended.is_empty() {
            return Ok(());
        }
        self.records.commit(ending(&ended)).await?;
        self.report_ended(origin, &ended);
        Ok(())
    }

    /// Replaces a session whose person was verified a short time ago by a new one with the same
    /// evidence. Of several callers with the same session at most one gets a new one.
    pub async fn exchange_session(
        &self,
        session: &Arc<LiveSession>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Session, FlowError> {
        let record = session.record();
        self.must_be_fresh(&record)?;
        let blank = self.blank_session(record.user, record.scope, visit, device);
        let renewed = Session {
            credential: record.credential.clone(),
            authenticated_at: record.authenticated_at,
            expires_at: record.expires_at,
            ..blank
        };
        let (batch, ended) = self.adding(&renewed, Some(Arc::clone(session)))?;
        let key = keys::session(&record.id);
        let Some((_, stored)) = self.records.get_exact::<Session>(&key).await? else {
            return Err(FlowError::NotFresh);
        };
        self.records.commit(batch.expect(key, stored)).await?;
        self.report_ended(&visit.origin(), &ended);
        Ok(renewed)
    }

    /// Signs out: the session is gone, on every host, before this returns.
    pub async fn sign_out(&self, session: &Arc<LiveSession>, visit: &Visit) -> Result<(), FlowError> {
        self.records.commit(ending(&vec![(Arc::clone(session), End::SignedOut)])).await?;
        let record = session.record();
        self.report(visit.origin(), Kind::SignedOut { user: record.user, session: record.id });
        Ok(())
    }

    /// A person's sessions that can still be used, newest first.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<LiveSession>> {
        let now = self.clock.now();
        let mut live: Vec<_> = self.index.sessions_of(user);
        live.retain(|session| session.is_live(&self.lifetimes, now));
        live.reverse();
        live
    }

    /// Ends one session of `owner`. One that does not exist, or is somebody else's, is left alone
    /// and looks the same.
    pub async fn end_session(&self, owner: &UserId, id: &SessionId, visit: &Visit) -> Result<(), FlowError> {
        match self.index.session(id).filter(|session| session.record().user == *owner) {
            Some(session) => self.end_all(&visit.origin(), vec![(session, End::EndedByOwner)]).await,
            None => Ok(()),
        }
    }

    /// Ends every session of `current`'s owner but `current`.
    pub async fn end_other_sessions(&self, current: &Session, visit: &Visit) -> Result<(), FlowError> {
        let others = self.index.sessions_of(&current.user).into_iter();
        let others = others.filter(|session| session.record().id != current.id);
        self.end_all(&visit.origin(), others.map(|session| (session, End::EndedByOwner)).collect()).await
    }

    /// The sessions of `user` that were opened with `credential`.
    pub(super) fn opened_with(&self, user: &UserId, credential: &CredentialId) -> Vec<Arc<LiveSession>> {
        let mut sessions = self.index.sessions_of(user);
        sessions.retain(|session| session.record().credential.as_ref() == Some(credential));
        sessions
    }

    /// Removes what has expired and writes down when the rest was last seen. Nothing depends on
    /// this having run: expiry is checked at every use.
    pub async fn sweep(&self) -> Result<(), FlowError> {
        let now = self.clock.now();
        for session in self.index.all() {
            let record = session.record();
            if session.is_held() {
                session.touch(now);
            }
            if !session.is_live(&self.lifetimes, now) {
                self.expire(&session, &record).await?;
            } else if session.last_seen_at().since(record.last_seen_at) >= LAST_SEEN_GRANULARITY {
                self.write_last_seen(&session, &record).await?;
            }
        }
        Ok(())
    }

    async fn expire(&self, session: &Arc<LiveSession>, record: &Session) -> Result<(), FlowError> {
        if record.scope == Scope::Enrol {
            self.forget_abandoned(record).await?;
        }
        self.end_all(&Origin::default(), vec![(Arc::clone(session), End::Expired)]).await
    }

    async fn write_last_seen(&self, session: &LiveSession, record: &Session) -> Result<(), FlowError> {
        let seen = Session { last_seen_at: session.last_seen_at(), ..record.clone() };
        // Whoever changed or ended the session meanwhile is right.
        let batch = records::put_session(&seen)?.expect(keys::session(&record.id), records::encode(record)?);
        match self.records.commit(batch).await {
            Ok(()) | Err(CommitError::Conflict) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.index.len()
    }

    /// When a session that is used now would end for idleness, or end anyway.
    pub fn expires_at(&self, session: &LiveSession) -> Timestamp {
        let idle = session.last_seen_at().plus(self.lifetimes.idle);
        idle.min(session.record().expires_at)
    }
}

/// The batch that removes these sessions.
pub(super) fn ending(ended: &Ended) -> Batch {
    ended
        .iter()
        .fold(Batch::default(), |batch, (session, _)| batch.delete(keys::session(&session.record().id)))
}

fn shortened(user_agent: &str) -> String {
    let mut text: String = user_agent.chars().filter(|c| !c.is_control()).collect();
    let mut end = text.len().min(USER_AGENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
