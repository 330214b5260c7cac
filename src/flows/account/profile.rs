//! Names of people, and how they change their own. Addresses are in `address.rs`.

use crate::domain::attribute::{self, AttributeEdits, Editor};
use crate::domain::event::{Kind, UserChange};
use crate::domain::identifier::{Identifier, UsernameChange};
use crate::domain::session::Session;
use crate::domain::user::{DisplayName, User, Username};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self};

impl Accounts {
    /// A person's identifiers, with the address that they are about to confirm.
    pub async fn identifiers_of(&self, user: &User) -> Result<Vec<Identifier>, FlowError> {
        let pending = self.pending_address(&user.id).await?;
        let pending = pending.map(|(pending, _)| Identifier::PendingEmail(pending.email));
        let known = [Identifier::Email(user.email.clone()), Identifier::Username(user.username.clone())];
        Ok(known.into_iter().chain(pending).collect())
    }

    /// Whether users may choose another username.
    pub fn username_change(&self) -> UsernameChange {
        self.ground.rules().username_change
    }

    /// Gives the owner of `session` another display name, wherever it is shown.
    pub async fn rename_person(
        &self,
        session: &Session,
        name: &DisplayName,
        visit: &Visit,
    ) -> Result<User, FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_beside_applications(session, visit).await?;
            let (user, unchanged) = self.ground.owner_of(session).await?;
            let renamed =
                User { display_name: name.clone(), updated_at: self.ground.clock.now(), ..user.clone() };
            let batch = unchanged.and(records::update_user(&user, &renamed)?).and(spent);
            if self.ground.is_committed(batch).await? {
                let kind = Kind::UserChanged { user: renamed.id, what: UserChange::Name };
                self.ground.report(visit.origin(), kind);
                return Ok(renamed);
            }
        }
        Err(FlowError::Busy)
    }

    /// Changes what the owner of `session` says of themselves. Rules may read it, so it costs as
    /// much as any other change.
    pub async fn change_own_attributes(
        &self,
        session: &Session,
        edits: &AttributeEdits,
        visit: &Visit,
    ) -> Result<User, FlowError> {
        self.ground.rules().attributes.check(edits, Editor::Owner)?;
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (user, unchanged) = self.ground.owner_of(session).await?;
            let mut after = User { updated_at: self.ground.clock.now(), ..user.clone() };
            attribute::edit(&mut after.attributes, edits);
            if after.attributes == user.attributes {
                return Ok(user);
            }
            let batch = unchanged.and(records::update_user(&user, &after)?).and(spent);
            if self.ground.is_committed(batch).await? {
                let kind = Kind::UserChanged { user: after.id, what: UserChange::Attributes };
                self.ground.report(visit.origin(), kind);
                return Ok(after);
            }
        }
        Err(FlowError::Busy)
    }

    /// Gives the owner of `session` another username. The one before stays theirs: they can have it
    /// back, and no other user can have it.
    pub async fn change_username(
        &self,
        session: &Session,
        username: &Username,
        visit: &Visit,
    ) -> Result<User, FlowError> {
        self.attempts.spend(visit)?;
        if self.ground.rules().username_change == UsernameChange::Forbidden {
            return Err(FlowError::UsernameFixed);
        }
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (user, unchanged) = self.ground.owner_of(session).await?;
            if user.username == *username {
                return Ok(user);
            }
            let claimed = self.claiming(username, &user).await?;
            let renamed =
                User { username: username.clone(), updated_at: self.ground.clock.now(), ..user.clone() };
            let batch = unchanged.and(records::update_user(&user, &renamed)?);
            if self.ground.is_committed(batch.and(claimed).and(spent)).await? {
                let kind = Kind::UserChanged { user: renamed.id, what: UserChange::Username };
                self.ground.report(visit.origin(), kind);
                return Ok(renamed);
            }
        }
        Err(FlowError::Busy)
    }

    /// The batch that gives `username` to a user who asks for it. A username that opens a route is
    /// the operator's to give.
    async fn claiming(&self, username: &Username, user: &User) -> Result<Batch, FlowError> {
        let is_new = self.ground.records.username_owner(username).await?.is_none();
        if is_new && !self.may_be_given(username).await? {
            return Err(FlowError::Taken("username"));
        }
        self.giving_username(username, user).await
    }
}
