//! Passkeys: registering, signing in, listing, naming and removing them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::shapes::{Failures, PasskeyShape, ReadFailures, SignedInShape, SteppedUpShape};
use crate::domain::cookie::Cookie;
use crate::domain::credential::{CredentialName, Planned};
use crate::domain::event::Refusal;
use crate::domain::id::{CeremonyId, CredentialId};
use crate::domain::session::step_up::Change;
use crate::domain::session::token::{Carrier, PairedCookie};
use crate::flows::sign_in::passkey::Attempt;
use crate::flows::visit::Device;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard;
use crate::web::session_cookie::{clear_session_cookie, renew, set_session_cookie};
use crate::web::{Problem, cookies, json};

/// Options for a new passkey of the caller, and the challenge cookie.
#[utoipa::path(post, path = "/passkeys/register/options", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Object, description = "PublicKeyCredentialCreationOptionsJSON"), Failures))]
pub(super) async fn register_options(State(gateway): App, call: Call) -> Result<Response, Problem> {
    let caller = call.enrolling_or_signed_in(&gateway)?;
    let planned = Planned { made_with: call.program(), ..Planned::default() };
    let (ceremony, options) =
        gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    Ok(with_challenge(&gateway, &ceremony, Json(options.0)))
}

/// Stores a new passkey. The body has the members of a `RegistrationResponseJSON`, and may have a
/// `name`.
#[utoipa::path(post, path = "/passkeys/register/verify", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    request_body(content = Object, description = "RegistrationResponseJSON, and `name`"),
    responses((status = 200, body = PasskeyShape), Failures))]
pub(super) async fn register_verify(State(gateway): App, call: Call, body: Bytes) -> Response {
    let mut response = match try_register(&gateway, &call, &body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    clear_challenge(&gateway, &mut response);
    response
}

async fn try_register(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony(gateway, Cookie::Challenge);
    let read = || {
        let caller = call.enrolling_or_signed_in(gateway)?;
        let answer: Value = json::read(&call.headers, body)?;
        let name = match answer.get("name") {
            None | Some(Value::Null) => None,
            Some(name) => Some(read_name(name)?),
        };
        Ok((caller, answer, name))
    };
    let (caller, answer, name) = call.using_up(gateway, ceremony, read()).await?;
    let registered =
        gateway.sign_in.finish_registration(&caller.record(), ceremony, &answer, name, &call.visit).await;
    let registered = registered.map_err(|error| match error {
        // In this contract, 401 is for a missing session alone.
        FlowError::Refused(Refusal::NoSuchCeremony) => {
            Problem::from(error).with_status(StatusCode::BAD_REQUEST)
        }
        other => other.into(),
    })?;
    let mut response = Json(PasskeyShape::new(&registered.credential)).into_response();
    if registered.credential.asleep_until.is_some() {
        // The enrolment is over, and the passkey does not work yet.
        clear_session_cookie(gateway, &call.visit, response.headers_mut());
        return Ok(response);
    }
    renew(gateway, call, &caller, &registered.session, response.headers_mut())?;
    Ok(response)
}

/// Body of authenticate/options; all of it may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = native::AuthenticateOptions)]
pub(super) struct AuthenticateOptions {
    /// For a sign-in that begins with an address. The answer does not tell whether an account has
    /// it.
    email: Option<String>,
    /// The change for which the passkey is shown again: method and path, below the prefix, of the
    /// request that was answered with `session_not_fresh` (`DELETE passkeys/AbC`). The answer to
    /// `verify` then has a `stepUp`, which that request carries in `X-Vestibule-Step-Up`.
    change: Option<String>,
}

/// Options for a sign-in, without an allow list, and the challenge cookie. Known and unknown
/// addresses get the same answer.
#[utoipa::path(post, path = "/passkeys/authenticate/options", tag = "native",
    request_body = Option<AuthenticateOptions>,
    responses((status = 200, body = Object, description = "PublicKeyCredentialRequestOptionsJSON"), Failures))]
pub(super) async fn authenticate_options(
    State(gateway): App,
    call: Call,
    body: Bytes,
) -> Result<Response, Problem> {
    call.not_cross_site(&gateway)?;
    let asked: AuthenticateOptions = json::read_optional(&call.headers, &body)?;
    let expected = match asked.email {
        Some(email) => Some(gateway.sign_in.account_or_decoy(&email).await?),
        None => None,
    };
    let change = match asked.change.as_deref().map(Change::parse) {
        Some(None) => return Err(Problem::malformed("`change` is a method and a path".to_owned())),
        Some(change) => change,
        None => None,
    };
    let (ceremony, options) = gateway.sign_in.begin_sign_in_for(change, expected, &call.visit).await?;
    Ok(with_challenge(&gateway, &ceremony, Json(options.0)))
}

/// Signs in. The session cookie is set unless the caller uses `Authorization`. With
/// `keepSignedIn: false`, on a device that others use too, the session ends after `session.short`.
#[utoipa::path(post, path = "/passkeys/authenticate/verify", tag = "native",
    request_body(content = Object, description = "AuthenticationResponseJSON, and `keepSignedIn`"),
    responses((status = 201, body = SteppedUpShape), Failures))]
pub(super) async fn authenticate_verify(State(gateway): App, call: Call, body: Bytes) -> Response {
    let mut response = match try_authenticate(&gateway, &call, &body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    clear_challenge(&gateway, &mut response);
    response
}

async fn try_authenticate(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony(gateway, Cookie::Challenge);
    let read = || {
        call.not_cross_site(gateway)?;
        let answer: Value = json::read(&call.headers, body)?;
        Ok((answer, call.identify(gateway)?))
    };
    let (answer, before) = call.using_up(gateway, ceremony, read()).await?;
    let before = before.map(|caller| caller.session);
    let keep = answer.get("keepSignedIn").and_then(Value::as_bool).unwrap_or(true);
    let device = Device { is_shared: !keep, ..guard::device(&call.headers) };
    let attempt = Attempt { ceremony, answer: &answer, expected: None, before };
    let signed_in = gateway.sign_in.finish_sign_in(attempt, &call.visit, &device).await?;
    let beside =
        if guard::has_authorization(&call.headers) { PairedCookie::Nothing } else { PairedCookie::Cookie };
    let shape = SignedInShape {
        token: gateway
            .sessions
            .token(&signed_in.session, Carrier::SignIn(beside))
            .map_err(FlowError::from)?,
        user: (&signed_in.user).into(),
    };
    let shape = SteppedUpShape { signed_in: shape, step_up: signed_in.step_up.map(|nonce| nonce.reveal()) };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    if beside == PairedCookie::Cookie {
        set_session_cookie(gateway, &call.visit, &signed_in.session, response.headers_mut())?;
    }
    Ok(response)
}

/// The caller's passkeys, oldest first, with their public keys.
#[utoipa::path(get, path = "/passkeys", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<PasskeyShape>), ReadFailures))]
pub(super) async fn list(State(gateway): App, call: Call) -> Result<Json<Vec<PasskeyShape>>, Problem> {
    let caller = call.signed_in(&gateway)?;
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    Ok(Json(credentials.iter().map(PasskeyShape::listed).collect()))
}

/// Body of a renaming.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::Rename)]
pub(super) struct Rename {
    /// 1 to 200 characters.
    name: String,
}

/// Renames a passkey of the caller.
#[utoipa::path(patch, path = "/passkeys/{id}", tag = "native", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The credential id in base64url")), request_body = Rename,
    responses((status = 200, body = PasskeyShape), Failures))]
pub(super) async fn rename(
    State(gateway): App,
    call: Call,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<PasskeyShape>, Problem> {
    let caller = call.signed_in(&gateway)?;
    let Rename { name } = json::read(&call.headers, &body)?;
    let id = CredentialId::parse(&id).map_err(|_| Problem::not_found())?;
    let name = CredentialName::parse(&name).map_err(|error| Problem::malformed(error.to_string()))?;
    let renamed = gateway.accounts.rename_credential(&caller.record(), &id, name, &call.visit).await?;
    Ok(Json(PasskeyShape::new(&renamed)))
}

/// Removes a passkey of the caller: 204 whether or not they have it, 409 for the last one.
#[utoipa::path(delete, path = "/passkeys/{id}", tag = "native", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The credential id in base64url")),
    responses((status = 204, description = "The caller has no such passkey any more"), Failures))]
pub(super) async fn remove(
    State(gateway): App,
    call: Call,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let caller = call.signed_in(&gateway)?;
    let Ok(id) = CredentialId::parse(&id) else { return Ok(StatusCode::NO_CONTENT) };
    match gateway.accounts.remove_credential(&caller.record(), &id, &call.visit).await {
        Ok(()) | Err(FlowError::NotFound) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}

fn read_name(name: &Value) -> Result<CredentialName, Problem> {
    let text = name.as_str().ok_or_else(|| Problem::malformed("The name is a text."))?;
    CredentialName::parse(text).map_err(|error| Problem::malformed(error.to_string()))
}

fn with_challenge(gateway: &Gateway, ceremony: &CeremonyId, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    cookies::append(
        response.headers_mut(),
        cookies::challenge(gateway.ground.place(), Cookie::Challenge, ceremony),
    );
    response
}

fn clear_challenge(gateway: &Gateway, response: &mut Response) {
    cookies::append(response.headers_mut(), cookies::expire(gateway.ground.place(), Cookie::Challenge));
}
