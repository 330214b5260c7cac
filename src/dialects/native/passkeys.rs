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
use crate::domain::credential::{CredentialName, Planned};
use crate::domain::event::Refusal;
use crate::domain::id::CredentialId;
use crate::domain::session::step_up::Change;
use crate::domain::session::token::{Carrier, PairedCookie};
use crate::flows::sign_in::passkey::Attempt;
use crate::flows::visit::Device;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{AnySession, SignedIn, Trusted};
use crate::web::json::{Body, OptionalBody};
use crate::web::{Problem, json};

/// Options for a new passkey of the caller, and the challenge cookie.
#[utoipa::path(post, path = "/passkeys/register/options", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Object, description = "PublicKeyCredentialCreationOptionsJSON"), Failures))]
pub(super) async fn register_options(
    State(gateway): App,
    AnySession(caller, call): AnySession,
) -> Result<Response, Problem> {
    let planned = Planned { made_with: call.program(), ..Planned::default() };
    let (ceremony, options) =
        gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    Ok(call.begun(&ceremony, Json(options.0)))
}

/// Stores a new passkey. The body has the members of a `RegistrationResponseJSON`, and may have a
/// `name`.
#[utoipa::path(post, path = "/passkeys/register/verify", tag = "native",
    security(("bearer" = []), ("cookie" = [])),
    request_body(content = Object, description = "RegistrationResponseJSON, and `name`"),
    responses((status = 200, body = PasskeyShape), Failures))]
pub(super) async fn register_verify(State(gateway): App, call: Call, body: Bytes) -> Response {
    call.finished(try_register(&gateway, &call, &body).await)
}

async fn try_register(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony();
    let read = || {
        let caller = call.enrolling_or_signed_in()?;
        let answer: Value = json::read(&call.headers, body)?;
        let name = match answer.get("name") {
            None | Some(Value::Null) => None,
            Some(name) => Some(read_name(name)?),
        };
        Ok((caller, answer, name))
    };
    let (caller, answer, name) = call.using_up(ceremony, read()).await?;
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
        call.clear_session_cookie(response.headers_mut());
        return Ok(response);
    }
    call.renew(&caller, &registered.session, response.headers_mut())?;
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
    Trusted(call): Trusted,
    OptionalBody(asked): OptionalBody<AuthenticateOptions>,
) -> Result<Response, Problem> {
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
    Ok(call.begun(&ceremony, Json(options.0)))
}

/// Signs in. The session cookie is set unless the caller uses `Authorization`. With
/// `keepSignedIn: false`, on a device that others use too, the session ends after `session.short`.
#[utoipa::path(post, path = "/passkeys/authenticate/verify", tag = "native",
    request_body(content = Object, description = "AuthenticationResponseJSON, and `keepSignedIn`"),
    responses((status = 201, body = SteppedUpShape), Failures))]
pub(super) async fn authenticate_verify(State(gateway): App, call: Call, body: Bytes) -> Response {
    call.finished(try_authenticate(&gateway, &call, &body).await)
}

async fn try_authenticate(gateway: &Gateway, call: &Call, body: &Bytes) -> Result<Response, Problem> {
    let ceremony = call.ceremony();
    let read = || {
        call.not_cross_site()?;
        let answer: Value = json::read(&call.headers, body)?;
        Ok((answer, call.identify()?))
    };
    let (answer, before) = call.using_up(ceremony, read()).await?;
    let before = before.map(|caller| caller.session);
    let keep = answer.get("keepSignedIn").and_then(Value::as_bool).unwrap_or(true);
    let device = Device { is_shared: !keep, ..call.device() };
    let attempt = Attempt { ceremony, answer: &answer, expected: None, before };
    let signed_in = gateway.sign_in.finish_sign_in(attempt, &call.visit, &device).await?;
    let beside = if call.has_authorization() { PairedCookie::Nothing } else { PairedCookie::Cookie };
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
        call.set_session_cookie(&signed_in.session, response.headers_mut())?;
    }
    Ok(response)
}

/// The caller's passkeys, oldest first, with their public keys.
#[utoipa::path(get, path = "/passkeys", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<PasskeyShape>), ReadFailures))]
pub(super) async fn list(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Vec<PasskeyShape>>, Problem> {
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
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
    Body(Rename { name }): Body<Rename>,
) -> Result<Json<PasskeyShape>, Problem> {
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
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
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
