//! Registration: from a pending state and a browser's answer to a new credential
//! (WebAuthn Level 3, section 7.1).
//!
//! What does not live here: whether the credential id is new, which the store decides when it
//! writes; and trust in authenticator models, because attestation is not asked for.

use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::PasskeyRegistration;

use super::answer::Attestation;
use super::client_data::{self, Expected};
use super::{CEREMONY_LIFETIME, CeremonyError, RelyingParty, aaguid, authenticator_data};
use crate::domain::credential::{Backup, Credential, Planned, Transport, Verifier};
use crate::domain::event::Refusal;
use crate::domain::id::{CredentialId, UserId};
use crate::domain::time::Timestamp;

/// A registration under way, as the store keeps it. It is not `Clone`: it is worth one attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingRegistration {
    user: UserId,
    begun_at: Timestamp,
    registration: PasskeyRegistration,
}

impl PendingRegistration {
    pub(super) const fn new(user: UserId, begun_at: Timestamp, registration: PasskeyRegistration) -> Self {
        Self { user, begun_at, registration }
    }

    /// The future owner of the credential.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// When it was begun.
    pub const fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// Whether it is too late to finish.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.begun_at.plus(CEREMONY_LIFETIME)
    }
}

/// Proof that an authenticator made a credential for `user` on our request.
///
/// Only [`RelyingParty::finish_registration`] makes one.
#[derive(Debug)]
#[must_use]
pub struct NewCredential {
    user: UserId,
    id: CredentialId,
    verifier: Verifier,
    public_key: Vec<u8>,
    counter: u32,
    aaguid: uuid::Uuid,
    transports: Vec<Transport>,
    backup: Backup,
}

impl NewCredential {
    /// The user of the ceremony.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The new credential's id. The store has yet to decide whether it is new.
    pub const fn id(&self) -> &CredentialId {
        &self.id
    }

    /// The record to store; without a label it is called after its authenticator.
    pub fn into_credential(self, planned: Planned, now: Timestamp) -> Credential {
        let Planned { label, made_with, environment } = planned;
        Credential {
            name: label.unwrap_or_else(|| aaguid::default_credential_name(self.aaguid, &made_with)),
            id: self.id,
            user: self.user,
            verifier: self.verifier,
            public_key: self.public_key,
            counter: self.counter,
            aaguid: self.aaguid,
            transports: self.transports,
            backup: self.backup,
            created_at: now,
            last_used_at: None,
            made_with,
            environment,
            asleep_until: None,
            imported: None,
        }
    }
}

impl RelyingParty {
    /// Checks the browser's answer to the options that began `pending`.
    pub fn finish_registration(
        &self,
        pending: PendingRegistration,
        answer: &serde_json::Value,
        now: Timestamp,
    ) -> Result<NewCredential, CeremonyError> {
        if pending.is_expired(now) {
            return Err(CeremonyError::new(Refusal::NoSuchCeremony, "the registration has expired"));
        }
        let PendingRegistration { user, registration, .. } = pending;
        let answer = Attestation::read(answer)?;
        client_data::check(&answer.client_data, Expected::Create, self.origins())?;
        let data = authenticator_data::parse_attestation_object(&answer.attestation_object)?;
        if !data.is_user_verified() {
            return Err(CeremonyError::new(Refusal::NotVerified, "the person was not verified"));
        }
        let (counter, backup) = (data.counter, data.backup);
        let made = data.attested.ok_or(CeremonyError::malformed("the answer holds no new credential"))?;
        if made.id != answer.credential_id {
            return Err(CeremonyError::malformed("the authenticator made a credential with another id"));
        }
        let canonical = serde_json::from_value(answer.canonical())
            .map_err(|_| CeremonyError::malformed("the answer cannot be read"))?;
        let passkey = self.library.finish_passkey_registration(&canonical, &registration)?;
        let verifier = serde_json::to_value(passkey)
            .map_err(|_| CeremonyError::new(Refusal::BadProof, "the credential cannot be written"))?;
        Ok(NewCredential {
            user,
            id: made.id,
            verifier: Verifier(verifier),
            public_key: made.public_key,
            counter,
            aaguid: made.aaguid,
            transports: answer.transports,
            backup,
        })
    }
}
