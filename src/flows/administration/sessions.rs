//! Other users' sessions: listing all of them a page at a time, and ending them.
//!
//! What does not live here: ending one's own, which is in `flows/sessions/mod.rs`.

use std::sync::Arc;

use crate::domain::event::End;
use crate::domain::id::{SessionId, UserId};
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::directory::{Cursor, Page};
use crate::flows::authority::Authority;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::index::LiveSession;
use crate::flows::sessions::Ended;
use crate::records::keys;

/// How many sessions are on a page.
const PAGE_SESSIONS: usize = 50;

impl Administration {
    /// A page of the sessions that can be used, with their owners, in no particular order.
    pub async fn list_sessions(
        &self,
        after: Option<Cursor>,
    ) -> Result<Page<(Arc<LiveSession>, Arc<User>)>, FlowError> {
        let after = after.map(|cursor| cursor.as_bytes().to_vec());
        let found = self.ground.records.store().scan(keys::SESSIONS, after.as_deref(), PAGE_SESSIONS).await?;
        let was_last = found.len() < PAGE_SESSIONS;
        let next = found.last().filter(|_| !was_last).map(|(key, _)| Cursor::of(key));
        let now = self.ground.clock.now();
        let shown = found.iter().filter_map(|(key, _)| {
            let session = self.sessions.index.session(&keys::session_id(key)?)?;
            let user = self.sessions.index.user(&session.record().user)?;
            session.is_live(&self.ground.lifetimes(), now).then_some((session, user))
        });
        Ok(Page { items: shown.collect(), next })
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
