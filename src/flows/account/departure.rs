//! Leaving: a user deletes their own account, and everything of theirs ends with it.
//!
//! Their username stays, and no other user can have it: applications may know them by it. Records
//! that slipped in between the decision and its commit have no owner, and are swept up after.

use crate::domain::event::{End, Kind, Origin, UserChange};
use crate::domain::id::UserId;
use crate::domain::session::Session;
use crate::domain::user::{Role, Standing, User};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::flows::account::address::forgetting_code;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

impl Accounts {
    /// Deletes the account of the owner of `session`, for good, with its passkeys, sessions on
    /// every host, access tokens and other records.
    pub async fn delete_account(&self, session: &Session, visit: &Visit) -> Result<(), FlowError> {
        self.attempts.spend(visit)?;
        for _ in 0..ATTEMPTS_MAX {
            let endings = self.everything_of(&session.user, End::AccountDeleted).await?;
            let change = self.deleting(session, visit).await?;
            if self.is_committed_with(endings, change, &visit.origin()).await? {
                let kind = Kind::UserChanged { user: session.user, what: UserChange::Deleted };
                self.ground.report(visit.origin(), kind);
                self.sweep_orphaned_records(&session.user).await;
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    async fn deleting(&self, session: &Session, visit: &Visit) -> Result<Batch, FlowError> {
        let key = keys::session(&session.id);
        let found = self.ground.records.get_exact::<Session>(&key).await?;
        let (asking, stored) = found.ok_or(FlowError::NotPermitted)?;
        // The session ends with the change, so it spends no freshness.
        self.sessions.must_be_fresh(&asking, visit)?;
        let (user, unchanged) = self.ground.owner_of(session).await?;
        Ok(unchanged
            .expect(key, stored)
            .and(self.expecting_another_administrator(&user).await?)
            .and(self.retiring(&user).await?))
    }

    /// The batch that removes an account and its records, but not its passkeys, sessions and
    /// tokens.
    pub(in crate::flows) async fn retiring(&self, user: &User) -> Result<Batch, FlowError> {
        let own_link = self.ground.records.forgetting_own_link(&user.id).await?;
        let pending = self.pending_address(&user.id).await?;
        let address = pending.map_or_else(Batch::default, |(pending, _)| {
            forgetting_code(&pending).delete(keys::pending_address(&user.id))
        });
        Ok(records::retire_user(user).delete(keys::sessions_revision(&user.id)).and(own_link).and(address))
    }

    /// The batch that expects another administrator who can sign in, where the person is one. Two
    /// who go at once expect one another to stay.
    pub(in crate::flows) async fn expecting_another_administrator(
        &self,
        user: &User,
    ) -> Result<Batch, FlowError> {
        if user.role != Role::Administrator {
            return Ok(Batch::default());
        }
        // The index names candidates; the store decides.
        for id in self.sessions.index.administrators().into_iter().filter(|id| *id != user.id) {
            let key = keys::user(&id);
            let Some((other, stored)) = self.ground.records.get_exact::<User>(&key).await? else { continue };
            let stays = other.role == Role::Administrator
                && other.standing == Standing::Active
                && other.expires_at.is_none();
            if stays && self.ground.records.has_credentials(&id).await? {
                return Ok(Batch::default().expect(key, stored));
            }
        }
        Err(FlowError::LastAdministrator)
    }

    /// Removes what slipped in beside the end of an account.
    pub(in crate::flows) async fn sweep_orphaned_records(&self, user: &UserId) {
        if let Err(error) = self.remove_orphaned_records(user).await {
            tracing::warn!(%error, "a deleted account may have left something; it is good for nothing");
        }
    }

    /// Removes records that came between the decision and its commit: a session or a passkey that
    /// found the account still there. None can come after.
    async fn remove_orphaned_records(&self, user: &UserId) -> Result<(), FlowError> {
        let endings = self.everything_of(user, End::AccountDeleted).await?;
        let rest = self.ground.records.forgetting_own_link(user).await?.delete(keys::sessions_revision(user));
        self.is_committed_with(endings, rest, &Origin::default()).await.map(drop)
    }
}
