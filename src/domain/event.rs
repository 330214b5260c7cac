//! Security events: everything the audit log and the metrics are told.
//!
//! What always holds: an event names people, sessions and credentials by id, never by secret;
//! labels for metrics come from the closed enums here.
#![deny(clippy::wildcard_enum_match_arm)]

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::access_token::TokenRefusal;
use super::dialect::Dialect;
use super::id::{AccessTokenId, CredentialId, InvitationId, SessionId, UserId};
use super::network::Network;

/// The actor of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Actor {
    /// The gateway itself, for example when a session expires.
    #[default]
    Gateway,
    /// A client. If the event is about a user and was not refused, it is that user.
    Client,
    /// A client that has shown no credential of the user whom the event is about: it asks for a
    /// code, or has a link that was mailed.
    Anonymous,
    /// An operator, on the gateway's machine.
    Operator,
    /// An administrator, in their own session.
    Administrator(UserId),
}

/// The origin of a request, for the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub actor: Actor,
    /// The client's address: the peer's, or the address that a trusted proxy reported.
    pub client: Option<IpAddr>,
    /// Correlates log lines and error pages.
    pub request: String,
    /// The API that was used; `None` when an operator or the gateway itself acted.
    pub dialect: Option<Dialect>,
}

/// Whether something happened, or was tried and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Refused,
}

impl Outcome {
    /// The outcome of an act that may be refused.
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Done } else { Self::Refused }
    }

    /// A word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// Something that happened to an account, a credential or a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    pub origin: Origin,
}

/// The kind of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    SetupLinkIssued,
    Invited { invitation: InvitationId, user: Option<UserId> },
    InvitationRedeemed { user: UserId, session: SessionId },
    SignedUp { user: UserId, session: SessionId },
    InvitationRefused,
    InvitationRevoked { invitation: InvitationId },
    CeremonyBegun { ceremony: Ceremony },
    CredentialAdded { user: UserId, credential: CredentialId, model: Model },
    CredentialRefused { user: Option<UserId>, why: Refusal },
    CredentialRenamed { user: UserId, credential: CredentialId },
    CredentialRemoved { user: UserId, credential: CredentialId, model: Model },
    BackupChanged { user: UserId, credential: CredentialId },
    CounterRegressed { user: UserId, credential: CredentialId },
    SignedIn { user: UserId, session: SessionId, credential: CredentialId },
    NewDevice { user: UserId, session: SessionId },
    SignInRefused { user: Option<UserId>, why: Refusal },
    SignedOut { user: UserId, session: SessionId },
    SessionEnded { user: UserId, session: SessionId, why: End },
    HandedOff { user: UserId, session: SessionId, host: String },
    HandOffRefused { host: String },
    AccessDenied { user: Option<UserId>, route: String, rule: Option<String> },
    UserChanged { user: UserId, what: UserChange },
    KeyRotated { key: u32 },
    BackedUp { records: u64 },
    Reload { outcome: Outcome },
    Upgrade { outcome: Outcome },
    MailTested { user: UserId },
    LoopDetected { host: String },
    RateLimited { whose: Limited },
    BanAdded { network: Network },
    BanRemoved { network: Network },
    Banned { network: Network },
    AccessToken(TokenEvent),
    CodeRequested { user: Option<UserId> },
    CodeRedeemed { user: UserId, session: SessionId },
    RecoveryCodeRedeemed { user: UserId, session: SessionId },
    CodeRefused,
    DeviceLink { user: UserId, session: SessionId, step: DeviceStep },
    Mail { delivery: Delivery },
    Webhook { origin: String, delivery: Delivery },
}

/// The model of an authenticator; `None` where it does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model(pub Option<&'static str>);

/// An event about an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEvent {
    Created {
        user: UserId,
        token: AccessTokenId,
    },
    Revoked {
        user: UserId,
        token: AccessTokenId,
        why: End,
    },
    Refused {
        token: Option<(AccessTokenId, UserId)>,
        route: Option<String>,
        why: TokenRefusal,
    },
    /// The checks of its holder could not be looked at in time; says nothing about the token.
    CheckTimedOut {
        token: AccessTokenId,
    },
}

/// The kind of ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ceremony {
    Registration,
    Authentication,
}

impl Ceremony {
    /// All of them, for zero-initialised metrics.
    pub const ALL: [Self; 2] = [Self::Registration, Self::Authentication];

    /// A metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Authentication => "authentication",
        }
    }
}

/// Why a ceremony or a sign-in failed, as far as the log and the metrics care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The ceremony was never begun, is used up or expired, or was begun by another browser.
    NoSuchCeremony,
    /// The browser's answer could not be read.
    Malformed,
    /// Origin, RP ID, challenge, cross-origin flag or type is not ours.
    WrongContext,
    /// The authenticator did not verify the person.
    NotVerified,
    /// The signature, or the credential itself, did not hold.
    BadProof,
    /// No account has this credential.
    UnknownCredential,
    /// Another registration has this credential already.
    DuplicateCredential,
    /// Owner, user handle and named user are not one person.
    WrongOwner,
    /// The signature counter went backwards.
    CounterRegressed,
    /// The account is disabled.
    Disabled,
    /// A code by mail led to the passkey, and its time has not come.
    Asleep,
    /// Too many credentials, or too many ceremonies under way.
    LimitReached,
}

impl Refusal {
    /// All of them, for zero-initialised metrics.
    pub const ALL: [Self; 12] = [
        Self::NoSuchCeremony,
        Self::Malformed,
        Self::WrongContext,
        Self::NotVerified,
        Self::BadProof,
        Self::UnknownCredential,
        Self::DuplicateCredential,
        Self::WrongOwner,
        Self::CounterRegressed,
        Self::Disabled,
        Self::Asleep,
        Self::LimitReached,
    ];

    /// A metric label and a word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSuchCeremony => "no_such_ceremony",
            Self::Malformed => "malformed",
            Self::WrongContext => "wrong_context",
            Self::NotVerified => "not_verified",
            Self::BadProof => "bad_proof",
            Self::UnknownCredential => "unknown_credential",
            Self::DuplicateCredential => "duplicate_credential",
            Self::WrongOwner => "wrong_owner",
            Self::CounterRegressed => "counter_regressed",
            Self::Disabled => "disabled",
            Self::Asleep => "asleep",
            Self::LimitReached => "limit_reached",
        }
    }
}

/// The result of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// A mail server, or a webhook, has taken it on.
    Sent,
    /// It will be tried again.
    Postponed,
    /// It was tried until it expired.
    Expired,
    /// No server will ever take it.
    Refused,
}

impl Delivery {
    /// All of them, for zero-initialised metrics.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Postponed, Self::Expired, Self::Refused];

    /// A metric label and a word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Postponed => "postponed",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }
}

/// The kind of limit on attempts with credentials that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limited {
    /// The limit of one network.
    Network,
    /// The limit of one network's attempts on one account.
    Account,
    /// The limit of all networks together.
    Everybody,
}

impl Limited {
    /// All of them, for zero-initialised metrics.
    pub const ALL: [Self; 3] = [Self::Network, Self::Account, Self::Everybody];

    /// A metric label and a word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Account => "account",
            Self::Everybody => "everybody",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    SignedOut,
    EndedByOwner,
    EndedByOperator,
    Replaced,
    Expired,
    TooMany,
    AccountDisabled,
    AccountDeleted,
    /// The account has come to the end that an administrator set.
    AccountExpired,
    /// An administrator had the account's passkeys replaced.
    AccountReset,
    CredentialRemoved,
}

impl End {
    /// All of them, for zero-initialised metrics.
    pub const ALL: [Self; 11] = [
        Self::SignedOut,
        Self::EndedByOwner,
        Self::EndedByOperator,
        Self::Replaced,
        Self::Expired,
        Self::TooMany,
        Self::AccountDisabled,
        Self::AccountDeleted,
        Self::AccountExpired,
        Self::AccountReset,
        Self::CredentialRemoved,
    ];

    /// A metric label and a word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::EndedByOwner => "ended_by_owner",
            Self::EndedByOperator => "ended_by_operator",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::AccountDisabled => "account_disabled",
            Self::AccountDeleted => "account_deleted",
            Self::AccountExpired => "account_expired",
            Self::AccountReset => "account_reset",
            Self::CredentialRemoved => "credential_removed",
        }
    }
}

/// How far a link to a new device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStep {
    /// A signed-in device shows the code.
    Offered,
    /// A browser has brought the code. It has shown no credential.
    Asked,
    Confirmed,
    /// The first device has refused, or withdrawn the link.
    Withdrawn,
    /// The new device may make its passkey.
    Joined,
}

impl DeviceStep {
    /// A word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Asked => "asked",
            Self::Confirmed => "confirmed",
            Self::Withdrawn => "withdrawn",
            Self::Joined => "joined",
        }
    }
}

/// A change of a person's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserChange {
    Groups,
    Disabled,
    Enabled,
    Role,
    Name,
    Username,
    /// They want another address, and have yet to confirm it.
    AddressAnnounced,
    AddressWithdrawn,
    AddressConfirmed,
    Approved,
    Note,
    Expiry,
    /// Attributes that the installation defines.
    Attributes,
    /// A link was made that adds a passkey; the old ones went with it if the administrator said so.
    Reset,
    /// Its owner cancelled a recovery.
    RecoveryCancelled,
    /// They have new recovery codes.
    RecoveryCodes,
    Deleted,
    /// Passkeys of another program's were taken over, and the account was made if there was none.
    Imported,
}

impl UserChange {
    /// A word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Role => "role",
            Self::Name => "name",
            Self::Username => "username",
            Self::AddressAnnounced => "address_announced",
            Self::AddressWithdrawn => "address_withdrawn",
            Self::AddressConfirmed => "address_confirmed",
            Self::Approved => "approved",
            Self::Note => "note",
            Self::Expiry => "expiry",
            Self::Attributes => "attributes",
            Self::Reset => "reset",
            Self::RecoveryCancelled => "recovery_cancelled",
            Self::RecoveryCodes => "recovery_codes",
            Self::Deleted => "deleted",
            Self::Imported => "imported",
        }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The upstream answered.
    Forwarded,
    /// Our own endpoints answered.
    Ours,
    /// Sent to sign in.
    SignIn,
    /// Signed in, but not allowed.
    Forbidden,
    /// Refused because of the request itself: host, path, method, size, upgrade.
    Refused,
    /// The upstream failed or took too long.
    UpstreamFailed,
    /// The gateway itself failed.
    Failed,
    /// Cut off: the client went away, or the session ended.
    Aborted,
}

impl Answered {
    /// Every outcome, for zero-initialised metrics.
    pub const ALL: [Self; 8] = [
        Self::Forwarded,
        Self::Ours,
        Self::SignIn,
        Self::Forbidden,
        Self::Refused,
        Self::UpstreamFailed,
        Self::Failed,
        Self::Aborted,
    ];

    /// A metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Ours => "own",
            Self::SignIn => "sign_in",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::UpstreamFailed => "upstream_failed",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

#[cfg(test)]
mod tests;
