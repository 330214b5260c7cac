//! Enrolment: from an invitation, or the set-up link, to an account with a session.
//!
//! The secret is used up by redeeming it, which gives a session that may only add a passkey; the
//! first passkey (`registration`) makes that session a full one. An enrolment that is abandoned
//! leaves no account behind (`sessions`). Set-up ends, for good, in the commit that stores the
//! first passkey.

use std::sync::Arc;

use crate::domain::event::{Kind, Origin};
use crate::domain::id::UserId;
use crate::domain::invitation::{Invitation, SETUP_LIFETIME, Setup};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, Role, User};
use crate::flows::FlowError;
use crate::flows::evidence::Evidence;
use crate::flows::evidence::UsedLink;
use crate::flows::index::LiveSession;
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::recovery::Means;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, CommitError, entropy};
use crate::records::{self, keys};

/// The effect of a link, told to its holder before they use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Making the first administrator.
    Setup { expires_at: Timestamp },
    /// An account, or another passkey for it.
    Invitation(Box<Invitation>),
}

/// The holder of a secret, as they describe themselves.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    pub email: Option<String>,
    pub name: Option<String>,
}

/// A secret that was good for an account, and the batch that uses it up.
struct Redemption {
    user: User,
    spent: Batch,
    entry: Entry,
}

/// The effect of a secret on its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// The beginning of the account, or a link that its owner made with a passkey.
    Expected,
    /// A way back into the account.
    Recovery,
}

impl SignIn {
    /// Makes a new set-up secret if there is still no first administrator, replacing the one
    /// before it. `None` once set-up is done, or while a person is going through it.
    pub async fn issue_setup_secret(&self) -> Result<Option<Secret>, FlowError> {
        let key = keys::setup();
        let before = self.ground.records.get_exact::<Setup>(&key).await?;
        let shut = match before.as_ref().map(|(setup, _)| setup) {
            Some(Setup::Closed { .. }) => true,
            Some(Setup::Claimed { user }) => self.ground.records.user(user).await?.is_some(),
            Some(Setup::Open { .. }) => false,
            // Users without a set-up record mean a damaged store, which must not begin set-up
            // again.
            None => self.ground.records.has_users().await?,
        };
        if shut {
            return Ok(None);
        }
        let secret = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let expires_at = self.ground.clock.now().plus(SETUP_LIFETIME);
        let open = records::encode(&Setup::Open { secret: secret.hashed(), expires_at })?;
        let batch = match before {
            Some((_, stored)) => Batch::default().expect(key.clone(), stored),
            None => Batch::default().expect_absent(key.clone()),
        };
        self.ground.records.commit(batch.put(key, open)).await?;
        self.ground.report(Origin::default(), Kind::SetupLinkIssued);
        Ok(Some(secret))
    }

    /// Whether a person used the set-up link and went away before making a passkey, so that a new
    /// link is needed.
    ///
    /// The account decides: it is made with the claim and removed with the enrolment. The session
    /// index would not do, because it hears of a claim a moment after the store shows it.
    pub async fn is_setup_abandoned(&self) -> Result<bool, FlowError> {
        Ok(match self.ground.records.setup().await? {
            Some(Setup::Claimed { user }) => self.ground.records.user(&user).await?.is_none(),
            Some(Setup::Open { .. } | Setup::Closed { .. }) | None => false,
        })
    }

    /// Whether the first administrator has been made.
    pub async fn is_setup_done(&self) -> Result<bool, FlowError> {
        Ok(matches!(self.ground.records.setup().await?, Some(Setup::Closed { .. })))
    }

    /// Shows the client that has `secret` what it is good for.
    pub async fn preview(&self, secret: &str, visit: &Visit) -> Result<Offer, FlowError> {
        self.attempts.spend(visit)?;
        self.offer(secret).await
    }

    /// The effect of `secret`. Does not use it up.
    pub async fn offer(&self, secret: &str) -> Result<Offer, FlowError> {
        let secret = Secret::parse(secret).ok_or(FlowError::NoSuchInvitation)?.hashed();
        let now = self.ground.clock.now();
        if let Some(Setup::Open { secret: open, expires_at }) = self.ground.records.setup().await?
            && open == secret
            && now < expires_at
        {
            return Ok(Offer::Setup { expires_at });
        }
        let invitation = self.ground.records.invitation(&secret).await?.filter(|found| found.is_live(now));
        invitation.map(|found| Offer::Invitation(Box::new(found))).ok_or(FlowError::NoSuchInvitation)
    }

    /// Uses `secret` up: it gives an account and a session that may only add a passkey. The session
    /// that this browser had `before` ends with it.
    pub async fn redeem(
        &self,
        secret: &str,
        introduction: &Introduction,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        self.attempts.spend(visit)?;
        let redeemed = match self.offer(secret).await {
            Ok(Offer::Setup { .. }) => self.claim_setup(secret, introduction).await,
            Ok(Offer::Invitation(invitation)) => self.accept(&invitation, introduction).await,
            Err(error) => Err(error),
        };
        let redeemed = match redeemed {
            Ok(redemption) => self.open_enrolment(redemption, before, visit, device).await,
            Err(error) => Err(error),
        };
        match &redeemed {
            Ok(Redeemed { user, session }) => {
                let kind = Kind::InvitationRedeemed { user: user.id, session: session.id };
                self.ground.report(visit.origin(), kind);
            }
            Err(FlowError::NoSuchInvitation) => {
                self.attempts.report_refused(visit, Kind::InvitationRefused).await;
            }
            Err(_) => {}
        }
        redeemed
    }

    async fn claim_setup(&self, secret: &str, introduction: &Introduction) -> Result<Redemption, FlowError> {
        let email = Email::parse(introduction.email.as_deref().ok_or(FlowError::EmailNeeded)?)?;
        let name = introduction.name.as_deref().map(DisplayName::parse).transpose()?;
        let key = keys::setup();
        let secret = Secret::parse(secret).ok_or(FlowError::NoSuchInvitation)?.hashed();
        // Read again together with the bytes that the claim expects: the link may have been
        // replaced since it was looked at.
        let stored = match self.ground.records.get_exact(&key).await? {
            Some((Setup::Open { secret: open, expires_at }, stored))
                if open == secret && self.ground.clock.now() < expires_at =>
            {
                stored
            }
            _ => return Err(FlowError::NoSuchInvitation),
        };
        let mut user = self.accounts.new_user(&email, name, Role::Administrator);
        // The person who has the set-up link is the operator, who may have any free name: routes
        // are often written for the first administrator before there is one.
        let is_taken = self.ground.records.username_owner(&user.username).await?.is_some();
        if is_taken || self.accounts.is_promised(&user.username).await? {
            user.username = self.accounts.free_username(&email).await?;
        }
        let claimed = records::encode(&Setup::Claimed { user: user.id })?;
        let spent = Batch::default().expect(key.clone(), stored).put(key, claimed);
        Ok(Redemption { spent: records::create_user(&user)?.and(spent), user, entry: Entry::Expected })
    }

    async fn accept(
        &self,
        invitation: &Invitation,
        introduction: &Introduction,
    ) -> Result<Redemption, FlowError> {
        let key = keys::invitation(&invitation.secret);
        let spent = Batch::default().expect(key.clone(), records::encode(invitation)?).delete(key);
        let known = match invitation.account {
            Some(account) => Some(account),
            None => match self.ground.records.user_by_email(&invitation.email).await? {
                // A user who has moved to the address since then is not the person who was invited.
                Some(user) if user.created_at < invitation.created_at => {
                    return Err(FlowError::NoSuchInvitation);
                }
                found => found.map(|user| user.id),
            },
        };
        if let Some(known) = known {
            let key = keys::user(&known);
            let (user, stored) =
                self.ground.records.get_exact::<User>(&key).await?.ok_or(FlowError::NoSuchInvitation)?;
            if !user.is_active(self.ground.clock.now()) {
                return Err(FlowError::NoSuchInvitation);
            }
            let entry = self.entry_with(invitation, &known).await?;
            return Ok(Redemption { user, spent: spent.expect(key, stored), entry });
        }
        let said = introduction.name.as_deref().map(DisplayName::parse).transpose()?;
        let name = said.or_else(|| invitation.display_name.clone());
        let mut user = self.accounts.new_user(&invitation.email, name, invitation.role);
        user.groups.clone_from(&invitation.groups);
        user.note.clone_from(&invitation.terms.note);
        user.expires_at = invitation.terms.ends_at;
        user.username = match &invitation.username {
            Some(username) => username.clone(),
            None => self.accounts.free_username(&invitation.email).await?,
        };
        Ok(Redemption { spent: records::create_user(&user)?.and(spent), user, entry: Entry::Expected })
    }

    /// The effect of a link on an existing account. The owner's own link was made with a passkey,
    /// and they were told of it then; any other link for the account is a way back into it.
    async fn entry_with(&self, invitation: &Invitation, known: &UserId) -> Result<Entry, FlowError> {
        let own = self.ground.records.get::<SecretHash>(&keys::own_link(known)).await?;
        let is_expected = invitation.account.is_none() || own.as_ref() == Some(&invitation.secret);
        Ok(if is_expected { Entry::Expected } else { Entry::Recovery })
    }

    async fn open_enrolment(
        &self,
        redemption: Redemption,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let session = self.sessions.mint(&Evidence::Link(&UsedLink::of(redemption.user.id)), visit, device);
        let (adding, ended) = self.sessions.adding(&session, before).await?;
        let Redemption { user, spent, entry } = redemption;
        let beginning = match entry {
            Entry::Expected => Batch::default(),
            // The owner hears of it before the session can change anything.
            Entry::Recovery => self.beginning_recovery(&user, &session, Means::Link, visit)?,
        };
        match self.ground.records.commit(spent.and(adding).and(beginning)).await {
            Ok(()) => {
                self.messages.wake_delivery();
                self.sessions.report_ended(&visit.origin(), &ended);
                Ok(Redeemed { session, user })
            }
            Err(CommitError::Conflict) => Err(self.why_not_settled(&user).await),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Another client was faster: with the address, the username, or the secret.
    async fn why_not_settled(&self, user: &User) -> FlowError {
        let is_other =
            |found: Result<Option<UserId>, _>| found.map(|found| found.is_some_and(|it| it != user.id));
        let email = self.ground.records.user_by_email(&user.email).await.map(|found| found.map(|it| it.id));
        let email = is_other(email);
        let username = is_other(self.ground.records.username_owner(&user.username).await);
        match (email, username) {
            (Ok(true), _) => FlowError::Taken("address"),
            (_, Ok(true)) => FlowError::Taken("username"),
            (Ok(false), Ok(false)) => FlowError::NoSuchInvitation,
            (Err(error), _) | (_, Err(error)) => FlowError::Store(error),
        }
    }
}
