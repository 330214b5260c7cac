//! One-time codes by mail: asking for one. They are given back at `POST /sessions`.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;

use super::App;
use crate::web::call::Call;
use crate::web::{Problem, cookies, json};

#[derive(Deserialize)]
struct Verify {
    email: String,
}

/// `POST /verify` with `{"email"}`: 201 without a body, and the cookie that ties the code to this
/// browser; the same whether or not somebody has this address.
pub(super) async fn verify(State(gateway): App, call: Call, body: Bytes) -> Result<Response, Problem> {
    call.not_cross_site(&gateway)?;
    let Verify { email } = json::read(&call.headers, &body)?;
    let id = gateway.request_code(&email, &call.visit).await?;
    let mut response = StatusCode::CREATED.into_response();
    cookies::append(response.headers_mut(), cookies::code(gateway.place(), &id));
    Ok(response)
}
