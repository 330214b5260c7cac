//! Access tokens, for programs that act for a user and cannot hold a passkey.
//!
//! The record decides whether a token lives; the token points at its record and restricts. A token
//! is a signed biscuit (`sealed.rs`) to which its holder may add blocks that narrow it further,
//! offline and with any tool for biscuits (`narrowing.rs`, `offline.rs`). What always holds: a
//! holder's blocks can only take away, because nothing about the token is read from any block but
//! ours; and text, blocks and lists have limits.
//!
//! What does not live here: who may make a token and what it opens, which is in `flows/`.

pub mod carrier;
mod datalog;
pub mod grant;
pub mod narrowing;
pub mod offline;
pub mod sealed;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{AccessTokenId, UserId};
use super::time::Timestamp;
use super::user::is_seen_as_written;
use grant::{Grant, LIST_MAX};

/// How every access token begins. No other value is taken for one.
pub const TOKEN_PREFIX: &str = "vst_";
/// The longest token that is looked at, its prefix included.
pub const TOKEN_CHARS_MAX: usize = 4_096;
/// The longest token that is made, so that holders have room to narrow it.
pub const TOKEN_CHARS_MADE_MAX: usize = 2_560;
/// The most blocks, ours included.
pub const TOKEN_BLOCKS_MAX: usize = 8;
/// The longest name, in characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 100;
/// How often the last use of a token is written to the store.
pub const LAST_USED_GRANULARITY: Duration = Duration::from_mins(1);
/// The longest `tokens.lifetime_max`. Keys that have signed tokens are accepted for as long.
pub const TOKEN_LIFETIME_CEILING: Duration = Duration::from_hours(366 * 24);

/// How long tokens may live, and how many of them one user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLimits {
    pub lifetime_max: Duration,
    pub per_user_max: NonZeroUsize,
}

impl Default for TokenLimits {
    fn default() -> Self {
        let fifty = NonZeroUsize::MIN.saturating_add(49);
        Self { lifetime_max: Duration::from_hours(90 * 24), per_user_max: fifty }
    }
}

/// A token as the store knows it. The text that its holder has is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    pub id: AccessTokenId,
    pub user: UserId,
    pub name: TokenName,
    pub grant: Grant,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl AccessToken {
    /// Whether it has not expired at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// The owner's name for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenName(String);

impl TokenName {
    /// Accepts 1 to [`TOKEN_NAME_CHARS_MAX`] characters on one line, each of which is seen as it is
    /// written.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let text = text.trim();
        let ok = (1..=TOKEN_NAME_CHARS_MAX).contains(&text.chars().count()) && is_seen_as_written(text);
        if ok { Ok(Self(text.to_owned())) } else { Err(MalformedToken::Name) }
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TokenName {
    type Error = MalformedToken;

    fn try_from(text: String) -> Result<Self, MalformedToken> {
        Self::parse(&text)
    }
}

impl From<TokenName> for String {
    fn from(name: TokenName) -> Self {
        name.0
    }
}

/// Why the requested token cannot be made; the text says which could be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedToken {
    #[error(
        "a token's name has 1 to {TOKEN_NAME_CHARS_MAX} characters on one line, none of them a control character or an invisible one"
    )]
    Name,
    #[error("a token needs at least one route")]
    NoRoute,
    #[error("there is no route {0:?} that this user may enter")]
    UnknownRoute(String),
    #[error("{0:?} is not a method such as \"GET\", in upper case")]
    Method(String),
    #[error("{0}")]
    Path(String),
    #[error("{0}")]
    Network(String),
    #[error("a token names at most {LIST_MAX} {0}")]
    TooMany(&'static str),
    #[error("the life of a token is longer than zero and at most {} (tokens.lifetime_max)", days(*.0))]
    Lifetime(Duration),
    #[error("this user has {0} tokens already (tokens.max_per_user): revoke some")]
    TooManyOfOne(usize),
    #[error("the token would be too long: name fewer routes, methods, paths and networks")]
    TooLong,
}

fn days(length: Duration) -> String {
    let hours = length.as_secs() / 3_600;
    if hours.is_multiple_of(24) { format!("{} days", hours / 24) } else { format!("{hours} hours") }
}

/// Why a shown token is not accepted. The audit trail has the reason, the answer does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenRefusal {
    /// It is longer than any of ours.
    Oversized,
    /// It cannot be read.
    Malformed,
    /// It is in the wrong place of the request, or another token is beside it.
    Misplaced,
    /// No key of ours has signed it, or its blocks are not those that were signed in this order.
    Forged,
    /// A third party's key has signed a block.
    ThirdParty,
    TooManyBlocks,
    /// A block has more in it than cheap checks.
    Unfit,
    /// It was made by another installation.
    Foreign,
    /// It has no record: it was revoked, or has expired a while ago.
    Revoked,
    Expired,
    /// Its user may not use their account.
    Owner,
    /// It is not for this route.
    Route,
    Method,
    Path,
    Network,
    /// A block that its holder has added says no.
    Narrowed,
    /// The route asks for a passkey shown a short time ago.
    Passkey,
}

impl TokenRefusal {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 17] = [
        Self::Oversized,
        Self::Malformed,
        Self::Misplaced,
        Self::Forged,
        Self::ThirdParty,
        Self::TooManyBlocks,
        Self::Unfit,
        Self::Foreign,
        Self::Revoked,
        Self::Expired,
        Self::Owner,
        Self::Route,
        Self::Method,
        Self::Path,
        Self::Network,
        Self::Narrowed,
        Self::Passkey,
    ];

    /// A word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Malformed => "malformed",
            Self::Misplaced => "misplaced",
            Self::Forged => "forged",
            Self::ThirdParty => "third_party",
            Self::TooManyBlocks => "too_many_blocks",
            Self::Unfit => "unfit",
            Self::Foreign => "foreign",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Owner => "owner",
            Self::Route => "route",
            Self::Method => "method",
            Self::Path => "path",
            Self::Network => "network",
            Self::Narrowed => "narrowed",
            Self::Passkey => "passkey",
        }
    }

    /// Whether the token is valid, but does not cover this request.
    pub const fn is_good_elsewhere(self) -> bool {
        matches!(
            self,
            Self::Route | Self::Method | Self::Path | Self::Network | Self::Narrowed | Self::Passkey
        )
    }

    /// Whether the client may be guessing: no key of ours has signed its token. A program whose
    /// token has expired is not guessing.
    pub const fn is_guess(self) -> bool {
        matches!(self, Self::Oversized | Self::Malformed | Self::Forged | Self::ThirdParty)
    }
}

#[cfg(test)]
mod tests;
