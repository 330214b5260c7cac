//! Invitations and set-up: showing what a link is good for, and using it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::App;
use super::shapes::SignedInShape;
use crate::domain::session::token::Carrier;
use crate::flows::FlowError;
use crate::flows::enroll::{Introduction, Offer};
use crate::web::call::Call;
use crate::web::guard;
use crate::web::session_cookie::welcome;
use crate::web::{Problem, json};

#[derive(Deserialize)]
struct Preview {
    token: String,
}

/// What a link is good for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfferShape {
    kind: &'static str,
    email: Option<String>,
    name: Option<String>,
    invited_by: Option<String>,
    expires_at: String,
}

/// `POST /invitations/preview` with `{"token"}`: what the secret is good for. Uses nothing up.
pub(super) async fn preview(
    State(gateway): App,
    call: Call,
    body: Bytes,
) -> Result<Json<OfferShape>, Problem> {
    call.not_cross_site(&gateway)?;
    let Preview { token } = json::read(&call.headers, &body)?;
    Ok(Json(match gateway.preview(&token, &call.visit).await? {
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

#[derive(Deserialize)]
struct Redeem {
    token: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// `POST /invitations/redeem` with `{"token", "email"?, "name"?}`: 201 with a session that may
/// only enrol a passkey. `email` is needed with the set-up secret and ignored with an invitation.
pub(super) async fn redeem(State(gateway): App, call: Call, body: Bytes) -> Result<Response, Problem> {
    call.not_cross_site(&gateway)?;
    let Redeem { token, email, name } = json::read(&call.headers, &body)?;
    let device = guard::device(&call.headers);
    let name = name.filter(|name| !name.trim().is_empty());
    let before = call.identify(&gateway)?.map(|caller| caller.session);
    let introduction = Introduction { email, name };
    let redeemed = gateway.redeem(&token, &introduction, before, &call.visit, &device).await?;
    let shape = SignedInShape {
        token: gateway.token(&redeemed.session, Carrier::Bearer).map_err(FlowError::from)?,
        user: (&redeemed.user).into(),
    };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    if !guard::has_authorization(&call.headers) {
        welcome(&gateway, &call.visit, &redeemed.session, response.headers_mut())?;
    }
    Ok(response)
}
