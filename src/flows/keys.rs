//! The signing keys of an installation, ready to be used, and how new ones are drawn.
//!
//! What does not live here: replacing them (`administration/keys.rs`).

use super::FlowError;
use crate::domain::access_token::sealed::TokenSigner;
use crate::domain::assertion::{AssertionKeys, AssertionSigner, BadKey};
use crate::domain::code::CodeKey;
use crate::domain::sealed::SealingKey;
use crate::domain::session::token::Signer;
use crate::ports::{Entropy, SigningKeys, entropy};

/// How often a P-256 key is drawn. One draw in 2^32 is not a key; four such are a broken source.
const DRAWS_MAX: u32 = 4;

/// Every key of an installation, ready to be used. All of them are replaced together.
pub(in crate::flows) struct OpenKeys {
    pub(in crate::flows) tokens: Signer,
    pub(in crate::flows) access_tokens: TokenSigner,
    pub(in crate::flows) assertions: AssertionSigner,
    pub(in crate::flows) codes: CodeKey,
    pub(in crate::flows) outbox: SealingKey,
    pub(in crate::flows) return_targets: SealingKey,
}

impl OpenKeys {
    pub(in crate::flows) fn of(keys: &SigningKeys) -> Result<Self, FlowError> {
        Ok(Self {
            tokens: keys.sessions.open()?.into(),
            access_tokens: keys.access_tokens.as_ref().ok_or(FlowError::Signing)?.open()?.into(),
            assertions: keys.assertions.open()?,
            codes: keys.assertions.code_key()?,
            outbox: keys.assertions.outbox_key()?,
            return_targets: keys.assertions.return_target_key()?,
        })
    }
}

/// New keys for assertions, and for what is derived from them.
pub fn draw_assertion_keys(entropy: &dyn Entropy) -> Result<AssertionKeys, BadKey> {
    let mut draws = (0..DRAWS_MAX).filter_map(|_| AssertionKeys::generate(&entropy::bytes(entropy)).ok());
    draws.next().ok_or(BadKey)
}
