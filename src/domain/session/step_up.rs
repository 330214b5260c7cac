//! A step-up: a signed-in user shows a passkey again, which allows one change.
//!
//! Where an application shares the auth host, its scripts can send the same requests as our pages,
//! with the same cookie. So a step-up there is bound to the change that the person was asked about,
//! and to a nonce that only the page which asked is told.
//!
//! What does not live here: when a change needs a step-up, which `flows/sessions/freshness.rs`
//! decides. What always holds: the record has the nonce's hash, and the nonce itself is told once.

use serde::{Deserialize, Serialize};

use crate::domain::secret::SecretHash;

/// The longest change that is named.
const CHANGE_BYTES_MAX: usize = 1_500;

/// The change that a request asks for: its method, and its path in the API. Both steps of a
/// registration are one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Change(String);

impl Change {
    /// The change that a request with this method and path asks for, or that a page names in the same
    /// way (`DELETE passkeys/AbC`). `None` if it is too long to be a change.
    pub fn new(method: &str, path: &str) -> Option<Self> {
        let path = path.trim_matches('/');
        let path = match path {
            "passkeys/register/options" | "passkeys/register/verify" => "passkeys/register",
            other => other,
        };
        let change = format!("{method} {path}");
        (change.len() <= CHANGE_BYTES_MAX).then_some(Self(change))
    }

    /// Reads the change that a page names.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, path) = text.split_once(' ')?;
        Self::new(method, path)
    }
}

/// A step-up that has not paid yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    pub change: Change,
    /// The hash of the nonce that the page was told.
    pub nonce: SecretHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_options_and_verify_share_a_step_up() {
        let begun = Change::new("POST", "/passkeys/register/options");
        assert_eq!(begun, Change::new("POST", "passkeys/register/verify/"));
        assert_eq!(begun, Change::parse("POST passkeys/register/options"));
        assert_ne!(begun, Change::parse("DELETE passkeys/register"));
        assert_eq!(Change::parse("nothing"), None);
        assert_eq!(Change::new("DELETE", &"x".repeat(2_000)), None);
    }
}
