//! Signing up: asking for a code, and making an account with it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::shapes::{Failures, SignedInShape};
use crate::domain::cookie::Cookie;
use crate::domain::id::CodeId;
use crate::domain::session::token::Carrier;
use crate::domain::user::{DisplayName, Email};
use crate::flows::FlowError;
use crate::flows::sign_in::codes::Guess;
use crate::web::guard::Trusted;
use crate::web::json::Body;
use crate::web::{Problem, cookies};

/// Body of a request for an account.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::SignUp)]
pub(super) struct SignUpBody {
    email: String,
}

/// Sends a code, if an account can be made for this address. The answer is 201 without a body
/// either way, with the cookie that ties the code to this browser. 404 if sign-up is off.
#[utoipa::path(post, path = "/signup", tag = "native", request_body = SignUpBody,
    responses((status = 201, description = "On its way, if there is no account with this address"), Failures))]
pub(super) async fn request(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(SignUpBody { email }): Body<SignUpBody>,
) -> Result<Response, Problem> {
    let id = gateway.sign_in.request_sign_up(&email, &call.visit).await?;
    let mut response = StatusCode::CREATED.into_response();
    cookies::append(response.headers_mut(), cookies::code(gateway.ground.place(), &id));
    Ok(response)
}

/// Body of a confirmation.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ConfirmSignUp)]
pub(super) struct ConfirmBody {
    email: String,
    /// From the message.
    code: String,
    /// 1 to 200 characters; default from the address.
    name: Option<String>,
}

/// Makes the account. Its session may add the first passkey, and is a full session afterwards.
#[utoipa::path(post, path = "/signup/confirm", tag = "native", request_body = ConfirmBody,
    responses((status = 201, body = SignedInShape), Failures))]
pub(super) async fn confirm(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(ConfirmBody { email, code, name }): Body<ConfirmBody>,
) -> Result<Response, Problem> {
    Email::parse(&email).map_err(FlowError::from)?;
    let name = name.filter(|name| !name.trim().is_empty());
    let name = name.as_deref().map(DisplayName::parse).transpose().map_err(FlowError::from)?;
    let id = call.cookie(Cookie::Code);
    let guess = Guess { id: id.and_then(|id| CodeId::parse(id).ok()), email: &email, code: &code };
    let before = call.identify()?.map(|caller| caller.session);
    let made =
        gateway.sign_in.confirm_sign_up(guess, name.as_ref(), before, &call.visit, &call.device()).await?;
    let token = gateway.sessions.token(&made.session, Carrier::Bearer).map_err(FlowError::from)?;
    let shape = SignedInShape { token, user: (&made.user).into() };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    call.set_session_cookie(&made.session, response.headers_mut())?;
    cookies::append(response.headers_mut(), cookies::expire(gateway.ground.place(), Cookie::Code));
    Ok(response)
}
