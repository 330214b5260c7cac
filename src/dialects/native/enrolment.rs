//! Invitations and set-up: showing what a link does, and using it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::shapes::{Failures, SignedInShape};
use crate::domain::session::token::Carrier;
use crate::flows::FlowError;
use crate::flows::sign_in::enroll::{Introduction, Offer};
use crate::web::Problem;
use crate::web::guard::Trusted;
use crate::web::json::Body;

/// Body of preview.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::Preview)]
pub(super) struct Preview {
    token: String,
}

/// What a link does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::Offer)]
pub(super) struct OfferShape {
    /// `setup` or `invitation`.
    kind: &'static str,
    #[schema(required)]
    email: Option<String>,
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    invited_by: Option<String>,
    expires_at: String,
}

/// What a link does. The link can still be used afterwards.
#[utoipa::path(post, path = "/invitations/preview", tag = "native", request_body = Preview,
    responses((status = 200, body = OfferShape), Failures))]
pub(super) async fn preview(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(Preview { token }): Body<Preview>,
) -> Result<Json<OfferShape>, Problem> {
    Ok(Json(match gateway.sign_in.preview(&token, &call.visit).await? {
        Offer::Setup { expires_at } => OfferShape {
            kind: "setup",
            email: None,
            name: None,
            invited_by: None,
            expires_at: expires_at.to_rfc3339(),
        },
        Offer::Invitation(invitation) => OfferShape {
            kind: "invitation",
            email: Some(invitation.email.to_string()),
            name: invitation.display_name.as_ref().map(ToString::to_string),
            invited_by: Some(invitation.invited_by.clone()),
            expires_at: invitation.expires_at.to_rfc3339(),
        },
    }))
}

/// Body of redeem.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::Redeem)]
pub(super) struct Redeem {
    /// The part of a link after its `#`.
    token: String,
    /// Needed with the set-up secret; ignored with an invitation.
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// Uses a link: the answer is a session that may only add a passkey. It becomes a full session when
/// the passkey is there.
#[utoipa::path(post, path = "/invitations/redeem", tag = "native", request_body = Redeem,
    responses((status = 201, body = SignedInShape), Failures))]
pub(super) async fn redeem(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(Redeem { token, email, name }): Body<Redeem>,
) -> Result<Response, Problem> {
    let device = call.device();
    let name = name.filter(|name| !name.trim().is_empty());
    let before = call.identify()?.map(|caller| caller.session);
    let introduction = Introduction { email, name };
    let redeemed = gateway.sign_in.redeem(&token, &introduction, before, &call.visit, &device).await?;
    let shape = SignedInShape {
        token: gateway.sessions.token(&redeemed.session, Carrier::Bearer).map_err(FlowError::from)?,
        user: (&redeemed.user).into(),
    };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    if !call.has_authorization() {
        call.set_session_cookie(&redeemed.session, response.headers_mut())?;
    }
    Ok(response)
}
