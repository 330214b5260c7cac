//! The audit trail: what happened, and who did it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Administrator;
use super::shapes::{EntryShape, Failures, TrailShape};
use crate::dialects::native::{App, Asked, cursor};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::flows::administration::trail::{PAGE_ENTRIES, PAGE_ENTRIES_MAX, TrailQuery};
use crate::web::Problem;

/// The entries to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only entries about the user with this id.
    user: Option<String>,
    /// Only entries of this kind, such as `sign_in_refused`.
    event: Option<String>,
    /// Only entries from this moment on, in RFC 3339.
    since: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// From 1 to 500 [default: 50].
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// A page of the trail, newest first.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "admin", params(Which),
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = TrailShape), Failures))]
pub(super) async fn list(
    State(gateway): App,
    _: Administrator,
    Asked(which): Asked<Which>,
) -> Result<Json<TrailShape>, Problem> {
    let limit = which.limit.unwrap_or(PAGE_ENTRIES);
    if !(1..=PAGE_ENTRIES_MAX).contains(&limit) {
        return Err(Problem::malformed(format!("`limit` is from 1 to {PAGE_ENTRIES_MAX}.")));
    }
    let user = which.user.as_deref().map(UserId::parse).transpose();
    let since = which.since.as_deref().map(|text| Timestamp::parse(text).ok_or(())).transpose();
    let (Ok(user), Ok(since)) = (user, since) else {
        return Err(Problem::malformed(
            "`user` is an id, and `since` a moment such as 2027-01-31T12:00:00Z.",
        ));
    };
    let (event, after) = (which.event, cursor(which.after.as_deref())?);
    let page = gateway.administration.read_trail(&TrailQuery { user, event, since, after, limit }).await?;
    let entries = page.items.into_iter().map(EntryShape::from).collect();
    Ok(Json(TrailShape { entries, next: page.next.map(|next| next.to_string()) }))
}
