//! Listing, naming and removing passkeys.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;

use super::from_trusted_page;
use super::shapes::{DeletePasskey, Failures, Passkey, ReadFailures, Status, UpdatePasskey, Updated};
use crate::dialects::Shared;
use crate::domain::credential::{Credential, CredentialName};
use crate::flows::{FlowError, Gateway};
use crate::web::call::Call;
use crate::web::guard::{Known, SignedIn};
use crate::web::{Fault, Problem, json};

/// The caller's passkeys, oldest first.
#[utoipa::path(get, path = "/passkey/list-user-passkeys", tag = "better-auth",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<Passkey>), ReadFailures))]
pub(super) async fn list(
    State(gateway): State<Shared>,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Vec<Passkey>>, Problem> {
    let credentials = gateway.accounts.credentials_of(&caller.user.id).await?;
    Ok(Json(credentials.iter().map(Passkey::new).collect()))
}

/// Removes a passkey of the caller.
#[utoipa::path(post, path = "/passkey/delete-passkey", tag = "better-auth",
    security(("bearer" = []), ("cookie" = [])), request_body = DeletePasskey,
    responses((status = 200, body = Status), Failures))]
pub(super) async fn delete(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Result<Json<Status>, Problem> {
    from_trusted_page(&call)?;
    let caller = call.signed_in()?;
    let DeletePasskey { id } = json::read(&call.headers, &body)?;
    let meant = own(&gateway, &caller, &id).await?;
    gateway.accounts.remove_credential(&caller.record(), &meant.id, &call.visit).await?;
    Ok(Json(Status { status: true }))
}

/// Names a passkey of the caller.
#[utoipa::path(post, path = "/passkey/update-passkey", tag = "better-auth",
    security(("bearer" = []), ("cookie" = [])), request_body = UpdatePasskey,
    responses((status = 200, body = Updated), Failures))]
pub(super) async fn update(
    State(gateway): State<Shared>,
    call: Call,
    body: Bytes,
) -> Result<Json<Updated>, Problem> {
    from_trusted_page(&call)?;
    let caller = call.signed_in()?;
    let UpdatePasskey { id, name } = json::read(&call.headers, &body)?;
    let name =
        CredentialName::parse(&name).map_err(|error| Problem::malformed(format!("[body.name] {error}")))?;
    let meant = own(&gateway, &caller, &id).await?;
    let renamed = gateway.accounts.rename_credential(&caller.record(), &meant.id, name, &call.visit).await?;
    Ok(Json(Updated { passkey: Passkey::new(&renamed) }))
}

/// Another user's passkey is answered like an unknown one.
async fn own(gateway: &Gateway, caller: &Known, id: &str) -> Result<Credential, Problem> {
    let found =
        gateway.accounts.find_credential(&caller.user.id, |it| it.reference().to_string() == id).await;
    found.map_err(|error| {
        if matches!(error, FlowError::NotFound) {
            return Problem::new(Fault::UnknownCredential, "Passkey not found")
                .with_status(StatusCode::NOT_FOUND);
        }
        error.into()
    })
}
