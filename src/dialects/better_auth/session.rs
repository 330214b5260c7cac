//! The signed-in user, signing out, and the origins that may use our passkeys.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::from_trusted_page;
use super::shapes::{Failures, Origins, ReadFailures, SignedIn, Success};
use crate::dialects::Shared;
use crate::domain::session::Session;
use crate::web::Problem;
use crate::web::call::Call;
use crate::web::guard::Known;

/// The signed-in user; `null` if no user is signed in.
#[utoipa::path(get, path = "/get-session", tag = "better-auth",
    responses((status = 200, body = Option<SignedIn>), ReadFailures))]
pub(super) async fn get_session(
    State(gateway): State<Shared>,
    call: Call,
) -> Result<Json<Option<SignedIn>>, Problem> {
    let caller = call.identify()?.and_then(Known::fully);
    let signed_in = match caller {
        Some(caller) => {
            caller.session.touch(gateway.ground.clock().now());
            let token = call.token_of(&caller)?;
            let seen = Session { last_seen_at: caller.session.last_seen_at(), ..(*caller.record()).clone() };
            Some(SignedIn::new(&gateway.ground.lifetimes(), &seen, &caller.user, token))
        }
        None => None,
    };
    Ok(Json(signed_in))
}

/// Signs out. Anonymous clients get the same answer.
#[utoipa::path(post, path = "/sign-out", tag = "better-auth",
    responses((status = 200, body = Success), Failures))]
pub(super) async fn sign_out(call: Call) -> Result<Response, Problem> {
    from_trusted_page(&call)?;
    call.sign_out(Json(Success { success: true })).await
}

/// Origins that may use our passkeys (WebAuthn Level 3, section 5.11).
#[utoipa::path(get, path = "/.well-known/webauthn", tag = "better-auth",
    responses((status = 200, body = Origins)))]
pub(super) async fn related_origins(State(gateway): State<Shared>) -> Json<Origins> {
    Json(Origins { origins: gateway.ground.relying_party().origins().to_vec() })
}
