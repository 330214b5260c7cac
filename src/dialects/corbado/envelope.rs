//! The envelope around Corbado's answers without data, and around all failures.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dialects::failures::failures;
use crate::web::Problem;
use crate::web::call::Call;

/// The request has been carried out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Done)]
pub(super) struct Done {
    http_status_code: u16,
    message: &'static str,
    request_data: RequestData,
    /// How long it took, in seconds.
    runtime: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::RequestData)]
struct RequestData {
    /// As in the header `X-Request-Id`, and in the log.
    #[serde(rename = "requestID")]
    request_id: String,
    /// Empty: there is no page about a request.
    link: &'static str,
}

impl Done {
    pub(super) fn new(call: &Call) -> Self {
        let took = call.gateway.ground.clock().now().since(call.began);
        Self::with(StatusCode::OK, call.visit.request_id.clone(), took)
    }

    fn with(status: StatusCode, request_id: String, took: Duration) -> Self {
        Self {
            http_status_code: status.as_u16(),
            message: status.canonical_reason().unwrap_or("Error"),
            request_data: RequestData { request_id, link: "" },
            runtime: took.as_secs_f64(),
        }
    }
}

/// The type of a failure.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = corbado::Kind)]
pub(super) enum Kind {
    InternalError,
    InvalidJson,
    InvalidOrigin,
    LoginError,
    MethodNotAllowed,
    NotFound,
    ProcessNotAvailable,
    RateLimited,
    ValidationError,
}

/// A failure.
#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Failure)]
pub(super) struct Failure {
    #[serde(flatten)]
    envelope: Done,
    error: Error,
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Error)]
struct Error {
    #[serde(rename = "type")]
    kind: Kind,
    /// A sentence for people.
    details: String,
    /// The member of the body that is wrong, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    validation: Option<[Blame; 1]>,
    links: [String; 0],
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Blame)]
struct Blame {
    field: String,
    message: String,
}

impl Failure {
    pub(super) fn new(problem: &Problem, status: StatusCode, kind: Kind) -> Self {
        let occasion = problem.occasion();
        let details = problem.detail().to_owned();
        let validation = match kind {
            Kind::ValidationError => blame(&details),
            Kind::InternalError
            | Kind::InvalidJson
            | Kind::InvalidOrigin
            | Kind::LoginError
            | Kind::MethodNotAllowed
            | Kind::NotFound
            | Kind::ProcessNotAvailable
            | Kind::RateLimited => None,
        };
        Self {
            envelope: Done::with(status, occasion.request_id.clone(), occasion.took),
            error: Error { kind, details, validation, links: [] },
        }
    }
}

/// A sentence about a member names it between backticks.
fn blame(details: &str) -> Option<[Blame; 1]> {
    let field = details.split('`').nth(1)?;
    Some([Blame { field: field.to_owned(), message: details.to_owned() }])
}

failures! {
    /// Failures of every endpoint.
    Failures {
        Failure as "application/json":
            400 "The request cannot be read, or the attempt is not under way (`validation_error`, \
                 `invalid_json`).",
            401 "No user is signed in (`login_error`).",
            403 "The request came from another site (`invalid_origin`), needs a fresh passkey, or its \
                 network is banned (`login_error`).",
            404 "No such thing, or not the caller's (`not_found`); or no such process \
                 (`process_not_available`).",
            405 "The address takes other methods (`method_not_allowed`).",
            413 "The body is too large (`validation_error`).",
            415 "The body is not JSON (`invalid_json`).",
            429 "Too many attempts (`rate_limited`); `Retry-After` says when to come back.",
            500 "Something failed here (`internal_error`).",
            503 "The gateway cannot store changes at the moment (`internal_error`).",
    }
}
