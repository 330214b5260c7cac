//! Documents about the relying party, at the addresses that standards prescribe. Anybody may read
//! them, without a cookie.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::Shared;
use crate::domain::place::{PASSKEY_ENDPOINTS_PATH, RELATED_ORIGINS_PATH};

/// How long browsers and password managers may keep them.
const CACHE: &str = "public, max-age=300";

/// The documents, with whole paths.
pub fn router(gateway: Shared) -> Router {
    Router::new()
        .route(RELATED_ORIGINS_PATH, get(related_origins))
        .route(PASSKEY_ENDPOINTS_PATH, get(passkey_endpoints))
        .with_state(gateway)
}

/// Every origin that may use our passkeys (WebAuthn Level 3, section 5.11).
async fn related_origins(State(gateway): State<Arc<crate::flows::Gateway>>) -> Response {
    cached(json!({ "origins": gateway.relying_party().origins() }))
}

/// Where people enrol and manage passkeys (W3C, "A Well-Known URL for Relying Party Passkey
/// Endpoints").
async fn passkey_endpoints(State(gateway): State<Arc<crate::flows::Gateway>>) -> Response {
    let manage = gateway.place().url("/account");
    cached(json!({ "enroll": manage, "manage": manage }))
}

fn cached(document: Value) -> Response {
    let mut response = Json(document).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}
