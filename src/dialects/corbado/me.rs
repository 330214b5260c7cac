//! The signed-in user and their session; and deleting the account.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::envelope::{Done, Failures};
use super::shapes::{Me, Refreshed, Rename};
use crate::dialects::Shared;
use crate::domain::user::DisplayName;
use crate::web::Problem;
use crate::web::call::Call;
use crate::web::guard::{Known, SignedIn, Trusted};
use crate::web::json::Body;

/// The caller and their identifiers.
#[utoipa::path(get, path = "/me", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = Me), Failures))]
pub(super) async fn show(
    State(gateway): State<Shared>,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Me>, Problem> {
    let identifiers = gateway.accounts.identifiers_of(&caller.user).await?;
    Ok(Json(Me::new(&caller.user, &identifiers)))
}

/// Gives the caller another name.
#[utoipa::path(patch, path = "/me", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = Rename,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn rename(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Body(Rename { full_name }): Body<Rename>,
) -> Result<Json<Done>, Problem> {
    let name =
        DisplayName::parse(&full_name).map_err(|error| Problem::malformed(format!("`fullName`: {error}")))?;
    gateway.accounts.rename_person(&caller.record(), &name, &call.visit).await?;
    Ok(Json(Done::new(&call)))
}

/// Deletes the caller's account with its passkeys, sessions and data.
#[utoipa::path(delete, path = "/me", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = Done), Failures))]
pub(super) async fn remove(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
) -> Result<Response, Problem> {
    gateway.accounts.delete_account(&caller.record(), &call.visit).await?;
    let mut response = Json(Done::new(&call)).into_response();
    call.clear_session_cookie(response.headers_mut());
    Ok(response)
}

/// A new session token for a caller with the session itself: with its cookie, its refresh token or
/// its opaque token, and not with a session token. Sets the cookie, so that it works alone from
/// then on.
#[utoipa::path(post, path = "/me/refresh", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Refreshed), Failures))]
pub(super) async fn refresh(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
) -> Result<Response, Problem> {
    let caller = call.identify_lasting()?.and_then(Known::fully).ok_or_else(Problem::unauthenticated)?;
    caller.session.touch(gateway.ground.clock().now());
    let token = gateway.sessions.access_token(&caller.record(), &caller.user)?;
    let mut response = Json(Refreshed::new(token)).into_response();
    call.set_session_cookie(&caller.record(), response.headers_mut())?;
    Ok(response)
}

/// Signs out. Anonymous clients get the same answer.
#[utoipa::path(post, path = "/me/logout", tag = "corbado", responses((status = 204), Failures))]
pub(super) async fn logout(call: Call) -> Result<Response, Problem> {
    call.sign_out(StatusCode::NO_CONTENT).await
}
