//! Registering and signing in.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::shapes::{Failures, Passkey, RegisterQuery, SignedIn, VerifyAuthentication, VerifyRegistration};
use super::{from_trusted_page, hand_over};
use crate::dialects::Shared;
use crate::domain::ceremony::descriptor;
use crate::domain::credential::{CredentialName, Planned};
use crate::domain::session::token::Carrier;
use crate::flows::sign_in::passkey::Attempt;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::Known;
use crate::web::{Problem, json as body_json};

/// Options for a new passkey of the caller, and the challenge cookie.
#[utoipa::path(get, path = "/passkey/generate-register-options", tag = "better-auth",
    security(("bearer" = []), ("cookie" = [])), params(RegisterQuery),
    responses((status = 200, body = Object, description = "PublicKeyCredentialCreationOptionsJSON"), Failures))]
pub(super) async fn generate_register_options(
    State(gateway): State<Shared>,
    call: Call,
    query: Result<Query<RegisterQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::malformed(format!("[query] {error}")))?;
    let caller = call.enrolling_or_signed_in()?;
    let label = query.name.as_deref().filter(|name| !name.trim().is_empty()).map(CredentialName::parse);
    let label = label.transpose().map_err(|error| Problem::malformed(format!("[query.name] {error}")))?;
    let planned = Planned { label, made_with: call.program(), ..Planned::default() };
    let (ceremony, mut options) =
        gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    if let (Some(attachment), Some(selection)) =
        (query.authenticator_attachment, options.0.get_mut("authenticatorSelection"))
    {
        selection["authenticatorAttachment"] = attachment.as_str().into();
    }
    Ok(call.begun(&ceremony, Json(options.0)))
}

/// Options for a sign-in, and the challenge cookie. Only a caller who is signed in is told which
/// passkeys they have.
#[utoipa::path(get, path = "/passkey/generate-authenticate-options", tag = "better-auth",
    responses((status = 200, body = Object, description = "PublicKeyCredentialRequestOptionsJSON"), Failures))]
pub(super) async fn get_authenticate_options(
    State(gateway): State<Shared>,
    call: Call,
) -> Result<Response, Problem> {
    // A picture or a link on another site would spend the attempts of the visitor's network, and
    // replace the challenge of a sign-in that has begun.
    call.not_cross_site()?;
    authenticate_options(&gateway, &call).await
}

/// The same for clients before 1.4.1, which send no body and no content type.
#[utoipa::path(post, path = "/passkey/generate-authenticate-options", tag = "better-auth",
    responses((status = 200, body = Object, description = "PublicKeyCredentialRequestOptionsJSON"), Failures))]
pub(super) async fn post_authenticate_options(
    State(gateway): State<Shared>,
    call: Call,
) -> Result<Response, Problem> {
    from_trusted_page(&call)?;
    authenticate_options(&gateway, &call).await
}

async fn authenticate_options(gateway: &Gateway, call: &Call) -> Result<Response, Problem> {
    let caller = call.identify()?.and_then(Known::fully);
    let expected = caller.as_ref().map(|caller| caller.user.id);
    let (ceremony, mut options) = gateway.sign_in.begin_sign_in(expected, &call.visit).await?;
    if let (Some(caller), Some(members)) = (caller, options.0.as_object_mut()) {
        let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
        let allowed: Vec<Value> = credentials.iter().map(descriptor).collect();
        members.insert("allowCredentials".to_owned(), json!(allowed));
    }
    Ok(call.begun(&ceremony, Json(options.0)))
}

/// Stores a new passkey.
#[utoipa::path(post, path = "/passkey/verify-registration", tag = "better-auth",
    security(("bearer" = []), ("cookie" = [])), request_body = VerifyRegistration,
    responses((status = 200, body = Passkey), Failures))]
pub(super) async fn verify_registration(State(gateway): State<Shared>, call: Call, body: Bytes) -> Response {
    call.finished(register(&gateway, &call, &body).await)
}

async fn register(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony();
    let read = || {
        from_trusted_page(call)?;
        let caller = call.enrolling_or_signed_in()?;
        let asked: VerifyRegistration = body_json::read(&call.headers, body)?;
        let name = asked.name.as_deref().filter(|name| !name.trim().is_empty());
        let name = name.map(CredentialName::parse).transpose();
        let name = name.map_err(|error| Problem::malformed(format!("[body.name] {error}")))?;
        Ok((caller, asked, name))
    };
    let (caller, asked, name) = call.using_up(ceremony, read()).await?;
    let finished = gateway
        .sign_in
        .finish_registration(&caller.record(), ceremony, &asked.response, name, &call.visit)
        .await;
    let registered = finished.map_err(|error| as_registration(error.into()))?;
    let passkey = Passkey::new(&registered.credential);
    if !asked.create_session {
        return Ok(Json(passkey).into_response());
    }
    let token = call.token_of(&caller)?;
    let signed_in =
        SignedIn::new(&gateway.ground.lifetimes(), &registered.session, &registered.user, token.clone());
    let mut response = Json(passkey.with(signed_in)).into_response();
    // An access token is not exchanged for a token that lasts longer.
    if call.identify_lasting()?.is_some() {
        hand_over(call, &registered.session, &token, response.headers_mut())?;
    }
    Ok(response)
}

/// A registration that was refused is 400, whatever the reason.
fn as_registration(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::UNAUTHORIZED | StatusCode::UNPROCESSABLE_ENTITY => {
            problem.with_status(StatusCode::BAD_REQUEST)
        }
        _ => problem,
    }
}

/// Signs in.
#[utoipa::path(post, path = "/passkey/verify-authentication", tag = "better-auth", request_body = VerifyAuthentication,
    responses((status = 200, body = SignedIn), Failures))]
pub(super) async fn verify_authentication(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Response {
    call.finished(authenticate(&gateway, &call, &body).await)
}

async fn authenticate(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony();
    let read = || {
        from_trusted_page(call)?;
        let asked: VerifyAuthentication = body_json::read(&call.headers, body)?;
        Ok((asked, call.identify()?))
    };
    let (asked, before) = call.using_up(ceremony, read()).await?;
    let before = before.map(|caller| caller.session);
    let device = call.device();
    let attempt = Attempt { ceremony, answer: &asked.response, expected: None, before };
    let signed_in = gateway.sign_in.finish_sign_in(attempt, &call.visit, &device).await?;
    let token = gateway.sessions.token(&signed_in.session, Carrier::Bearer).map_err(FlowError::from)?;
    let shape =
        SignedIn::new(&gateway.ground.lifetimes(), &signed_in.session, &signed_in.user, token.clone());
    let mut response = Json(shape).into_response();
    hand_over(call, &signed_in.session, &token, response.headers_mut())?;
    Ok(response)
}
