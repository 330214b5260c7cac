//! Signing keys: read, or made on the first start.

use std::sync::Arc;

use crate::config::{Engine, Settings};
use crate::domain::keyring::Keyring;
use crate::flows::FlowError;
use crate::flows::keys::draw_assertion_keys;
use crate::ports::{Clock, Entropy, SigningKeys, Vault, entropy};
use crate::store::{FileVault, NoVault};

/// The file with the signing keys, in the data directory.
pub(super) const KEYS_FILE: &str = "keys.json";

/// The keys of this installation, and where they are kept.
pub(super) async fn load_or_make(
    settings: &Settings,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(SigningKeys, Arc<dyn Vault>), FlowError> {
    if settings.store.engine == Engine::Memory {
        return Ok((make(clock, entropy)?, Arc::new(NoVault)));
    }
    let vault = FileVault::new(settings.store.path.join(KEYS_FILE));
    let keys = if let Some(mut keys) = vault.load()? {
        if keys.access_tokens.is_none() {
            keys.access_tokens = Some(Keyring::generate(&entropy::bytes(entropy), clock.now())?);
            vault.save(&keys).await?;
        }
        keys
    } else {
        let keys = make(clock, entropy)?;
        vault.save(&keys).await?;
        keys
    };
    Ok((keys, Arc::new(vault)))
}

fn make(clock: &dyn Clock, entropy: &dyn Entropy) -> Result<SigningKeys, FlowError> {
    let sessions = Keyring::generate(&entropy::bytes(entropy), clock.now())?;
    let access_tokens = Some(Keyring::generate(&entropy::bytes(entropy), clock.now())?);
    Ok(SigningKeys { sessions, assertions: draw_assertion_keys(entropy)?, access_tokens })
}
