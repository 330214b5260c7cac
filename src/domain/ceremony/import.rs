//! Importing a passkey that another program has registered for our RP ID.
//!
//! What does not live here: reading another program's files (`cli/webauthn_proxy.rs`).
//!
//! What always holds: its key is checked like a new passkey's. The library is handed the
//! registration that it would have been, without an attestation, which we never ask for: so it
//! reads the key, and the record is in its own form. That proves nothing; the passkey proves itself
//! at its first sign-in, where it has to be discoverable and verify its user like any other.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::authenticator_data::{
    ATTESTED_CREDENTIAL, BACKUP_ELIGIBLE, BACKUP_STATE, USER_PRESENT, USER_VERIFIED,
};
use super::{CannotBegin, CeremonyError, CreationOptions, RelyingParty};
use crate::domain::credential::{Backup, Credential, Eligibility, Imported, Planned, Verifier};
use crate::domain::foreign::ForeignPasskey;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// Why a passkey cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("it was made for another RP ID")]
    AnotherRelyingParty,
    #[error("its user handle is empty or longer than 64 bytes")]
    BadHandle,
    #[error("its key cannot be used: {0}")]
    BadKey(#[from] CeremonyError),
    #[error(transparent)]
    CannotBegin(#[from] CannotBegin),
}

/// WebAuthn Level 3, section 5.4.3.
const USER_HANDLE_BYTES_MAX: usize = 64;

impl RelyingParty {
    /// The record of a passkey of `owner`'s that was made elsewhere.
    pub fn import_credential(
        &self,
        foreign: ForeignPasskey,
        owner: &User,
        now: Timestamp,
    ) -> Result<Credential, ImportError> {
        let ours: [u8; 32] = Sha256::digest(self.id()).into();
        if foreign.rp_id_hash.is_some_and(|theirs| theirs != ours) {
            return Err(ImportError::AnotherRelyingParty);
        }
        if !(1..=USER_HANDLE_BYTES_MAX).contains(&foreign.user_handle.len()) {
            return Err(ImportError::BadHandle);
        }
        let (options, pending) = self.begin_registration(owner, &[], now)?;
        let answer = self.answer(&foreign, &options, ours);
        let new = self.finish_registration(pending, &answer, now)?;
        let eligibility = if foreign.backup.is_some() { Eligibility::Told } else { Eligibility::Untold };
        let imported = Imported { at: now, user_handle: foreign.user_handle, eligibility };
        Ok(Credential { imported: Some(imported), ..new.into_credential(Planned::default(), now) })
    }

    /// The answer that a browser would have given.
    fn answer(&self, foreign: &ForeignPasskey, options: &CreationOptions, rp_id_hash: [u8; 32]) -> Value {
        let origin = self.origins().first().map_or("", String::as_str);
        let client_data =
            json!({ "type": "webauthn.create", "challenge": options.challenge(), "origin": origin });
        let object = Cbor::Map(vec![
            (Cbor::from("fmt"), Cbor::from("none")),
            (Cbor::from("attStmt"), Cbor::Map(Vec::new())),
            (Cbor::from("authData"), Cbor::Bytes(authenticator_data(foreign, rp_id_hash))),
        ]);
        let mut bytes = Vec::new();
        // Writing to memory does not fail; if it did, the answer would be refused for being empty.
        let _ = ciborium::into_writer(&object, &mut bytes);
        let transports: Vec<_> = foreign.transports.iter().map(|transport| transport.as_str()).collect();
        json!({
            "id": foreign.id.to_string(), "rawId": foreign.id.to_string(), "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data.to_string()),
                "attestationObject": URL_SAFE_NO_PAD.encode(bytes),
                "transports": transports,
            },
        })
    }
}

fn authenticator_data(foreign: &ForeignPasskey, rp_id_hash: [u8; 32]) -> Vec<u8> {
    let backup = match foreign.backup {
        None | Some(Backup::DeviceBound) => 0,
        Some(Backup::Eligible) => BACKUP_ELIGIBLE,
        Some(Backup::BackedUp) => BACKUP_ELIGIBLE | BACKUP_STATE,
    };
    let mut data = rp_id_hash.to_vec();
    data.push(USER_PRESENT | USER_VERIFIED | ATTESTED_CREDENTIAL | backup);
    data.extend(foreign.counter.to_be_bytes());
    data.extend(foreign.aaguid.as_bytes());
    // An id has at most 1,023 bytes.
    data.extend(u16::try_from(foreign.id.as_bytes().len()).unwrap_or(u16::MAX).to_be_bytes());
    data.extend(foreign.id.as_bytes());
    data.extend(&foreign.public_key);
    data
}

/// The credential with its backup eligibility, where only its first use tells that. From then on
/// eligibility never changes, as with any other credential.
pub(super) fn as_first_shown(credential: &Credential, backup: Backup) -> Cow<'_, Credential> {
    let Some(imported @ Imported { eligibility: Eligibility::Untold, .. }) = &credential.imported else {
        return Cow::Borrowed(credential);
    };
    let mut verifier = credential.verifier.0.clone();
    if let Some(members) = verifier.get_mut("cred").and_then(Value::as_object_mut) {
        members.insert("backup_eligible".to_owned(), json!(backup != Backup::DeviceBound));
        members.insert("backup_state".to_owned(), json!(backup == Backup::BackedUp));
    }
    let imported = Some(Imported { eligibility: Eligibility::Told, ..imported.clone() });
    Cow::Owned(Credential { verifier: Verifier(verifier), backup, imported, ..credential.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_is_taken_over_with_what_is_known_of_its_backups() {
        let of = |backup| ForeignPasskey {
            id: crate::domain::id::CredentialId::new(vec![1]).unwrap(),
            public_key: vec![2],
            counter: 7,
            aaguid: uuid::Uuid::nil(),
            transports: Vec::new(),
            backup,
            user_handle: Vec::new(),
            rp_id_hash: None,
        };
        for (backup, flags) in [
            (None, 0x45),
            (Some(Backup::DeviceBound), 0x45),
            (Some(Backup::Eligible), 0x4d),
            (Some(Backup::BackedUp), 0x5d),
        ] {
            let data = authenticator_data(&of(backup), [9; 32]);
            let expected = [&[9; 32][..], &[flags], &[0, 0, 0, 7], &[0; 16], &[0, 1], &[1], &[2]].concat();
            assert_eq!(data, expected, "{backup:?}");
        }
    }
}
