//! Enrolment: from an invitation, or the set-up link, to an account with a passkey.
//!
//! The secret is used up by redeeming it, which gives a session that may only add a passkey; the
//! first passkey makes that session a full one. An enrolment that is abandoned leaves no account
//! behind. The set-up door closes, for good, in the commit that stores the first passkey.

use serde_json::Value;

use super::admit::Visit;
use super::sessions::Device;
use super::sign_in::Pending;
use super::{FlowError, Gateway};
use crate::domain::ceremony::CreationOptions;
use crate::domain::credential::{CREDENTIALS_PER_USER_MAX, Credential, CredentialName};
use crate::domain::event::{Ceremony, Kind, Origin, Refusal};
use crate::domain::id::{CeremonyId, UserId};
use crate::domain::invitation::{Invitation, SETUP_LIFETIME, Setup};
use crate::domain::secret::Secret;
use crate::domain::session::{Scope, Session};
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, Role, Standing, User, Username};
use crate::ports::{Batch, CommitError, entropy};
use crate::records::{self, keys};

/// How many usernames are proposed before giving up.
const USERNAME_ATTEMPTS_MAX: u32 = 1_000;

/// What a link is good for, told to its holder before they use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Making the first administrator.
    Setup { expires_at: Timestamp },
    /// An account, or another passkey for it.
    Invitation(Box<Invitation>),
}

/// What the holder of a secret says about themselves.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    pub email: Option<String>,
    pub name: Option<String>,
}

/// A redeemed secret.
#[derive(Debug)]
pub struct Redeemed {
    pub session: Session,
    pub user: User,
}

/// A registration that happened.
#[derive(Debug)]
pub struct Registered {
    pub credential: Credential,
    /// The session as it is now: an enrolling one has become a full one.
    pub session: Session,
    pub user: User,
}

impl Gateway {
    /// Makes a new set-up secret if there is still no first administrator, replacing the one
    /// before it. `None` once the door is closed, or while somebody is in it.
    pub async fn issue_setup_secret(&self) -> Result<Option<Secret>, FlowError> {
        let key = keys::setup();
        let before = self.records.get_exact::<Setup>(&key).await?;
        let shut = match before.as_ref().map(|(setup, _)| setup) {
            Some(Setup::Closed { .. }) => true,
            Some(Setup::Claimed { user }) => !self.index.sessions_of(user).is_empty(),
            Some(Setup::Open { .. }) => false,
            // People without a set-up record mean a damaged store: never a reason to open the door.
            None => !self.records.users().await?.is_empty(),
        };
        if shut {
            return Ok(None);
        }
        let secret = Secret::from_random(entropy::bytes(&*self.entropy));
        let expires_at = self.clock.now().plus(SETUP_LIFETIME);
        let open = records::encode(&Setup::Open { secret: secret.hashed(), expires_at })?;
        let batch = match before {
            Some((_, stored)) => Batch::default().expect(key.clone(), stored),
            None => Batch::default().expect_absent(key.clone()),
        };
        self.records.commit(batch.put(key, open)).await?;
        self.report(Origin::default(), Kind::SetupLinkIssued);
        Ok(Some(secret))
    }

    /// Whether somebody used the set-up link and went away before making a passkey, so that a new
    /// link is needed.
    pub async fn is_setup_abandoned(&self) -> Result<bool, FlowError> {
        Ok(match self.records.setup().await? {
            Some(Setup::Claimed { user }) => self.index.sessions_of(&user).is_empty(),
            Some(Setup::Open { .. } | Setup::Closed { .. }) | None => false,
        })
    }

    /// Whether the first administrator has been made.
    pub async fn is_setup_done(&self) -> Result<bool, FlowError> {
        Ok(matches!(self.records.setup().await?, Some(Setup::Closed { .. })))
    }

    /// What `secret` is good for. Uses nothing up.
    pub async fn offer(&self, secret: &str) -> Result<Offer, FlowError> {
        let secret = Secret::parse(secret).ok_or(FlowError::NoSuchInvitation)?.hashed();
        let now = self.clock.now();
        if let Some(Setup::Open { secret: open, expires_at }) = self.records.setup().await?
            && open == secret
            && now < expires_at
        {
            return Ok(Offer::Setup { expires_at });
        }
        let invitation = self.records.invitation(&secret).await?.filter(|found| found.is_live(now));
        invitation.map(|found| Offer::Invitation(Box::new(found))).ok_or(FlowError::NoSuchInvitation)
    }

    /// Uses `secret` up: it gives an account and a session that may only add a passkey.
    pub async fn redeem(
        &self,
        secret: &str,
        introduction: &Introduction,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let redeemed = match self.offer(secret).await {
            Ok(Offer::Setup { .. }) => self.redeem_setup(introduction, visit, device).await,
            Ok(Offer::Invitation(invitation)) => {
                self.redeem_invitation(&invitation, introduction, visit, device).await
            }
            Err(error) => Err(error),
        };
        match &redeemed {
            Ok(Redeemed { user, session }) => {
                let kind = Kind::InvitationRedeemed { user: user.id, session: session.id };
                self.report(visit.origin(), kind);
            }
            Err(FlowError::NoSuchInvitation) => self.report(visit.origin(), Kind::InvitationRefused),
            Err(_) => {}
        }
        redeemed
    }

    async fn redeem_setup(
        &self,
        introduction: &Introduction,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let email = Email::parse(introduction.email.as_deref().ok_or(FlowError::EmailNeeded)?)?;
        let name = introduction.name.as_deref().map(DisplayName::parse).transpose()?;
        let key = keys::setup();
        let Some((Setup::Open { .. }, stored)) = self.records.get_exact(&key).await? else {
            return Err(FlowError::NoSuchInvitation);
        };
        let mut user = self.new_user(&email, name, Role::Administrator);
        user.username = self.free_username(&email).await?;
        let claimed = records::encode(&Setup::Claimed { user: user.id })?;
        let claim = Batch::default().expect(key.clone(), stored).put(key, claimed);
        self.settle(user, claim, visit, device).await
    }

    async fn redeem_invitation(
        &self,
        invitation: &Invitation,
        introduction: &Introduction,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let key = keys::invitation(&invitation.secret);
        let use_up = Batch::default().expect(key.clone(), records::encode(invitation)?).delete(key);
        if let Some(user) = self.records.user_by_email(&invitation.email).await? {
            if user.standing != Standing::Active {
                return Err(FlowError::NoSuchInvitation);
            }
            return self.open_enrolment(user, use_up, visit, device).await;
        }
        let said = introduction.name.as_deref().map(DisplayName::parse).transpose()?;
        let name = said.or_else(|| invitation.display_name.clone());
        let mut user = self.new_user(&invitation.email, name, invitation.role);
        user.groups.clone_from(&invitation.groups);
        user.username = match &invitation.username {
            Some(username) => username.clone(),
            None => self.free_username(&invitation.email).await?,
        };
        self.settle(user, use_up, visit, device).await
    }

    /// Stores a new account together with what paid for it.
    async fn settle(
        &self,
        user: User,
        paid: Batch,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let batch = records::create_user(&user)?.and(paid);
        self.open_enrolment(user, batch, visit, device).await
    }

    async fn open_enrolment(
        &self,
        user: User,
        batch: Batch,
        visit: &Visit,
        device: &Device,
    ) -> Result<Redeemed, FlowError> {
        let session = self.enrol_session(user.id, visit, device);
        let (adding, ended) = self.adding(&session, None)?;
        match self.records.commit(batch.and(adding)).await {
            Ok(()) => {
                self.report_ended(&visit.origin(), &ended);
                Ok(Redeemed { session, user })
            }
            Err(CommitError::Conflict) => Err(self.why_not_settled(&user).await),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Somebody was faster: with the secret, or with the name.
    async fn why_not_settled(&self, user: &User) -> FlowError {
        match self.records.user_by_username(&user.username).await {
            Ok(Some(other)) if other.email != user.email => FlowError::Taken("username"),
            Ok(_) => FlowError::NoSuchInvitation,
            Err(error) => error.into(),
        }
    }

    fn new_user(&self, email: &Email, name: Option<DisplayName>, role: Role) -> User {
        let now = self.clock.now();
        let username = Username::proposal(email, 1);
        let fallback = || DisplayName::parse(email.local_part()).ok();
        User {
            id: UserId::from_random(entropy::bytes(&*self.entropy)),
            display_name: name.or_else(fallback).unwrap_or_else(|| username.clone().into()),
            username,
            email: email.clone(),
            groups: [].into(),
            role,
            standing: Standing::Active,
            created_at: now,
            updated_at: now,
        }
    }

    async fn free_username(&self, email: &Email) -> Result<Username, FlowError> {
        for attempt in 1..=USERNAME_ATTEMPTS_MAX {
            let proposal = Username::proposal(email, attempt);
            if self.records.user_by_username(&proposal).await?.is_none() {
                return Ok(proposal);
            }
        }
        Err(FlowError::Taken("username"))
    }

    /// Begins the registration of a passkey for the owner of `session`.
    pub async fn begin_registration(
        &self,
        session: &Session,
        visit: &Visit,
    ) -> Result<(CeremonyId, CreationOptions), FlowError> {
        self.may_change_credentials(session)?;
        let user = self.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let existing = self.records.credentials_of(&session.user).await?;
        if existing.len() >= CREDENTIALS_PER_USER_MAX {
            return Err(Refusal::LimitReached.into());
        }
        let (options, pending) = self.relying_party.begin_registration(&user, &existing, self.clock.now())?;
        let id = self.keep_pending(&Pending::Registration(pending)).await?;
        self.report(visit.origin(), Kind::CeremonyBegun { ceremony: Ceremony::Registration });
        Ok((id, options))
    }

    /// Finishes a registration. The ceremony is gone whatever the outcome.
    pub async fn finish_registration(
        &self,
        session: &Session,
        ceremony: Option<CeremonyId>,
        answer: &Value,
        name: Option<CredentialName>,
        visit: &Visit,
    ) -> Result<Registered, FlowError> {
        let registered = self.try_registration(session, ceremony, answer, name).await;
        match &registered {
            Ok(Registered { credential, .. }) => {
                let kind = Kind::CredentialAdded { user: session.user, credential: credential.id.clone() };
                self.report(visit.origin(), kind);
            }
            Err(FlowError::Refused(why)) => {
                let kind = Kind::CredentialRefused { user: Some(session.user), why: *why };
                self.report(visit.origin(), kind);
            }
            Err(_) => {}
        }
        registered
    }

    async fn try_registration(
        &self,
        session: &Session,
        ceremony: Option<CeremonyId>,
        answer: &Value,
        name: Option<CredentialName>,
    ) -> Result<Registered, FlowError> {
        let pending = self.take_pending(ceremony).await?;
        let pending = match serde_json::from_value(pending) {
            Ok(Pending::Registration(pending)) if pending.user() == session.user => pending,
            // An authentication's ceremony, or somebody else's: used up all the same.
            _ => return Err(Refusal::NoSuchCeremony.into()),
        };
        let user = self.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let now = self.clock.now();
        let proof = self.relying_party.finish_registration(pending, answer, now)?;
        let credential = proof.into_credential(name, now);
        let batch = records::create_credential(&credential)?;
        let (session, batch) = self.with_first_passkey(session, &credential, batch).await?;
        match self.records.commit(batch).await {
            Ok(()) => Ok(Registered { credential, session, user: (*user).clone() }),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(CommitError::Conflict) => match self.records.credential(&credential.id).await? {
                Some(_) => Err(Refusal::DuplicateCredential.into()),
                None => Err(Refusal::NoSuchCeremony.into()),
            },
        }
    }

    /// Adds what the first passkey of an enrolment brings: a full session, and the end of set-up.
    async fn with_first_passkey(
        &self,
        session: &Session,
        credential: &Credential,
        batch: Batch,
    ) -> Result<(Session, Batch), FlowError> {
        let now = self.clock.now();
        let key = keys::session(&session.id);
        let Some((stored, bytes)) = self.records.get_exact::<Session>(&key).await? else {
            return Err(FlowError::NotPermitted);
        };
        // Whoever ended the session meanwhile is right: no passkey is added on its behalf.
        let batch = batch.expect(key, bytes);
        if stored.scope == Scope::Full {
            return Ok((stored, batch));
        }
        let full = Session {
            scope: Scope::Full,
            credential: Some(credential.id.clone()),
            authenticated_at: Some(now),
            expires_at: stored.created_at.plus(self.lifetimes.absolute),
            ..stored
        };
        let batch = batch.and(records::put_session(&full)?);
        Ok((full, self.closing_setup(session.user, batch).await?))
    }

    async fn closing_setup(&self, user: UserId, batch: Batch) -> Result<Batch, FlowError> {
        let key = keys::setup();
        match self.records.get_exact::<Setup>(&key).await? {
            Some((Setup::Claimed { user: claimant }, bytes)) if claimant == user => {
                let closed = records::encode(&Setup::Closed { at: self.clock.now() })?;
                Ok(batch.expect(key.clone(), bytes).put(key, closed))
            }
            _ => Ok(batch),
        }
    }

    /// Removes the account of an enrolment that ran out before its first passkey.
    pub(super) async fn forget_abandoned(&self, session: &Session) -> Result<(), FlowError> {
        let Some((user, stored)) = self.records.get_exact::<User>(&keys::user(&session.user)).await? else {
            return Ok(());
        };
        if !self.records.credentials_of(&user.id).await?.is_empty() {
            return Ok(());
        }
        let key = keys::user(&user.id);
        let batch = records::delete_user(&user).expect(key, stored);
        match self.records.commit(batch).await {
            Ok(()) | Err(CommitError::Conflict) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
