//! The signed side of a token: a biscuit with one block of ours, behind our prefix.
//!
//! Our block has one fact with the token's id, user and installation, and checks with its grant, so
//! that any tool for biscuits shows what a token may do. What always holds: the signatures are
//! checked before anything is read, and the token's id is read from our block alone.
//!
//! What does not live here: whether a token is in force, which its record says
//! (`flows/access_tokens/`).

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use biscuit_auth::Biscuit;
use biscuit_auth::builder::{Fact, Term, fact, string};
use biscuit_auth::error::{Format, Token as BiscuitError};

use super::datalog::{TOKEN, checks_of};
use super::narrowing::{Contents, Narrowing};
use super::{
    AccessToken, TOKEN_BLOCKS_MAX, TOKEN_CHARS_MADE_MAX, TOKEN_CHARS_MAX, TOKEN_PREFIX, TokenRefusal,
};
use crate::domain::id::{AccessTokenId, UserId};
use crate::domain::keyring::OpenKeyring;

/// Tools for biscuits write padding or leave it out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs with the newest key and reads with every key of the ring.
pub struct TokenSigner(OpenKeyring);

/// The content of a token with valid signatures.
pub struct ReadToken {
    pub id: AccessTokenId,
    pub user: UserId,
    /// `None`: no holder has added a block, and the record alone says what it is for.
    pub narrowing: Option<Narrowing>,
}

/// Why there is no token for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// It would leave holders too little room to narrow it.
    TooLong,
    /// The library failed.
    Failed,
}

impl From<OpenKeyring> for TokenSigner {
    fn from(keys: OpenKeyring) -> Self {
        Self(keys)
    }
}

impl TokenSigner {
    /// The token for a record, as text.
    pub fn sign(&self, token: &AccessToken, issuer: &str) -> Result<String, Unsigned> {
        let text = written(&self.signed(token, issuer).map_err(|_| Unsigned::Failed)?);
        if text.len() > TOKEN_CHARS_MADE_MAX { Err(Unsigned::TooLong) } else { Ok(text) }
    }

    fn signed(&self, token: &AccessToken, issuer: &str) -> Result<Vec<u8>, BiscuitError> {
        let said = [string(&token.id.to_string()), string(&token.user.to_string()), string(issuer)];
        let mut builder = Biscuit::builder().root_key_id(self.0.id()).fact(fact(TOKEN, &said))?;
        for check in checks_of(&token.grant, Some(token.expires_at)) {
            builder = builder.check(check)?;
        }
        builder.build(self.0.newest())?.to_vec()
    }

    /// The keys that others need to read tokens, the signing key first: their ids, and each in
    /// hexadecimal.
    pub fn published(&self) -> Vec<(u32, String)> {
        self.0.published()
    }

    /// Checks the signatures, then reads what the token says.
    pub fn read(&self, text: &str, issuer: &str) -> Result<ReadToken, TokenRefusal> {
        let bytes = bytes_of(text)?;
        let token = Biscuit::from(&bytes, |id| self.0.public(id)).map_err(|error| unreadable(&error))?;
        if token.external_public_keys().iter().any(Option::is_some) {
            return Err(TokenRefusal::ThirdParty);
        }
        let blocks = token.block_count();
        if blocks > TOKEN_BLOCKS_MAX {
            return Err(TokenRefusal::TooManyBlocks);
        }
        let contents = Contents::of(&token)?;
        // Our block has one fact; any other token was not written here.
        let [only] = contents.facts.as_slice() else { return Err(TokenRefusal::Unfit) };
        let (id, user, maker) = token_of(only).ok_or(TokenRefusal::Malformed)?;
        if maker != issuer {
            return Err(TokenRefusal::Foreign);
        }
        let narrowing = if blocks > 1 { Some(Narrowing::of(token, &contents)?) } else { None };
        Ok(ReadToken { id, user, narrowing })
    }
}

/// A token as text.
pub(super) fn written(bytes: &[u8]) -> String {
    format!("{TOKEN_PREFIX}{}", BASE64.encode(bytes))
}

/// The biscuit behind the prefix.
pub(super) fn bytes_of(text: &str) -> Result<Vec<u8>, TokenRefusal> {
    if text.len() > TOKEN_CHARS_MAX {
        return Err(TokenRefusal::Oversized);
    }
    let encoded = text.strip_prefix(TOKEN_PREFIX).ok_or(TokenRefusal::Malformed)?;
    BASE64.decode(encoded).map_err(|_| TokenRefusal::Malformed)
}

/// The token's id, its user, and its installation.
pub(super) fn token_of(said: &Fact) -> Option<(AccessTokenId, UserId, String)> {
    let [Term::Str(id), Term::Str(user), Term::Str(issuer)] = said.predicate.terms.as_slice() else {
        return None;
    };
    let is_ours = said.predicate.name == TOKEN;
    is_ours.then_some(())?;
    Some((AccessTokenId::parse(id).ok()?, UserId::parse(user).ok()?, issuer.clone()))
}

fn unreadable(error: &BiscuitError) -> TokenRefusal {
    match error {
        BiscuitError::Format(
            Format::Signature(_)
            | Format::SealedSignature
            | Format::UnknownPublicKey
            | Format::InvalidSignatureSize(_),
        ) => TokenRefusal::Forged,
        _ => TokenRefusal::Malformed,
    }
}
