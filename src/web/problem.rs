//! Failures as strangers see them: `application/problem+json` (RFC 9457).
//!
//! The only place where a failure gets a status and a sentence. There is no wildcard arm: a new
//! failure must choose its face. Two failures that a stranger must not tell apart share one.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::domain::event::Refusal;
use crate::flows::FlowError;
use crate::flows::admit::CheckUnavailable;
use crate::ports::StoreError;

/// When a browser may try again after a failure of ours.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// A failure with a face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    /// A stable word for programs.
    code: &'static str,
    /// A sentence for people: what happened, and what to do.
    detail: String,
    login_url: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A failure with this status, word and sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), login_url: None, retry_after: None }
    }

    /// Nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in first.")
    }

    /// The body is not what this endpoint takes.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed_request", detail)
    }

    /// Nothing is here.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
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

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word.
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Refused(why) => refused(why),
            FlowError::NoSuchInvitation => Self::new(
                StatusCode::GONE,
                "invitation_invalid",
                "This link has expired or was used already. Ask whoever sent it for a new one.",
            ),
            FlowError::EmailNeeded => {
                Self::malformed("An e-mail address is needed to set up this installation.")
            }
            FlowError::MalformedName(why) => Self::malformed(why.to_string()),
            FlowError::Taken(what) => {
                Self::new(StatusCode::CONFLICT, "taken", format!("This {what} belongs to somebody else."))
            }
            FlowError::HasAccount => Self::new(
                StatusCode::CONFLICT,
                "has_account",
                "There is an account with this address already.",
            ),
            FlowError::NotFresh => Self::new(
                StatusCode::FORBIDDEN,
                "session_not_fresh",
                "Show your passkey again to make this change.",
            ),
            FlowError::NotPermitted => Self::new(
                StatusCode::FORBIDDEN,
                "not_permitted",
                "This session may not do that. Sign in with a passkey first.",
            ),
            FlowError::LastCredential => Self::new(
                StatusCode::CONFLICT,
                "last_passkey",
                "This is your last passkey. Add another one first, or you could not sign in again.",
            ),
            FlowError::NotFound => Self::not_found(),
            FlowError::Busy => {
                Self::unavailable("Others changed the same thing at the same moment. Try again.")
            }
            FlowError::CannotBegin(error) => Self::internal(&error),
            FlowError::Signing => Self::internal(&FlowError::Signing),
            FlowError::Vault(error) => Self::internal(&error),
            FlowError::Store(error) => Self::from(error),
        }
    }
}

fn refused(why: Refusal) -> Problem {
    match why {
        Refusal::NoSuchCeremony => Problem::new(
            StatusCode::UNAUTHORIZED,
            "ceremony_expired",
            "This attempt has expired or was finished already. Please start again.",
        ),
        Refusal::Malformed => Problem::malformed("The browser's answer cannot be read."),
        Refusal::UnknownCredential => Problem::new(
            StatusCode::UNAUTHORIZED,
            "unknown_credential",
            "This passkey is not known here; it may have been removed. Use another one.",
        ),
        Refusal::NotVerified => Problem::new(
            StatusCode::UNAUTHORIZED,
            "not_verified",
            "The authenticator did not verify you. Set up a PIN or a fingerprint on it, or use another one.",
        ),
        Refusal::DuplicateCredential => {
            Problem::new(StatusCode::CONFLICT, "duplicate_credential", "This passkey is registered already.")
        }
        Refusal::LimitReached => Problem::new(
            StatusCode::CONFLICT,
            "limit_reached",
            "There are as many passkeys as an account can have. Remove one first.",
        ),
        // What was wrong is for the log. A disabled account looks like a wrong passkey.
        Refusal::WrongContext
        | Refusal::BadProof
        | Refusal::WrongOwner
        | Refusal::CounterRegressed
        | Refusal::Disabled => {
            Problem::new(StatusCode::UNAUTHORIZED, "passkey_refused", "This passkey was not accepted.")
        }
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
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        problem.retry_after = Some(RETRY_DELAY);
        problem
    }

    /// A failure of ours. The cause goes to the log, here and only here.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side. Try again, and tell the administrator if it stays.",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "code": self.code,
        });
        if let (Some(url), Some(members)) = (self.login_url, body.as_object_mut()) {
            members.insert("login_url".to_owned(), url.into());
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(delay) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
        }
        response
    }
}
