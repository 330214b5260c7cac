//! One-time codes by mail: asking for one. They are given back at `POST /sessions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::shapes::Failures;
use crate::web::guard::Trusted;
use crate::web::json::Body;
use crate::web::{Problem, cookies};

/// Body of verify.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::Verify)]
pub(super) struct Verify {
    email: String,
}

/// Sends a one-time code, if an account has this address. The answer is 201 without a body either
/// way, with the cookie that ties the code to this browser. 404 if the gateway sends no mail.
#[utoipa::path(post, path = "/verify", tag = "native", request_body = Verify,
    responses((status = 201, description = "On its way, if an account has this address"), Failures))]
pub(super) async fn verify(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(Verify { email }): Body<Verify>,
) -> Result<Response, Problem> {
    let id = gateway.sign_in.request_code(&email, &call.visit).await?;
    let mut response = StatusCode::CREATED.into_response();
    cookies::append(response.headers_mut(), cookies::code(gateway.ground.place(), &id));
    Ok(response)
}
