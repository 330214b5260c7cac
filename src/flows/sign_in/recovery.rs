//! Taking a recovery back: the passkey and the sessions that came of a code, by mail or printed, or
//! of an administrator's link.
//!
//! What always holds: the owner hears of a recovery before anything has been changed with it, with
//! a link that ends it; a passkey that sleeps opens nothing until its time has come; and a sign-in
//! with another passkey ends a recovery that has no passkey yet, or whose passkey sleeps.

use crate::domain::credential::Credential;
use crate::domain::event::{End, Kind, Origin, UserChange};
use crate::domain::id::{SessionId, UserId};
use crate::domain::message::Content;
use crate::domain::recovery::{By, CANCELLED_WITHIN, Recovery};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::{Scope, Session};
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::commit::{ATTEMPTS_MAX, Parts};
use crate::flows::sessions::{Ended, each_once};
use crate::flows::sign_in::SignIn;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// The code or link that a recovery began with.
#[derive(Debug, Clone, Copy)]
pub(in crate::flows) enum Means {
    MailedCode,
    /// A code that the owner had printed; so many are left.
    RecoveryCode {
        left: usize,
    },
    /// A link that an administrator made.
    Link,
}

/// The batch that ends a recovery, and the sessions and the passkey that came of it.
struct CancelledRecovery {
    batch: Batch,
    ended: Ended,
    removed: Option<Credential>,
}

impl SignIn {
    /// The batch that notes that `means` has opened `user`'s account, and tells them, with the link
    /// that cancels.
    pub(in crate::flows) fn beginning_recovery(
        &self,
        user: &User,
        session: &Session,
        means: Means,
        visit: &Visit,
    ) -> Result<Batch, FlowError> {
        let secret = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let about = self.messages.circumstances(visit);
        let recovery = Recovery {
            session: session.id,
            user: user.id,
            secret: secret.hashed(),
            about: about.clone(),
            by: match means {
                Means::MailedCode => By::MailedCode,
                Means::RecoveryCode { .. } => By::RecoveryCode,
                Means::Link => By::Link,
            },
            credential: None,
            expires_at: self
                .ground
                .clock
                .now()
                .plus(self.ground.rules().recovery_delay)
                .plus(CANCELLED_WITHIN),
        };
        let cancel = Some(self.ground.place.url(&format!("/recovery#{}", secret.reveal())));
        let content = match means {
            Means::MailedCode => Content::CodeUsed { about, cancel },
            Means::RecoveryCode { left } => Content::RecoveryCodeUsed { about, cancel, left },
            Means::Link => Content::LinkUsed { about, cancel },
        };
        let notice = self.messages.notice(user, content)?;
        let index = keys::recovery_of(&user.id, &session.id);
        Ok(Batch::default()
            .put(keys::recovery(&recovery.secret), records::encode(&recovery)?)
            .put(index, records::encode(&recovery.secret)?)
            .and(notice))
    }

    /// `credential` as an enrolment with `session` keeps it: a credential that a code by mail led
    /// to sleeps first.
    pub(in crate::flows) fn delay_activation(&self, session: &Session, credential: Credential) -> Credential {
        let delay = self.ground.rules().recovery_delay;
        if !session.by_mailed_code || delay.is_zero() {
            return credential;
        }
        Credential { asleep_until: Some(self.ground.clock.now().plus(delay)), ..credential }
    }

    /// The batch that notes which passkey came of the recovery that began with `session`.
    pub(in crate::flows) async fn noting_recovered(
        &self,
        session: &Session,
        credential: &Credential,
    ) -> Result<Batch, FlowError> {
        let Some((recovery, stored)) = self.recovery_by_session(&session.user, &session.id).await? else {
            return Ok(Batch::default());
        };
        let key = keys::recovery(&recovery.secret);
        let noted = Recovery { credential: Some(credential.id.clone()), ..recovery };
        Ok(Batch::default().expect(key.clone(), stored).put(key, records::encode(&noted)?))
    }

    async fn recovery_by_session(
        &self,
        user: &UserId,
        session: &SessionId,
    ) -> Result<Option<(Recovery, Vec<u8>)>, FlowError> {
        match self.ground.records.get::<SecretHash>(&keys::recovery_of(user, session)).await? {
            Some(secret) => Ok(self.ground.records.get_exact(&keys::recovery(&secret)).await?),
            None => Ok(None),
        }
    }

    /// The recoveries of a user that can still be cancelled.
    pub async fn recoveries_of(&self, user: &UserId) -> Result<Vec<Recovery>, FlowError> {
        let now = self.ground.clock.now();
        let mut found = Vec::new();
        for (_, secret) in self.ground.records.all::<SecretHash>(&keys::recoveries_of(user)).await? {
            found.extend(self.ground.records.get::<Recovery>(&keys::recovery(&secret)).await?);
        }
        found.retain(|recovery| recovery.is_open(now));
        Ok(found)
    }

    /// Cancels the recovery whose link was sent to the owner. Any reader of that mail may do so.
    pub async fn cancel_recovery_by_link(&self, secret: &str, visit: &Visit) -> Result<(), FlowError> {
        self.attempts.spend(visit)?;
        let secret = Secret::parse(secret).ok_or(FlowError::NoSuchInvitation)?.hashed();
        self.cancel(&secret, visit, &visit.anonymous_origin()).await.map_err(|error| match error {
            FlowError::NotFound => FlowError::NoSuchInvitation,
            other => other,
        })
    }

    /// Cancels a recovery of the owner of `session`.
    pub async fn cancel_recovery(
        &self,
        session: &Session,
        id: &SessionId,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        let found = self.recovery_by_session(&session.user, id).await?;
        let (recovery, _) = found.ok_or(FlowError::NotFound)?;
        self.cancel(&recovery.secret, visit, &visit.origin()).await
    }

    async fn cancel(&self, secret: &SecretHash, visit: &Visit, origin: &Origin) -> Result<(), FlowError> {
        let key = keys::recovery(secret);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.ground.records.get_exact::<Recovery>(&key).await?;
            let found = found.filter(|(recovery, _)| recovery.is_open(self.ground.clock.now()));
            let (recovery, stored) = found.ok_or(FlowError::NotFound)?;
            let CancelledRecovery { batch, ended, removed } = self.undoing(&recovery).await?;
            let batch = batch.expect(key.clone(), stored);
            let notice = match (&removed, self.ground.records.user(&recovery.user).await?) {
                (Some(credential), Some(user)) => {
                    let about = Some(self.messages.about(credential, visit));
                    self.messages.notice(&user, Content::PasskeyRemoved { passkey: String::new(), about })?
                }
                _ => Batch::default(),
            };
            let (spared, change) = (Some(&recovery.user), batch.and(notice));
            if self.sessions.is_committed_ending(&ended, spared, change, origin).await? {
                self.messages.wake_delivery();
                let (user, what) = (recovery.user, UserChange::RecoveryCancelled);
                self.ground.report(origin.clone(), Kind::UserChanged { user, what });
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// The end of a recovery and of everything that came of it.
    async fn undoing(&self, recovery: &Recovery) -> Result<CancelledRecovery, FlowError> {
        let Recovery { user, session, secret, credential, .. } = recovery;
        let mut sessions: Vec<_> = self.sessions.kept(session).await?.into_iter().collect();
        let mut removed = None;
        let mut batch =
            Batch::default().delete(keys::recovery(secret)).delete(keys::recovery_of(user, session));
        if let Some(id) = credential {
            sessions.extend(self.sessions.opened_with(user, id).await?);
            let found = self.ground.records.get_exact::<Credential>(&keys::credential(id)).await?;
            if let Some((found, stored)) = found.filter(|(found, _)| found.user == *user) {
                batch = batch.expect(keys::credential(id), stored).and(records::delete_credential(&found));
                removed = Some(found);
            }
        }
        let ended = each_once(sessions, End::EndedByOwner);
        Ok(CancelledRecovery { batch, ended, removed })
    }

    /// The recoveries that a sign-in with a passkey that is awake undoes: those that have no
    /// passkey yet, and those whose passkeys sleep. The records say whether they sleep, because the
    /// delay may have changed.
    pub(in crate::flows) async fn ending_pending_recoveries(
        &self,
        user: &UserId,
    ) -> Result<Parts<Ended>, FlowError> {
        let now = self.ground.clock.now();
        let mut parts = Parts::new();
        for recovery in self.recoveries_of(user).await? {
            let is_pending = match &recovery.credential {
                Some(id) => {
                    self.ground.records.credential(id).await?.is_some_and(|it| it.is_not_yet_active(now))
                }
                None => self.may_only_enrol(&recovery.session).await?,
            };
            if is_pending {
                let CancelledRecovery { batch, ended, .. } = self.undoing(&recovery).await?;
                let batch = batch.and(self.sessions.ending(&ended, Some(user)).await?);
                parts.push((ended, batch));
            }
        }
        Ok(parts)
    }

    /// Whether there is such a session, and it may do nothing but add a passkey.
    async fn may_only_enrol(&self, session: &SessionId) -> Result<bool, FlowError> {
        let found = self.ground.records.get::<Session>(&keys::session(session)).await?;
        Ok(found.is_some_and(|session| session.scope == Scope::Enrol))
    }

    /// Reports a recovery that a sign-in has undone.
    pub(in crate::flows) fn report_undone(&self, user: UserId, ended: &Ended, visit: &Visit) {
        self.sessions.report_ended(&visit.origin(), ended);
        let what = UserChange::RecoveryCancelled;
        self.ground.report(visit.origin(), Kind::UserChanged { user, what });
    }

    /// Removes recoveries that can no longer be cancelled.
    pub(in crate::flows) async fn forget_old_recoveries(&self) -> Result<(), FlowError> {
        let (now, mut walk) = (self.ground.clock.now(), self.ground.records.walk(keys::RECOVERIES));
        while let Some((key, recovery)) = walk.next_where(|it: &Recovery| !it.is_open(now)).await? {
            let index = keys::recovery_of(&recovery.user, &recovery.session);
            self.ground.records.commit(Batch::default().delete(key).delete(index)).await?;
        }
        Ok(())
    }
}
