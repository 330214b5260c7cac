//! Recoveries of the caller's account: listing and cancelling them.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{Failures, ReadFailures};
use super::{App, Named};
use crate::domain::id::SessionId;
use crate::domain::recovery::Recovery;
use crate::web::Problem;
use crate::web::guard::{SignedIn, Trusted};
use crate::web::json::Body;

/// A recovery that can still be cancelled.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Recovery)]
pub(super) struct RecoveryShape {
    id: String,
    at: String,
    /// How it began: `mailed_code`, `recovery_code` or `link`.
    by: &'static str,
    /// The network that it was used from: a /24 or a /64.
    #[schema(required)]
    network: Option<String>,
}

impl From<&Recovery> for RecoveryShape {
    fn from(recovery: &Recovery) -> Self {
        Self {
            id: recovery.session.to_string(),
            at: recovery.about.at.to_rfc3339(),
            by: recovery.by.label(),
            network: recovery.about.network.map(|network| network.to_string()),
        }
    }
}

/// Uses of a code or of an administrator's link for the caller's account that can be cancelled.
#[utoipa::path(get, path = "/recoveries", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<RecoveryShape>), ReadFailures))]
pub(super) async fn list(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Vec<RecoveryShape>>, Problem> {
    Ok(Json(gateway.sign_in.recoveries_of(&caller.user.id).await?.iter().map(RecoveryShape::from).collect()))
}

/// Cancels a recovery: its sessions end, and the passkey that was made with it is removed.
#[utoipa::path(delete, path = "/recoveries/{id}", tag = "native",
    params(("id" = String, Path)), security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "It is cancelled"), Failures))]
pub(super) async fn cancel(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Named(id): Named<SessionId>,
) -> Result<StatusCode, Problem> {
    gateway.sign_in.cancel_recovery(&caller.record(), &id, &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of a cancellation by link.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::CancelRecovery)]
pub(super) struct CancelBody {
    /// The part after the `#` of the link that was sent to the owner.
    token: String,
}

/// Cancels a recovery with the link that the owner was sent; no session is needed.
#[utoipa::path(post, path = "/recoveries/cancel", tag = "native", request_body = CancelBody,
    responses((status = 204, description = "It is cancelled"), Failures))]
pub(super) async fn cancel_by_link(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(CancelBody { token }): Body<CancelBody>,
) -> Result<StatusCode, Problem> {
    gateway.sign_in.cancel_recovery_by_link(&token, &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}
