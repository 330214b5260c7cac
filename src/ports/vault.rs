//! The keeper of signing keys between runs.

use async_trait::async_trait;

use crate::domain::assertion::AssertionKeys;
use crate::domain::keyring::Keyring;
use serde::{Deserialize, Serialize};

/// Every signing key of an installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SigningKeys {
    pub sessions: Keyring,
    pub assertions: AssertionKeys,
    /// The keys of access tokens. `None`: these keys are from a version without access tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_tokens: Option<Keyring>,
}

/// Keeps signing keys where only this program can read them.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Replaces the kept keys, durably and at once: after a crash either the old or the new keys
    /// are there.
    async fn save(&self, keys: &SigningKeys) -> Result<(), VaultError>;
}

/// Why the keys could not be read or kept; the text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct VaultError(pub String);
