//! Ending sessions: by their owner, and with a change of their account.
//!
//! What does not live here: the reasons of others to end sessions (`flows/administration/`,
//! `flows/account/`, `flows/sign_in/`). What always holds: the account of an enrolment that is
//! abandoned ends in the same commit as its last session; and an end that is durable is reported.

use std::sync::Arc;

use super::Sessions;
use crate::domain::event::{End, Kind, Origin};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::{Scope, Session};
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::commit::{ATTEMPTS_MAX, Parts};
use crate::flows::index::LiveSession;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

/// Sessions that end, and why.
pub(in crate::flows) type Ended = Vec<(Arc<LiveSession>, End)>;

/// These sessions, each once, and why they end. One browser may show the same session twice: as a
/// token and as a cookie.
pub(in crate::flows) fn each_once(sessions: impl IntoIterator<Item = Arc<LiveSession>>, why: End) -> Ended {
    let mut ended = Ended::new();
    for session in sessions {
        if ended.iter().all(|(known, _)| known.record().id != session.record().id) {
            ended.push((session, why));
        }
    }
    ended
}

impl Sessions {
    /// The batch that removes a few sessions; see [`Self::endings`].
    pub(in crate::flows) async fn ending(
        &self,
        ended: &Ended,
        spared: Option<&UserId>,
    ) -> Result<Batch, FlowError> {
        let parts = self.endings(ended, spared).await?;
        Ok(parts.into_iter().fold(Batch::default(), |batch, (_, part)| batch.and(part)))
    }

    /// The batches that remove each of these sessions, and the account of an enrolment that is
    /// abandoned with it. The account of `spared` stays.
    pub(in crate::flows) async fn endings(
        &self,
        ended: &Ended,
        spared: Option<&UserId>,
    ) -> Result<Parts<(Arc<LiveSession>, End)>, FlowError> {
        let mut parts = Parts::new();
        for (session, why) in ended {
            let record = session.record();
            let mut batch = records::delete_session(&record);
            if record.scope == Scope::Enrol && spared != Some(&record.user) {
                batch = batch.and(self.forgetting(&record).await?);
            }
            parts.push(((Arc::clone(session), *why), batch));
        }
        Ok(parts)
    }

    /// Whether `change` and the end of these sessions could be committed; if so, their end is
    /// reported. The account of `spared` stays.
    pub(in crate::flows) async fn is_committed_ending(
        &self,
        ended: &Ended,
        spared: Option<&UserId>,
        change: Batch,
        origin: &Origin,
    ) -> Result<bool, FlowError> {
        let parts = self.endings(ended, spared).await?;
        self.ground
            .is_committed_after(parts, change, |(session, why)| self.report_end(origin, &session, why))
            .await
    }

    /// The batch that removes the account behind an enrolment that ends before its first passkey.
    async fn forgetting(&self, enrolling: &Session) -> Result<Batch, FlowError> {
        let nothing = Ok(Batch::default());
        let key = keys::user(&enrolling.user);
        let Some((user, stored)) = self.ground.records.get_exact::<User>(&key).await? else { return nothing };
        let others = self.kept_of(&user.id).await?;
        let is_alone = others.iter().all(|other| other.record().id == enrolling.id);
        if !is_alone || !self.ground.records.credentials_of(&user.id).await?.is_empty() {
            return nothing;
        }
        // A first passkey changes the session's record; then there is nothing to forget.
        let session = records::encode(enrolling)?;
        let forgetting = records::delete_user(&user).delete(keys::sessions_revision(&user.id));
        Ok(forgetting.expect(key, stored).expect(keys::session(&enrolling.id), session))
    }

    /// Reports the end of these sessions, which the store knows of, and ends them in memory without
    /// waiting for the feed.
    pub(in crate::flows) fn report_ended(&self, origin: &Origin, ended: &Ended) {
        for (session, why) in ended {
            self.report_end(origin, session, *why);
        }
    }

    /// Reports the end of a session, and ends it in memory without waiting for the feed.
    pub(in crate::flows) fn report_end(&self, origin: &Origin, session: &LiveSession, why: End) {
        session.end();
        let record = session.record();
        let (user, session) = (record.user, record.id);
        let kind = match why {
            End::SignedOut => Kind::SignedOut { user, session },
            _ => Kind::SessionEnded { user, session, why },
        };
        self.ground.report(origin.clone(), kind);
    }

    /// Ends these sessions, durably and everywhere, before it returns, and makes the change `with`.
    pub(in crate::flows) async fn end_all(
        &self,
        origin: &Origin,
        ended: Ended,
        with: Batch,
    ) -> Result<(), FlowError> {
        if ended.is_empty() && with.changes.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS_MAX {
            if self.is_committed_ending(&ended, None, with.clone(), origin).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Signs out: these sessions are gone, on every host, before this returns.
    pub async fn sign_out(&self, sessions: &[Arc<LiveSession>], visit: &Visit) -> Result<(), FlowError> {
        let ended = each_once(sessions.iter().cloned(), End::SignedOut);
        self.end_all(&visit.origin(), ended, Batch::default()).await
    }

    /// Ends one session of `current`'s owner. A session that does not exist, or is another user's,
    /// is left alone and looks the same.
    pub async fn end_session(
        &self,
        current: &Session,
        id: &SessionId,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.spend_freshness_beside_applications(current, visit).await?;
            let found = self.kept(id).await?.filter(|session| session.record().user == current.user);
            let ended = found.into_iter().map(|session| (session, End::EndedByOwner)).collect();
            if self.is_committed_ending(&ended, None, spent, &visit.origin()).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Ends every session of `current`'s owner but `current`.
    pub async fn end_other_sessions(&self, current: &Session, visit: &Visit) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.spend_freshness_beside_applications(current, visit).await?;
            let (all, decided) = self.all_of(&current.user).await?;
            let others = all.into_iter().filter(|session| session.record().id != current.id);
            let ended = others.map(|session| (session, End::EndedByOwner)).collect();
            let link = self.ground.records.forgetting_own_link(&current.user).await?;
            let change = decided.and(spent).and(link);
            if self.is_committed_ending(&ended, None, change, &visit.origin()).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }
}
