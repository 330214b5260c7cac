//! Links with which the caller adds a passkey on another device: told, or sent by mail.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::Empty;
use super::shapes::{Details, Done, Failures, LinkResponse, Nothing};
use crate::dialects::Shared;
use crate::flows::FlowError;
use crate::web::Problem;
use crate::web::guard::SignedIn;

/// `AddMyPasswordlessLink`: a link for the caller. An earlier link stops working.
#[utoipa::path(post, path = "/users/me/passwordless/_link", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    request_body = Option<Nothing>, responses((status = 200, body = LinkResponse), Failures))]
pub(super) async fn link(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    _: Empty,
) -> Result<Json<LinkResponse>, Problem> {
    let invited = gateway.accounts.make_own_link(&caller.record(), &call.visit).await?;
    Ok(Json(LinkResponse::new(&gateway, &invited.invitation, gateway.messages.link_of(&invited))))
}

/// `SendMyPasswordlessLink`: sends such a link to the caller's address.
#[utoipa::path(post, path = "/users/me/passwordless/_send_link", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    request_body = Option<Nothing>, responses((status = 200, body = Done), Failures))]
pub(super) async fn send_link(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    _: Empty,
) -> Result<Json<Done>, Problem> {
    let sent = gateway.accounts.mail_own_link(&caller.record(), &call.visit).await;
    let invitation = sent.map_err(|error| {
        let is_missing = matches!(error, FlowError::NoMail);
        let problem = Problem::from(error);
        if is_missing { problem.with_status(StatusCode::BAD_REQUEST) } else { problem }
    })?;
    Ok(Json(Done { details: Details::created(&gateway, invitation.created_at) }))
}
