//! Recovery codes: making them, how many are left, and using one.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::sessions::{Current, opened};
use super::shapes::{Failures, ReadFailures};
use crate::domain::recovery_code::RecoveryCode;
use crate::flows::sign_in::recovery_codes::Printed;
use crate::web::Problem;
use crate::web::guard::{SignedIn, Trusted};
use crate::web::json::Body;

/// The codes that are left.
#[derive(Serialize, ToSchema)]
#[schema(as = native::RecoveryCodesLeft)]
pub(super) struct Left {
    left: usize,
    /// When they were made; `null` if there are none.
    #[schema(required)]
    made_at: Option<String>,
}

/// How many recovery codes the caller still has.
#[utoipa::path(get, path = "/recovery-codes", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Left), ReadFailures))]
pub(super) async fn left(State(gateway): App, SignedIn(caller, _): SignedIn) -> Result<Json<Left>, Problem> {
    let codes = gateway.sign_in.recovery_codes_of(&caller.user.id).await?;
    let left = codes.as_ref().map_or(0, |codes| codes.hashes.len());
    Ok(Json(Left { left, made_at: codes.map(|codes| codes.made_at.to_rfc3339()) }))
}

/// New codes. They are shown in this answer only.
#[derive(Serialize, ToSchema)]
#[schema(as = native::RecoveryCodes)]
pub(super) struct Made {
    codes: Vec<String>,
}

/// Makes ten recovery codes; earlier codes stop working. Each works once, to add a passkey.
#[utoipa::path(post, path = "/recovery-codes", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 201, body = Made), Failures))]
pub(super) async fn make(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let codes = gateway.sign_in.make_recovery_codes(&caller.record(), &call.visit).await?;
    let made = Made { codes: codes.iter().map(RecoveryCode::reveal).collect() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Body of a use.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::RecoveryCodeUse)]
pub(super) struct Use {
    /// The e-mail address or the username of the account.
    identifier: String,
    code: String,
}

/// Uses a recovery code: the answer is a session that may only add a passkey.
#[utoipa::path(post, path = "/recovery-codes/redeem", tag = "native", request_body = Use,
    responses((status = 201, body = Current), Failures))]
pub(super) async fn redeem(
    State(gateway): App,
    Trusted(call): Trusted,
    Body(Use { identifier, code }): Body<Use>,
) -> Result<Response, Problem> {
    let before = call.identify()?.map(|caller| caller.session);
    let printed = Printed { who: &identifier, code: &code };
    let redeemed = gateway.sign_in.redeem_recovery_code(printed, before, &call.visit, &call.device()).await?;
    opened(&gateway, &call, &redeemed)
}
