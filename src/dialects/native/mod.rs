//! The native API, under the prefix: passkeys, sessions, codes, invitations, keys and health.
//!
//! Shapes are in `shapes`, handlers in `passkeys`, `sessions`, `codes`, `signup`, `recoveries`,
//! `recovery_codes`, `access_tokens`, `device_links`, `enrolment` and `account`; administrators'
//! endpoints are in `admin`. Paths answer with and without a trailing slash. Errors are problem
//! documents (`web/problem.rs`).

mod access_tokens;
mod account;
mod admin;
mod codes;
mod device_links;
mod enrolment;
mod passkeys;
mod recoveries;
mod recovery_codes;
mod sessions;
mod shapes;
mod signup;
mod status;

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::IntoResponse as _;
use http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::{Api, Shared};
use crate::flows::administration::paging::Cursor;
use crate::web::Problem;

/// Its routes and its face.
pub(super) const API: Api = Api {
    routes: || routes().merge(status_routes()),
    face: |problem| problem.clone().into_response(),
    cors: None,
    tags: &[
        ("native", "Passkeys, sessions, codes and invitations; the built-in pages use it."),
        (
            "admin",
            "For administrators who have shown a passkey a short time ago: users, invitations, sessions, bans and the audit trail.",
        ),
        ("status", "Whether the gateway runs and can work, and the keys with which it signs. On every host."),
    ],
};

/// Shapes that no handler names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(shapes::Document)))]
struct Shapes;

/// The API for the auth host, with paths relative to the prefix.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    let routes: [UtoipaMethodRouter<Shared>; 32] = [
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
        routes!(signup::request),
        routes!(signup::confirm),
        routes!(account::edit, account::delete),
        routes!(account::announce_address),
        routes!(account::confirm_address),
        routes!(account::audit),
        routes!(account::data),
        routes!(access_tokens::list, access_tokens::make),
        routes!(access_tokens::revoke),
        routes!(device_links::state, device_links::offer, device_links::withdraw),
        routes!(device_links::confirm),
        routes!(device_links::ask),
        routes!(device_links::join),
        routes!(recoveries::list),
        routes!(recoveries::cancel),
        routes!(recoveries::cancel_by_link),
        routes!(recovery_codes::left, recovery_codes::make),
        routes!(recovery_codes::redeem),
    ];
    let own = routes.into_iter().fold(OpenApiRouter::with_openapi(Shapes::openapi()), in_both_spellings);
    own.merge(admin::routes())
}

/// The endpoints about the installation itself, on every host.
pub(super) fn status_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(status::health))
        .routes(routes!(status::ready))
        .routes(routes!(status::jwks))
        .routes(routes!(status::token_keys))
}

/// Adds `routes` with and without a slash at the end; described without.
pub(super) fn in_both_spellings(
    router: OpenApiRouter<Shared>,
    described: UtoipaMethodRouter<Shared>,
) -> OpenApiRouter<Shared> {
    let (_, paths, methods) = &described;
    let (with_slash, methods): (Vec<_>, _) =
        (paths.paths.keys().map(|path| format!("{path}/")).collect(), methods.clone());
    with_slash.iter().fold(router.routes(described), |router, path| router.route(path, methods.clone()))
}

type App = State<Shared>;

/// The id in an address, or a tuple of ids. An unreadable id counts as unknown.
struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|_| Problem::not_found())
    }
}

/// The query of a request.
struct Asked<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Self(asked)).map_err(|error| Problem::malformed(error.body_text()))
    }
}

/// The cursor of a page, as the page before gave it.
fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let read =
        |text| Cursor::parse(text).ok_or_else(|| Problem::malformed("`after` is the `next` of a page."));
    text.filter(|text| !text.is_empty()).map(read).transpose()
}
