//! Ceremonies: the two-step conversations in which a browser proves a passkey.
//!
//! `begin` answers with options for the browser and a pending state for the store. `finish` takes
//! that state back, with the browser's answer, and either returns evidence or says why not. This
//! is the only folder that names webauthn-rs.
//!
//! What always holds:
//! - A pending state is worth one attempt. Callers obtain it with `take`, so a second `finish`
//!   finds nothing, even after a failure.
//! - Nothing here reads a clock. Callers pass `now`, and expiry is decided here.
//! - Evidence types have no public constructor. A caller that holds one ran the check.
//! - Every ceremony requires user verification and a discoverable credential.
//! - An answer that the library tolerates and the standard does not is refused here, before or
//!   after asking the library; the library alone never decides.
//!
//! What does not live here: HTTP, cookies, storage, and the question of who may begin. One thing
//! comes from outside all the same: webauthn-rs draws its 32-byte challenges from the operating
//! system itself and offers no way to hand them in.

mod answer;
mod authentication;
mod authenticator_data;
mod client_data;
mod import;
mod registration;
mod relying_party;

pub mod aaguid;

#[cfg(test)]
#[path = "../../../tests/support/authenticator.rs"]
pub(crate) mod authenticator;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sha2::{Digest, Sha256};
use webauthn_rs::prelude::WebauthnError;

use super::event::Refusal;
use super::id::CeremonyId;

pub use answer::{Assertion, claimed_ceremony, read_assertion};
pub use authentication::{PendingAuthentication, VerifiedAssertion};
pub use import::ImportError;
pub use registration::{NewCredential, PendingRegistration};
pub use relying_party::{BadRelyingParty, CannotBegin, RelyingParty, descriptor};

/// How long a begun ceremony can be finished; also the time-out that browsers are told.
pub const CEREMONY_LIFETIME: Duration = Duration::from_mins(5);

/// Options for `navigator.credentials.create`: the contents of `publicKey`, as Level 3's
/// `parseCreationOptionsFromJSON` reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct CreationOptions(pub serde_json::Value);

/// Options for `navigator.credentials.get`: the contents of `publicKey`, as Level 3's
/// `parseRequestOptionsFromJSON` reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestOptions(pub serde_json::Value);

impl CreationOptions {
    /// The challenge, in base64url as the browser will sign it.
    pub fn challenge(&self) -> &str {
        challenge_in(&self.0)
    }
}

impl RequestOptions {
    /// The challenge, in base64url as the browser will sign it.
    pub fn challenge(&self) -> &str {
        challenge_in(&self.0)
    }
}

fn challenge_in(options: &serde_json::Value) -> &str {
    options.get("challenge").and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// The ceremony that is found by its challenge, in base64url: for APIs that have no cookie for it.
/// The store gets to see a hash only.
pub fn ceremony_of(challenge: &str) -> CeremonyId {
    let digest: [u8; 32] = Sha256::digest(challenge).into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    CeremonyId(id)
}

/// Why a browser's answer was not accepted. The text is for the log, never for the browser.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct CeremonyError {
    why: Refusal,
    detail: &'static str,
    #[source]
    library: Option<WebauthnError>,
}

impl CeremonyError {
    const fn new(why: Refusal, detail: &'static str) -> Self {
        Self { why, detail, library: None }
    }

    const fn malformed(detail: &'static str) -> Self {
        Self::new(Refusal::Malformed, detail)
    }

    /// The reason, as far as the log and the metrics tell reasons apart.
    pub const fn why(&self) -> Refusal {
        self.why
    }
}

impl From<WebauthnError> for CeremonyError {
    fn from(error: WebauthnError) -> Self {
        use WebauthnError as E;
        let why = match error {
            E::InvalidClientDataType
            | E::MismatchedChallenge
            | E::InvalidRPOrigin
            | E::InvalidRPIDHash
            | E::CredentialCrossOrigin => Refusal::WrongContext,
            E::UserNotPresent | E::UserNotVerified => Refusal::NotVerified,
            E::ParseBase64Failure(_)
            | E::ParseCBORFailure(_)
            | E::ParseJSONFailure(_)
            | E::ParseNOMFailure
            | E::ParseInsufficientBytesAvailable
            | E::MissingAttestationCredentialData => Refusal::Malformed,
            E::CredentialPossibleCompromise => Refusal::CounterRegressed,
            _ => Refusal::BadProof,
        };
        Self { why, detail: "the credential was not accepted", library: Some(error) }
    }
}
