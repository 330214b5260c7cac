//! Signing in with a passkey, and proving it again before a sensitive change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ceremony::{
    Assertion, CEREMONY_LIFETIME, CannotBegin, PendingAuthentication, PendingRegistration, RequestOptions,
    VerifiedAssertion, ceremony_of, read_assertion,
};
use crate::domain::credential::{Credential, Planned};
use crate::domain::dialect::{CeremonyCarrier, Dialect};
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
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How often a sign-in is decided again because another one used the same passkey meanwhile.
const ATTEMPTS_MAX: u32 = 16;

/// A pending ceremony as the store keeps it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::flows) enum Pending {
    Registration(PendingRegistration),
    Authentication(PendingAuthentication),
}

/// A pending ceremony as it is kept, with the API that it was begun through. It is finished through
/// the same API, so that a client cannot get around the rules of one API through another.
#[derive(Serialize, Deserialize)]
pub(in crate::flows) struct Kept {
    pub(in crate::flows) dialect: Dialect,
    /// Of a registration.
    #[serde(default)]
    pub(in crate::flows) planned: Planned,
    /// The sign-in process that it is a step of, and is finished in.
    #[serde(default)]
    pub(in crate::flows) process: Option<SecretHash>,
    /// The change that this sign-in allows, if it is a step-up for one change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::flows) change: Option<Change>,
    pub(in crate::flows) pending: Value,
}

impl Kept {
    pub(in crate::flows) fn new(pending: &Pending, visit: &Visit) -> Result<Self, FlowError> {
        let pending = serde_json::to_value(pending).map_err(CannotBegin::from)?;
        Ok(Self { dialect: visit.dialect, planned: Planned::default(), process: None, change: None, pending })
    }
}

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
        let kept = Kept { change, ..Kept::new(&Pending::Authentication(pending), visit)? };
        let (id, batch) = self.keeping(&kept, options.challenge(), visit)?;
        self.ground.records.commit(batch).await?;
        self.ground.report(visit.origin(), Kind::CeremonyBegun { ceremony: Ceremony::Authentication });
        Ok((id, options))
    }

    /// Finishes a sign-in. The ceremony is gone whatever the outcome; the session that this
    /// browser had before, if any, ends in the same commit that begins the new one.
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
        match self.try_sign_in(process, &attempt, visit, device).await {
            Err(FlowError::Refused(why)) => {
                let user = self.claimed_owner(attempt.answer).await;
                self.attempts.report_refused(visit, Kind::SignInRefused { user, why }).await;
                Err(FlowError::Refused(why))
            }
            other => other,
        }
    }

    async fn try_sign_in(
        &self,
        process: Option<&SecretHash>,
        attempt: &Attempt<'_>,
        visit: &Visit,
        device: &Device,
    ) -> Result<SignedIn, FlowError> {
        let kept = self.take_pending(attempt.ceremony, visit).await?;
        if kept.process.as_ref() != process {
            return Err(Refusal::NoSuchCeremony.into());
        }
        let (pending, change) = (kept.pending, kept.change);
        let assertion = read_assertion(attempt.answer)?;
        let claimed = self.claimed_credential(&assertion).await?.0.user;
        self.attempts.spend_on(&claimed, visit)?;
        if attempt.expected.is_some_and(|expected| expected != claimed) {
            return Err(Refusal::WrongOwner.into());
        }
        let before = attempt.before.as_ref();
        for _ in 0..ATTEMPTS_MAX {
            let pending = match serde_json::from_value(pending.clone()) {
                Ok(Pending::Authentication(pending)) => pending,
                // A registration's ceremony, or an unreadable record: it is used up all the same.
                Ok(Pending::Registration(_)) | Err(_) => return Err(Refusal::NoSuchCeremony.into()),
            };
            let (credential, stored) = self.claimed_credential(&assertion).await?;
            let proof = self.verify(pending, &assertion, &credential, visit)?;
            if credential.is_not_yet_active(self.ground.clock.now()) {
                return Err(Refusal::Asleep.into());
            }
            let (user, stored_user) = self.account_of(&proof).await?;
            let record = before.map(|session| session.record());
            let evidence = Evidence::Assertion { proof: &proof, before: record.as_deref() };
            let minted = self.sessions.mint(&evidence, visit, device);
            let (session, step_up) = self.bound_to(change.clone(), minted);
            let (batch, ended) = self.sessions.adding(&session, before.cloned()).await?;
            let undone = self.ending_pending_recoveries(&user.id).await?;
            let recognised = self.messages.recognise(&user, &session, visit)?;
            let batch = records::update_credential(proof.credential())?
                .expect(keys::credential(&credential.id), stored)
                .expect(keys::user(&user.id), stored_user)
                .and(recognised.batch)
                .and(process.map(|id| Batch::default().delete(keys::process(id))).unwrap_or_default())
                .and(batch);
            let report = |of: Ended| self.report_undone(user.id, &of, visit);
            if self.ground.is_committed_after(undone, batch, report).await? {
                self.sessions.report_ended(&visit.origin(), &ended);
                self.report_sign_in(&proof, &session, visit);
                if recognised.novelty == Novelty::Yes {
                    self.messages.wake_delivery();
                    self.ground
                        .report(visit.origin(), Kind::NewDevice { user: user.id, session: session.id });
                }
                return Ok(SignedIn { session, user, step_up });
            }
            // Another client used the same passkey, or changed the account, at the same moment:
            // look again, so that neither counter nor standing is judged on an old record.
        }
        Err(FlowError::Busy)
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

    fn verify(
        &self,
        pending: PendingAuthentication,
        assertion: &Assertion,
        credential: &Credential,
        visit: &Visit,
    ) -> Result<VerifiedAssertion, FlowError> {
        let checked = self.ground.relying_party.finish_authentication(
            pending,
            assertion,
            credential,
            self.ground.clock.now(),
        );
        if checked.as_ref().is_err_and(|error| error.why() == Refusal::CounterRegressed) {
            let (user, credential) = (credential.user, credential.id.clone());
            self.ground.report(visit.origin(), Kind::CounterRegressed { user, credential });
        }
        Ok(checked?)
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

    /// The batch that keeps a pending ceremony for its lifetime, within the bound on their number.
    pub(in crate::flows) fn keeping(
        &self,
        kept: &Kept,
        challenge: &str,
        visit: &Visit,
    ) -> Result<(CeremonyId, Batch), FlowError> {
        let id = match visit.dialect.terms().carrier {
            CeremonyCarrier::Cookie(_) => CeremonyId(entropy::bytes(&*self.ground.entropy)),
            CeremonyCarrier::Challenge { .. } => ceremony_of(challenge),
        };
        let (key, now) = (keys::ceremony(&id), self.ground.clock.now());
        let room = self.ceremonies.admit(
            key.clone(),
            self.attempts.begun_by(visit.client),
            now.plus(CEREMONY_LIFETIME),
            now,
        );
        Ok((id, room.put(key, records::encode(kept)?)))
    }

    /// Uses a pending ceremony up without finishing it: an answer that cannot be read is an
    /// attempt like any other.
    pub async fn abandon_ceremony(&self, id: Option<CeremonyId>, visit: &Visit) -> Result<(), FlowError> {
        match self.take_pending(id, visit).await {
            Ok(_) | Err(FlowError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a pending ceremony; its state is the JSON it was kept as, because it may have to be
    /// decided on twice. A ceremony begun through another API is used up, and no more than that.
    pub(in crate::flows) async fn take_pending(
        &self,
        id: Option<CeremonyId>,
        visit: &Visit,
    ) -> Result<Kept, FlowError> {
        let id = id.ok_or(FlowError::Refused(Refusal::NoSuchCeremony))?;
        let taken: Option<Value> = self.ground.records.take(&keys::ceremony(&id)).await?;
        let kept = taken.and_then(|taken| serde_json::from_value::<Kept>(taken).ok());
        let ours = kept.filter(|kept| kept.dialect == visit.dialect);
        ours.ok_or(FlowError::Refused(Refusal::NoSuchCeremony))
    }
}
