//! The passkey API of better-auth.

use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use tower_http::cors::CorsLayer;

use super::Shared;
use crate::web::{Problem, cross_origin};

/// Its routes, relative to its mount.
pub fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
}

/// How it says that something went wrong.
pub fn face(problem: &Problem) -> Response {
    problem.clone().into_response()
}

/// Which pages of other origins may call it, and how.
pub fn cors(gateway: &Shared) -> CorsLayer {
    cross_origin::layer(gateway, &[])
}
