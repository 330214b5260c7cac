//! Committing what was decided, and deciding again.
//!
//! Every batch says what it was decided on ([`Batch::expect`]). If that has changed by the time of
//! the commit, nothing is written, and the flow loads and decides anew: a bounded number of times,
//! and then it is [`FlowError::Busy`]. *Absent:* what to expect and what to write, which each flow
//! says itself.

use super::ground::Ground;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::ports::{Batch, CommitError};
use crate::records::keys;

/// How often a change is decided again because what it was decided on changed meanwhile. Flows in
/// which many may meet over one record have a number of their own.
pub(in crate::flows) const ATTEMPTS_MAX: u32 = 8;

impl Ground {
    /// Whether `batch` could be committed. If not, something has changed, and it is to be decided
    /// again.
    pub(in crate::flows) async fn is_committed(&self, batch: Batch) -> Result<bool, FlowError> {
        match self.records.commit(batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// The owner of `session`, and a batch that expects them to be as they are.
    pub(in crate::flows) async fn owner_of(&self, session: &Session) -> Result<(User, Batch), FlowError> {
        let key = keys::user(&session.user);
        let found = self.records.get_exact::<User>(&key).await?;
        let found = found.filter(|(user, _)| user.is_active(self.clock.now()));
        let (user, stored) = found.ok_or(FlowError::NotPermitted)?;
        Ok((user, Batch::default().expect(key, stored)))
    }
}
