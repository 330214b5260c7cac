//! The passkey API of oCore.

use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use super::Shared;
use crate::web::Problem;

/// Its routes, relative to its mount.
pub fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
}

/// How it says that something went wrong.
pub fn face(problem: &Problem) -> Response {
    problem.clone().into_response()
}
