//! Access tokens of all users: listing and revoking them.
//!
//! What does not live here: making tokens, which only their owners and operators do.
//!
//! What always holds: every call asks for an administrator's authority first, and no answer has a
//! token in it.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::Administrator;
use super::lists::{Listed, part};
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
    /// From 1 to 200 [default: 50].
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `after` of the `Link` header of the page before.
    after: Option<String>,
}

/// A page of the access tokens that can be used, the newest of the page first.
#[utoipa::path(get, path = "/admin/v1/tokens", tag = "admin", params(Whose),
    security(("bearer" = []), ("cookie" = [])),
    responses(
        (status = 200, body = Vec<TokenShape>, headers(("Link" = String, description = "The next page"))),
        Failures,
    ))]
pub(super) async fn list(
    State(gateway): App,
    _: Administrator,
    Asked(whose): Asked<Whose>,
) -> Result<Listed<TokenShape>, Problem> {
    let user = whose.user.as_deref().map(UserId::parse).transpose();
    let user = user.map_err(|_| Problem::malformed("`user` is an id."))?;
    let part = part(whose.limit, whose.after.as_deref())?;
    let page = gateway.administration.list_tokens(user.as_ref(), &part).await?;
    let filters: Vec<_> = whose.user.iter().map(|user| ("user", user.as_str())).collect();
    Ok(Listed::new(page, &part, &filters, |token| TokenShape::from(&*token)))
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
