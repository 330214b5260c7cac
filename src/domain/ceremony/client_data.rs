//! Client data: the browser's statement about the ceremony's page (WebAuthn Level 3, section
//! 5.8.1).
//!
//! What always holds: the origin is compared as text with the configured list, so a path, user
//! information, a trailing dot, another port or another spelling is a different origin; and a
//! ceremony inside another site's frame is refused, however the browser reports it.
//!
//! What does not live here: the challenge, which the library compares.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::CeremonyError;
use crate::domain::event::Refusal;

/// The ceremony that client data must belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Create,
    Get,
}

impl Expected {
    const fn type_member(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

/// The members that are judged here. A repeated one is an error, so that the library, which reads
/// the same bytes, cannot see another value.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: Option<bool>,
    #[serde(rename = "topOrigin", default, deserialize_with = "present")]
    top_origin: Option<IgnoredAny>,
}

/// Reads any value, `null` too, as present.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

/// Checks type, origin and framing of `clientDataJSON`.
pub(super) fn check(bytes: &[u8], expected: Expected, origins: &[String]) -> Result<(), CeremonyError> {
    let data: ClientData =
        serde_json::from_slice(bytes).map_err(|_| CeremonyError::malformed("client data cannot be read"))?;
    let refuse = |detail| Err(CeremonyError::new(Refusal::WrongContext, detail));
    if data.kind != expected.type_member() {
        return refuse("client data is of another type");
    }
    if !origins.contains(&data.origin) {
        return refuse("client data names an origin that is not ours");
    }
    if data.cross_origin == Some(true) {
        return refuse("the ceremony ran in a cross-origin frame");
    }
    if data.top_origin.is_some() {
        return refuse("client data names a top origin");
    }
    Ok(())
}
