//! The state of the installation: whether it lives, whether it can work, and its keys.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::shapes::OwnFailures;
use crate::web::Problem;

/// How long applications may keep the key set.
const JWKS_CACHE: &str = "public, max-age=300";

/// The state of the gateway.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Status)]
pub(super) struct Status {
    status: &'static str,
    /// `refused`: the last configuration that was reloaded has mistakes, and the one before it
    /// stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<&'static str>,
}

/// The process answers.
#[utoipa::path(get, path = "/health", tag = "status", responses((status = 200, body = Status)))]
pub(super) async fn health() -> Json<Status> {
    Json(Status { status: "ok", configuration: None })
}

/// 200 when changes can be stored, else 503. Existing sessions work either way.
#[utoipa::path(get, path = "/ready", tag = "status", responses((status = 200, body = Status), OwnFailures))]
pub(super) async fn ready(State(gateway): App) -> Result<Json<Status>, Problem> {
    gateway.ground.health()?;
    let configuration = gateway.ground.is_newer_refused().then_some("refused");
    Ok(Json(Status { status: "ready", configuration }))
}

/// The keys of `X-Vestibule-Assertion` and of access tokens (RFC 7517).
#[utoipa::path(get, path = "/jwks.json", tag = "status",
    responses((status = 200, body = Object, description = "A JWK set")))]
pub(super) async fn jwks(State(gateway): App) -> Response {
    let mut response = Json(gateway.ground.jwks()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
    response
}

/// The public keys of access tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccessTokenKeys)]
pub(super) struct TokenKeys {
    /// The key that signs comes first.
    keys: Vec<TokenKey>,
}

/// A public key of access tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccessTokenKey)]
pub(super) struct TokenKey {
    /// The root key id in a token.
    id: u32,
    algorithm: &'static str,
    /// In hexadecimal.
    public: String,
}

/// The keys with which tools for biscuits read access tokens.
#[utoipa::path(get, path = "/token-keys.json", tag = "status", responses((status = 200, body = TokenKeys)))]
pub(super) async fn token_keys(State(gateway): App) -> Response {
    let keys = gateway.access_tokens.token_keys().into_iter();
    let keys = keys.map(|(id, public)| TokenKey { id, algorithm: "ed25519", public }).collect();
    let mut response = Json(TokenKeys { keys }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
    response
}
