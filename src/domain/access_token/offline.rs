//! A holder's work with a token, without a gateway: narrowing and inspecting it.
//!
//! What does not live here: checking the token. Only the gateway has the keys, and knows the
//! revoked tokens.
//!
//! What always holds: narrowing adds a block and takes none away.

use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::error::{Format, Token as BiscuitError};
use biscuit_auth::{KeyPair, PrivateKey, UnverifiedBiscuit};

use super::datalog::checks_of;
use super::grant::Grant;
use super::sealed::{bytes_of, token_of, written};
use super::{TOKEN_BLOCKS_MAX, TOKEN_CHARS_MAX, TokenRefusal};
use crate::domain::time::Timestamp;

/// Why a token was not narrowed or read; the text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    #[error("this is not an access token: an access token begins with \"vst_\" and is on one line")]
    NotAToken,
    #[error("say how to narrow it: with --route, --method, --path, --network or --expires")]
    Nothing,
    #[error("this token was sealed: nothing can be added to it")]
    Sealed,
    #[error(
        "the token would be longer than {TOKEN_CHARS_MAX} characters or have more than {TOKEN_BLOCKS_MAX} blocks: narrow an earlier one"
    )]
    TooLong,
}

impl From<TokenRefusal> for OfflineError {
    fn from(_: TokenRefusal) -> Self {
        Self::NotAToken
    }
}

/// The content of a token, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub id: String,
    pub user: String,
    pub issuer: String,
    /// The checks, block by block; ours is the first.
    pub blocks: Vec<Vec<String>>,
}

/// Adds a block that takes away everything beyond `grant` and from `expires_at` on. `seed` is 32
/// random bytes.
pub fn attenuate(
    text: &str,
    grant: &Grant,
    expires_at: Option<Timestamp>,
    seed: &[u8; 32],
) -> Result<String, OfflineError> {
    let checks = checks_of(grant, expires_at);
    if checks.is_empty() {
        return Err(OfflineError::Nothing);
    }
    let token = opened(text)?;
    let block = checks.into_iter().try_fold(BlockBuilder::new(), BlockBuilder::check);
    let key = PrivateKey::from_bytes(seed, Algorithm::Ed25519).map_err(|_| OfflineError::NotAToken)?;
    let narrowed = block.and_then(|block| token.append_with_keypair(&KeyPair::from(&key), block));
    let narrowed = narrowed.map_err(|error| unappended(&error))?;
    let bytes = narrowed.to_vec().map_err(|_| OfflineError::NotAToken)?;
    let text = written(&bytes);
    let fits = text.len() <= TOKEN_CHARS_MAX && narrowed.block_count() <= TOKEN_BLOCKS_MAX;
    if fits { Ok(text) } else { Err(OfflineError::TooLong) }
}

/// The content of a token.
pub fn inspect(text: &str) -> Result<Inspected, OfflineError> {
    let token = opened(text)?;
    let source = |at| token.print_block_source(at).map_err(|_| OfflineError::NotAToken);
    let ours = BlockBuilder::new().code(source(0)?).map_err(|_| OfflineError::NotAToken)?;
    let (id, user, issuer) = ours.facts.first().and_then(token_of).ok_or(OfflineError::NotAToken)?;
    let lines = |text: String| text.lines().map(|line| line.trim_end_matches(';').to_owned()).collect();
    let mut blocks: Vec<Vec<String>> =
        (1..token.block_count()).map(|at| source(at).map(lines)).collect::<Result<_, _>>()?;
    blocks.insert(0, ours.checks.iter().map(ToString::to_string).collect());
    Ok(Inspected { id: id.to_string(), user: user.to_string(), issuer, blocks })
}

fn opened(text: &str) -> Result<UnverifiedBiscuit, OfflineError> {
    UnverifiedBiscuit::from(bytes_of(text.trim())?).map_err(|_| OfflineError::NotAToken)
}

fn unappended(error: &BiscuitError) -> OfflineError {
    match error {
        BiscuitError::AlreadySealed
        | BiscuitError::AppendOnSealed
        | BiscuitError::Format(Format::SealedSignature) => OfflineError::Sealed,
        _ => OfflineError::NotAToken,
    }
}
