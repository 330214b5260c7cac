//! The native API, under the prefix: passkeys, sessions, invitations, keys and health.
//!
//! Shapes are in `shapes`, handlers in `passkeys`, `sessions` and `enrolment`. Paths answer with
//! and without a trailing slash. Errors are problem documents (`web/problem.rs`).

mod enrolment;
mod passkeys;
mod sessions;
mod shapes;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::routing::{MethodRouter, delete, get, patch, post};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::flows::Gateway;
use crate::flows::admit::Visit;
use crate::web::Problem;
use crate::web::guard::{self, SignedIn};

type Shared = Arc<Gateway>;

/// The API for the auth host, with paths relative to the prefix.
pub fn router(gateway: Shared) -> Router {
    let routes: [(&str, MethodRouter<Shared>); 12] = [
        ("/passkeys/register/options", post(passkeys::register_options)),
        ("/passkeys/register/verify", post(passkeys::register_verify)),
        ("/passkeys/authenticate/options", post(passkeys::authenticate_options)),
        ("/passkeys/authenticate/verify", post(passkeys::authenticate_verify)),
        ("/passkeys", get(passkeys::list)),
        ("/passkeys/{id}", patch(passkeys::rename).merge(delete(passkeys::remove))),
        ("/sessions", get(sessions::list).post(sessions::exchange).delete(sessions::sign_out)),
        ("/sessions/current", get(sessions::current).delete(sessions::sign_out)),
        ("/sessions/others", delete(sessions::end_others)),
        ("/sessions/{id}", delete(sessions::end)),
        ("/invitations/preview", post(enrolment::preview)),
        ("/invitations/redeem", post(enrolment::redeem)),
    ];
    let both_spellings = |router: Router<Shared>, (path, methods): (&str, MethodRouter<Shared>)| {
        let methods = methods.fallback(wrong_method);
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    };
    routes.into_iter().fold(Router::new(), both_spellings).with_state(gateway)
}

/// What is told about the installation itself, on every host.
pub fn status_router(gateway: Shared) -> Router {
    Router::new()
        .route("/health", get(status::health).fallback(wrong_method))
        .route("/ready", get(status::ready).fallback(wrong_method))
        .route("/jwks.json", get(status::jwks).fallback(wrong_method))
        .with_state(gateway)
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed()
}

/// What every handler needs to know of a request, apart from its body.
struct Call {
    visit: Visit,
    method: Method,
    headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // The proxy has noted where the request came in; without it nothing may be answered.
        let visit = parts.extensions.get::<Visit>().cloned().ok_or_else(Problem::unauthenticated)?;
        Ok(Self { visit, method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

impl Call {
    fn signed_in(&self, gateway: &Gateway) -> Result<SignedIn, Problem> {
        guard::signed_in(gateway, &self.visit, &self.method, &self.headers)
    }

    fn enrolling_or_signed_in(&self, gateway: &Gateway) -> Result<SignedIn, Problem> {
        guard::enrolling_or_signed_in(gateway, &self.visit, &self.method, &self.headers)
    }

    fn identify(&self, gateway: &Gateway) -> Result<Option<SignedIn>, Problem> {
        guard::identify(gateway, &self.visit, &self.method, &self.headers)
    }
}

type App = State<Shared>;
