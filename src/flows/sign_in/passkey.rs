//! Signing in with a passkey, and proving it again before a sensitive change.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::ceremony::{
    Assertion, PendingAuthentication, RequestOptions, VerifiedAssertion, read_assertion,
};
use crate::domain::credential::Credential;
use crate::domain::event::{Ceremony, Kind, Refusal};
use crate::domain::id::{CeremonyId, UserId};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::Session;
use crate::domain::session::step_up::{Change, StepUp};
use crate::domain::user::{Email, User};
use crate::flows::FlowError;
use crate::flows::evidence::Evidence;
use crate::flows::index::LiveSession;
use crate::flows::messages::notices::Novelty;
use crate::flows::sessions::Ended;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::ceremony::{Answering, Kept, Pending};
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How often a sign-in is decided again because another one used the same passkey meanwhile.
const ATTEMPTS_MAX: u32 = 16;

/// A browser's answer to the options of a sign-in.
#[derive(Clone)]
pub struct Attempt<'a> {
    pub ceremony: Option<CeremonyId>,
    pub answer: &'a Value,
    /// The only person whose passkey is accepted, where the answer comes with a name.
    pub expected: Option<UserId>,
    /// The session that this browser had until now.
    pub before: Option<Arc<LiveSession>>,
}

/// A sign-in that happened.
#[derive(Debug)]
pub struct SignedIn {
    pub session: Session,
    pub user: User,
    /// The nonce that the page sends with the change, if this was a step-up for one change.
    pub step_up: Option<Secret>,
}

/// What a sign-in was asked for, as it is kept now.
struct Asked {
    pending: PendingAuthentication,
    change: Option<Change>,
    /// Ends the ceremony, and the process that it is a step of.
    using_up: Batch,
}

impl Asked {
    async fn of(
        ceremony: &Answering,
        process: Option<&SecretHash>,
        visit: &Visit,
    ) -> Result<Self, FlowError> {
        let (kept, using_up) = ceremony.kept(visit).await?;
        match kept.pending {
            Pending::Authentication(pending) if kept.process.as_ref() == process => {
                let process = process.map(|id| Batch::default().delete(keys::process(id)));
                let using_up = using_up.and(process.unwrap_or_default());
                Ok(Self { pending, change: kept.change, using_up })
            }
            // A step of another process, or a registration: it is used up all the same.
            Pending::Authentication(_) | Pending::Registration(_) => Err(Refusal::NoSuchCeremony.into()),
        }
    }
}

impl SignIn {
    /// The user whose passkey a sign-in that begins with this address wants. An address without an
    /// account gets an id that no user has: every passkey is refused then, as another user's is for
    /// an address with an account, so that not even a user with a passkey learns which it is.
    pub async fn account_or_decoy(&self, email: &str) -> Result<UserId, FlowError> {
        let holder = match Email::parse(email) {
            Ok(email) => self.ground.records.holder_of(&email).await?,
            Err(_) => None,
        };
        let decoy = UserId::from_random(entropy::bytes(&*self.ground.entropy));
        Ok(holder.unwrap_or(decoy))
    }

    /// Begins a sign-in. With a person's id, only their passkeys are accepted.
    pub async fn begin_sign_in(
        &self,
        expected: Option<UserId>,
        visit: &Visit,
    ) -> Result<(CeremonyId, RequestOptions), FlowError> {
        self.begin_sign_in_for(None, expected, visit).await
    }

    /// The same as a step-up, which allows this change alone.
    pub async fn begin_sign_in_for(
        &self,
        change: Option<Change>,
        expected: Option<UserId>,
        visit: &Visit,
    ) -> Result<(CeremonyId, RequestOptions), FlowError> {
        self.attempts.spend(visit)?;
        let (options, pending) =
            self.ground.relying_party.begin_authentication(expected, self.ground.clock.now())?;
        let kept = Kept { change, ..Kept::new(Pending::Authentication(pending), visit) };
        let id = self.keep(&kept, options.challenge(), visit).await?;
        self.ground.report(visit.origin(), Kind::CeremonyBegun { ceremony: Ceremony::Authentication });
        Ok((id, options))
    }

    /// Finishes a sign-in. The ceremony is gone whatever the outcome; it and the session that this
    /// browser had before, if any, end in the same commit that begins the new one.
    pub async fn finish_sign_in(
        &self,
        attempt: Attempt<'_>,
        visit: &Visit,
        device: &Device,
    ) -> Result<SignedIn, FlowError> {
        self.finish_sign_in_of(None, attempt, visit, device).await
    }

    /// The same for a sign-in that is a step of `process`, which ends with it.
    pub(in crate::flows) async fn finish_sign_in_of(
        &self,
        process: Option<&SecretHash>,
        attempt: Attempt<'_>,
        visit: &Visit,
        device: &Device,
    ) -> Result<SignedIn, FlowError> {
        self.attempts.spend(visit)?;
        let signed_in = match self.answering(attempt.ceremony) {
            Ok(ceremony) => {
                let tried = self.try_sign_in(&ceremony, process, &attempt, visit, device).await;
                ceremony.ended_with(tried).await
            }
            Err(error) => Err(error),
        };
        if let Err(FlowError::Refused(why)) = signed_in {
            let user = self.claimed_owner(attempt.answer).await;
            self.attempts.report_refused(visit, Kind::SignInRefused { user, why }).await;
        }
        signed_in
    }

    async fn try_sign_in(
        &self,
        ceremony: &Answering,
        process: Option<&SecretHash>,
        attempt: &Attempt<'_>,
        visit: &Visit,
        device: &Device,
    ) -> Result<SignedIn, FlowError> {
        let mut asked = Asked::of(ceremony, process, visit).await?;
        let assertion = read_assertion(attempt.answer)?;
        let claimed = self.claimed_credential(&assertion).await?.0.user;
        self.attempts.spend_on(&claimed, visit)?;
        if attempt.expected.is_some_and(|expected| expected != claimed) {
            return Err(Refusal::WrongOwner.into());
        }
        for _ in 0..ATTEMPTS_MAX {
            let before = attempt.before.as_ref();
            let why = match self.sign_in_once(asked, &assertion, before, visit, device).await {
                Ok(Some(signed_in)) => return Ok(signed_in),
                // Another client used the same passkey, or changed the account, at the same moment:
                // look again, so that neither counter nor standing is judged on an old record.
                Ok(None) => None,
                Err(FlowError::Store(error)) => return Err(error.into()),
                Err(why) => Some(why),
            };
            // Where another answer was faster, the ceremony is gone. It changed the counter, too:
            // that this one does not fit the counter any more says nothing about the passkey.
            asked = Asked::of(ceremony, process, visit).await?;
            if let Some(why) = why {
                self.report_counter(&why, claimed, &assertion, visit);
                return Err(why);
            }
        }
        Err(FlowError::Busy)
    }

    /// Signs in what `assertion` proves. `None` if something that was decided on has changed.
    async fn sign_in_once(
        &self,
        asked: Asked,
        assertion: &Assertion,
        before: Option<&Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Option<SignedIn>, FlowError> {
        let (credential, stored) = self.claimed_credential(assertion).await?;
        let now = self.ground.clock.now();
        let party = &self.ground.relying_party;
        let proof = party.finish_authentication(asked.pending, assertion, &credential, now)?;
        if credential.is_not_yet_active(self.ground.clock.now()) {
            return Err(Refusal::Asleep.into());
        }
        let (user, stored_user) = self.account_of(&proof).await?;
        let record = before.map(|session| session.record());
        let evidence = Evidence::Assertion { proof: &proof, before: record.as_deref() };
        let minted = self.sessions.mint(&evidence, visit, device);
        let (session, step_up) = self.bound_to(asked.change, minted);
        let (batch, ended) = self.sessions.adding(&session, before.cloned()).await?;
        let undone = self.ending_pending_recoveries(&user.id).await?;
        let recognised = self.messages.recognise(&user, &session, visit)?;
        let batch = records::update_credential(proof.credential())?
            .expect(keys::credential(&credential.id), stored)
            .expect(keys::user(&user.id), stored_user)
            .and(asked.using_up)
            .and(recognised.batch)
            .and(batch);
        let report = |of: Ended| self.report_undone(user.id, &of, visit);
        if !self.ground.is_committed_after(undone, batch, report).await? {
            return Ok(None);
        }
        self.sessions.report_ended(&visit.origin(), &ended);
        self.report_sign_in(&proof, &session, visit);
        if recognised.novelty == Novelty::Yes {
            self.messages.wake_delivery();
            self.ground.report(visit.origin(), Kind::NewDevice { user: user.id, session: session.id });
        }
        Ok(Some(SignedIn { session, user, step_up }))
    }

    /// Binds a step-up to the change that it was asked for; the nonce is for the page that asked.
    fn bound_to(&self, change: Option<Change>, session: Session) -> (Session, Option<Secret>) {
        match change.filter(|_| session.stepped_up_at.is_some()) {
            None => (session, None),
            Some(change) => {
                let nonce = Secret::from_random(entropy::bytes(&*self.ground.entropy));
                let step_up = Some(Box::new(StepUp { change, nonce: nonce.hashed() }));
                (Session { step_up, ..session }, Some(nonce))
            }
        }
    }

    fn report_counter(&self, why: &FlowError, user: UserId, assertion: &Assertion, visit: &Visit) {
        if matches!(why, FlowError::Refused(Refusal::CounterRegressed)) {
            let credential = assertion.credential_id().clone();
            self.ground.report(visit.origin(), Kind::CounterRegressed { user, credential });
        }
    }

    async fn claimed_credential(&self, assertion: &Assertion) -> Result<(Credential, Vec<u8>), FlowError> {
        let key = keys::credential(assertion.credential_id());
        let found = self.ground.records.get_exact(&key).await?;
        found.ok_or(FlowError::Refused(Refusal::UnknownCredential))
    }

    /// The owner of the passkey that was shown, for the log: an owner may see failed attempts, too.
    async fn claimed_owner(&self, answer: &Value) -> Option<UserId> {
        let assertion = read_assertion(answer).ok()?;
        let (credential, _) = self.claimed_credential(&assertion).await.ok()?;
        Some(credential.user)
    }

    async fn account_of(&self, proof: &VerifiedAssertion) -> Result<(User, Vec<u8>), FlowError> {
        let found: Option<(User, _)> = self.ground.records.get_exact(&keys::user(&proof.user())).await?;
        match found {
            Some((user, stored)) if user.is_active(self.ground.clock.now()) => Ok((user, stored)),
            _ => Err(Refusal::Disabled.into()),
        }
    }

    fn report_sign_in(&self, proof: &VerifiedAssertion, session: &Session, visit: &Visit) {
        let (user, credential) = (proof.user(), proof.credential_id().clone());
        if proof.is_backup_changed() {
            self.ground.report(visit.origin(), Kind::BackupChanged { user, credential: credential.clone() });
        }
        self.ground.report(visit.origin(), Kind::SignedIn { user, session: session.id, credential });
    }
}
