//! The native API, under the prefix: passkeys, sessions, invitations, keys and health.
//!
//! Shapes are in `shapes`, handlers in `passkeys`, `sessions` and `enrolment`. Paths answer with
//! and without a trailing slash. Errors are problem documents (`web/problem.rs`).

mod codes;
mod enrolment;
mod passkeys;
mod sessions;
mod shapes;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, delete, get, patch, post};

use crate::flows::Gateway;
use crate::web::Problem;

type Shared = Arc<Gateway>;

/// The API for the auth host, with paths relative to the prefix.
pub fn router(gateway: Shared) -> Router {
    let routes: [(&str, MethodRouter<Shared>); 13] = [
        ("/verify", post(codes::verify)),
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

type App = State<Shared>;
