//! Authentication: from a pending state, a browser's assertion and the stored credential it
//! claims to evidence of who the user is (WebAuthn Level 3, section 7.2).
//!
//! What always holds: the user who is signed in is the owner on record of the credential that
//! signed; the user handle and the expected user can only object.
//!
//! What does not live here: finding the credential, and whether its owner may sign in.

use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{DiscoverableAuthentication, DiscoverableKey, Passkey};

use super::answer::Assertion;
use super::authenticator_data::AuthenticatorData;
use super::client_data::{self, Expected};
use super::import::as_first_shown;
use super::{CEREMONY_LIFETIME, CeremonyError, RelyingParty};
use crate::domain::credential::{Backup, Credential, Verifier};
use crate::domain::event::Refusal;
use crate::domain::id::{CredentialId, UserId};
use crate::domain::time::Timestamp;

/// An authentication under way, as the store keeps it. It is not `Clone`: it is worth one answer,
/// which a flow may judge again only because the records around it changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingAuthentication {
    expected_user: Option<UserId>,
    begun_at: Timestamp,
    authentication: DiscoverableAuthentication,
}

impl PendingAuthentication {
    pub(super) const fn new(
        expected_user: Option<UserId>,
        begun_at: Timestamp,
        authentication: DiscoverableAuthentication,
    ) -> Self {
        Self { expected_user, begun_at, authentication }
    }

    /// The only person whose credential is accepted, if one was named.
    pub const fn expected_user(&self) -> Option<UserId> {
        self.expected_user
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

/// Proof that the owner of a credential answered our challenge.
///
/// Only [`RelyingParty::finish_authentication`] makes one.
#[derive(Debug)]
#[must_use]
pub struct VerifiedAssertion {
    credential: Credential,
    backup_before: Backup,
    at: Timestamp,
}

impl VerifiedAssertion {
    /// The credential's owner on record.
    pub const fn user(&self) -> UserId {
        self.credential.user
    }

    /// The credential that signed.
    pub const fn credential_id(&self) -> &CredentialId {
        &self.credential.id
    }

    /// When it was proved.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The credential with its new counter, backup state and time of use. Store it only in place
    /// of the very record that was checked, or two sign-ins at once could move the counter back.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether the credential has been backed up, or is no longer, since it was last used.
    pub fn is_backup_changed(&self) -> bool {
        self.credential.backup != self.backup_before
    }
}

impl RelyingParty {
    /// Checks `assertion` against the options that began `pending` and against the stored
    /// `credential` with the id it claims.
    pub fn finish_authentication(
        &self,
        pending: PendingAuthentication,
        assertion: &Assertion,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<VerifiedAssertion, CeremonyError> {
        if pending.is_expired(now) {
            return Err(CeremonyError::new(Refusal::NoSuchCeremony, "the authentication has expired"));
        }
        client_data::check(&assertion.client_data, Expected::Get, self.origins())?;
        if credential.id != *assertion.credential_id() {
            return Err(CeremonyError::new(Refusal::UnknownCredential, "another credential was claimed"));
        }
        check_owner(&pending, assertion, credential)?;
        let data = AuthenticatorData::parse(&assertion.authenticator_data)?;
        if !data.is_user_verified() {
            return Err(CeremonyError::new(Refusal::NotVerified, "the person was not verified"));
        }
        let credential = &*as_first_shown(credential, data.backup);
        if is_eligible(data.backup) != is_eligible(credential.backup) {
            return Err(CeremonyError::new(Refusal::BadProof, "backup eligibility never changes"));
        }
        let verifier = self.verify(pending.authentication, assertion, credential)?;
        check_counter(credential.counter, data.counter)?;
        let backup_before = credential.backup;
        let credential = Credential {
            verifier,
            counter: data.counter,
            backup: data.backup,
            last_used_at: Some(now),
            ..credential.clone()
        };
        Ok(VerifiedAssertion { credential, backup_before, at: now })
    }

    /// Has the library check challenge, RP ID and signature, and returns its updated state.
    fn verify(
        &self,
        authentication: DiscoverableAuthentication,
        assertion: &Assertion,
        credential: &Credential,
    ) -> Result<Verifier, CeremonyError> {
        let canonical = serde_json::from_value(assertion.canonical())
            .map_err(|_| CeremonyError::malformed("the answer cannot be read"))?;
        let unreadable = |_| CeremonyError::new(Refusal::BadProof, "the stored credential cannot be read");
        let mut passkey = Passkey::deserialize(&credential.verifier.0).map_err(unreadable)?;
        let result = self.library.finish_discoverable_authentication_v2(
            &canonical,
            authentication,
            DiscoverableKey::from(&passkey),
        )?;
        passkey.update_credential(&result);
        serde_json::to_value(passkey).map(Verifier).map_err(unreadable)
    }
}

/// Owner on record, user handle and expected user are one person, or no user is signed in.
fn check_owner(
    pending: &PendingAuthentication,
    assertion: &Assertion,
    credential: &Credential,
) -> Result<(), CeremonyError> {
    let refuse = |detail| Err(CeremonyError::new(Refusal::WrongOwner, detail));
    // Level 3, section 7.2: without a person named beforehand the handle must be present. We name
    // no credentials either way, so every credential used is discoverable and has one.
    let Some(handle) = assertion.user_handle() else {
        return refuse("the answer has no user handle");
    };
    if !credential.is_owned_by(handle) {
        return refuse("the user handle is not the credential's owner");
    }
    if pending.expected_user().is_some_and(|user| user != credential.user) {
        return refuse("the credential belongs to somebody else");
    }
    Ok(())
}

const fn is_eligible(backup: Backup) -> bool {
    match backup {
        Backup::DeviceBound => false,
        Backup::Eligible | Backup::BackedUp => true,
    }
}

/// Level 3, section 7.2: once either side counts, the counter has to grow. Checked after the
/// signature, so that an anonymous client cannot make an owner's authenticator look cloned.
fn check_counter(stored: u32, received: u32) -> Result<(), CeremonyError> {
    if (stored != 0 || received != 0) && received <= stored {
        return Err(CeremonyError::new(Refusal::CounterRegressed, "the signature counter did not grow"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The library checks both as well; these rules hold without it.

    #[test]
    fn a_counter_has_to_grow_once_either_side_counts() {
        for (stored, received, grows) in
            [(0, 0, true), (0, 1, true), (1, 2, true), (1, 1, false), (2, 1, false), (1, 0, false)]
        {
            assert_eq!(check_counter(stored, received).is_ok(), grows, "{stored} then {received}");
        }
    }

    #[test]
    fn what_may_be_backed_up_is_eligible() {
        let eligible = [Backup::DeviceBound, Backup::Eligible, Backup::BackedUp].map(is_eligible);
        assert_eq!(eligible, [false, true, true]);
    }
}
