//! Documents about the relying party, at the addresses that standards prescribe, and keys where
//! applications look for them. Every client may read them, without a cookie.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;

/// How long browsers and password managers may keep them.
const CACHE: &str = "public, max-age=300";

/// Their group in the description.
pub(super) const TAG: (&str, &str) =
    ("documents", "Documents about the relying party, at the addresses that standards prescribe.");

/// The documents, with whole paths.
pub(super) fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(related_origins))
        .routes(routes!(passkey_endpoints))
        .routes(routes!(pomerium_keys))
}

#[derive(Serialize, ToSchema)]
struct RelatedOrigins {
    origins: Vec<String>,
}

/// Every origin that may use our passkeys (WebAuthn Level 3, section 5.11). Only where there are
/// related origins.
#[utoipa::path(get, path = "/.well-known/webauthn", tag = "documents",
    responses((status = 200, body = RelatedOrigins)))]
async fn related_origins(State(gateway): State<Shared>) -> Response {
    cached(&RelatedOrigins { origins: gateway.ground.relying_party().origins().to_vec() })
}

#[derive(Serialize, ToSchema)]
struct PasskeyEndpoints {
    enroll: String,
    manage: String,
}

/// Where people enrol and manage passkeys (W3C, "A Well-Known URL for Relying Party Passkey
/// Endpoints").
#[utoipa::path(get, path = "/.well-known/passkey-endpoints", tag = "documents",
    responses((status = 200, body = PasskeyEndpoints)))]
async fn passkey_endpoints(State(gateway): State<Shared>) -> Response {
    let manage = gateway.ground.place().url("/account");
    cached(&PasskeyEndpoints { enroll: manage.clone(), manage })
}

/// The keys that sign assertions in Pomerium's form, on the application's own host.
#[utoipa::path(get, path = "/.well-known/pomerium/jwks.json", tag = "documents",
    responses((status = 200, body = Object, description = "A JWK set")))]
async fn pomerium_keys(State(gateway): State<Shared>) -> Response {
    cached(&gateway.ground.jwks())
}

fn cached(document: &impl Serialize) -> Response {
    let mut response = Json(document).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::{PASSKEY_ENDPOINTS_PATH, RELATED_ORIGINS_PATH};
    use crate::domain::policy::route::POMERIUM_KEYS_PATH;

    #[test]
    fn documents_are_at_their_well_known_paths() {
        let described = api().into_openapi().paths.paths;
        let paths: Vec<_> = described.keys().map(String::as_str).collect();
        assert_eq!(paths, [PASSKEY_ENDPOINTS_PATH, POMERIUM_KEYS_PATH, RELATED_ORIGINS_PATH]);
    }
}
