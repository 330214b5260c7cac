//! The caller's passkeys: listing, adding and removing them.
//!
//! A front end is told apart by a handle that it keeps. A front end that has a passkey already is
//! not offered another; it can ask for one by leaving the handle out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json as value;

use super::envelope::{Done, Failures};
use super::passkey_shapes::{AppendFinish, AppendStart, AppendStarted, Passkeys, Removed, passkey_id};
use crate::dialects::Shared;
use crate::domain::ceremony::claimed_ceremony;
use crate::domain::credential::{ENVIRONMENT_HANDLE_BYTES_MAX, Environment, Planned};
use crate::domain::secret::Secret;
use crate::flows::Gateway;
use crate::ports::entropy;
use crate::web::call::Call;
use crate::web::guard::{AnySession, SignedIn};
use crate::web::json::Body;
use crate::web::{Problem, json};

/// The caller's passkeys, oldest first.
#[utoipa::path(get, path = "/me/passkeys", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Passkeys), Failures))]
pub(super) async fn list(
    State(gateway): State<Shared>,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Passkeys>, Problem> {
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    Ok(Json(Passkeys::new(&credentials)))
}

/// Options for a new passkey of the caller, or the reason why there should be none.
#[utoipa::path(post, path = "/me/passkeys/append/start", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = AppendStart,
    responses((status = 200, body = AppendStarted), Failures))]
pub(super) async fn append_start(
    State(gateway): State<Shared>,
    AnySession(caller, call): AnySession,
    Body(AppendStart { client_information: client }): Body<AppendStart>,
) -> Result<Json<AppendStarted>, Problem> {
    if client.cannot_use_passkeys() {
        return Ok(Json(AppendStarted::not("passkeys_not_supported")));
    }
    let (handle, new_handle) = match client.client_env_handle.filter(|handle| !handle.is_empty()) {
        Some(handle) => (handle, None),
        None => new_handle(&gateway),
    };
    let environment = Environment::with_handle(&handle).ok_or_else(too_long)?;
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    if credentials.iter().any(|it| it.environment.as_ref() == Some(&environment)) {
        return Ok(Json(AppendStarted::not("passkey_already_exists")));
    }
    let planned = Planned { label: None, made_with: call.program(), environment: Some(environment) };
    let (_, options) = gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    let options = value!({ "publicKey": options.0 }).to_string();
    Ok(Json(AppendStarted::with(options, new_handle)))
}

/// A handle for a front end that has none, and its text for the answer.
fn new_handle(gateway: &Gateway) -> (String, Option<String>) {
    let handle = Secret::from_random(entropy::bytes(gateway.ground.entropy())).reveal();
    (handle.clone(), Some(handle))
}

fn too_long() -> Problem {
    Problem::malformed(format!(
        "`clientInformation.clientEnvHandle` has at most {ENVIRONMENT_HANDLE_BYTES_MAX} bytes."
    ))
}

/// Stores a new passkey.
#[utoipa::path(post, path = "/me/passkeys/append/finish", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])), request_body = AppendFinish,
    responses((status = 200, body = Done), Failures))]
pub(super) async fn append_finish(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Result<Response, Problem> {
    let caller = call.enrolling_or_signed_in()?;
    let AppendFinish { attestation_response: answer } = json::read(&call.headers, &body)?;
    let (session, ceremony) = (caller.record(), claimed_ceremony(&answer));
    let registered =
        gateway.sign_in.finish_registration(&session, ceremony, &answer, None, &call.visit).await?;
    let mut response = Json(Done::new(&call)).into_response();
    call.renew(&caller, &registered.session, response.headers_mut())?;
    Ok(response)
}

/// Removes a passkey of the caller, named by its `id`.
#[utoipa::path(delete, path = "/me/passkeys/{credentialID}", tag = "corbado",
    security(("bearer" = []), ("cookie" = [])),
    params(("credentialID" = String, Path)), responses((status = 200, body = Removed), Failures))]
pub(super) async fn remove(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Removed>, Problem> {
    let meant = gateway.accounts.find_credential(&caller.user.id, |it| passkey_id(it) == id).await?;
    gateway.accounts.remove_credential(&caller.record(), &meant.id, &call.visit).await?;
    Ok(Json(Removed { id }))
}
