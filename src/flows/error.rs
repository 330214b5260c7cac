//! Why a flow did not do what was asked, in the words of the flows. `web/` turns these errors into
//! answers.

use std::time::Duration;

use crate::domain::access_token::MalformedToken;
use crate::domain::assertion::BadKey;
use crate::domain::attribute::AttributeRefusal;
use crate::domain::ban::CannotBan;
use crate::domain::ceremony::{CannotBegin, CeremonyError};
use crate::domain::event::Refusal;
use crate::domain::keyring::NotAKey;
use crate::domain::network::Network;
use crate::domain::session::token::TokenError;
use crate::domain::user::MalformedName;
use crate::ports::{CommitError, StoreError, VaultError};

/// Why a flow failed.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// A ceremony was not accepted.
    #[error("the passkey was not accepted: {}", .0.label())]
    Refused(Refusal),
    /// The invitation or set-up secret is unknown, used or expired. One variant on purpose.
    #[error("no such invitation")]
    NoSuchInvitation,
    /// The code is wrong, used, expired, or another browser's. One variant on purpose.
    #[error("no such code")]
    WrongCode,
    /// No recent sign-in of this person was answered with this token, or it was used already. One
    /// variant on purpose.
    #[error("no such token")]
    WrongToken,
    /// The sign-in process is unknown, over or expired. One variant on purpose.
    #[error("no such process")]
    NoSuchProcess,
    /// This installation sends no mail.
    #[error("mail is not configured: add [mail] to the configuration")]
    NoMail,
    /// Too many messages wait for a mail server.
    #[error("too many messages wait to be sent already: is the mail server in reach?")]
    OutboxFull,
    /// Sign-up does not accept this address.
    #[error("this address cannot sign up here")]
    NotTaken,
    /// Set-up needs to know whose account it makes.
    #[error("an e-mail address is needed")]
    EmailNeeded,
    /// A name that cannot be accepted.
    #[error(transparent)]
    MalformedName(#[from] MalformedName),
    /// An attribute that cannot be said, or not by this caller.
    #[error(transparent)]
    Attribute(#[from] AttributeRefusal),
    /// An access token that cannot be made.
    #[error(transparent)]
    MalformedToken(#[from] MalformedToken),
    /// Another user has this address or username already.
    #[error("this {0} is taken")]
    Taken(&'static str),
    /// The invitation would change an account that exists already.
    #[error("there is an account with this address already")]
    HasAccount,
    /// The person must show their passkey again first.
    #[error("a fresh assertion is needed")]
    NotFresh,
    /// An administrator must show their passkey again first.
    #[error("a passkey has to be shown again")]
    StepUpRequired,
    /// The account that a link would be for is closed.
    #[error("the account is disabled")]
    AccountClosed,
    /// The session may only enrol a passkey, or the account is disabled.
    #[error("this session may not do that")]
    NotPermitted,
    /// The last passkey cannot be removed.
    #[error("the last passkey cannot be removed")]
    LastCredential,
    /// Without this user no one could administer the installation.
    #[error("the last administrator cannot go")]
    LastAdministrator,
    /// A user keeps every username that they had, so their number has a limit.
    #[error("this person has had too many usernames")]
    TooManyUsernames,
    /// Only the operator changes usernames here.
    #[error("usernames cannot be changed here")]
    UsernameFixed,
    /// The thing that was named does not exist, or belongs to another user.
    #[error("not found")]
    NotFound,
    /// Too many requests with credentials, in a short time.
    #[error("too many attempts")]
    RateLimited { retry_after: Duration },
    /// No client may try a credential from this network.
    #[error("this network is banned")]
    Banned {
        /// `None`: until an administrator removes the ban.
        ends_in: Option<Duration>,
    },
    /// This cannot be banned.
    #[error(transparent)]
    CannotBan(#[from] CannotBan),
    /// This network has no ban of its own.
    #[error("this network has no ban of its own")]
    NoSuchBan {
        /// The ban of a wider network, that counts for it.
        wider: Option<Network>,
    },
    /// Many others changed the same thing at the same moment.
    #[error("too much contention")]
    Busy,
    /// A ceremony could not be begun; the fault is ours.
    #[error("the ceremony could not be begun")]
    CannotBegin(#[from] CannotBegin),
    /// A token or assertion could not be signed; the fault is ours.
    #[error("signing failed")]
    Signing,
    /// The signing keys could not be kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<Refusal> for FlowError {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

impl From<CeremonyError> for FlowError {
    fn from(error: CeremonyError) -> Self {
        tracing::debug!(%error, "a ceremony was refused");
        Self::Refused(error.why())
    }
}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CommitError> for FlowError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::Busy,
            CommitError::Store(error) => Self::Store(error),
        }
    }
}

impl From<TokenError> for FlowError {
    fn from(_: TokenError) -> Self {
        Self::Signing
    }
}

impl From<NotAKey> for FlowError {
    fn from(_: NotAKey) -> Self {
        Self::Signing
    }
}

impl From<BadKey> for FlowError {
    fn from(_: BadKey) -> Self {
        Self::Signing
    }
}
