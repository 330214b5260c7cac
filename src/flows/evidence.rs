//! What a session can be minted from.
//!
//! What always holds: a value of these types is made in `sign_in/` alone, by the flow that checked
//! what it says, at the moment of the check. `tests/architecture.rs` keeps it so.

use crate::domain::ceremony::VerifiedAssertion;
use crate::domain::id::UserId;
use crate::domain::session::{Scope, Session};

/// What a session can be minted from.
pub(in crate::flows) enum Evidence<'a> {
    /// A passkey was shown; `before` is the session this browser had until now.
    Assertion { proof: &'a VerifiedAssertion, before: Option<&'a Session> },
    /// The secret of a link was used up.
    Link(&'a UsedLink),
    /// A code that was sent by mail.
    Code(&'a ReadMail),
    /// A code that the owner had printed.
    RecoveryCode(&'a PrintedCode),
    /// A code that made an account.
    SignUp(&'a Applicant),
    /// A device that is signed in has confirmed this one.
    DeviceLink(&'a ConfirmedDevice),
    /// A session that is replaced by one with the same evidence.
    Exchange(&'a Session),
}

impl Evidence<'_> {
    /// The owner of the future session.
    pub(in crate::flows) fn user(&self) -> UserId {
        match self {
            Self::Assertion { proof, .. } => proof.user(),
            Self::Link(proof) => proof.user(),
            Self::SignUp(applicant) => applicant.user(),
            Self::Code(proof) => proof.user(),
            Self::RecoveryCode(proof) => proof.user(),
            Self::DeviceLink(proof) => proof.user(),
            Self::Exchange(session) => session.user,
        }
    }
}

/// Evidence that the secret of an invitation, of a user's own link or of the set-up link was used up.
pub(in crate::flows) struct UsedLink(UserId);

impl UsedLink {
    pub(in crate::flows) const fn of(user: UserId) -> Self {
        Self(user)
    }

    const fn user(&self) -> UserId {
        self.0
    }
}

/// Evidence that a code was used up that the owner of an account had printed.
pub(in crate::flows) struct PrintedCode(UserId);

impl PrintedCode {
    pub(in crate::flows) const fn of(user: UserId) -> Self {
        Self(user)
    }

    const fn user(&self) -> UserId {
        self.0
    }
}

/// Evidence that a device that is signed in has confirmed this one.
pub(in crate::flows) struct ConfirmedDevice(UserId);

impl ConfirmedDevice {
    pub(in crate::flows) const fn of(user: UserId) -> Self {
        Self(user)
    }

    const fn user(&self) -> UserId {
        self.0
    }
}

/// Evidence that a code came back from the address of a new account.
pub(in crate::flows) struct Applicant(UserId);

impl Applicant {
    pub(in crate::flows) const fn of(user: UserId) -> Self {
        Self(user)
    }

    const fn user(&self) -> UserId {
        self.0
    }
}

/// Evidence that the client reads an account's mail.
pub(in crate::flows) struct ReadMail {
    user: UserId,
    scope: Scope,
}

impl ReadMail {
    pub(in crate::flows) const fn of(user: UserId, scope: Scope) -> Self {
        Self { user, scope }
    }

    const fn user(&self) -> UserId {
        self.user
    }

    /// The scope that the operator gives to a code by mail.
    pub(in crate::flows) const fn scope(&self) -> Scope {
        self.scope
    }
}
