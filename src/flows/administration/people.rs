//! Accounts, as operators and administrators change them: names, groups, roles, ends.
//!
//! What always holds: a change is felt by open sessions on their next request, because the index
//! hears of it before the commit returns; the last administrator who can sign in stays one; and no
//! administrator sees or chooses another user's credential: a reset makes a link.

use std::collections::BTreeSet;

use crate::domain::attribute::{self, AttributeEdits, Editor};
use crate::domain::ceremony::aaguid::name_of;
use crate::domain::credential::Credential;
use crate::domain::event::{End, Kind, UserChange};
use crate::domain::id::{CredentialId, UserId};
use crate::domain::invitation::{INVITATION_LIFETIME, Invited, LinkDelivery};
use crate::domain::message::{About, Content};
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Group, Note, Role, Standing, User, Username};
use crate::flows::FlowError;
use crate::flows::account::endings::Endings;
use crate::flows::administration::Administration;
use crate::flows::administration::invitations::Guest;
use crate::flows::administration::links::Links;
use crate::flows::authority::Authority;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::sessions::Ended;
use crate::ports::Batch;
use crate::records::{self, keys};

/// The changes to a user; `None` leaves a member as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserEdit {
    pub name: Option<DisplayName>,
    /// The username before stays theirs.
    pub username: Option<Username>,
    /// All groups, not only further ones.
    pub groups: Option<BTreeSet<Group>>,
    pub role: Option<Role>,
    pub standing: Option<Standing>,
    /// `Some(None)` takes the note away.
    pub note: Option<Option<Note>>,
    /// `Some(None)`: the account does not end by itself.
    pub expires_at: Option<Option<Timestamp>>,
    /// Attributes that are not named stay.
    pub attributes: AttributeEdits,
}

/// The effect of a reset on existing passkeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldPasskeys {
    Stay,
    /// They are removed and every session and access token ends, before the link is handed out.
    Wiped,
}

impl UserEdit {
    /// `user` as they will be, and what is then different.
    pub(in crate::flows) fn applied_to(&self, user: &User, now: Timestamp) -> (User, Vec<UserChange>) {
        let mut after = user.clone();
        let mut changes = Vec::new();
        let mut set = |is_new: bool, what| {
            if is_new {
                changes.push(what);
            }
        };
        if let Some(name) = &self.name {
            set(after.display_name != *name, UserChange::Name);
            after.display_name = name.clone();
        }
        if let Some(username) = &self.username {
            set(after.username != *username, UserChange::Username);
            after.username = username.clone();
        }
        if let Some(groups) = &self.groups {
            set(after.groups != *groups, UserChange::Groups);
            after.groups.clone_from(groups);
        }
        if let Some(role) = self.role {
            set(after.role != role, UserChange::Role);
            after.role = role;
        }
        if let Some(standing) = self.standing {
            let what = match (user.standing, standing) {
                (Standing::Pending, Standing::Active) => UserChange::Approved,
                (_, Standing::Active | Standing::Pending) => UserChange::Enabled,
                (_, Standing::Disabled) => UserChange::Disabled,
            };
            set(after.standing != standing, what);
            after.standing = standing;
        }
        if let Some(note) = &self.note {
            set(after.note != *note, UserChange::Note);
            after.note.clone_from(note);
        }
        if let Some(expires_at) = self.expires_at {
            set(after.expires_at != expires_at, UserChange::Expiry);
            after.expires_at = expires_at;
        }
        let before = after.attributes.clone();
        attribute::edit(&mut after.attributes, &self.attributes);
        set(before != after.attributes, UserChange::Attributes);
        after.updated_at = now;
        (after, changes)
    }
}

/// Whether `before` is an administrator who ceases to be one, or whose account ends at another
/// moment.
pub(in crate::flows) fn takes_an_administrator(before: &User, after: &User) -> bool {
    let was_one = before.role == Role::Administrator && before.standing == Standing::Active;
    let goes_on = after.role == Role::Administrator
        && after.standing == Standing::Active
        && after.expires_at == before.expires_at;
    was_one && !goes_on
}

impl Administration {
    /// Changes an account. Open sessions feel it on their next request; those of an account that is
    /// closed end. An edit that makes no difference writes nothing.
    pub async fn edit_user(
        &self,
        authority: &Authority,
        id: &UserId,
        edit: &UserEdit,
    ) -> Result<User, FlowError> {
        self.edit_knowing(authority, id, edit, None).await
    }

    /// The same where the links that there are may have been read already.
    pub(in crate::flows) async fn edit_knowing(
        &self,
        authority: &Authority,
        id: &UserId,
        edit: &UserEdit,
        links: Option<&Links>,
    ) -> Result<User, FlowError> {
        self.ground.rules().attributes.check(&edit.attributes, Editor::Administrator)?;
        let key = keys::user(id);
        for _ in 0..ATTEMPTS_MAX {
            let found: Option<(User, _)> = self.ground.records.get_exact(&key).await?;
            let (before, stored) = found.ok_or(FlowError::NotFound)?;
            let (after, changes) = edit.applied_to(&before, self.ground.clock.now());
            if changes.is_empty() {
                return Ok(before);
            }
            let endings = self.ended_by(&changes, &after).await?;
            let change = Batch::default()
                .expect(key.clone(), stored)
                .and(records::update_user(&before, &after)?)
                .and(self.coming_with(&before, &after, links).await?)
                .and(self.sessions.spend_freshness_of(authority, &endings.ended()).await?);
            if self.accounts.is_committed_with(endings, change, &authority.origin()).await? {
                self.messages.wake_delivery();
                for what in changes {
                    self.ground.report(authority.origin(), Kind::UserChanged { user: *id, what });
                }
                return Ok(after);
            }
        }
        Err(FlowError::Busy)
    }

    /// Deletes an account for good, with its passkeys and sessions. The username stays theirs.
    pub async fn delete_user(&self, authority: &Authority, id: &UserId) -> Result<(), FlowError> {
        let key = keys::user(id);
        for _ in 0..ATTEMPTS_MAX {
            let found: Option<(User, _)> = self.ground.records.get_exact(&key).await?;
            let (user, stored) = found.ok_or(FlowError::NotFound)?;
            let endings = self.accounts.everything_of(id, End::AccountDeleted).await?;
            let change = Batch::default()
                .expect(key.clone(), stored)
                .and(self.accounts.expecting_another_administrator(&user).await?)
                .and(self.accounts.retiring(&user).await?)
                .and(self.voiding_links(&user.email, Some(id), None).await?)
                .and(self.sessions.spend_freshness_of(authority, &endings.ended()).await?);
            if self.accounts.is_committed_with(endings, change, &authority.origin()).await? {
                let kind = Kind::UserChanged { user: *id, what: UserChange::Deleted };
                self.ground.report(authority.origin(), kind);
                self.accounts.sweep_orphaned_records(id).await;
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// A link that adds a passkey to an account, for a user who has lost theirs. With
    /// [`OldPasskeys::Wiped`], every passkey and recovery code is removed, and every session and
    /// access token ends, in the commit that makes the link. An operator, who may open the store
    /// itself, may do so to the last administrator as well: the link is the way back in.
    pub async fn reset_user(
        &self,
        authority: &Authority,
        id: &UserId,
        old: OldPasskeys,
        go: LinkDelivery,
    ) -> Result<Invited, FlowError> {
        let user = self.ground.records.user(id).await?.ok_or(FlowError::NotFound)?;
        if user.standing == Standing::Disabled {
            return Err(FlowError::AccountClosed);
        }
        let invited = self.promise(self.guest_of(&user, authority)).await?;
        let message = self.message_with(&invited, go)?;
        for _ in 0..ATTEMPTS_MAX {
            let (user, unchanged) = self.exactly(id).await?;
            if user.email != invited.invitation.email {
                return Err(FlowError::Busy);
            }
            let (endings, wiping) = match old {
                OldPasskeys::Stay => (Endings::none(*id), Batch::default()),
                OldPasskeys::Wiped => self.wiping(authority, &user).await?,
            };
            let spent = self.sessions.spend_freshness_of(authority, &endings.ended()).await?;
            let inviting = self.inviting(&invited.invitation, None).await?;
            let change = unchanged.and(inviting).and(message.clone()).and(wiping).and(spent);
            if self.accounts.is_committed_with(endings, change, &authority.origin()).await? {
                self.messages.wake_delivery();
                self.report_invited(authority, &invited.invitation);
                let reset = Kind::UserChanged { user: *id, what: UserChange::Reset };
                self.ground.report(authority.origin(), reset);
                return Ok(invited);
            }
        }
        Err(FlowError::Busy)
    }

    fn guest_of(&self, user: &User, authority: &Authority) -> Guest {
        Guest {
            email: user.email.clone(),
            display_name: None,
            username: None,
            groups: [].into(),
            role: Role::Member,
            lifetime: INVITATION_LIFETIME,
            invited_by: self.sessions.name_of(authority),
        }
    }

    /// The batch that ends every way into an account, and the sessions, tokens and passkeys that
    /// end with it.
    async fn wiping(&self, authority: &Authority, user: &User) -> Result<(Endings, Batch), FlowError> {
        // Before anything is read: a session that is added after this is noticed.
        let decided = self.sessions.deciding_about_all(&user.id).await?;
        let endings = self.accounts.everything_of(&user.id, End::AccountReset).await?;
        let mut batch = decided
            .and(self.ground.records.forgetting_own_link(&user.id).await?)
            .delete(keys::recovery_codes(&user.id));
        if !endings.passkeys.is_empty() {
            let content = Content::PasskeysWiped { at: self.ground.clock.now() };
            batch = batch.and(self.messages.notice(user, content)?);
        }
        if !authority.is_operator() {
            batch = batch.and(self.accounts.expecting_another_administrator(user).await?);
        }
        Ok((endings, batch))
    }

    /// Removes one passkey of a user and ends the sessions that it opened; the user is told by
    /// mail.
    pub async fn remove_passkey_of(
        &self,
        authority: &Authority,
        owner: &UserId,
        id: &CredentialId,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let (user, unchanged) = self.exactly(owner).await?;
            let (found, stored) = self.accounts.own_credential(owner, id).await?;
            let is_last = self.ground.records.credentials_of(owner).await?.len() == 1;
            let opened = self.sessions.opened_with(owner, id).await?.into_iter();
            let ended: Ended = opened.map(|session| (session, End::CredentialRemoved)).collect();
            let mut change = unchanged
                .expect(keys::credential(id), stored)
                .and(records::delete_credential(&found))
                .and(self.ground.records.forgetting_own_link(owner).await?)
                .and(self.messages.notice(&user, self.removal_by_administrator(&found))?)
                .and(self.sessions.spend_freshness_of(authority, &ended).await?);
            if is_last {
                change = change.and(self.accounts.expecting_another_administrator(&user).await?);
            }
            let origin = authority.origin();
            if self.sessions.is_committed_ending(&ended, Some(owner), change, &origin).await? {
                self.messages.wake_delivery();
                self.ground.report(origin, found.removal());
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// The notice to the owner: the passkey and the moment, without the administrator's network.
    fn removal_by_administrator(&self, removed: &Credential) -> Content {
        let model = name_of(removed.aaguid).map(str::to_owned);
        let about = Some(About { model, network: None, at: self.ground.clock.now() });
        Content::PasskeyRemoved { passkey: String::new(), about }
    }

    /// A user, and a batch that expects them to be as they are.
    pub(in crate::flows) async fn exactly(&self, id: &UserId) -> Result<(User, Batch), FlowError> {
        let key = keys::user(id);
        let (user, stored) = self.ground.records.get_exact::<User>(&key).await?.ok_or(FlowError::NotFound)?;
        Ok((user, Batch::default().expect(key, stored)))
    }

    /// The batch of a change's consequences: a closed account has no links, and the last
    /// administrator stays one.
    async fn coming_with(
        &self,
        before: &User,
        after: &User,
        links: Option<&Links>,
    ) -> Result<Batch, FlowError> {
        let mut batch = Batch::default();
        if before.username != after.username {
            batch = batch.and(self.accounts.giving_username(&after.username, before).await?);
        }
        if before.standing != after.standing && after.standing == Standing::Disabled {
            batch = batch
                .and(self.ground.records.forgetting_own_link(&after.id).await?)
                .and(self.voiding_links(&after.email, Some(&after.id), links).await?)
                .without_repeats();
        }
        if before.standing == Standing::Pending && after.standing == Standing::Active {
            batch = batch.and(self.messages.notice(after, Content::Approved)?);
        }
        if before.role != after.role {
            let (role, at) = (after.role, self.ground.clock.now());
            batch = batch.and(self.messages.notice(after, Content::RoleChanged { role, at })?);
        }
        if takes_an_administrator(before, after) {
            batch = batch.and(self.accounts.expecting_another_administrator(before).await?);
        }
        Ok(batch)
    }

    /// Sessions and access tokens that do not outlive a change of their account. A session that was
    /// begun while the account was being closed ends when it is opened again.
    async fn ended_by(&self, changes: &[UserChange], after: &User) -> Result<Endings, FlowError> {
        let is_over = changes.contains(&UserChange::Disabled) || changes.contains(&UserChange::Enabled);
        let why = if is_over {
            End::AccountDisabled
        } else if after.has_expired(self.ground.clock.now()) {
            End::AccountExpired
        } else {
            return Ok(Endings::none(after.id));
        };
        self.accounts.ways_in_of(&after.id, why).await
    }
}
