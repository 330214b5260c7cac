//! Bans: listing, adding and removing them.
//!
//! What does not live here: what a ban does (`flows/attempts/bans.rs`).
//!
//! What always holds: every call asks for an administrator's authority first.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Administrator;
use super::shapes::{BanShape, Failures};
use crate::dialects::native::App;
use crate::domain::ban::Reason;
use crate::domain::network::Network;
use crate::flows::FlowError;
use crate::flows::administration::bans::NewBan;
use crate::web::Problem;
use crate::web::json::Body;

/// Every ban in force, the newest first.
#[utoipa::path(get, path = "/admin/v1/bans", tag = "admin",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<BanShape>), Failures))]
pub(super) async fn list(State(gateway): App, _: Administrator) -> Result<Json<Vec<BanShape>>, Problem> {
    Ok(Json(gateway.administration.list_bans().iter().map(|ban| BanShape::from(&**ban)).collect()))
}

/// A ban to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = admin::BanBody)]
pub(super) struct BanBody {
    /// An address, or a network in CIDR notation.
    network: String,
    /// Default: until the ban is removed. At most 316224000 seconds, which are ten years.
    #[schema(minimum = 1, maximum = 316_224_000)]
    expires_in_seconds: Option<u64>,
    /// 1 to 200 characters.
    reason: Option<String>,
}

/// Bans a network: no credential can be tried from it. Users who are signed in there stay signed
/// in. An earlier ban of the network is replaced.
#[utoipa::path(post, path = "/admin/v1/bans", tag = "admin",
    security(("bearer" = []), ("cookie" = [])), request_body = BanBody,
    responses((status = 201, body = BanShape), Failures))]
pub(super) async fn add(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Body(asked): Body<BanBody>,
) -> Result<(StatusCode, Json<BanShape>), Problem> {
    let network = Network::parse(&asked.network).map_err(|error| Problem::malformed(format!("{error}.")))?;
    let reason = asked.reason.as_deref().map(Reason::parse).transpose().map_err(FlowError::from)?;
    let new = NewBan { network, length: asked.expires_in_seconds.map(Duration::from_secs), reason };
    let ban = gateway.administration.add_ban(&authority, new).await?;
    Ok((StatusCode::CREATED, Json(BanShape::from(&ban))))
}

/// Removes the ban of a network.
#[utoipa::path(delete, path = "/admin/v1/bans/{id}", tag = "admin",
    params(("id" = String, Path, description = "As listed: the network, with `-` for `/`")),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "It is not banned any more"), Failures))]
pub(super) async fn remove(
    State(gateway): App,
    Administrator { authority, .. }: Administrator,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let network = Network::parse(&id.replacen('-', "/", 1)).map_err(|_| Problem::not_found())?;
    gateway.administration.remove_ban(&authority, &network).await?;
    Ok(StatusCode::NO_CONTENT)
}
