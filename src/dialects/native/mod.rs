//! The native API, under the prefix: passkeys, sessions, codes, invitations, keys and health.
//!
//! Shapes are in `shapes`, handlers in `passkeys`, `sessions`, `codes` and `enrolment`. Paths answer with
//! and without a trailing slash. Errors are problem documents (`web/problem.rs`).

mod codes;
mod enrolment;
mod passkeys;
mod sessions;
mod shapes;
mod status;

use axum::extract::State;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::Shared;

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(shapes::Document)))]
struct Shapes;

/// The API for the auth host, with paths relative to the prefix.
pub fn api() -> OpenApiRouter<Shared> {
    let routes: [UtoipaMethodRouter<Shared>; 14] = [
        routes!(codes::verify),
        routes!(passkeys::register_options),
        routes!(passkeys::register_verify),
        routes!(passkeys::authenticate_options),
        routes!(passkeys::authenticate_verify),
        routes!(passkeys::list),
        routes!(passkeys::rename, passkeys::remove),
        routes!(sessions::list, sessions::exchange, sessions::sign_out),
        routes!(sessions::current, sessions::end_current),
        routes!(sessions::permissions),
        routes!(sessions::end_others),
        routes!(sessions::end),
        routes!(enrolment::preview),
        routes!(enrolment::redeem),
    ];
    routes.into_iter().fold(OpenApiRouter::with_openapi(Shapes::openapi()), in_both_spellings)
}

/// What is told about the installation itself, on every host.
pub fn status_api() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(status::health))
        .routes(routes!(status::ready))
        .routes(routes!(status::jwks))
}

/// Adds `routes` with and without a slash at the end; described without.
fn in_both_spellings(
    router: OpenApiRouter<Shared>,
    described: UtoipaMethodRouter<Shared>,
) -> OpenApiRouter<Shared> {
    let (_, paths, methods) = &described;
    let (with_slash, methods): (Vec<_>, _) =
        (paths.paths.keys().map(|path| format!("{path}/")).collect(), methods.clone());
    with_slash.iter().fold(router.routes(described), |router, path| router.route(path, methods.clone()))
}

type App = State<Shared>;
