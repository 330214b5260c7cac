//! The passwordless methods of Zitadel's Auth API, in their JSON form.
//!
//! Handlers are in `passkeys` and `links`; `shapes` are their bodies, and `proto_json` has the
//! rules of proto3's JSON form that serde does not know. Its documents have no carrier for a
//! challenge: a ceremony is found by its challenge, and has to be the caller's. What differs from
//! upstream on purpose: user verification and a discoverable credential are required, and a refused
//! passkey is the caller's mistake (400), not the server's.
#![deny(clippy::wildcard_enum_match_arm)]

mod links;
mod passkeys;
mod proto_json;
mod shapes;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Shared};
use crate::web::json::OptionalBody;
use crate::web::{Fault, Problem};
use shapes::{Code, ErrorDetail, Failure};

/// The stable word of a method that needs mail, where there is none.
const NO_MAIL: &str = "no_mail";

/// Its routes and its face.
pub(super) const API: Api =
    Api { routes, face, cors: None, tags: &[("zitadel", "The passwordless methods of Zitadel's Auth API.")] };

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(Failure, ErrorDetail)))]
struct Shapes;

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Shapes::openapi())
        .routes(routes!(passkeys::add))
        .routes(routes!(passkeys::verify))
        .routes(routes!(passkeys::search))
        .routes(routes!(passkeys::remove))
        .routes(routes!(links::link))
        .routes(routes!(links::send_link))
}

/// The form of its failures: a `google.rpc.Status`.
///
/// Failures of upstream's HTTP gateway are plain; failures of a method have a detail with a stable
/// id.
fn face(problem: &Problem) -> Response {
    use Code as C;
    use StatusCode as S;
    let (status, code) = match problem.fault() {
        Fault::Unauthenticated => return plain(S::UNAUTHORIZED, C::Unauthenticated, "auth header missing"),
        // A method that cannot do its work here: the handler says 400.
        Fault::NotFound if problem.status() == S::BAD_REQUEST => {
            return detailed(problem, S::BAD_REQUEST, C::FailedPrecondition, NO_MAIL);
        }
        Fault::NotFound => return plain(S::NOT_FOUND, C::NotFound, "Not Found"),
        Fault::MethodNotAllowed => {
            return plain(S::METHOD_NOT_ALLOWED, C::Unimplemented, "Method Not Allowed");
        }
        Fault::TokenInvalid => (S::UNAUTHORIZED, C::Unauthenticated),
        Fault::Malformed
        | Fault::InvalidJson
        | Fault::NotVerified
        | Fault::PasskeyRefused
        | Fault::MalformedTarget
        | Fault::AmbiguousPath => (S::BAD_REQUEST, C::InvalidArgument),
        Fault::CeremonyExpired
        | Fault::ProcessUnknown
        | Fault::LimitReached
        | Fault::LastPasskey
        | Fault::InvitationInvalid => (S::BAD_REQUEST, C::FailedPrecondition),
        Fault::WrongOrigin
        | Fault::NoOrigin
        | Fault::NotFresh
        | Fault::StepUpRequired
        | Fault::NotPermitted
        | Fault::NetworkBanned
        | Fault::Forbidden
        | Fault::TokenNotForThis
        | Fault::TokenShowsNoPasskey
        | Fault::UpgradeRefused => (S::FORBIDDEN, C::PermissionDenied),
        // No method here signs in: the caller's own passkey does not exist.
        Fault::UnknownCredential => (S::NOT_FOUND, C::NotFound),
        Fault::DuplicateCredential | Fault::Taken | Fault::HasAccount => (S::CONFLICT, C::AlreadyExists),
        Fault::RateLimited => (S::TOO_MANY_REQUESTS, C::ResourceExhausted),
        Fault::UnsupportedMediaType => (problem.status(), C::InvalidArgument),
        Fault::BodyTooLarge | Fault::HeadersTooLarge => (problem.status(), C::ResourceExhausted),
        Fault::UnknownHost | Fault::Misdirected => (problem.status(), C::FailedPrecondition),
        Fault::Unavailable | Fault::UpstreamFailed => (problem.status(), C::Unavailable),
        Fault::UpstreamTimedOut => (problem.status(), C::DeadlineExceeded),
        Fault::Internal => (S::INTERNAL_SERVER_ERROR, C::Internal),
    };
    detailed(problem, status, code, problem.code())
}

fn plain(status: StatusCode, code: Code, message: &str) -> Response {
    (status, Json(Failure::plain(code, message))).into_response()
}

fn detailed(problem: &Problem, status: StatusCode, code: Code, id: &'static str) -> Response {
    problem.said(status, Json(Failure::detailed(code, id, problem.detail())))
}

/// A message without members: `{}`, with anything in it, or no body at all.
type Empty = OptionalBody<Option<Map<String, Value>>>;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::RETRY_AFTER;
    use serde_json::json;

    use super::*;
    use crate::flows::FlowError;

    async fn said(problem: &Problem) -> (u16, Value) {
        let response = face(problem);
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn method_errors_have_code_status_and_id() {
        for (fault, expected) in [
            (Fault::Malformed, (400, 3)),
            (Fault::InvalidJson, (400, 3)),
            (Fault::NotVerified, (400, 3)),
            (Fault::PasskeyRefused, (400, 3)),
            (Fault::CeremonyExpired, (400, 9)),
            (Fault::LimitReached, (400, 9)),
            (Fault::LastPasskey, (400, 9)),
            (Fault::TokenInvalid, (401, 16)),
            (Fault::NotFresh, (403, 7)),
            (Fault::WrongOrigin, (403, 7)),
            (Fault::NetworkBanned, (403, 7)),
            (Fault::UnknownCredential, (404, 5)),
            (Fault::DuplicateCredential, (409, 6)),
            (Fault::BodyTooLarge, (413, 8)),
            (Fault::UnsupportedMediaType, (415, 3)),
            (Fault::RateLimited, (429, 8)),
            (Fault::Internal, (500, 13)),
            (Fault::Unavailable, (503, 14)),
        ] {
            let problem = Problem::new(fault, "A sentence.");
            let (status, body) = said(&problem).await;
            let id = problem.code();
            let kind = "type.googleapis.com/zitadel.v1.ErrorDetail";
            let detail = json!({ "@type": kind, "id": id, "message": "A sentence." });
            let message = format!("A sentence. ({id})");
            assert_eq!(status, expected.0, "{fault:?}");
            assert_eq!(body, json!({ "code": expected.1, "message": message, "details": [detail] }));
        }
    }

    #[tokio::test]
    async fn routing_errors_have_no_details() {
        for (problem, status, body) in [
            (Problem::unauthenticated(), 401, json!({ "code": 16, "message": "auth header missing" })),
            (Problem::not_found(), 404, json!({ "code": 5, "message": "Not Found" })),
            (Problem::method_not_allowed(), 405, json!({ "code": 12, "message": "Method Not Allowed" })),
        ] {
            assert_eq!(said(&problem).await, (status, body));
        }
    }

    #[tokio::test]
    async fn method_without_mail_is_failed_precondition() {
        let problem = Problem::from(FlowError::NoMail).with_status(StatusCode::BAD_REQUEST);
        let (status, body) = said(&problem).await;
        assert_eq!((status, &body["code"], &body["details"][0]["id"]), (400, &json!(9), &json!(NO_MAIL)));
    }

    #[test]
    fn rate_limit_has_retry_after() {
        let problem = Problem::from(FlowError::RateLimited { retry_after: Duration::from_millis(1_500) });
        assert_eq!(face(&problem).headers()[RETRY_AFTER], "2");
    }
}
