//! What operators do: change and disable people, end sessions. Whom they invite is in
//! `invitations`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::commit::ATTEMPTS_MAX;
use super::sessions::Ended;
use super::{FlowError, Gateway};
use crate::domain::event::{End, Kind, Origin, UserChange};
use crate::domain::id::{SessionId, UserId};
use crate::domain::invitation::Invitation;
use crate::domain::letter::{Content, Letter};
use crate::domain::secret::Secret;
use crate::domain::user::{DisplayName, Email, Group, Role, Standing, User, Username};
use crate::ports::Batch;
use crate::records::{self, keys};

/// Whom to invite, and as what.
#[derive(Debug, Clone)]
pub struct Guest {
    pub email: Email,
    pub display_name: Option<DisplayName>,
    pub username: Option<Username>,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub lifetime: Duration,
    pub invited_by: String,
}

/// An invitation and the secret that its link carries.
#[derive(Debug)]
pub struct Invited {
    pub invitation: Invitation,
    pub secret: Secret,
}

impl Gateway {
    /// The link that `invited` gives. Made of our public address and nothing that a request said.
    pub fn link_of(&self, invited: &Invited) -> String {
        self.place.url(&format!("/enroll#{}", invited.secret.reveal()))
    }

    /// Posts the link to whom it is for. Returns when the letter is in the outbox.
    pub async fn mail_link(&self, invited: &Invited) -> Result<(), FlowError> {
        self.records.commit(self.posting_link(invited)?).await?;
        self.wake_delivery();
        Ok(())
    }

    /// The batch that posts the link. Whoever asked is waiting for it, so a full outbox is told.
    pub(super) fn posting_link(&self, invited: &Invited) -> Result<Batch, FlowError> {
        if !self.has_mail {
            return Err(FlowError::NoMail);
        }
        let Invitation { email, display_name, expires_at, .. } = &invited.invitation;
        let hours = expires_at.since(self.clock.now()).as_secs().div_ceil(3_600);
        let content = Content::Link { url: self.link_of(invited), name: display_name.clone(), hours };
        let posting = self.enqueue(&Letter { to: email.clone(), content })?;
        if posting.changes.is_empty() { Err(FlowError::OutboxFull) } else { Ok(posting) }
    }

    /// Whether anything can be sent by mail here.
    pub fn has_mail(&self) -> bool {
        self.has_mail
    }

    /// What an invitation says of an account counts only if it makes the account.
    pub(super) async fn must_be_free(&self, guest: &Guest) -> Result<(), FlowError> {
        let says_more = guest.role != Role::Member || !guest.groups.is_empty() || guest.username.is_some();
        if says_more && self.records.user_by_email(&guest.email).await?.is_some() {
            return Err(FlowError::HasAccount);
        }
        match &guest.username {
            Some(username) if self.records.username_owner(username).await?.is_some() => {
                Err(FlowError::Taken("username"))
            }
            _ => Ok(()),
        }
    }

    /// Everyone, by username.
    pub async fn users(&self) -> Result<Vec<User>, FlowError> {
        let mut users = self.records.users().await?;
        users.sort_by(|a, b| a.username.cmp(&b.username));
        Ok(users)
    }

    /// A person by e-mail address or username.
    pub async fn find_user(&self, name: &str) -> Result<User, FlowError> {
        let found = if name.contains('@') {
            self.records.user_by_email(&Email::parse(name)?).await?
        } else {
            self.records.user_by_username(&Username::parse(name)?).await?
        };
        found.ok_or(FlowError::NotFound)
    }

    /// Puts a person into exactly these groups. Open sessions feel it on their next request.
    pub async fn set_groups(&self, user: &UserId, groups: BTreeSet<Group>) -> Result<User, FlowError> {
        self.change_user(user, UserChange::Groups, |user| user.groups.clone_from(&groups)).await
    }

    /// Closes an account and ends its sessions.
    pub async fn disable_user(&self, user: &UserId) -> Result<User, FlowError> {
        self.change_user(user, UserChange::Disabled, |user| user.standing = Standing::Disabled).await
    }

    /// Opens an account again. Nobody is signed in to it by that.
    pub async fn enable_user(&self, user: &UserId) -> Result<User, FlowError> {
        self.change_user(user, UserChange::Enabled, |user| user.standing = Standing::Active).await
    }

    /// Makes a person an administrator, or a member. The last administrator stays one.
    pub async fn set_role(&self, user: &UserId, role: Role) -> Result<User, FlowError> {
        if self.records.user(user).await?.ok_or(FlowError::NotFound)?.role == role {
            return self.records.user(user).await?.ok_or(FlowError::NotFound);
        }
        self.change_user(user, UserChange::Role, |user| user.role = role).await
    }

    async fn change_user(
        &self,
        id: &UserId,
        what: UserChange,
        change: impl Fn(&mut User),
    ) -> Result<User, FlowError> {
        let key = keys::user(id);
        for _ in 0..ATTEMPTS_MAX {
            let found: Option<(User, _)> = self.records.get_exact(&key).await?;
            let (mut user, stored) = found.ok_or(FlowError::NotFound)?;
            change(&mut user);
            user.updated_at = self.clock.now();
            let ended = self.ended_by(what, id);
            let batch = Batch::default()
                .expect(key.clone(), stored)
                .put(key.clone(), records::encode(&user)?)
                .and(self.ending(&ended, Some(id)).await?);
            let batch = batch.and(self.coming_with(what, &user).await?);
            if self.is_committed(batch).await? {
                self.report_ended(&Origin::default(), &ended);
                self.report(Origin::default(), Kind::UserChanged { user: *id, what });
                return Ok(user);
            }
        }
        Err(FlowError::Busy)
    }

    /// The batch of what a change brings about besides: a closed account has no links, and the last
    /// administrator stays one.
    async fn coming_with(&self, what: UserChange, user: &User) -> Result<Batch, FlowError> {
        match what {
            UserChange::Disabled => Ok(self
                .forgetting_own_link(&user.id)
                .await?
                .and(self.voiding_links(&user.email, Some(&user.id)).await?)),
            UserChange::Role if user.role != Role::Administrator => {
                let before = User { role: Role::Administrator, ..user.clone() };
                self.leaving_an_administrator(&before).await
            }
            _ => Ok(Batch::default()),
        }
    }

    /// Sessions that do not outlive a change of their account. A sign-in that slipped in beside
    /// the closing of an account is caught by its opening.
    fn ended_by(&self, what: UserChange, user: &UserId) -> Ended {
        match what {
            UserChange::Disabled | UserChange::Enabled => {
                let sessions = self.index.sessions_of(user).into_iter();
                sessions.map(|session| (session, End::AccountDisabled)).collect()
            }
            UserChange::Groups
            | UserChange::Role
            | UserChange::Name
            | UserChange::Username
            | UserChange::AddressAnnounced
            | UserChange::AddressWithdrawn
            | UserChange::AddressConfirmed
            | UserChange::Deleted => Ended::new(),
        }
    }

    /// Ends one session of a person.
    pub async fn end_any_session(&self, owner: &UserId, id: &SessionId) -> Result<(), FlowError> {
        let session = self.index.session(id).filter(|session| session.record().user == *owner);
        let session = session.ok_or(FlowError::NotFound)?;
        self.end_all(&Origin::default(), vec![(session, End::EndedByOperator)], Batch::default()).await
    }

    /// Ends every session of a person. Returns how many there were.
    pub async fn end_sessions_of(&self, user: &UserId) -> Result<usize, FlowError> {
        let sessions = self.index.sessions_of(user).into_iter();
        let ended: Ended = sessions.map(|session| (session, End::EndedByOperator)).collect();
        let count = ended.len();
        let link = self.forgetting_own_link(user).await?;
        self.end_all(&Origin::default(), ended, link).await?;
        Ok(count)
    }
}
