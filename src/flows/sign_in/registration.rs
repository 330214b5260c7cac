//! Registering a passkey: the first one of an enrolment, or another one.

use serde_json::Value;

use crate::domain::ceremony::CreationOptions;
use crate::domain::ceremony::aaguid::name_of;
use crate::domain::credential::{CREDENTIALS_PER_USER_MAX, Credential, CredentialName, Planned};
use crate::domain::event::{Ceremony, End, Kind, Model, Refusal};
use crate::domain::id::CeremonyId;
use crate::domain::invitation::Setup;
use crate::domain::message::Content;
use crate::domain::session::{Scope, Session};
use crate::domain::user::{Role, User};
use crate::flows::FlowError;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::messages::notices::remembering_program;
use crate::flows::sessions::Ended;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::ceremony::{Answering, Kept, Pending};
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

/// A registration that happened.
#[derive(Debug)]
pub struct Registered {
    pub credential: Credential,
    /// The session as it is now: an enrolling one has become a full one.
    pub session: Session,
    pub user: User,
}

/// A new passkey, beside those that its owner had.
struct Added<'a> {
    owner: &'a User,
    credential: &'a Credential,
    existing: &'a [Credential],
}

impl SignIn {
    /// Begins the registration of a passkey for the owner of `session`.
    pub async fn begin_registration(
        &self,
        session: &Session,
        planned: Planned,
        visit: &Visit,
    ) -> Result<(CeremonyId, CreationOptions), FlowError> {
        self.attempts.spend(visit)?;
        self.sessions.may_add_credential(session, visit)?;
        let user = self.sessions.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let existing = self.ground.records.credentials_of(&session.user).await?;
        must_have_room(&existing)?;
        let (options, pending) =
            self.ground.relying_party.begin_registration(&user, &existing, self.ground.clock.now())?;
        let kept = Kept { planned, ..Kept::new(Pending::Registration(pending), visit) };
        let id = self.keep(&kept, options.challenge(), visit).await?;
        self.ground.report(visit.origin(), Kind::CeremonyBegun { ceremony: Ceremony::Registration });
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
        self.attempts.spend(visit)?;
        let registered = match self.answering(ceremony) {
            Ok(ceremony) => {
                let tried = self.try_registration(session, &ceremony, answer, name, visit).await;
                ceremony.ended_with(tried).await
            }
            Err(error) => Err(error),
        };
        match &registered {
            Ok(Registered { credential, .. }) => {
                let (user, model) = (session.user, Model(name_of(credential.aaguid)));
                let credential = credential.id.clone();
                self.ground.report(visit.origin(), Kind::CredentialAdded { user, credential, model });
            }
            Err(FlowError::Refused(why)) => {
                let kind = Kind::CredentialRefused { user: Some(session.user), why: *why };
                self.ground.report(visit.origin(), kind);
            }
            Err(_) => {}
        }
        registered
    }

    async fn try_registration(
        &self,
        session: &Session,
        ceremony: &Answering,
        answer: &Value,
        name: Option<CredentialName>,
        visit: &Visit,
    ) -> Result<Registered, FlowError> {
        let (kept, using_up) = ceremony.kept(visit).await?;
        let pending = match kept.pending {
            Pending::Registration(pending) if pending.user() == session.user => pending,
            // Another user's, or an authentication: used up all the same.
            Pending::Registration(_) | Pending::Authentication(_) => {
                return Err(Refusal::NoSuchCeremony.into());
            }
        };
        let proof =
            self.ground.relying_party.finish_registration(pending, answer, self.ground.clock.now())?;
        let planned = Planned { label: name.or(kept.planned.label), ..kept.planned };
        let credential = proof.into_credential(planned, self.ground.clock.now());
        let credential = self.delay_activation(session, credential);
        for _ in 0..ATTEMPTS_MAX {
            let why = match self.store_credential(session, &credential, using_up.clone(), visit).await {
                Ok(Some(registered)) => return Ok(registered),
                Ok(None) => None,
                Err(FlowError::Store(error)) => return Err(error.into()),
                Err(why) => Some(why),
            };
            // Where another answer was faster, the ceremony is gone, and its passkey is there.
            ceremony.kept(visit).await?;
            if let Some(why) = why {
                return Err(why);
            }
        }
        Err(FlowError::Busy)
    }

    /// Stores a proven credential for the session's owner, with what uses the ceremony up. `None` if
    /// session, account, credential or ceremony have changed meanwhile.
    async fn store_credential(
        &self,
        session: &Session,
        credential: &Credential,
        using_up: Batch,
        visit: &Visit,
    ) -> Result<Option<Registered>, FlowError> {
        if self.ground.records.credential(&credential.id).await?.is_some() {
            return Err(Refusal::DuplicateCredential.into());
        }
        let existing = self.ground.records.credentials_of(&session.user).await?;
        must_have_room(&existing)?;
        let (user, unchanged) = self.ground.owner_of(session).await?;
        let enqueued = self.telling(&user, credential, &existing, visit)?;
        let batch = records::create_credential(credential)?.and(using_up).and(unchanged).and(enqueued);
        let added = Added { owner: &user, credential, existing: &existing };
        let (session, batch, ended) = self.with_fresh_session(session, &added, batch, visit).await?;
        let spared = Some(&user.id);
        if !self.sessions.is_committed_ending(&ended, spared, batch, &visit.origin()).await? {
            return Ok(None);
        }
        self.messages.wake_delivery();
        Ok(Some(Registered { credential: credential.clone(), session, user }))
    }

    /// Tells the owner of an account that has passkeys already that it has another one.
    fn telling(
        &self,
        user: &User,
        credential: &Credential,
        existing: &[Credential],
        visit: &Visit,
    ) -> Result<Batch, FlowError> {
        if existing.is_empty() {
            return Ok(Batch::default());
        }
        self.messages.notice(
            user,
            Content::PasskeyAdded {
                passkey: credential.name.as_str().to_owned(),
                about: Some(self.messages.about(credential, visit)),
            },
        )
    }

    /// Adds the changes of the session that asked: an enrolling one becomes a full one, ends
    /// set-up, and ends every other enrolment of the account, because another link began it; a full
    /// one loses its freshness. A session that has ended meanwhile adds no passkey.
    async fn with_fresh_session(
        &self,
        session: &Session,
        added: &Added<'_>,
        batch: Batch,
        visit: &Visit,
    ) -> Result<(Session, Batch, Ended), FlowError> {
        let now = self.ground.clock.now();
        let key = keys::session(&session.id);
        let found = self.ground.records.get_exact::<Session>(&key).await?;
        let (before, bytes) = found.filter(|(it, _)| now < it.expires_at).ok_or(FlowError::NotPermitted)?;
        let batch = batch.expect(key, bytes);
        let (after, batch, ended) = match before.scope {
            Scope::Full => (self.sessions.after_spending_freshness(&before, visit)?, batch, Ended::new()),
            Scope::Enrol => {
                let sleeps = added.credential.asleep_until.is_some();
                let mut ended = self.other_enrolments(&before).await?;
                if sleeps {
                    // The session may do no more; the passkey opens another one when it is awake.
                    ended.extend(self.sessions.kept(&before.id).await?.map(|it| (it, End::Replaced)));
                }
                let batch = self
                    .closing_setup(added.owner, batch)
                    .await?
                    .and(self.ground.records.forgetting_own_link(&added.owner.id).await?)
                    .and(self.noting_recovered(&before, added.credential).await?)
                    .and(self.telling_of_waiting(added.owner)?)
                    .and(remembering_program(added.owner, &before)?);
                let after = if sleeps { before.clone() } else { self.enrolled(&before, added) };
                (after, batch, ended)
            }
        };
        if after == before {
            return Ok((after, batch, ended));
        }
        let batch = batch.and(records::put_session(&after)?);
        Ok((after, batch, ended))
    }

    /// Sessions of the same account that may only enrol, but for `session`.
    async fn other_enrolments(&self, session: &Session) -> Result<Ended, FlowError> {
        let all = self.sessions.kept_of(&session.user).await?.into_iter();
        let others = all.filter(|other| {
            let record = other.record();
            record.scope == Scope::Enrol && record.id != session.id
        });
        Ok(others.map(|other| (other, End::Replaced)).collect())
    }

    /// A link or a code shows no passkey: where it leads to another passkey of an account, the
    /// session may not change anything yet.
    fn enrolled(&self, session: &Session, added: &Added<'_>) -> Session {
        let now = self.ground.clock.now();
        let fresh_since =
            if added.existing.is_empty() { self.sessions.freshness_of_enrolment(now) } else { None };
        Session {
            scope: Scope::Full,
            credential: Some(added.credential.id.clone()),
            authenticated_at: (!session.by_mailed_code).then_some(now),
            fresh_since,
            expires_at: session.created_at.plus(self.ground.lifetimes().absolute),
            ..session.clone()
        }
    }

    /// The first passkey of an administrator ends set-up, in whatever state it is and however they
    /// came in.
    async fn closing_setup(&self, user: &User, batch: Batch) -> Result<Batch, FlowError> {
        let key = keys::setup();
        let open = match self.ground.records.get_exact::<Setup>(&key).await? {
            Some((Setup::Open { .. } | Setup::Claimed { .. }, bytes)) => bytes,
            Some((Setup::Closed { .. }, _)) | None => return Ok(batch),
        };
        if user.role != Role::Administrator {
            return Ok(batch);
        }
        let closed = records::encode(&Setup::Closed { at: self.ground.clock.now() })?;
        Ok(batch.expect(key.clone(), open).put(key, closed))
    }
}

fn must_have_room(existing: &[Credential]) -> Result<(), FlowError> {
    if existing.len() >= CREDENTIALS_PER_USER_MAX {
        return Err(Refusal::LimitReached.into());
    }
    Ok(())
}
