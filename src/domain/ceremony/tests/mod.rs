//! The answers that ceremonies accept and refuse, shown with a software authenticator.
//!
//! The tests named `w_NN` carry the numbers of the project's list of WebAuthn tests; the black-box
//! suite repeats some of them against the running gateway.

mod authentication;
mod import;
mod options;
mod properties;
mod registration;
mod relying_party;
mod vectors;

use serde_json::Value;

use super::authenticator::{Authenticator, Knobs};
use super::*;
use crate::domain::credential::{Credential, Planned};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, User, Username};

const ORIGIN: &str = "https://auth.example.com";
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn relying_party() -> RelyingParty {
    RelyingParty::new("example.com", "Example", &[ORIGIN.to_owned()]).unwrap()
}

fn user(number: u8) -> User {
    let (username, email) = (Username::parse("alice").unwrap(), Email::parse("alice@example.com").unwrap());
    User {
        id: UserId::from_random([number; 16]),
        display_name: DisplayName::parse("Alice").unwrap(),
        created_at: NOW,
        updated_at: NOW,
        ..User::hypothetical(username, email, [].into()).unwrap()
    }
}

/// A registration by user 1, with a wrong turn.
fn register(device: &mut Authenticator, turn: impl FnOnce(&mut Knobs)) -> Result<Credential, Refusal> {
    let rp = relying_party();
    let (options, pending) = rp.begin_registration(&user(1), &[], NOW).unwrap();
    let answer = device.create_with(&options.0, ORIGIN, turn);
    finish_registration(&rp, pending, &answer)
}

/// As `register`, with the answer's JSON changed on its way.
fn register_edited(edit: impl FnOnce(&mut Value)) -> Result<Credential, Refusal> {
    let rp = relying_party();
    let (options, pending) = rp.begin_registration(&user(1), &[], NOW).unwrap();
    let mut answer = Authenticator::new(1).create(&options.0, ORIGIN);
    edit(&mut answer);
    finish_registration(&rp, pending, &answer)
}

fn finish_registration(
    rp: &RelyingParty,
    pending: PendingRegistration,
    answer: &Value,
) -> Result<Credential, Refusal> {
    let new = rp.finish_registration(pending, answer, NOW).map_err(|error| error.why())?;
    Ok(new.into_credential(Planned::default(), NOW))
}

/// A registered device.
fn registered(mut device: Authenticator) -> (Authenticator, Credential) {
    let credential = register(&mut device, |_| {}).unwrap();
    (device, credential)
}

/// A sign-in with `credential` on record, with a wrong turn.
fn sign_in(
    device: &mut Authenticator,
    credential: &Credential,
    turn: impl FnOnce(&mut Knobs),
) -> Result<VerifiedAssertion, Refusal> {
    let rp = relying_party();
    let (options, pending) = rp.begin_authentication(None, NOW).unwrap();
    let answer = device.get_with(&options.0, ORIGIN, turn);
    finish_sign_in(&rp, pending, &answer, credential)
}

/// As `sign_in`, with the answer's JSON changed on its way.
fn sign_in_edited(
    device: &mut Authenticator,
    credential: &Credential,
    edit: impl FnOnce(&mut Value),
) -> Result<VerifiedAssertion, Refusal> {
    let rp = relying_party();
    let (options, pending) = rp.begin_authentication(None, NOW).unwrap();
    let mut answer = device.get(&options.0, ORIGIN);
    edit(&mut answer);
    finish_sign_in(&rp, pending, &answer, credential)
}

fn finish_sign_in(
    rp: &RelyingParty,
    pending: PendingAuthentication,
    answer: &Value,
    credential: &Credential,
) -> Result<VerifiedAssertion, Refusal> {
    read_assertion(answer)
        .and_then(|assertion| rp.finish_authentication(pending, &assertion, credential, NOW))
        .map_err(|error| error.why())
}
