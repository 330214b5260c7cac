//! Leaving: somebody deletes their own account, and everything of theirs ends with it.
//!
//! What stays is their username, which nobody else can have: applications may know them by it. The
//! one commit takes all that is there when it is decided; what slipped in beside it is of nobody
//! already, and is swept up after.

use crate::domain::event::{End, Kind, UserChange};
use crate::domain::id::UserId;
use crate::domain::session::Session;
use crate::domain::user::{Role, Standing, User};
use crate::flows::FlowError;
use crate::flows::access_tokens::revoking;
use crate::flows::account::Accounts;
use crate::flows::account::address::forgetting_code;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::sessions::Ended;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

impl Accounts {
    /// Deletes the account of the owner of `session`, for good: passkeys, sessions on every host and
    /// what else is theirs, in one commit.
    pub async fn delete_account(&self, session: &Session, visit: &Visit) -> Result<(), FlowError> {
        self.attempts.spend(visit)?;
        for _ in 0..ATTEMPTS_MAX {
            let revoked = self.access_tokens.every_token_of(&session.user, End::AccountDeleted).await?;
            let (batch, ended) = self.deleting(session, visit).await?;
            if self.ground.is_committed(batch.and(revoking(&revoked))).await? {
                self.sessions.report_ended(&visit.origin(), &ended);
                self.access_tokens.report_revoked(&visit.origin(), &revoked);
                let kind = Kind::UserChanged { user: session.user, what: UserChange::Deleted };
                self.ground.report(visit.origin(), kind);
                self.sweep_up_after(&session.user).await;
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    async fn deleting(&self, session: &Session, visit: &Visit) -> Result<(Batch, Ended), FlowError> {
        let key = keys::session(&session.id);
        let found = self.ground.records.get_exact::<Session>(&key).await?;
        let (asking, stored) = found.ok_or(FlowError::NotPermitted)?;
        // It pays with its life.
        self.sessions.must_be_fresh(&asking, visit)?;
        let (user, unchanged) = self.ground.owner_of(session).await?;
        let (belongings, ended) = self.belongings_of(&user.id).await?;
        let batch = unchanged
            .expect(key, stored)
            .and(self.leaving_an_administrator(&user).await?)
            .and(records::retire_user(&user))
            .and(belongings);
        Ok((batch, ended))
    }

    /// The batch that removes what a person has, except their account itself and their access tokens.
    pub(in crate::flows) async fn belongings_of(&self, user: &UserId) -> Result<(Batch, Ended), FlowError> {
        let sessions = self.sessions.kept_of(user).await?.into_iter();
        let ended: Ended = sessions.map(|session| (session, End::AccountDeleted)).collect();
        let ending = self.sessions.ending(&ended, Some(user)).await?;
        let mut batch = ending.delete(keys::sessions_revision(user));
        for credential in self.ground.records.credentials_of(user).await? {
            batch = batch.and(records::delete_credential(&credential));
        }
        if let Some((pending, _)) = self.pending_address(user).await? {
            batch = batch.delete(keys::pending_address(user)).and(forgetting_code(&pending));
        }
        Ok((batch.and(self.ground.records.forgetting_own_link(user).await?), ended))
    }

    /// The batch that expects another administrator who can sign in, where the person is one. Two who
    /// go at once expect one another to stay.
    pub(in crate::flows) async fn leaving_an_administrator(&self, user: &User) -> Result<Batch, FlowError> {
        if user.role != Role::Administrator {
            return Ok(Batch::default());
        }
        // The index says who may be one; the store decides.
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
    pub(in crate::flows) async fn sweep_up_after(&self, user: &UserId) {
        if let Err(error) = self.forget_latecomers(user).await {
            tracing::warn!(%error, "a deleted account may have left something; it is good for nothing");
        }
    }

    /// Removes what came between the decision and its commit: a sign-in or a passkey that found the
    /// account still there. None can come after.
    async fn forget_latecomers(&self, user: &UserId) -> Result<(), FlowError> {
        let (batch, _) = self.belongings_of(user).await?;
        let batch = batch.and(revoking(&self.access_tokens.every_token_of(user, End::AccountDeleted).await?));
        if batch.changes.is_empty() {
            return Ok(());
        }
        Ok(self.ground.records.commit(batch).await?)
    }
}
