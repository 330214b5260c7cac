//! Pages under the addresses of other forward-auth servers (`domain/aliases.rs`): signing in and
//! out, and the signed-in user.
//!
//! What always holds: they redirect to our own pages, and back to the host of the request.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::gate;
use super::routes::{Desk, to_page};
use crate::domain::aliases::Alias;
use crate::domain::user::Group;
use crate::flows::sessions::caller::Caller;
use crate::flows::sign_in::return_target::RedirectReason;
use crate::web::Problem;
use crate::web::call::Call;

/// The routes, with whole paths.
pub fn routes(desk: &Desk) -> Router {
    let known = desk.gateway.ground.place().aliases();
    let router = known.all().fold(Router::new(), |router, (path, alias)| match alias {
        Alias::SignIn => router.route(path, get(sign_in)),
        Alias::SignOut => router.route(path, get(sign_out)),
        Alias::UserInfo => router.route(path, get(user_info)),
        // Only other proxies ask for these, and our proxy has answered them already.
        Alias::Oauth2Check | Alias::WebauthnCheck => router,
    });
    router.fallback(super::routes::not_found).with_state(desk.clone())
}

/// The address to go to afterwards: oauth2-proxy's name, and `webauthn_proxy`'s.
#[derive(Deserialize)]
struct Back {
    #[serde(alias = "redirect_url")]
    rd: Option<String>,
}

async fn sign_in(
    State(desk): State<Desk>,
    call: Call,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let asked = back.rd.or_else(|| call.header("x-auth-request-redirect").map(str::to_owned));
    let origin = desk.gateway.ground.place().origin_of(&call.visit.host);
    gate::leave_for(&desk, &call, &within(&origin, asked.as_deref().unwrap_or("/")), RedirectReason::SignIn)
        .await
}

/// The part of an address below its host; the front page, for an address of another host.
fn within(origin: &str, address: &str) -> String {
    let below = address.strip_prefix(origin).unwrap_or(address);
    // Two slashes begin the name of another host.
    let is_here = below.starts_with('/') && !below.starts_with("//") && !below.starts_with("/\\");
    if is_here { below.to_owned() } else { "/".to_owned() }
}

/// The page asks first, as our own page does: a link of another site must not sign a user out.
async fn sign_out(State(desk): State<Desk>) -> Response {
    to_page(&desk, "/logout")
}

/// The names of oauth2-proxy.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo {
    user: String,
    email: String,
    groups: Vec<String>,
    preferred_username: String,
}

async fn user_info(call: Call) -> Result<Response, Problem> {
    let Caller::Known(_, user) = call.caller_by_cookie()? else { return Err(Problem::unauthenticated()) };
    let groups = user.groups.iter().map(Group::to_string).collect();
    let info = UserInfo {
        user: user.username.to_string(),
        email: user.email.to_string(),
        groups,
        preferred_username: user.username.to_string(),
    };
    Ok(Json(info).into_response())
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn aliases_refuse_redirects_to_other_hosts() {
        let within = |address| within("https://wiki.example.com", address);
        assert_eq!(within("/page?a=b"), "/page?a=b");
        assert_eq!(within("https://wiki.example.com/page?a=b"), "/page?a=b");
        for other in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "https://wiki.example.com.evil.example/",
            "https://wiki.example.com",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(within(other), "/", "{other}");
        }
    }
}
