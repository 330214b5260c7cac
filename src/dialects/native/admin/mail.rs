//! Mail: whether it arrives.
//!
//! What does not live here: the message and its delivery (`flows/administration/mail.rs`).
//!
//! What always holds: a test goes to the administrator's own address and to no other.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Administrator;
use super::shapes::Failures;
use crate::dialects::native::App;
use crate::dialects::native::shapes::Document;
use crate::web::Problem;

/// The address that a message went to.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::TestMail)]
pub(super) struct TestMail {
    to: String,
}

/// Sends a test message to the caller's own address. 404 if the gateway sends no mail.
#[utoipa::path(post, path = "/admin/v1/mail/test", tag = "admin",
    security(("bearer" = []), ("cookie" = [])),
    responses(
        (status = 202, body = TestMail),
        (status = 429, body = Document, content_type = "application/problem+json",
            description = "Too many messages; `Retry-After` says when to come back"),
        Failures,
    ))]
pub(super) async fn test(
    State(gateway): App,
    Administrator { authority, caller, call }: Administrator,
) -> Result<(StatusCode, Json<TestMail>), Problem> {
    let to = gateway.administration.post_test(&authority, &caller.record(), &call.visit).await?;
    Ok((StatusCode::ACCEPTED, Json(TestMail { to: to.to_string() })))
}
