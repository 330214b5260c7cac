//! The caller's passkeys: listing, registering, naming and removing them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

use super::shapes::{
    Failures, Listed, Options, Passkeys, ReadFailures, RegisterBegin, RegisterFinish, Registered, Rename,
    Renamed,
};
use super::{ceremony_of, unwrapped};
use crate::dialects::Shared;
use crate::domain::credential::{Credential, CredentialName, Planned};
use crate::domain::id::UserId;
use crate::flows::Gateway;
use crate::web::call::Call;
use crate::web::guard::{AnySession, SignedIn};
use crate::web::json::Body;
use crate::web::{Problem, json};

/// The caller's passkeys, oldest first.
#[utoipa::path(get, path = "/user/passkeys", tag = "ocore",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = Passkeys), ReadFailures))]
pub(super) async fn list(
    State(gateway): State<Shared>,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Passkeys>, Problem> {
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    Ok(Json(Passkeys { passkeys: credentials.iter().map(Listed::from).collect() }))
}

/// Options for a new passkey of the caller.
#[utoipa::path(post, path = "/user/passkeys/register/begin", tag = "ocore",
    security(("bearer" = []), ("cookie" = [])), request_body = RegisterBegin,
    responses((status = 200, body = Options), Failures))]
pub(super) async fn register_begin(
    State(gateway): State<Shared>,
    AnySession(caller, call): AnySession,
    Body(RegisterBegin { device_name }): Body<RegisterBegin>,
) -> Result<Response, Problem> {
    let label = name(device_name.as_deref())?;
    let planned = Planned { label, made_with: call.program(), ..Planned::default() };
    let (ceremony, options) =
        gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    Ok(call.begun(&ceremony, Json(Options { public_key: options.0 })))
}

/// Stores the credential in the body.
#[utoipa::path(post, path = "/user/passkeys/register/finish", tag = "ocore",
    security(("bearer" = []), ("cookie" = [])), params(RegisterFinish),
    request_body(content = Object, description = "RegistrationResponseJSON, bare or as `credential`"),
    responses((status = 201, body = Registered), Failures))]
pub(super) async fn register_finish(
    State(gateway): State<Shared>,
    call: Call,
    query: Result<Query<RegisterFinish>, QueryRejection>,
    body: Bytes,
) -> Response {
    let query = query.map_err(|error| Problem::malformed(error.to_string()));
    call.finished(register(&gateway, &call, query.map(|Query(query)| query), &body).await)
}

async fn register(
    gateway: &Gateway,
    call: &Call,
    query: Result<RegisterFinish, Problem>,
    body: &Bytes,
) -> Result<Response, Problem> {
    let caller = call.enrolling_or_signed_in()?;
    let own = call.ceremony();
    let answer = call.using_up(own, json::read::<Value>(&call.headers, body)).await?;
    let answer = unwrapped(answer);
    let (ceremony, _, fits) = ceremony_of(own, &answer);
    let read = || {
        fits.check()?;
        name(query?.device_name.as_deref())
    };
    let label = call.using_up(ceremony, read()).await?;
    let finished =
        gateway.sign_in.finish_registration(&caller.record(), ceremony, &answer, label, &call.visit).await;
    let registered = finished.map_err(|error| as_registration(error.into()))?;
    let credential = &registered.credential;
    let shape = Registered {
        id: credential.id.to_string(),
        device_name: credential.name.as_str().to_owned(),
        created_at: credential.created_at.to_rfc3339(),
    };
    let mut response = (StatusCode::CREATED, Json(shape)).into_response();
    call.renew(&caller, &registered.session, response.headers_mut())?;
    Ok(response)
}

/// 401 means that no user is signed in, so a refused credential is 400.
fn as_registration(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::UNAUTHORIZED => problem.with_status(StatusCode::BAD_REQUEST),
        _ => problem,
    }
}

/// Names a passkey of the caller. Takes the credential id, or the short id of other dialects.
#[utoipa::path(patch, path = "/user/passkeys/{id}", tag = "ocore",
    security(("bearer" = []), ("cookie" = [])), params(("id" = String, Path)),
    request_body = Rename, responses((status = 200, body = Renamed), Failures))]
pub(super) async fn rename(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
    Body(Rename { device_name }): Body<Rename>,
) -> Result<Json<Renamed>, Problem> {
    let new_name =
        CredentialName::parse(&device_name).map_err(|error| Problem::malformed(error.to_string()))?;
    let meant = own(&gateway, &caller.user.id, &id).await?;
    let renamed =
        gateway.accounts.rename_credential(&caller.record(), &meant.id, new_name, &call.visit).await?;
    Ok(Json(Renamed { id: renamed.id.to_string(), device_name: renamed.name.as_str().to_owned() }))
}

/// Removes a passkey of the caller.
#[utoipa::path(delete, path = "/user/passkeys/{id}", tag = "ocore",
    security(("bearer" = []), ("cookie" = [])), params(("id" = String, Path)),
    responses((status = 204), Failures))]
pub(super) async fn remove(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let meant = own(&gateway, &caller.user.id, &id).await?;
    gateway.accounts.remove_credential(&caller.record(), &meant.id, &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn own(gateway: &Gateway, user: &UserId, id: &str) -> Result<Credential, Problem> {
    let is_meant = |it: &Credential| it.id.to_string() == id || it.reference().to_string() == id;
    Ok(gateway.accounts.find_credential(user, is_meant).await?)
}

fn name(text: Option<&str>) -> Result<Option<CredentialName>, Problem> {
    let said = text.filter(|text| !text.trim().is_empty());
    let name = said.map(CredentialName::parse).transpose();
    name.map_err(|error| Problem::malformed(error.to_string()))
}
