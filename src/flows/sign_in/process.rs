//! Signing in step by step, for front ends that keep the id of a process between steps.
//!
//! What always holds: the store has a hash of the id; a ceremony that a process began is finished
//! in that process alone; the process ends in the commit that makes the session, so that its id,
//! which a script has seen, never leads to one; an address without an account goes the same way as
//! one with an account.

use crate::domain::ceremony::RequestOptions;
use crate::domain::event::{Ceremony, Kind};
use crate::domain::process::{PROCESS_LIFETIME, Process};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::sign_in::SignIn;
use crate::flows::sign_in::ceremony::{Kept, Pending};
use crate::flows::sign_in::passkey::{Attempt, SignedIn};
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// A process between two steps.
#[derive(Debug, Clone)]
pub struct ProcessState {
    record: Process,
    /// The stored bytes; `None` for a new process.
    stored: Option<Vec<u8>>,
}

impl ProcessState {
    /// The identifier that the user typed, if any.
    pub fn identifier(&self) -> Option<&str> {
        self.record.identifier.as_deref()
    }

    /// When the process ends at the latest.
    pub const fn expires_at(&self) -> Timestamp {
        self.record.expires_at
    }

    /// The same process with this person, or with no person yet.
    #[must_use]
    pub fn with_identifier(self, identifier: Option<String>) -> Self {
        Self { record: Process { identifier, ..self.record }, ..self }
    }
}

impl SignIn {
    /// A new process and its id, which is told once. It is kept by its first [`Self::offer_in`].
    pub fn new_process(&self) -> (Secret, ProcessState) {
        let id = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let expires_at = self.ground.clock.now().plus(PROCESS_LIFETIME);
        let record = Process { id: id.hashed(), identifier: None, expires_at };
        (id, ProcessState { record, stored: None })
    }

    /// The process with this id.
    pub async fn find_process(&self, id: Option<&str>) -> Result<ProcessState, FlowError> {
        let id = id.and_then(Secret::parse).ok_or(FlowError::NoSuchProcess)?.hashed();
        let found = self.ground.records.get_exact::<Process>(&keys::process(&id)).await?;
        let found = found.filter(|(record, _)| record.is_live(self.ground.clock.now()));
        let (record, stored) = found.ok_or(FlowError::NoSuchProcess)?;
        Ok(ProcessState { record, stored: Some(stored) })
    }

    /// Begins a ceremony in a process: for the person it names, or for any. The process is kept as
    /// it is now in the same commit.
    pub async fn offer_in(&self, state: &ProcessState, visit: &Visit) -> Result<RequestOptions, FlowError> {
        self.attempts.spend(visit)?;
        let expected = match state.identifier() {
            Some(identifier) => Some(self.account_or_decoy(identifier).await?),
            None => None,
        };
        let (options, pending) =
            self.ground.relying_party.begin_authentication(expected, self.ground.clock.now())?;
        let kept = Kept::new(Pending::Authentication(pending), visit);
        let kept = Kept { process: Some(state.record.id), ..kept };
        let (_, batch) = self.keeping(&kept, options.challenge(), visit)?;
        self.ground.records.commit(batch.and(self.keeping_process(state, visit)?)).await?;
        self.ground.report(visit.origin(), Kind::CeremonyBegun { ceremony: Ceremony::Authentication });
        Ok(options)
    }

    /// Finishes the sign-in that `state` is about. A failure uses the ceremony up and leaves the
    /// process, which may begin another one.
    pub async fn finish_in(
        &self,
        state: &ProcessState,
        attempt: Attempt<'_>,
        visit: &Visit,
        device: &Device,
    ) -> Result<SignedIn, FlowError> {
        self.finish_sign_in_of(Some(&state.record.id), attempt, visit, device).await
    }

    fn keeping_process(&self, state: &ProcessState, visit: &Visit) -> Result<Batch, FlowError> {
        let (key, written) = (keys::process(&state.record.id), records::encode(&state.record)?);
        Ok(match &state.stored {
            None => {
                let (now, expires_at) = (self.ground.clock.now(), state.record.expires_at);
                self.processes
                    .admit(key.clone(), self.attempts.begun_by(visit.client), expires_at, now)
                    .put(key, written)
            }
            Some(stored) if *stored == written => Batch::default().expect(key, written),
            Some(stored) => Batch::default().expect(key.clone(), stored.clone()).put(key, written),
        })
    }
}
