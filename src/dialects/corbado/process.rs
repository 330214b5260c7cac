//! Signing in with Corbado's own user interface: the part of its process that leads to a passkey.
//!
//! There are three blocks: `login-init`, where the user types an address or chooses a passkey
//! without saying who they are; `passkey-verify`; and `completed`. There is no sign-up, no code and
//! no social sign-in in this process: those addresses answer like unknown ones.
//!
//! `completed` sets the session's `HttpOnly` cookie, and its body has a session token. A refresh
//! token is in it only for a caller that has no use for the cookie: a program, or a page of a
//! related origin on another site, whose browser would not send it. For a page on our site, a token
//! that lasts as long as the session would only be a risk, because scripts can leak it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::ORIGIN;
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::blocks::{
    BlockBody, CompletedBlock, EventCreate, LoginInit, PasskeyOperation, ProcessCommon, ProcessInit,
    ProcessResponse, ProcessStarted, SignedChallenge,
};
use super::configs::frontend_api_url;
use super::envelope::Failures;
use crate::dialects::Shared;
use crate::domain::ceremony::claimed_ceremony;
use crate::domain::process::IDENTIFIER_BYTES_MAX;
use crate::domain::session::Session;
use crate::domain::session::token::Carrier;
use crate::domain::user::User;
use crate::flows::sign_in::passkey::{Attempt, SignedIn};
use crate::flows::sign_in::process::ProcessState;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{Known, Trusted};
use crate::web::json::Body;
use crate::web::{Problem, json};

const PROCESS_ID: HeaderName = HeaderName::from_static("x-corbado-process-id");

/// Begins a process.
#[utoipa::path(post, path = "/auth/process/init", tag = "corbado", request_body = ProcessInit,
    responses((status = 200, body = ProcessStarted), Failures))]
pub(super) async fn init(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
    _: Body<ProcessInit>,
) -> Result<Json<ProcessStarted>, Problem> {
    let (id, course) = gateway.sign_in.new_process();
    let process_response = next(&gateway, &call, &course).await?;
    let expires_at = course.expires_at().as_seconds();
    Ok(Json(ProcessStarted { token: id.reveal(), expires_at, process_response }))
}

/// The state of the process, with a new challenge.
#[utoipa::path(get, path = "/auth/process", tag = "corbado",
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn show(
    State(gateway): State<Shared>,
    call: Call,
) -> Result<Json<ProcessResponse>, Problem> {
    let course = course_of(&gateway, &call).await?;
    Ok(Json(next(&gateway, &call, &course).await?))
}

/// Names the user who signs in. An address without an account gets the same answer.
#[utoipa::path(post, path = "/auth/login/init", tag = "corbado", request_body = LoginInit,
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn login_init(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
    Body(LoginInit { identifier_value, is_phone }): Body<LoginInit>,
) -> Result<Json<ProcessResponse>, Problem> {
    if is_phone {
        return Err(Problem::malformed("`isPhone`: this gateway knows no phone numbers."));
    }
    let identifier = identifier_value.trim();
    if !(1..=IDENTIFIER_BYTES_MAX).contains(&identifier.len()) {
        return Err(Problem::malformed("`identifierValue`: an e-mail address has 1 to 254 characters."));
    }
    let course = course_of(&gateway, &call).await?.with_identifier(Some(identifier.to_owned()));
    Ok(Json(next(&gateway, &call, &course).await?))
}

/// A new challenge for the user whom login/init named.
#[utoipa::path(post, path = "/auth/passkey/login/start", tag = "corbado",
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn login_start(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
) -> Result<Json<ProcessResponse>, Problem> {
    let course = course_of(&gateway, &call).await?;
    if course.identifier().is_none() {
        return Err(Problem::malformed("Name the user first, with login/init."));
    }
    Ok(Json(next(&gateway, &call, &course).await?))
}

/// Signs in with a passkey of the user whom login/init named.
#[utoipa::path(post, path = "/auth/passkey/login/finish", tag = "corbado", request_body = SignedChallenge,
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn login_finish(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Result<Response, Problem> {
    finish(&gateway, &call, &body).await
}

/// Signs in with the passkey that was chosen from the browser's list.
#[utoipa::path(post, path = "/auth/passkey/mediation/finish", tag = "corbado",
    request_body = SignedChallenge, params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn mediation_finish(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Result<Response, Problem> {
    finish(&gateway, &call, &body).await
}

/// The ceremony of a challenge knows its user, so both kinds are finished alike.
async fn finish(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let SignedChallenge { signed_challenge: answer } = json::read(&call.headers, body)?;
    let ceremony = claimed_ceremony(&answer);
    let read = call.not_cross_site().and_then(|()| call.identify());
    let before = call.using_up(ceremony, read).await?.map(|caller| caller.session);
    let course = course_of(gateway, call).await;
    let course = call.using_up(ceremony, course).await?;
    let attempt = Attempt { ceremony, answer: &answer, expected: None, before };
    let signed_in = gateway.sign_in.finish_in(&course, attempt, &call.visit, &call.device()).await?;
    let operation = operation(gateway, &answer, &signed_in).await?;
    completed(gateway, call, &signed_in.session, &signed_in.user, Some(operation))
}

async fn operation(
    gateway: &Gateway,
    answer: &Value,
    signed_in: &SignedIn,
) -> Result<PasskeyOperation, Problem> {
    let SignedIn { session, user, .. } = signed_in;
    let shown =
        gateway.accounts.find_credential(&user.id, |it| Some(&it.id) == session.credential.as_ref()).await?;
    Ok(PasskeyOperation::new(answer, &shown, user))
}

/// The last block once more, for a caller with the session that the process has led to. The id of a
/// process alone opens no session.
#[utoipa::path(post, path = "/auth/process/complete", tag = "corbado",
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn complete(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
) -> Result<Response, Problem> {
    if let Some(caller) = call.identify_lasting()?.and_then(Known::fully) {
        return completed(&gateway, &call, &caller.record(), &caller.user, None);
    }
    course_of(&gateway, &call).await?;
    Err(Problem::unauthenticated())
}

/// Begins again, in the same process.
#[utoipa::path(post, path = "/auth/process/reset", tag = "corbado",
    params(("x-corbado-process-id" = String, Header)),
    responses((status = 200, body = ProcessResponse), Failures))]
pub(super) async fn reset(
    State(gateway): State<Shared>,
    Trusted(call): Trusted,
) -> Result<Json<ProcessResponse>, Problem> {
    let course = course_of(&gateway, &call).await?.with_identifier(None);
    Ok(Json(next(&gateway, &call, &course).await?))
}

/// Ignores the event: the audit log has the gateway's own events.
#[utoipa::path(post, path = "/auth/events", tag = "corbado", request_body = EventCreate,
    responses((status = 204), Failures))]
pub(super) async fn events(_: Trusted, _: Body<EventCreate>) -> Result<StatusCode, Problem> {
    Ok(StatusCode::NO_CONTENT)
}

async fn course_of(gateway: &Gateway, call: &Call) -> Result<ProcessState, Problem> {
    let id = call.headers.get(PROCESS_ID).and_then(|id| id.to_str().ok());
    Ok(gateway.sign_in.find_process(id).await?)
}

/// The block that a process is at, with a challenge of its own.
async fn next(gateway: &Gateway, call: &Call, course: &ProcessState) -> Result<ProcessResponse, Problem> {
    let options = gateway.sign_in.offer_in(course, &call.visit).await?;
    let block = match course.identifier() {
        Some(identifier) => BlockBody::passkey_verify(&options, identifier),
        None => BlockBody::login_init(&options),
    };
    Ok(response(gateway, block))
}

fn completed(
    gateway: &Gateway,
    call: &Call,
    session: &Session,
    user: &User,
    operation: Option<PasskeyOperation>,
) -> Result<Response, Problem> {
    let refresh = (!keeps_cookies(call)).then(|| gateway.sessions.token(session, Carrier::Refresh));
    let refresh = refresh.transpose().map_err(FlowError::from)?;
    let block = CompletedBlock::new(gateway.sessions.access_token(session, user)?, refresh);
    let block = match operation {
        Some(operation) => block.with(operation),
        None => block,
    };
    let mut response = Json(response(gateway, BlockBody::completed(block))).into_response();
    call.set_session_cookie(session, response.headers_mut())?;
    Ok(response)
}

/// Whether the caller is a page whose browser takes our cookie and sends it.
fn keeps_cookies(call: &Call) -> bool {
    match call.headers.get("sec-fetch-site") {
        Some(site) => site != "cross-site",
        None => call.headers.contains_key(ORIGIN),
    }
}

fn response(gateway: &Gateway, block_body: BlockBody) -> ProcessResponse {
    let common = ProcessCommon {
        app_name: gateway.ground.relying_party().name().to_owned(),
        frontend_api_url: frontend_api_url(gateway),
        hide_badge: true,
        environment: "prod",
    };
    ProcessResponse { block_body, common }
}
