//! Passkeys that another program registered: which can be taken over, and how they prove
//! themselves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::super::authenticator::{cose_key, flag};
use super::*;
use crate::domain::ceremony::ImportError;
use crate::domain::credential::Backup;
use crate::domain::foreign::ForeignPasskey;
use crate::domain::id::CredentialId;

const HANDLE: [u8; 10] = [0xac, 0x02, 0, 0, 0, 0, 0, 0, 0, 0];

/// A passkey that was made for our RP ID elsewhere, on a device that may have others.
fn made_elsewhere(device: &mut Authenticator, backup: Option<Backup>) -> ForeignPasskey {
    let options = json!({
        "rp": { "id": relying_party().id() },
        "user": { "id": URL_SAFE_NO_PAD.encode(HANDLE) },
        "challenge": "AAAA",
    });
    device.create(&options, "https://elsewhere.example.com");
    let held = device.held().last().unwrap();
    ForeignPasskey {
        id: CredentialId::new(held.id.clone()).unwrap(),
        public_key: cose_key(&held.key, -7),
        counter: 0,
        aaguid: uuid::Uuid::nil(),
        transports: vec![],
        backup,
        user_handle: HANDLE.to_vec(),
        rp_id_hash: None,
    }
}

fn taken_over(foreign: ForeignPasskey) -> Result<Credential, ImportError> {
    relying_party().import_credential(foreign, &user(1), NOW)
}

#[test]
fn imported_passkey_signs_in() {
    let mut device = Authenticator::counting(1);
    let credential = taken_over(made_elsewhere(&mut device, Some(Backup::DeviceBound))).unwrap();
    assert_eq!(credential.imported.as_ref().unwrap().at, NOW);
    let verified = sign_in(&mut device, &credential, |_| {}).unwrap();
    assert_eq!((verified.user(), verified.credential().counter), (user(1).id, 1));
    // It is checked like any other passkey, and its user handle is the other program's.
    for (turn, why) in [
        (
            (|knobs| knobs.user_handle = Some(user(1).id.as_handle().to_vec())) as fn(&mut Knobs),
            Refusal::WrongOwner,
        ),
        (|knobs| knobs.user_handle = None, Refusal::WrongOwner),
        (|knobs| knobs.flags = flag::UP, Refusal::NotVerified),
        (|knobs| knobs.flags |= flag::BE, Refusal::BadProof),
        (|knobs| knobs.signature = Some(vec![0x30, 0]), Refusal::BadProof),
        (|knobs| knobs.rp_id = "elsewhere.example.com".to_owned(), Refusal::WrongContext),
    ] {
        assert_eq!(sign_in(&mut device, &credential, turn).err(), Some(why));
    }
    assert!(sign_in(&mut device, &credential, |_| {}).is_ok());
}

#[test]
fn w_05_foreign_handles_only_for_imported_passkeys() {
    let (mut device, credential) = registered(Authenticator::new(1));
    let theirs = |knobs: &mut Knobs| knobs.user_handle = Some(HANDLE.to_vec());
    assert_eq!(sign_in(&mut device, &credential, theirs).err(), Some(Refusal::WrongOwner));
    assert!(sign_in(&mut device, &credential, |_| {}).is_ok());
}

#[test]
fn first_use_sets_unknown_backup_flags_once() {
    let mut device = Authenticator::new(1);
    let credential = taken_over(made_elsewhere(&mut device, None)).unwrap();
    let used = sign_in(&mut device, &credential, |_| {}).unwrap();
    let used = used.credential().clone();
    assert_eq!(used.backup, Backup::BackedUp);
    assert!(sign_in(&mut device, &used, |_| {}).is_ok());
    let other = sign_in(&mut device, &used, |knobs| knobs.flags &= !(flag::BE | flag::BS));
    assert_eq!(other.err(), Some(Refusal::BadProof));
    // A use that proves nothing sets no eligibility.
    let forged = sign_in(&mut device, &credential, |knobs| knobs.signature = Some(vec![0x30, 0]));
    assert_eq!(forged.err(), Some(Refusal::BadProof));
}

#[test]
fn refuses_unusable_imported_passkeys() {
    let made = || made_elsewhere(&mut Authenticator::new(1), Some(Backup::BackedUp));
    let hash = |id: &str| Some(Sha256::digest(id).into());
    assert!(taken_over(ForeignPasskey { rp_id_hash: hash(relying_party().id()), ..made() }).is_ok());
    let other = taken_over(ForeignPasskey { rp_id_hash: hash("example.net"), ..made() });
    assert!(matches!(other, Err(ImportError::AnotherRelyingParty)));
    for handle in [vec![], vec![1; 65]] {
        let bad = taken_over(ForeignPasskey { user_handle: handle, ..made() });
        assert!(matches!(bad, Err(ImportError::BadHandle)));
    }
    let mut off_the_curve = made().public_key;
    *off_the_curve.last_mut().unwrap() ^= 1;
    let cut = made().public_key[..40].to_vec();
    for public_key in [off_the_curve, cut, vec![], b"\xa0".to_vec()] {
        let bad = taken_over(ForeignPasskey { public_key, ..made() });
        assert!(matches!(bad, Err(ImportError::BadKey(_))), "{bad:?}");
    }
}
