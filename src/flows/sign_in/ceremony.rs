//! Pending ceremonies: how one is kept from its options to its answer, and used up by the answer.
//!
//! What always holds: every answer uses its ceremony up. A good one does so in the commit that takes
//! in what was proven, which expects the ceremony as it was read, so of several answers at most one
//! is taken in. Any other removes it before the refusal is answered. A caller that vanishes between
//! the two has used it up as well.
//!
//! What does not live here: what an answer proves (`passkey.rs`, `registration.rs`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::domain::ceremony::{CEREMONY_LIFETIME, PendingAuthentication, PendingRegistration, ceremony_of};
use crate::domain::credential::Planned;
use crate::domain::dialect::{CeremonyCarrier, Dialect};
use crate::domain::event::Refusal;
use crate::domain::id::CeremonyId;
use crate::domain::secret::SecretHash;
use crate::domain::session::step_up::Change;
use crate::flows::FlowError;
use crate::flows::sign_in::SignIn;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, Records, keys};

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
    pub(in crate::flows) pending: Pending,
}

impl Kept {
    pub(in crate::flows) fn new(pending: Pending, visit: &Visit) -> Self {
        Self { dialect: visit.dialect, planned: Planned::default(), process: None, change: None, pending }
    }
}

impl SignIn {
    /// Keeps a pending ceremony for its lifetime. The disk is not waited for: a user whose ceremony
    /// was lost in a crash begins again.
    pub(in crate::flows) async fn keep(
        &self,
        kept: &Kept,
        challenge: &str,
        visit: &Visit,
    ) -> Result<CeremonyId, FlowError> {
        let (id, batch) = self.keeping(kept, challenge, visit)?;
        self.ground.records.write_behind(batch.changes).await?;
        Ok(id)
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
    pub async fn abandon_ceremony(&self, id: Option<CeremonyId>) -> Result<(), FlowError> {
        match self.answering(id) {
            Ok(ceremony) => ceremony.use_up().await,
            Err(_) => Ok(()),
        }
    }

    /// Begins to answer a ceremony.
    pub(in crate::flows) fn answering(&self, id: Option<CeremonyId>) -> Result<Answering, FlowError> {
        let id = id.ok_or(FlowError::Refused(Refusal::NoSuchCeremony))?;
        Ok(Answering { records: self.ground.records.clone(), key: keys::ceremony(&id) })
    }
}

/// A ceremony that is being answered. Dropped before its end is known, it is used up all the same.
pub(in crate::flows) struct Answering {
    records: Records,
    /// Empty once it is used up.
    key: Vec<u8>,
}

impl Answering {
    /// The ceremony, and the batch that uses it up if nothing else has meanwhile. A ceremony begun
    /// through another API is none.
    pub(in crate::flows) async fn kept(&self, visit: &Visit) -> Result<(Kept, Batch), FlowError> {
        let found = self.records.get_exact::<Value>(&self.key).await?;
        let kept =
            found.and_then(|(kept, stored)| Some((serde_json::from_value::<Kept>(kept).ok()?, stored)));
        let ours = kept.filter(|(kept, _)| kept.dialect == visit.dialect);
        let (kept, stored) = ours.ok_or(FlowError::Refused(Refusal::NoSuchCeremony))?;
        Ok((kept, Batch::default().expect(self.key.clone(), stored).delete(self.key.clone())))
    }

    /// Uses the ceremony up unless `answered` has, which came from a commit with its batch. What was
    /// refused is answered after this.
    pub(in crate::flows) async fn ended_with<T>(
        mut self,
        answered: Result<T, FlowError>,
    ) -> Result<T, FlowError> {
        match answered {
            Ok(_) => self.key.clear(),
            Err(_) => self.use_up().await?,
        }
        answered
    }

    /// Uses the ceremony up.
    async fn use_up(mut self) -> Result<(), FlowError> {
        self.records.store().take(&self.key).await?;
        self.key.clear();
        Ok(())
    }
}

impl Drop for Answering {
    /// The caller has gone away, or the store has failed. Where the program ends as well, there is
    /// nothing left that could do this, and no answer was given.
    fn drop(&mut self) {
        let (key, records) = (std::mem::take(&mut self.key), self.records.clone());
        if !key.is_empty()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = records.store().take(&key).await {
                    tracing::warn!(%error, "a ceremony without an answer stays until it expires");
                }
            });
        }
    }
}
