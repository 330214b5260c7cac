//! Other users' sessions: listing all of them a page at a time, and ending them.
//!
//! What does not live here: ending one's own, which is in `flows/sessions/mod.rs`.

use std::sync::Arc;

use crate::domain::event::End;
use crate::domain::id::{SessionId, UserId};
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::paging::{Page, Pager, Part, newest_first};
use crate::flows::authority::Authority;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::index::LiveSession;
use crate::flows::sessions::Ended;
use crate::records::keys;

impl Administration {
    /// A page of the sessions that can be used, with their owners, in no particular order.
    pub async fn list_sessions(&self, part: &Part) -> Result<Page<(Arc<LiveSession>, Arc<User>)>, FlowError> {
        let (lifetimes, now) = (self.ground.lifetimes(), self.ground.clock.now());
        let known = |key: &[u8]| {
            let session = self.sessions.index.session(&keys::session_id(key)?)?;
            let user = self.sessions.index.user(&session.record().user)?;
            session.is_live(&lifetimes, now).then_some((session, user))
        };
        let mut pager = Pager::of(&self.ground.records, keys::SESSIONS, part);
        while let Some((key, _)) = pager.next().await? {
            if let Some(session) = known(&key) {
                pager.take(session);
            }
        }
        Ok(pager.page())
    }

    /// A page of a user's sessions that can be used, newest first.
    pub fn list_sessions_of(&self, user: &UserId, part: &Part) -> Page<Arc<LiveSession>> {
        let place = |session: &Arc<LiveSession>| {
            let record = session.record();
            newest_first(record.created_at, &record.id.0)
        };
        Page::of_few(self.sessions.sessions_of(user), part, place)
    }

    /// Ends one session of a user.
    pub async fn end_any_session(
        &self,
        authority: &Authority,
        owner: &UserId,
        id: &SessionId,
    ) -> Result<(), FlowError> {
        let session = self.sessions.kept(id).await?.filter(|session| session.record().user == *owner);
        let ended = vec![(session.ok_or(FlowError::NotFound)?, End::EndedByOperator)];
        let spent = self.sessions.spend_freshness_of(authority, &ended).await?;
        self.sessions.end_all(&authority.origin(), ended, spent).await
    }

    /// Ends every session of a user. Returns how many there were.
    pub async fn end_sessions_of(&self, authority: &Authority, user: &UserId) -> Result<usize, FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let (sessions, decided) = self.sessions.all_of(user).await?;
            let ended: Ended = sessions.into_iter().map(|session| (session, End::EndedByOperator)).collect();
            let change = decided
                .and(self.ground.records.forgetting_own_link(user).await?)
                .and(self.sessions.spend_freshness_of(authority, &ended).await?);
            if self.sessions.is_committed_ending(&ended, None, change, &authority.origin()).await? {
                return Ok(ended.len());
            }
        }
        Err(FlowError::Busy)
    }
}
