//! Access tokens of all users: listing and revoking them.
//!
//! What does not live here: making tokens, which only their owners and operators do.
//!
//! What always holds: every call asks for an administrator's authority first, and no answer has a
//! token in it.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::Administrator;
use super::shapes::Failures;
use crate::dialects::native::access_tokens::TokenShape;
use crate::dialects::native::{App, Asked, Named};
use crate::domain::id::{AccessTokenId, UserId};
use crate::web::Problem;

/// The tokens to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Only tokens of the user with this id.
    user: Option<String>,
}

/// The access tokens that can be used, newest first.
#[utoipa::path(get, path = "/admin/v1/tokens", tag = "admin", params(Whose),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<TokenShape>), Failures))]
pub(super) async fn list(
    State(gateway): App,
    _: Administrator,
    Asked(Whose { user }): Asked<Whose>,
) -> Result<Json<Vec<TokenShape>>, Problem> {
    let tokens = match user.as_deref().map(UserId::parse) {
        None => gateway.access_tokens.all_tokens(),
        Some(Ok(user)) => gateway.access_tokens.tokens_of(&user),
        Some(Err(_)) => return Err(Problem::malformed("`user` is an id.")),
    };
    Ok(Json(tokens.iter().map(|token| TokenShape::from(&**token)).collect()))
}

/// Revokes an access token: it does not work any more.
#[utoipa::path(delete, path = "/admin/v1/tokens/{id}", tag = "admin",
    params(("id" = String, Path, description = "As listed")),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "It is revoked"), Failures))]
pub(super) async fn revoke(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Named(id): Named<AccessTokenId>,
) -> Result<StatusCode, Problem> {
    gateway.access_tokens.revoke_token(&authority, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
