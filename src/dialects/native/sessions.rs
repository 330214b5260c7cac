//! Sessions: listing, exchanging and ending them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::passkeys::set_session;
use super::shapes::{SessionShape, SignedInShape};
use super::{App, Call};
use crate::domain::cookie::Cookie;
use crate::domain::id::SessionId;
use crate::domain::session::token::Carrier;
use crate::domain::user::Email;
use crate::flows::FlowError;
use crate::flows::admit::Caller;
use crate::web::guard;
use crate::web::{Problem, cookies, json};

/// What a browser is told to forget of this host when somebody signs out.
const CLEAR_SITE_DATA: &str = "\"cookies\", \"storage\"";

/// `GET /sessions`: the caller's, newest first.
pub(super) async fn list(State(gateway): App, call: Call) -> Result<Json<Vec<SessionShape>>, Problem> {
    let caller = call.signed_in(&gateway)?;
    let sessions = gateway.sessions_of(&caller.user.id);
    let shapes = sessions.iter().map(|session| SessionShape::new(&gateway, session, &caller.session));
    Ok(Json(shapes.collect()))
}

/// `GET /sessions/current`: who is calling, enrolling or signed in; 204 for a stranger, never 401.
pub(super) async fn current(State(gateway): App, call: Call) -> Result<Response, Problem> {
    let Ok(caller) = call.enrolling_or_signed_in(&gateway) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let token = gateway.token(&caller.record(), Carrier::Bearer).map_err(FlowError::from)?;
    Ok(Json(SignedInShape { token, user: (&*caller.user).into() }).into_response())
}

#[derive(Deserialize)]
struct Exchange {
    method: Method,
    email: String,
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    Passkey,
    /// Codes by e-mail are not built yet: every code is wrong.
    Otp,
}

/// `POST /sessions`: turns the token of a fresh passkey sign-in into a new session with a cookie.
/// The token is used up: its session ends in the same commit.
pub(super) async fn exchange(State(gateway): App, call: Call, body: Bytes) -> Result<Response, Problem> {
    guard::not_cross_site(&gateway, &call.headers)?;
    let Exchange { method, email, token } = json::read(&call.headers, &body)?;
    let refused =
        || Problem::new(StatusCode::UNAUTHORIZED, "token_invalid", "This token is not valid, or no longer.");
    let email = Email::parse(&email).map_err(|error| Problem::malformed(error.to_string()))?;
    let caller = match method {
        Method::Passkey => gateway.caller_by_bearer(&token)?,
        Method::Otp => return Err(refused()),
    };
    let (session, user) = match caller {
        Caller::Known(session, user) if user.email == email => (session, user),
        Caller::Known(..) | Caller::Stranger { .. } => return Err(refused()),
    };
    let device = guard::device(&call.headers);
    let renewed =
        gateway.exchange_session(&session, &call.visit, &device).await.map_err(|error| match error {
            FlowError::NotFresh | FlowError::Busy => refused(),
            other => other.into(),
        })?;
    let token = gateway.token(&renewed, Carrier::Bearer).map_err(FlowError::from)?;
    let shape = SignedInShape { token, user: (&*user).into() };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    set_session(&gateway, &mut response, &renewed, &call.visit.host)?;
    Ok(response)
}

/// `DELETE /sessions`: signs out, here and on every other host. 204 for strangers as well.
pub(super) async fn sign_out(State(gateway): App, call: Call) -> Result<Response, Problem> {
    if let Some(caller) = call.identify(&gateway)? {
        gateway.sign_out(&caller.session, &call.visit).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert("clear-site-data", HeaderValue::from_static(CLEAR_SITE_DATA));
    cookies::append(headers, cookies::expire(gateway.place(), Cookie::Session));
    Ok(response)
}

/// `DELETE /sessions/others`: ends every session of the caller but this one.
pub(super) async fn end_others(State(gateway): App, call: Call) -> Result<StatusCode, Problem> {
    let caller = call.signed_in(&gateway)?;
    gateway.must_be_fresh_beside_applications(&caller.record())?;
    gateway.end_other_sessions(&caller.record(), &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /sessions/{id}`: 204 whether or not the caller has such a session.
pub(super) async fn end(
    State(gateway): App,
    call: Call,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let caller = call.signed_in(&gateway)?;
    gateway.must_be_fresh_beside_applications(&caller.record())?;
    // Words that other versions of this API give a meaning must not look as if they had worked.
    if id == "all" {
        return Err(Problem::not_found());
    }
    if let Ok(id) = SessionId::parse(&id) {
        gateway.end_session(&caller.user.id, &id, &call.visit).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
