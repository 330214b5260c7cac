//! Signing in.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::shapes::{Failures, LoginBegin, LoginFinish, Options, SignedIn};
use super::{Tie, ceremony_of, unwrapped};
use crate::dialects::Shared;
use crate::domain::session::access::ACCESS_LIFETIME;
use crate::domain::session::token::{Carrier, PairedCookie};
use crate::flows::sign_in::passkey::{Attempt, SignedIn as Session};
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::Trusted;
use crate::web::json::OptionalBody;
use crate::web::{Problem, json};

/// Options for a sign-in. The answer does not tell whether an account has the address.
#[utoipa::path(post, path = "/auth/passkey/login/begin", tag = "ocore", request_body = Option<LoginBegin>,
    responses((status = 200, body = Options), Failures))]
pub(super) async fn begin(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
    OptionalBody(asked): OptionalBody<Option<LoginBegin>>,
) -> Result<Response, Problem> {
    let expected = match asked.and_then(|asked| said(asked.email)) {
        Some(email) => Some(gateway.sign_in.account_or_decoy(&email).await?),
        None => None,
    };
    let (ceremony, options) = gateway.sign_in.begin_sign_in(expected, &call.visit).await?;
    Ok(call.begun(&ceremony, Json(Options { public_key: options.0 })))
}

/// Signs in with the credential in the body.
#[utoipa::path(post, path = "/auth/passkey/login/finish", tag = "ocore", params(LoginFinish),
    request_body(content = Object, description = "AuthenticationResponseJSON, bare or as `credential`"),
    responses((status = 200, body = SignedIn), Failures))]
pub(super) async fn finish(
    State(gateway): State<Shared>,
    call: Call,
    query: Result<Query<LoginFinish>, QueryRejection>,
    body: Bytes,
) -> Response {
    let query = query.map_err(|error| Problem::malformed(error.to_string()));
    call.finished(sign_in(&gateway, &call, query.map(|Query(query)| query), &body).await)
}

async fn sign_in(
    gateway: &Gateway,
    call: &Call,
    query: Result<LoginFinish, Problem>,
    body: &Bytes,
) -> Result<Response, Problem> {
    let own = call.ceremony();
    let answer = call.using_up(own, json::read::<Value>(&call.headers, body)).await?;
    let answer = unwrapped(answer);
    let (ceremony, tie, fits) = ceremony_of(own, &answer);
    let read = || {
        fits.check()?;
        call.not_cross_site()?;
        Ok((query?, call.identify()?))
    };
    let (query, before) = call.using_up(ceremony, read()).await?;
    let before = before.map(|caller| caller.session);
    let expected = match said(query.email) {
        Some(email) => Some(gateway.sign_in.account_or_decoy(&email).await?),
        None => None,
    };
    let attempt = Attempt { ceremony, answer: &answer, expected, before };
    let signed_in = gateway.sign_in.finish_sign_in(attempt, &call.visit, &call.device()).await?;
    let takes_cookie = tie == Tie::Cookie && !call.has_authorization();
    let beside = if takes_cookie { PairedCookie::Cookie } else { PairedCookie::Nothing };
    let mut response = Json(shape(gateway, &signed_in, beside)?).into_response();
    if takes_cookie {
        call.set_session_cookie(&signed_in.session, response.headers_mut())?;
    }
    Ok(response)
}

/// The address, if there is one. The documents write `email=` where there is none.
fn said(email: Option<String>) -> Option<String> {
    email.filter(|email| !email.trim().is_empty())
}

fn shape(gateway: &Gateway, signed_in: &Session, beside: PairedCookie) -> Result<SignedIn, Problem> {
    let Session { session, user, .. } = signed_in;
    let token = |carrier| gateway.sessions.token(session, carrier).map_err(FlowError::from);
    Ok(SignedIn {
        user: user.into(),
        token: token(Carrier::SignIn(beside))?,
        access_token: gateway.sessions.access_token(session, user)?,
        refresh_token: token(Carrier::Refresh)?,
        token_type: "Bearer",
        expires_in: ACCESS_LIFETIME.as_secs(),
    })
}
