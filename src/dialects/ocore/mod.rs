//! The passkey API of oCore: signing in, and the caller's passkeys.
//!
//! Its document says little about bodies and nothing about a carrier for the challenge. So options
//! are wrapped in `publicKey`, answers are taken bare or wrapped, and a ceremony is found by its
//! challenge; a cookie is set beside it, has to match if it comes back, and makes a sign-in set the
//! session cookie.
#![deny(clippy::wildcard_enum_match_arm)]

mod login;
mod passkeys;
mod shapes;

use axum::Json;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Shared};
use crate::domain::ceremony::claimed_ceremony;
use crate::domain::id::CeremonyId;
use crate::web::{Fault, Problem};
use shapes::Failure;

/// Its routes and its face.
pub(super) const API: Api = Api { routes, face, cors: None, tags: &[("ocore", "The passkey API of oCore.")] };

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(Failure)))]
struct Shapes;

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Shapes::openapi())
        .routes(routes!(login::begin))
        .routes(routes!(login::finish))
        .routes(routes!(passkeys::list))
        .routes(routes!(passkeys::register_begin))
        .routes(routes!(passkeys::register_finish))
        .routes(routes!(passkeys::rename, passkeys::remove))
}

/// The form of its failures: `error`, the same as `message`, and a word for programs.
fn face(problem: &Problem) -> Response {
    let status = status(problem);
    let sentence = problem.detail().to_owned();
    problem.said(status, Json(Failure { error: sentence.clone(), message: sentence, code: problem.code() }))
}

fn status(problem: &Problem) -> StatusCode {
    use StatusCode as S;
    match problem.fault() {
        Fault::Malformed
        | Fault::InvalidJson
        | Fault::CeremonyExpired
        | Fault::InvitationInvalid
        | Fault::MalformedTarget
        | Fault::AmbiguousPath => S::BAD_REQUEST,
        // 401 at a sign-in, 400 at a registration: the handler says which.
        Fault::Unauthenticated
        | Fault::TokenInvalid
        | Fault::ProcessUnknown
        | Fault::UnknownCredential
        | Fault::NotVerified
        | Fault::PasskeyRefused
        | Fault::WrongOrigin
        | Fault::NoOrigin
        | Fault::NotFresh
        | Fault::StepUpRequired
        | Fault::NotPermitted
        | Fault::UnsupportedMediaType
        | Fault::DuplicateCredential
        | Fault::LimitReached
        | Fault::LastPasskey
        | Fault::Taken
        | Fault::HasAccount
        | Fault::NotFound
        | Fault::MethodNotAllowed
        | Fault::BodyTooLarge
        | Fault::HeadersTooLarge
        | Fault::RateLimited
        | Fault::NetworkBanned
        | Fault::Unavailable
        | Fault::Internal
        | Fault::Forbidden
        | Fault::TokenNotForThis
        | Fault::TokenShowsNoPasskey
        | Fault::UnknownHost
        | Fault::Misdirected
        | Fault::UpgradeRefused
        | Fault::UpstreamFailed
        | Fault::UpstreamTimedOut => problem.status(),
    }
}

/// How a browser is tied to a ceremony.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// Its cookie came back.
    Cookie,
    /// It has shown no cookie.
    None,
}

/// The credential in a body, whatever is wrapped around it.
fn unwrapped(mut body: Value) -> Value {
    for wrapper in ["credential", "publicKeyCredential"] {
        if let Some(inner) = body.get_mut(wrapper).filter(|inner| !inner.is_null()) {
            return inner.take();
        }
    }
    // A credential has a `response` too; a wrapped one has an id inside of it.
    match body.get_mut("response") {
        Some(inner) if inner.get("id").is_some() || inner.is_string() => inner.take(),
        _ => body,
    }
}

/// The ceremony that an answer belongs to, where the browser's cookie names `own`. If the cookie
/// names another ceremony than the answer does, the answer is an attempt at the cookie's ceremony.
fn ceremony_of(own: Option<CeremonyId>, answer: &Value) -> (Option<CeremonyId>, Tie, Fits) {
    let claimed = claimed_ceremony(answer);
    match own {
        None => (claimed, Tie::None, Fits::Yes),
        Some(_) if claimed == own => (claimed, Tie::Cookie, Fits::Yes),
        Some(_) => (own, Tie::None, Fits::No),
    }
}

/// Whether the cookie that came back names the ceremony that was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    Yes,
    No,
}

impl Fits {
    fn check(self) -> Result<(), Problem> {
        match self {
            Self::Yes => Ok(()),
            Self::No => {
                Err(Problem::new(Fault::CeremonyExpired, "This attempt was begun by another browser."))
            }
        }
    }
}
