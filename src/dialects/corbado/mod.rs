//! Corbado's Frontend API: a front end's users, their passkeys, and signing in.
//!
//! Handlers are in `configs`, `me`, `passkeys`, `identifiers` and `process`; `shapes`,
//! `passkey_shapes`, `blocks` and `envelope` are their bodies. Any project id is accepted, because
//! there is one project here. Ceremonies are found by the challenge that was signed, since the API
//! has no other carrier for them.
//!
//! What always holds: the session itself is in an `HttpOnly` cookie, which pages of related origins
//! send as well; scripts get a JWT that cannot be prolonged, except where the caller keeps no
//! cookies of ours (`process`).
#![deny(clippy::wildcard_enum_match_arm)]

mod blocks;
mod configs;
mod envelope;
mod identifiers;
mod me;
mod passkey_shapes;
mod passkeys;
mod process;
mod shapes;

use axum::Json;
use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Shared};
use crate::web::{Fault, Problem, cross_origin};
use envelope::{Failure, Kind};

/// The headers of the official client besides `Authorization` and `Content-Type`.
const CLIENT_HEADERS: [&str; 8] = [
    "x-corbado-projectid",
    "x-corbado-sdk",
    "x-corbado-client-timezone",
    "x-corbado-flags",
    "x-corbado-process-id",
    "cache-control",
    "pragma",
    "expires",
];

/// Its routes and its face.
pub(super) const API: Api = Api {
    routes,
    face,
    cors: Some(cors),
    tags: &[(
        "corbado",
        "The users part of Corbado's Frontend API, and the part of its auth process that signing in needs.",
    )],
};

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(Failure)))]
struct Shapes;

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Shapes::openapi())
        .routes(routes!(configs::session_config))
        .routes(routes!(configs::user_details_config))
        .routes(routes!(configs::process_config))
        .routes(routes!(me::show, me::rename, me::remove))
        .routes(routes!(me::refresh))
        .routes(routes!(me::logout))
        .routes(routes!(passkeys::list))
        .routes(routes!(passkeys::append_start))
        .routes(routes!(passkeys::append_finish))
        .routes(routes!(passkeys::remove))
        .routes(routes!(identifiers::add, identifiers::change, identifiers::remove))
        .routes(routes!(identifiers::verify_start))
        .routes(routes!(identifiers::verify_finish))
        .routes(routes!(process::init))
        .routes(routes!(process::show))
        .routes(routes!(process::complete))
        .routes(routes!(process::reset))
        .routes(routes!(process::login_init))
        .routes(routes!(process::login_start))
        .routes(routes!(process::login_finish))
        .routes(routes!(process::mediation_finish))
        .routes(routes!(process::events))
}

/// The pages of other origins that may call it, and how.
fn cors(gateway: &Shared) -> CorsLayer {
    cross_origin::layer(gateway, &CLIENT_HEADERS).expose_headers([RETRY_AFTER])
}

/// The form of its failures: the envelope of all answers, with a type that its client needs.
fn face(problem: &Problem) -> Response {
    let (status, kind) = said(problem);
    problem.said(status, Json(Failure::new(problem, status, kind)))
}

fn said(problem: &Problem) -> (StatusCode, Kind) {
    use StatusCode as S;
    match problem.fault() {
        Fault::Unauthenticated => (S::UNAUTHORIZED, Kind::LoginError),
        Fault::NotFresh
        | Fault::StepUpRequired
        | Fault::NotPermitted
        | Fault::NetworkBanned
        | Fault::Forbidden
        | Fault::TokenNotForThis
        | Fault::TokenShowsNoPasskey
        | Fault::UpgradeRefused => (S::FORBIDDEN, Kind::LoginError),
        Fault::WrongOrigin | Fault::NoOrigin => (S::FORBIDDEN, Kind::InvalidOrigin),
        Fault::InvalidJson => (S::BAD_REQUEST, Kind::InvalidJson),
        Fault::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, Kind::InvalidJson),
        Fault::Malformed
        | Fault::MalformedTarget
        | Fault::AmbiguousPath
        | Fault::CeremonyExpired
        | Fault::NotVerified
        | Fault::PasskeyRefused
        | Fault::DuplicateCredential
        | Fault::LimitReached
        | Fault::LastPasskey
        | Fault::InvitationInvalid
        | Fault::TokenInvalid
        | Fault::Taken
        | Fault::HasAccount => (S::BAD_REQUEST, Kind::ValidationError),
        Fault::UnknownCredential | Fault::NotFound => (S::NOT_FOUND, Kind::NotFound),
        Fault::ProcessUnknown => (S::NOT_FOUND, Kind::ProcessNotAvailable),
        Fault::UnknownHost | Fault::Misdirected => (S::MISDIRECTED_REQUEST, Kind::NotFound),
        Fault::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, Kind::MethodNotAllowed),
        Fault::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, Kind::ValidationError),
        Fault::HeadersTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, Kind::ValidationError),
        Fault::RateLimited => (S::TOO_MANY_REQUESTS, Kind::RateLimited),
        Fault::Unavailable => (S::SERVICE_UNAVAILABLE, Kind::InternalError),
        Fault::Internal | Fault::UpstreamFailed | Fault::UpstreamTimedOut => {
            (S::INTERNAL_SERVER_ERROR, Kind::InternalError)
        }
    }
}
