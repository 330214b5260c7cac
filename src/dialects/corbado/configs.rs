//! The first requests of a front end: how sessions are kept, which identifiers users have, and
//! where to sign in.

use axum::Json;
use axum::extract::State;

use super::envelope::Failures;
use super::shapes::{CookieConfig, IdentifierConfig, ProcessConfig, SessionConfig, UserDetailsConfig};
use crate::dialects::Shared;
use crate::domain::dialect::Dialect;
use crate::domain::place::Scheme;
use crate::flows::Gateway;

/// How a front end keeps the session token.
#[utoipa::path(get, path = "/session-config", tag = "corbado",
    responses((status = 200, body = SessionConfig), Failures))]
pub(super) async fn session_config(State(gateway): State<Shared>) -> Json<SessionConfig> {
    let cookie = CookieConfig {
        // A cookie without a domain stays on the host of the page that sets it. With one it would
        // go to every application below.
        domain: "",
        secure: gateway.ground.place().scheme == Scheme::Https,
        same_site: "lax",
        path: "/",
        // The token in it is good for minutes; the client sees by the cookie that it is to be
        // renewed.
        lifetime_seconds: gateway.ground.lifetimes().absolute.as_secs(),
    };
    Json(SessionConfig {
        use_session_management: true,
        session_token_cookie_config: cookie.clone(),
        short_session_cookie_config: cookie,
        frontend_api_url: frontend_api_url(&gateway),
    })
}

/// The identifiers that users have.
#[utoipa::path(get, path = "/user-details-config", tag = "corbado",
    responses((status = 200, body = UserDetailsConfig), Failures))]
pub(super) async fn user_details_config() -> Json<UserDetailsConfig> {
    let identifiers = ["email", "username"].map(|kind| IdentifierConfig { kind }).into();
    Json(UserDetailsConfig { full_name_required: true, identifiers })
}

/// Where to sign in.
#[utoipa::path(get, path = "/process-config", tag = "corbado",
    responses((status = 200, body = ProcessConfig), Failures))]
pub(super) async fn process_config(State(gateway): State<Shared>) -> Json<ProcessConfig> {
    Json(ProcessConfig { use_server_side_process_id: false, frontend_api_url: frontend_api_url(&gateway) })
}

/// The address that the client puts before `/v2/...`.
pub(super) fn frontend_api_url(gateway: &Gateway) -> String {
    let place = gateway.ground.place();
    let mount = place.mounts.of(Dialect::Corbado).map_or("", |mount| mount.path.as_str());
    format!("{}{}", place.origin(), mount.strip_suffix("/v2").unwrap_or(mount))
}
