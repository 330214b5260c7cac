//! The caller's passkeys: adding, listing and removing them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Empty;
use super::proto_json::{self, read_credential};
use super::shapes::{
    AddResponse, Details, Done, Failures, Key, ListResponse, Nothing, Verification, VerifyRequest, token_id,
};
use crate::dialects::Shared;
use crate::domain::ceremony::claimed_ceremony;
use crate::domain::credential::{CredentialName, Planned};
use crate::domain::session::Session;
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{AnySession, SignedIn};
use crate::web::{Fault, Problem, json as body_json};

/// The longest id that a passkey is looked for by, in characters.
const TOKEN_ID_CHARS_MAX: usize = 200;

/// `AddMyPasswordless`: options for a new passkey of the caller.
#[utoipa::path(post, path = "/users/me/passwordless", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    request_body = Option<Nothing>, responses((status = 200, body = AddResponse), Failures))]
pub(super) async fn add(
    State(gateway): State<Shared>,
    AnySession(caller, call): AnySession,
    _: Empty,
) -> Result<Json<AddResponse>, Problem> {
    let planned = Planned { made_with: call.program(), ..Planned::default() };
    let (_, options) = gateway.sign_in.begin_registration(&caller.record(), planned, &call.visit).await?;
    let public_key = proto_json::bytes(json!({ "publicKey": options.0 }).to_string().as_bytes());
    let details = Details::begun(&gateway, gateway.ground.clock().now());
    Ok(Json(AddResponse { key: Key { public_key }, details }))
}

/// `VerifyMyPasswordless`: stores the passkey that the options led to.
#[utoipa::path(post, path = "/users/me/passwordless/_verify", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    request_body = VerifyRequest, responses((status = 200, body = Done), Failures))]
pub(super) async fn verify(
    State(gateway): State<Shared>,
    AnySession(caller, call): AnySession,
    body: Bytes,
) -> Result<Response, Problem> {
    let asked: VerifyRequest = body_json::read(&call.headers, &body)?;
    let verification = asked.verification.ok_or_else(|| invalid("verification", "missing"))?;
    let Verification { public_key_credential, token_name } = verification;
    let member = "verification.publicKeyCredential";
    let credential = public_key_credential.ok_or_else(|| invalid(member, "missing"))?;
    let answer = read_credential(&credential).map_err(|error| invalid(member, error))?;
    let ceremony = claimed_ceremony(&answer);
    let label = call.using_up(ceremony, label(token_name.as_deref())).await?;
    let session = caller.record();
    let registered =
        gateway.sign_in.finish_registration(&session, ceremony, &answer, Some(label), &call.visit).await?;
    let details = Details::changed(&gateway, registered.credential.created_at);
    let mut response = Json(Done { details }).into_response();
    call.renew(&caller, &registered.session, response.headers_mut())?;
    Ok(response)
}

/// `ListMyPasswordless`: the caller's passkeys, oldest first. A body is ignored.
#[utoipa::path(post, path = "/users/me/passwordless/_search", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = ListResponse), Failures))]
pub(super) async fn search(
    State(gateway): State<Shared>,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<ListResponse>, Problem> {
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    Ok(Json(ListResponse::new(&credentials)))
}

/// `RemoveMyPasswordless`: removes a passkey of the caller.
#[utoipa::path(delete, path = "/users/me/passwordless/{token_id}", tag = "zitadel",
    security(("bearer" = []), ("cookie" = [])),
    params(("token_id" = String, Path, min_length = 1, max_length = 200)),
    responses((status = 200, body = Done), Failures))]
pub(super) async fn remove(
    State(gateway): State<Shared>,
    SignedIn(caller, call): SignedIn,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, Problem> {
    let Path(id) = id.map_err(|error| invalid("token_id", error))?;
    if !(1..=TOKEN_ID_CHARS_MAX).contains(&id.chars().count()) {
        return Err(invalid("token_id", "an id has 1 to 200 characters"));
    }
    let removed = remove_own(&gateway, &call, &caller.record(), &id).await;
    removed.map_err(|error| {
        if matches!(error, FlowError::NotFound) {
            return Problem::new(Fault::UnknownCredential, "You have no such passkey.");
        }
        error.into()
    })?;
    Ok(Json(Done { details: Details::changed(&gateway, gateway.ground.clock().now()) }))
}

async fn remove_own(gateway: &Gateway, call: &Call, session: &Session, id: &str) -> Result<(), FlowError> {
    let meant = gateway.accounts.find_credential(&session.user, |it| token_id(it) == id).await?;
    gateway.accounts.remove_credential(session, &meant.id, &call.visit).await
}

fn label(text: Option<&str>) -> Result<CredentialName, Problem> {
    let member = "verification.tokenName";
    let text = text.ok_or_else(|| invalid(member, "missing"))?;
    CredentialName::parse(text).map_err(|error| invalid(member, error))
}

/// A mistake that begins with the member, as upstream's do.
fn invalid(member: &str, why: impl std::fmt::Display) -> Problem {
    Problem::malformed(format!("{member}: {why}"))
}
