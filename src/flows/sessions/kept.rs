//! Sessions as the store has them, where a decision depends on it: another gateway may have made or
//! ended one of them.
//!
//! What does not live here: the sessions that requests are decided by (`flows/index.rs`).

use std::sync::Arc;

use super::Sessions;
use crate::domain::id::{CredentialId, SessionId, UserId};
use crate::domain::session::Session;
use crate::flows::FlowError;
use crate::flows::index::LiveSession;
use crate::ports::Batch;
use crate::records::{self, keys};

impl Sessions {
    /// The sessions of `user` that were opened with `credential`.
    pub(in crate::flows) async fn opened_with(
        &self,
        user: &UserId,
        credential: &CredentialId,
    ) -> Result<Vec<Arc<LiveSession>>, FlowError> {
        let mut sessions = self.kept_of(user).await?;
        sessions.retain(|session| session.record().credential.as_ref() == Some(credential));
        Ok(sessions)
    }

    /// A session as the store has it.
    pub(in crate::flows) async fn kept(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, FlowError> {
        let record = self.ground.records.get::<Session>(&keys::session(id)).await?;
        Ok(record.map(|record| self.index.session(id).unwrap_or_else(|| Arc::new(LiveSession::new(record)))))
    }

    /// The same, if it can still be used.
    pub(in crate::flows) async fn kept_live(
        &self,
        id: &SessionId,
    ) -> Result<Option<Arc<LiveSession>>, FlowError> {
        let (lifetimes, now) = (self.ground.lifetimes(), self.ground.clock.now());
        Ok(self.kept(id).await?.filter(|session| session.is_live(&lifetimes, now)))
    }

    /// The ids of a user's sessions, as the store has them: another gateway may have made a session
    /// that is not known here yet.
    pub(super) async fn ids_of(&self, user: &UserId) -> Result<Vec<SessionId>, FlowError> {
        let mut ids = self.ground.records.session_ids_of(user).await?;
        // Sessions made by earlier versions are in no list of the store.
        ids.extend(self.index.sessions_of(user).iter().map(|session| session.record().id));
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        Ok(ids)
    }

    /// A user's sessions as the store has them, oldest first.
    pub(in crate::flows) async fn kept_of(&self, user: &UserId) -> Result<Vec<Arc<LiveSession>>, FlowError> {
        let mut kept = Vec::new();
        for id in self.ids_of(user).await? {
            kept.extend(self.kept(&id).await?);
        }
        kept.sort_by_key(|session| session.record().created_at);
        Ok(kept)
    }

    /// The same for a decision about all of them, and the batch that such a decision is committed
    /// with.
    pub(in crate::flows) async fn all_of(
        &self,
        user: &UserId,
    ) -> Result<(Vec<Arc<LiveSession>>, Batch), FlowError> {
        // This comes before they are read, so that a session added after it is noticed.
        let decided = self.deciding_about_all(user).await?;
        Ok((self.kept_of(user).await?, decided))
    }

    /// The batch that expects that no session of `user` was added, and that nothing else was
    /// decided about all of them, since now. It goes once into a commit.
    pub(in crate::flows) async fn deciding_about_all(&self, user: &UserId) -> Result<Batch, FlowError> {
        let key = keys::sessions_revision(user);
        let before = self.ground.records.get_exact::<u64>(&key).await?;
        let (revision, unchanged) = match before {
            Some((revision, stored)) => (revision, Batch::default().expect(key.clone(), stored)),
            None => (0, Batch::default().expect_absent(key.clone())),
        };
        Ok(unchanged.put(key, records::encode(&(revision + 1))?))
    }
}
