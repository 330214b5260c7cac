//! Sessions: listing, exchanging and ending them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::shapes::{Failures, OwnFailures, Permissions, ReadFailures, SessionShape, SignedInShape};
use crate::domain::cookie::Cookie;
use crate::domain::id::{CodeId, SessionId};
use crate::domain::session::Scope;
use crate::domain::session::token::{Carrier, PairedCookie};
use crate::domain::user::Email;
use crate::flows::sign_in::Redeemed;
use crate::flows::sign_in::codes::Guess;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{SignedIn, Trusted};
use crate::web::json::Body;
use crate::web::{Problem, cookies};

/// The caller's sessions, newest first.
#[utoipa::path(get, path = "/sessions", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<SessionShape>), ReadFailures))]
pub(super) async fn list(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Vec<SessionShape>>, Problem> {
    let sessions = gateway.sessions.sessions_of(&caller.user.id);
    let shapes = sessions.iter().map(|session| SessionShape::new(&gateway, session, &caller.session));
    Ok(Json(shapes.collect()))
}

/// The caller. A user without a first passkey is not signed in yet, and programs need to know the
/// difference.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Current)]
pub(super) struct Current {
    #[serde(flatten)]
    caller: SignedInShape,
    /// Present, and true, while the first passkey is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    enrolling: bool,
}

/// The caller, signed in or about to add the first passkey; 204 for an anonymous client, never 401.
#[utoipa::path(get, path = "/sessions/current", tag = "native",
    responses((status = 200, body = Current), (status = 204, description = "No user is signed in"), OwnFailures))]
pub(super) async fn current(State(gateway): App, call: Call) -> Result<Response, Problem> {
    let Some(caller) = call.identify()? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    caller.session.touch(gateway.ground.clock().now());
    let token = call.token_of(&caller)?;
    let enrolling = caller.record().scope == Scope::Enrol;
    let caller = SignedInShape { token, user: (&*caller.user).into() };
    Ok(Json(Current { caller, enrolling }).into_response())
}

/// Body of an exchange.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::Exchange)]
pub(super) struct Exchange {
    method: Method,
    email: String,
    /// With `passkey`, the token of a sign-in; with `otp`, the code from the mail.
    token: String,
}

#[derive(PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = native::Method)]
enum Method {
    /// A sign-in with a passkey a short time ago.
    Passkey,
    /// A code that was sent by mail for this browser.
    Otp,
}

/// Exchanges a code, or the token of a fresh sign-in, for a new session with a cookie. Each works
/// once: the token's session ends at the same moment. If the sign-in set a cookie, the request has
/// to send it. A token that was given to a caller with a cookie cannot be exchanged.
#[utoipa::path(post, path = "/sessions", tag = "native", request_body = Exchange,
    responses((status = 201, body = Current), Failures))]
pub(super) async fn exchange(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(Exchange { method, email, token }): Body<Exchange>,
) -> Result<Response, Problem> {
    if method == Method::Otp {
        return redeem_code(&gateway, &call, &email, &token).await;
    }
    let before = call.identify_by_cookie()?.map(|caller| caller.session);
    let (renewed, user) =
        gateway.sessions.exchange_token(&token, &email, before, &call.visit, &call.device()).await?;
    let token =
        gateway.sessions.token(&renewed, Carrier::SignIn(PairedCookie::Cookie)).map_err(FlowError::from)?;
    let shape = SignedInShape { token, user: (&*user).into() };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    call.set_session_cookie(&renewed, response.headers_mut())?;
    Ok(response)
}

/// A code gives a full session, or a session that may only add a passkey, as `signin.email_code`
/// says.
async fn redeem_code(gateway: &Gateway, call: &Call, email: &str, code: &str) -> Result<Response, Problem> {
    Email::parse(email).map_err(|error| Problem::malformed(error.to_string()))?;
    let id = call.cookie(Cookie::Code);
    let guess = Guess { id: id.and_then(|id| CodeId::parse(id).ok()), email, code };
    let before = call.identify()?.map(|caller| caller.session);
    let redeemed = gateway.sign_in.redeem_code(guess, before, &call.visit, &call.device()).await?;
    let mut response = opened(gateway, call, &redeemed)?;
    cookies::append(response.headers_mut(), cookies::expire(gateway.ground.place(), Cookie::Code));
    Ok(response)
}

/// The answer to a code that was good: the session, and its cookie.
pub(super) fn opened(gateway: &Gateway, call: &Call, redeemed: &Redeemed) -> Result<Response, Problem> {
    let token = gateway.sessions.token(&redeemed.session, Carrier::Bearer).map_err(FlowError::from)?;
    let enrolling = redeemed.session.scope == Scope::Enrol;
    let caller = SignedInShape { token, user: (&redeemed.user).into() };
    let mut response = (StatusCode::CREATED, Json(Current { caller, enrolling })).into_response();
    call.set_session_cookie(&redeemed.session, response.headers_mut())?;
    Ok(response)
}

/// Signs out, here and on every other host. 204 for anonymous clients as well.
#[utoipa::path(delete, path = "/sessions", tag = "native",
    responses((status = 204, description = "Signed out"), Failures))]
pub(super) async fn sign_out(call: Call) -> Result<Response, Problem> {
    call.sign_out(StatusCode::NO_CONTENT).await
}

/// Signs out, like `DELETE /sessions`.
#[utoipa::path(delete, path = "/sessions/current", tag = "native",
    responses((status = 204, description = "Signed out"), Failures))]
pub(super) async fn end_current(call: Call) -> Result<Response, Problem> {
    sign_out(call).await
}

/// What the caller may do: `admin`, `passkeys:manage`, and `route:<name>` for each application.
#[utoipa::path(get, path = "/sessions/current/permissions", tag = "native",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = Permissions), ReadFailures))]
pub(super) async fn permissions(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Permissions>, Problem> {
    Ok(Json(Permissions { permissions: gateway.accounts.permissions_of(&caller.user) }))
}

/// Ends every session of the caller but this one.
#[utoipa::path(delete, path = "/sessions/others", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "This session is the only one left"), Failures))]
pub(super) async fn end_others(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
) -> Result<StatusCode, Problem> {
    gateway.sessions.end_other_sessions(&caller.record(), &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session of the caller: 204 whether or not they have it.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "native", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id in the list")),
    responses((status = 204, description = "The caller has no such session any more"), Failures))]
pub(super) async fn end(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    // A word with a meaning in other versions of this API must not look as if it had worked.
    if id == "all" {
        return Err(Problem::not_found());
    }
    if let Ok(id) = SessionId::parse(&id) {
        gateway.sessions.end_session(&caller.record(), &id, &call.visit).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
