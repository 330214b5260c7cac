//! The passkey API of better-auth, as its clients from 1.3 to 1.7 speak it.
//!
//! Handlers are in `ceremonies`, `passkeys` and `session`; `shapes` are their bodies. What differs
//! from upstream on purpose: user verification is required, a challenge is good for one attempt,
//! and another user's passkey is answered like an unknown one.
#![deny(clippy::wildcard_enum_match_arm)]

mod ceremonies;
mod passkeys;
mod session;
mod shapes;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, COOKIE, ORIGIN, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Shared};
use crate::domain::session::Session;
use crate::web::call::Call;
use crate::web::problem::whole_seconds;
use crate::web::{Fault, Problem, cross_origin};
use shapes::{Attachment, Failure};

const SET_AUTH_TOKEN: HeaderName = HeaderName::from_static("set-auth-token");
const RETRY_AFTER_HERE: HeaderName = HeaderName::from_static("x-retry-after");

/// Its routes and its face.
pub(super) const API: Api =
    Api { routes, face, cors: Some(cors), tags: &[("better-auth", "The passkey API of better-auth.")] };

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(Failure, Attachment)))]
struct Shapes;

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Shapes::openapi())
        .routes(routes!(ceremonies::generate_register_options))
        .routes(routes!(ceremonies::get_authenticate_options, ceremonies::post_authenticate_options))
        .routes(routes!(ceremonies::verify_registration))
        .routes(routes!(ceremonies::verify_authentication))
        .routes(routes!(passkeys::list))
        .routes(routes!(passkeys::delete))
        .routes(routes!(passkeys::update))
        .routes(routes!(session::get_session))
        .routes(routes!(session::sign_out))
        .routes(routes!(session::related_origins))
}

/// The pages of other origins that may call it, and how.
fn cors(gateway: &Shared) -> CorsLayer {
    cross_origin::layer(gateway, &[]).expose_headers([SET_AUTH_TOKEN, RETRY_AFTER_HERE])
}

/// The form of its failures: a message and a code, except where upstream sends neither.
fn face(problem: &Problem) -> Response {
    use StatusCode as S;
    // Registration's refusals are 400, and have a code of their own.
    let registering = problem.status() == S::BAD_REQUEST;
    let (status, code) = match problem.fault() {
        Fault::NotFound | Fault::ProcessUnknown | Fault::MethodNotAllowed => {
            return S::NOT_FOUND.into_response();
        }
        Fault::RateLimited => return too_many(problem),
        Fault::Unauthenticated | Fault::TokenInvalid => (S::UNAUTHORIZED, "UNAUTHORIZED"),
        Fault::WrongOrigin => (S::FORBIDDEN, "INVALID_ORIGIN"),
        Fault::NoOrigin => (S::FORBIDDEN, "MISSING_OR_NULL_ORIGIN"),
        Fault::NotFresh | Fault::StepUpRequired => (S::FORBIDDEN, "SESSION_NOT_FRESH"),
        Fault::NotPermitted
        | Fault::Forbidden
        | Fault::TokenNotForThis
        | Fault::TokenShowsNoPasskey
        | Fault::UpgradeRefused
        | Fault::NetworkBanned => (S::FORBIDDEN, "FORBIDDEN"),
        Fault::Malformed if registering => (S::BAD_REQUEST, "FAILED_TO_VERIFY_REGISTRATION"),
        Fault::Malformed => {
            let message = located(problem.detail());
            return problem.said(S::BAD_REQUEST, Json(Failure { message, code: "VALIDATION_ERROR" }));
        }
        Fault::InvalidJson | Fault::MalformedTarget | Fault::AmbiguousPath | Fault::HeadersTooLarge => {
            (S::BAD_REQUEST, "BAD_REQUEST")
        }
        Fault::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        Fault::CeremonyExpired => (S::BAD_REQUEST, "CHALLENGE_NOT_FOUND"),
        // 404 where the caller named a passkey of their own, 401 at a sign-in.
        Fault::UnknownCredential => (problem.status(), "PASSKEY_NOT_FOUND"),
        Fault::NotVerified | Fault::PasskeyRefused if registering => {
            (S::BAD_REQUEST, "FAILED_TO_VERIFY_REGISTRATION")
        }
        Fault::NotVerified | Fault::PasskeyRefused => (S::UNAUTHORIZED, "AUTHENTICATION_FAILED"),
        Fault::DuplicateCredential => (S::BAD_REQUEST, "PREVIOUSLY_REGISTERED"),
        Fault::LimitReached => (S::BAD_REQUEST, "LIMIT_REACHED"),
        Fault::LastPasskey => (S::BAD_REQUEST, "LAST_PASSKEY"),
        Fault::InvitationInvalid | Fault::Taken | Fault::HasAccount => (S::BAD_REQUEST, "BAD_REQUEST"),
        Fault::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        Fault::Unavailable => (S::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Fault::UnknownHost | Fault::Misdirected => (S::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST"),
        Fault::UpstreamFailed | Fault::UpstreamTimedOut | Fault::Internal => {
            (S::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR")
        }
    };
    problem.said(status, Json(Failure { message: problem.detail().to_owned(), code }))
}

/// Upstream sends JSON without saying so, and a header of its own.
fn too_many(problem: &Problem) -> Response {
    let body = serde_json::json!({ "message": problem.detail() }).to_string();
    let mut response = (StatusCode::TOO_MANY_REQUESTS, body).into_response();
    let wait = HeaderValue::from(problem.retry_after().map_or(1, whole_seconds));
    response.headers_mut().insert(RETRY_AFTER_HERE, wait.clone());
    response.headers_mut().insert(RETRY_AFTER, wait);
    response
}

/// Upstream requires a request with cookies to name its page, and that page has to be trusted. A
/// page without cookies has to be trusted as well, because answers set cookies.
fn from_trusted_page(call: &Call) -> Result<(), Problem> {
    if !call.headers.contains_key(COOKIE) {
        return call.not_cross_site();
    }
    if call.headers.get(ORIGIN).is_none_or(|origin| origin.as_bytes() == b"null") {
        return Err(Problem::new(Fault::NoOrigin, "Missing or null Origin"));
    }
    call.not_cross_site()
}

/// Upstream begins with the place of the mistake. Our reader names a member only if it is missing;
/// for a member of another type it quotes the value.
fn located(detail: &str) -> String {
    if detail.starts_with('[') {
        return detail.to_owned();
    }
    let missing = detail.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`'));
    match missing {
        Some((field, _)) => format!("[body.{field}] {detail}"),
        None => format!("[body] {detail}"),
    }
}

/// Gives the caller the session as a cookie, and its token in a header for callers that use no
/// cookies.
fn hand_over(call: &Call, session: &Session, token: &str, headers: &mut HeaderMap) -> Result<(), Problem> {
    call.set_session_cookie(session, headers)?;
    let token = HeaderValue::from_str(token).map_err(|error| Problem::internal(&error))?;
    headers.insert(SET_AUTH_TOKEN, token);
    headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("set-auth-token"));
    Ok(())
}
