//! The admin API, below `{prefix}/admin/v1`: administration of people, invitations, sessions,
//! access tokens and networks, and the audit trail.
//!
//! What always holds: every endpoint asks for an [`Authority`] first, readers too. It takes an
//! administrator's full session with a passkey shown a short time ago, from a page of ours or a
//! client that is no browser; an access token is never enough. `flows/administration/` decides what
//! it may do.

mod access_tokens;
mod bans;
mod invitations;
mod lists;
mod mail;
mod overview;
mod policy;
mod shapes;
mod trail;
mod users;

use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::{cursor, in_both_spellings};
use crate::dialects::Shared;
use crate::domain::id::UserId;
use crate::flows::Gateway;
use crate::flows::authority::Authority;
use crate::web::Problem;
use crate::web::call::Call;

/// The API, with paths relative to the prefix.
pub(super) fn api() -> OpenApiRouter<Shared> {
    let routes: [UtoipaMethodRouter<Shared>; 16] = [
        routes!(users::list),
        routes!(users::show, users::edit, users::delete),
        routes!(users::reset),
        routes!(users::sessions, users::end_sessions),
        routes!(users::end_session),
        routes!(users::remove_passkey),
        routes!(invitations::list, invitations::invite),
        routes!(invitations::revoke, invitations::renew),
        routes!(bans::list, bans::add),
        routes!(bans::remove),
        routes!(access_tokens::list),
        routes!(access_tokens::revoke),
        routes!(trail::list),
        routes!(overview::show),
        routes!(policy::explain),
        routes!(mail::test),
    ];
    routes.into_iter().fold(OpenApiRouter::new(), in_both_spellings)
}

/// The caller's authority, or why they have none.
fn authority(gateway: &Gateway, call: &Call) -> Result<Authority, Problem> {
    call.not_cross_site(gateway)?;
    let caller = call.signed_in(gateway)?;
    Ok(gateway.sessions.authority_of(&caller.record(), &call.visit)?)
}

/// A user's id in an address. An unreadable id counts as unknown.
fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|_| Problem::not_found())
}
