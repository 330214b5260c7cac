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

use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::in_both_spellings;
use crate::dialects::Shared;
use crate::flows::authority::Authority;
use crate::web::Problem;
use crate::web::call::Call;
use crate::web::guard::{Known, Trusted};

/// The API, with paths relative to the prefix.
pub(super) fn routes() -> OpenApiRouter<Shared> {
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

/// A caller with an administrator's authority.
struct Administrator {
    authority: Authority,
    caller: Known,
    call: Call,
}

impl FromRequestParts<Shared> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Problem> {
        let Trusted(call) = Trusted::from_request_parts(parts, gateway).await?;
        let caller = call.signed_in()?;
        let authority = gateway.sessions.authority_of(&caller.record(), &call.visit)?;
        Ok(Self { authority, caller, call })
    }
}
