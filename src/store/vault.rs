//! Signing keys in a file beside the store.

use std::path::PathBuf;

use async_trait::async_trait;

use super::private_file;
use crate::ports::{SigningKeys, Vault, VaultError};

/// Keeps signing keys in one private JSON file.
pub struct FileVault {
    path: PathBuf,
}

impl FileVault {
    /// Keeps them at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The keys that are kept; `None` if there are none yet.
    pub fn load(&self) -> Result<Option<SigningKeys>, VaultError> {
        let shown = self.path.display();
        let content = private_file::read(&self.path)
            .map_err(|error| VaultError(format!("the signing keys in {shown} cannot be read: {error}")))?;
        let Some(content) = content else { return Ok(None) };
        serde_json::from_slice(&content).map(Some).map_err(|error| {
            VaultError(format!(
                "{shown} does not hold signing keys ({error}): restore it, or remove it to sign everybody out"
            ))
        })
    }
}

#[async_trait]
impl Vault for FileVault {
    async fn save(&self, keys: &SigningKeys) -> Result<(), VaultError> {
        let failed = |error: String| {
            VaultError(format!("the signing keys cannot be written to {}: {error}", self.path.display()))
        };
        let content = serde_json::to_vec(keys).map_err(|error| failed(error.to_string()))?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || private_file::write(&path, &content)).await;
        written.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

/// Keeps nothing: for a gateway that forgets everything at exit.
pub struct NoVault;

#[async_trait]
impl Vault for NoVault {
    async fn save(&self, _keys: &SigningKeys) -> Result<(), VaultError> {
        Ok(())
    }
}
