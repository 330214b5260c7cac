//! Failures as anonymous clients see them: `application/problem+json` (RFC 9457).
//!
//! The only place where a failure gets a status and a sentence. There is no wildcard arm: a new
//! failure needs a status and a sentence of its own. Two failures that an anonymous client must not
//! tell apart share them.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::domain::access_token::MalformedToken;
use crate::domain::attribute::AttributeRefusal;
use crate::domain::ban::CannotBan;
use crate::domain::event::Refusal;
use crate::domain::network::Network;
use crate::flows::FlowError;
use crate::flows::sessions::caller::CheckUnavailable;
use crate::ports::StoreError;

/// When a browser may try again after a failure of the gateway.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// The kind of a failure. The native API uses its word; other dialects have their own words and
/// statuses for each kind, in a match without a wildcard arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Unauthenticated,
    WrongOrigin,
    /// The request does not say which page it comes from, and has to.
    NoOrigin,
    NotFresh,
    /// The same for administrators, whose page asks in place.
    StepUpRequired,
    NotPermitted,
    /// The body is JSON, but not what this endpoint takes.
    Malformed,
    /// The body is not JSON.
    InvalidJson,
    UnsupportedMediaType,
    CeremonyExpired,
    /// The sign-in process that the caller names is not under way.
    ProcessUnknown,
    UnknownCredential,
    NotVerified,
    PasskeyRefused,
    DuplicateCredential,
    LimitReached,
    LastPasskey,
    InvitationInvalid,
    TokenInvalid,
    Taken,
    HasAccount,
    NotFound,
    MethodNotAllowed,
    BodyTooLarge,
    HeadersTooLarge,
    RateLimited,
    /// No credential may be tried from the caller's network.
    NetworkBanned,
    Unavailable,
    Internal,
    // A refusal of the proxy's gate alone.
    Forbidden,
    /// An access token that is good, but not for this route, method, path, network or hour.
    TokenNotForThis,
    /// An access token on a route that asks for a passkey.
    TokenShowsNoPasskey,
    UnknownHost,
    Misdirected,
    MalformedTarget,
    AmbiguousPath,
    UpgradeRefused,
    UpstreamFailed,
    UpstreamTimedOut,
}

impl Fault {
    /// The status, unless a contract asks for another one, and a stable word for programs.
    const fn face(self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated"),
            Self::WrongOrigin | Self::NoOrigin => (S::FORBIDDEN, "wrong_origin"),
            Self::NotFresh => (S::FORBIDDEN, "session_not_fresh"),
            Self::StepUpRequired => (S::UNAUTHORIZED, "step_up_required"),
            Self::NotPermitted => (S::FORBIDDEN, "not_permitted"),
            Self::Malformed | Self::InvalidJson => (S::UNPROCESSABLE_ENTITY, "malformed_request"),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::CeremonyExpired => (S::UNAUTHORIZED, "ceremony_expired"),
            Self::ProcessUnknown => (S::NOT_FOUND, "process_unknown"),
            Self::UnknownCredential => (S::UNAUTHORIZED, "unknown_credential"),
            Self::NotVerified => (S::UNAUTHORIZED, "not_verified"),
            Self::PasskeyRefused => (S::UNAUTHORIZED, "passkey_refused"),
            Self::DuplicateCredential => (S::CONFLICT, "duplicate_credential"),
            Self::LimitReached => (S::CONFLICT, "limit_reached"),
            Self::LastPasskey => (S::CONFLICT, "last_passkey"),
            Self::InvitationInvalid => (S::GONE, "invitation_invalid"),
            Self::TokenInvalid => (S::UNAUTHORIZED, "token_invalid"),
            Self::Taken => (S::CONFLICT, "taken"),
            Self::HasAccount => (S::CONFLICT, "has_account"),
            Self::NotFound => (S::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::HeadersTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::RateLimited => (S::TOO_MANY_REQUESTS, "rate_limited"),
            Self::NetworkBanned => (S::FORBIDDEN, "network_banned"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden"),
            Self::TokenNotForThis => (S::FORBIDDEN, "token_not_for_this"),
            Self::TokenShowsNoPasskey => (S::FORBIDDEN, "token_shows_no_passkey"),
            Self::UnknownHost => (S::MISDIRECTED_REQUEST, "unknown_host"),
            Self::Misdirected => (S::MISDIRECTED_REQUEST, "misdirected"),
            Self::MalformedTarget => (S::BAD_REQUEST, "malformed_request"),
            Self::AmbiguousPath => (S::BAD_REQUEST, "ambiguous_path"),
            Self::UpgradeRefused => (S::FORBIDDEN, "upgrade_refused"),
            Self::UpstreamFailed => (S::BAD_GATEWAY, "upstream_failed"),
            Self::UpstreamTimedOut => (S::GATEWAY_TIMEOUT, "upstream_timed_out"),
        }
    }
}

/// The request that a failure answers, for APIs that tell about it in their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occasion {
    pub request_id: String,
    /// How long it took to fail.
    pub took: Duration,
}

/// A failure with a face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    fault: Fault,
    status: StatusCode,
    /// A sentence for people: what happened, and what to do.
    detail: String,
    login_url: Option<String>,
    retry_after: Option<Duration>,
    occasion: Occasion,
}

impl Problem {
    /// A failure of this kind, with this sentence.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        let (status, _) = fault.face();
        let occasion = Occasion::default();
        Self { fault, status, detail: detail.into(), login_url: None, retry_after: None, occasion }
    }

    /// No user is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(Fault::Unauthenticated, "Sign in first.")
    }

    /// The body is not what this endpoint takes.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Fault::Malformed, detail)
    }

    /// There is no such address or object.
    pub fn not_found() -> Self {
        Self::new(Fault::NotFound, "There is nothing here.")
    }

    /// The address takes other methods.
    pub fn method_not_allowed() -> Self {
        Self::new(Fault::MethodNotAllowed, "This address does not take this method.")
    }

    /// Says where to sign in.
    #[must_use]
    pub fn with_login_url(mut self, url: String) -> Self {
        self.login_url = Some(url);
        self
    }

    /// The same failure with another status, where a contract asks for it.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same failure, answering this request.
    #[must_use]
    pub fn on(mut self, occasion: Occasion) -> Self {
        self.occasion = occasion;
        self
    }

    /// The request that is answered.
    pub const fn occasion(&self) -> &Occasion {
        &self.occasion
    }

    /// The kind of failure.
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word.
    pub const fn code(&self) -> &'static str {
        self.fault.face().1
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When to try again, if that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// An answer that says it in `body`, and in `Retry-After` when to try again.
    pub fn said(&self, status: StatusCode, body: impl IntoResponse) -> Response {
        let mut response = (status, body).into_response();
        if let Some(delay) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(delay).into());
        }
        response
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Refused(why) => refused(why),
            FlowError::NoSuchInvitation => Self::new(
                Fault::InvitationInvalid,
                "This link has expired or was already used. Ask the person who sent it for a new one.",
            ),
            FlowError::WrongCode => {
                Self::new(Fault::TokenInvalid, "This code is wrong, used, or too old. Ask for a new one.")
            }
            FlowError::WrongToken => {
                Self::new(Fault::TokenInvalid, "This token is not valid, or not any more.")
            }
            FlowError::NoSuchProcess => {
                Self::new(Fault::ProcessUnknown, "This sign-in has expired or is over. Please start again.")
            }
            FlowError::NoMail => {
                Self::new(Fault::NotFound, "This gateway sends no mail. Ask the administrator for a link.")
            }
            FlowError::OutboxFull => {
                Self::unavailable("No more messages can be sent at the moment. Try again later.")
            }
            FlowError::NotTaken => Self::new(
                Fault::NotPermitted,
                "Signing up here is for addresses of other domains. Ask the administrator for an invitation.",
            ),
            FlowError::EmailNeeded => {
                Self::malformed("An e-mail address is needed to set up this installation.")
            }
            FlowError::MalformedName(why) => Self::malformed(why.to_string()),
            FlowError::Attribute(why) => attribute_refused(&why),
            FlowError::MalformedToken(why) => malformed_token(&why),
            FlowError::Taken(what) => {
                Self::new(Fault::Taken, format!("This {what} belongs to another user."))
            }
            FlowError::HasAccount => Self::new(Fault::HasAccount, "This address has an account already."),
            FlowError::NotFresh => Self::new(Fault::NotFresh, "Use your passkey again to make this change."),
            FlowError::StepUpRequired => {
                Self::new(Fault::StepUpRequired, "Use your passkey again to administer this installation.")
            }
            FlowError::AccountClosed => {
                Self::new(Fault::NotPermitted, "This account is disabled. Enable it first.")
            }
            FlowError::NotPermitted => {
                Self::new(Fault::NotPermitted, "This session may not do that. Sign in with a passkey first.")
            }
            FlowError::LastCredential => Self::new(
                Fault::LastPasskey,
                "This is your last passkey. Add another one first, or you could not sign in again.",
            ),
            FlowError::LastAdministrator => Self::new(
                Fault::NotPermitted,
                "You are the only administrator. First make another user an administrator, with `vestibule user role NAME administrator`.",
            ),
            FlowError::UsernameFixed => {
                Self::new(Fault::NotPermitted, "Only an administrator can change usernames here.")
            }
            FlowError::TooManyUsernames => {
                Self::new(Fault::LimitReached, "You have reached the maximum number of usernames.")
            }
            FlowError::NotFound => Self::not_found(),
            FlowError::RateLimited { retry_after } => rate_limited(retry_after),
            FlowError::Banned { ends_in } => network_banned(ends_in),
            FlowError::CannotBan(why) => cannot_ban(why),
            FlowError::NoSuchBan { wider } => no_such_ban(wider),
            FlowError::Busy => Self::unavailable("The same thing was changed at the same moment. Try again."),
            FlowError::CannotBegin(error) => Self::internal(&error),
            FlowError::Signing => Self::internal(&FlowError::Signing),
            FlowError::Vault(error) => Self::internal(&error),
            FlowError::Store(error) => Self::from(error),
        }
    }
}

fn rate_limited(retry_after: Duration) -> Problem {
    Problem {
        retry_after: Some(retry_after),
        ..Problem::new(Fault::RateLimited, "Too many attempts. Wait a moment, then try again.")
    }
}

/// The sentence is about the network alone, and the same for every account.
fn network_banned(ends_in: Option<Duration>) -> Problem {
    Problem {
        retry_after: ends_in,
        ..Problem::new(
            Fault::NetworkBanned,
            "You cannot sign in from this network at the moment. Use another one, or ask the administrator.",
        )
    }
}

fn attribute_refused(why: &AttributeRefusal) -> Problem {
    let fault = match why {
        AttributeRefusal::NotTheOwners(_) => Fault::NotPermitted,
        AttributeRefusal::Name
        | AttributeRefusal::Value
        | AttributeRefusal::Unknown(_)
        | AttributeRefusal::Unfit { .. } => Fault::Malformed,
    };
    Problem::new(fault, format!("{why}."))
}

fn malformed_token(why: &MalformedToken) -> Problem {
    let fault = match why {
        MalformedToken::TooManyOfOne(_) => Fault::LimitReached,
        MalformedToken::Name
        | MalformedToken::NoRoute
        | MalformedToken::UnknownRoute(_)
        | MalformedToken::Method(_)
        | MalformedToken::Path(_)
        | MalformedToken::Network(_)
        | MalformedToken::TooMany(_)
        | MalformedToken::Lifetime(_)
        | MalformedToken::TooLong => Fault::Malformed,
    };
    Problem::new(fault, format!("{why}."))
}

fn cannot_ban(why: CannotBan) -> Problem {
    let fault = match why {
        CannotBan::TooMany => Fault::LimitReached,
        CannotBan::TooWide(_)
        | CannotBan::Loopback(_)
        | CannotBan::TrustedProxy(..)
        | CannotBan::Own(..)
        | CannotBan::Length => Fault::Malformed,
    };
    Problem::new(fault, format!("{why}."))
}

fn no_such_ban(wider: Option<Network>) -> Problem {
    let detail = match wider {
        None => "This network is not banned.".to_owned(),
        Some(wider) => format!("It is part of the banned network {wider}: remove that ban."),
    };
    Problem::new(Fault::NotFound, detail)
}

fn refused(why: Refusal) -> Problem {
    match why {
        Refusal::NoSuchCeremony => Problem::new(
            Fault::CeremonyExpired,
            "This attempt has expired or was finished already. Please start again.",
        ),
        Refusal::Malformed => Problem::malformed("The browser's answer cannot be read."),
        Refusal::UnknownCredential => Problem::new(
            Fault::UnknownCredential,
            "This passkey is not known here; it may have been removed. Use another one.",
        ),
        Refusal::NotVerified => Problem::new(
            Fault::NotVerified,
            "The authenticator did not verify you. Set up a PIN or a fingerprint on it, or use another authenticator.",
        ),
        Refusal::DuplicateCredential => {
            Problem::new(Fault::DuplicateCredential, "This passkey is registered already.")
        }
        Refusal::LimitReached => Problem::new(
            Fault::LimitReached,
            "This account has the maximum number of passkeys. Remove one first.",
        ),
        Refusal::Asleep => Problem::new(
            Fault::PasskeyRefused,
            "This passkey was made with a code by mail and does not work yet. Use another one, or wait.",
        ),
        // The reason is for the log alone. A disabled account looks like a wrong passkey.
        Refusal::WrongContext
        | Refusal::BadProof
        | Refusal::WrongOwner
        | Refusal::CounterRegressed
        | Refusal::Disabled => Problem::new(Fault::PasskeyRefused, "This passkey was not accepted."),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "the store is unavailable");
                Self::unavailable("The gateway cannot store changes at the moment. Try again shortly.")
            }
            StoreError::Corrupt(_) => Self::internal(&error),
            StoreError::TooLarge(_) => Self::malformed("This is too large to be stored."),
        }
    }
}

impl From<CheckUnavailable> for Problem {
    fn from(_: CheckUnavailable) -> Self {
        Self::unavailable("Your session could not be checked in time. Try again.")
    }
}

impl Problem {
    /// A failure that may pass by itself.
    pub fn unavailable(detail: &str) -> Self {
        let mut problem = Self::new(Fault::Unavailable, detail);
        problem.retry_after = Some(RETRY_DELAY);
        problem
    }

    /// A failure of the gateway. The cause goes to the log, here and only here.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(
            Fault::Internal,
            "Something went wrong in the gateway. Try again, and tell the administrator if the problem stays.",
        )
    }
}

/// `delay` in seconds, for `Retry-After`: never too early.
pub fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "code": self.code(),
        });
        if let (Some(url), Some(members)) = (&self.login_url, body.as_object_mut()) {
            members.insert("login_url".to_owned(), url.as_str().into());
        }
        let mut response = self.said(self.status, body.to_string());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // The dialect turns the problem into its own form.
        response.extensions_mut().insert(self);
        response
    }
}
