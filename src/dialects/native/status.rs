//! What is told about the installation: whether it lives, whether it can work, and its keys.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::App;
use crate::web::Problem;

/// How long applications may keep the key set.
const JWKS_CACHE: &str = "public, max-age=300";

/// `GET /health`: the process answers.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /ready`: 200 when changes can be stored, else 503. Existing sessions work either way.
pub(super) async fn ready(State(gateway): App) -> Result<Json<Value>, Problem> {
    gateway.health()?;
    Ok(Json(json!({ "status": "ready" })))
}

/// `GET /jwks.json`: the keys of `X-Vestibule-Assertion` (RFC 7517).
pub(super) async fn jwks(State(gateway): App) -> Response {
    let mut response = Json(gateway.jwks()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
    response
}
