//! The usernames that an account can have, and the making of a new account.
//!
//! What does not live here: changing a name (`profile.rs` for its owner,
//! `administration/people.rs`).
//!
//! What always holds: one question, [`Accounts::may_be_given`], answers for invitations, enrolments
//! and changes alike.

use crate::domain::id::UserId;
use crate::domain::identifier::USERNAMES_PER_USER_MAX;
use crate::domain::invitation::Invitation;
use crate::domain::user::{DisplayName, Email, Role, Standing, User, Username};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How many usernames are proposed before giving up.
const USERNAME_ATTEMPTS_MAX: u32 = 1_000;

impl Accounts {
    /// Whether a user who asks, or whose invitation names no username, may have this one: no one is
    /// promised it, no route opens for it, and no application is likely to take it for its own
    /// administrator. An operator may give any name to a user. Says nothing of who has had it.
    pub(in crate::flows) async fn may_be_given(&self, username: &Username) -> Result<bool, FlowError> {
        let opens = self.ground.routes().all().any(|route| route.is_about_name(username));
        Ok(!opens && !username.is_reserved() && !self.is_promised(username).await?)
    }

    /// Whether an invitation promises this username.
    pub(in crate::flows) async fn is_promised(&self, username: &Username) -> Result<bool, FlowError> {
        let (now, mut walk) = (self.ground.clock.now(), self.ground.records.walk(keys::INVITATIONS));
        let promises = |it: &Invitation| it.is_live(now) && it.username.as_ref() == Some(username);
        Ok(walk.next_where(promises).await?.is_some())
    }

    pub(in crate::flows) async fn free_username(&self, email: &Email) -> Result<Username, FlowError> {
        for attempt in 1..=USERNAME_ATTEMPTS_MAX {
            let proposal = Username::proposal(email, attempt);
            let is_free = self.ground.records.username_owner(&proposal).await?.is_none();
            if is_free && self.may_be_given(&proposal).await? {
                return Ok(proposal);
            }
        }
        Err(FlowError::Taken("username"))
    }

    pub(in crate::flows) fn new_user(&self, email: &Email, name: Option<DisplayName>, role: Role) -> User {
        let now = self.ground.clock.now();
        let username = Username::proposal(email, 1);
        let fallback = || DisplayName::parse(email.local_part()).ok();
        User {
            id: UserId::from_random(entropy::bytes(&*self.ground.entropy)),
            display_name: name.or_else(fallback).unwrap_or_else(|| username.clone().into()),
            username,
            email: email.clone(),
            groups: [].into(),
            role,
            standing: Standing::Active,
            created_at: now,
            updated_at: now,
            note: None,
            expires_at: None,
            seen_from: Vec::new(),
            programs: Vec::new(),
            told_of_end: None,
            attributes: [].into(),
        }
    }

    /// The batch that gives `username` to `user`. The username that they have stays theirs.
    pub(in crate::flows) async fn giving_username(
        &self,
        username: &Username,
        user: &User,
    ) -> Result<Batch, FlowError> {
        let (key, mine) = (keys::username(username), records::encode(&user.id)?);
        match self.ground.records.username_owner(username).await? {
            Some(owner) if owner == user.id => Ok(Batch::default().expect(key, mine)),
            Some(_) => Err(FlowError::Taken("username")),
            None if self.ground.records.has_usernames(&user.id, USERNAMES_PER_USER_MAX).await? => {
                Err(FlowError::TooManyUsernames)
            }
            None => Ok(Batch::default().expect_absent(key.clone()).put(key, mine)),
        }
    }
}
