//! Cookies for the browser when a user signs in or out.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};

use super::call::Call;
use super::guard::{Shown, SignedIn};
use super::{Problem, cookies};
use crate::domain::cookie::Cookie;
use crate::domain::dialect::Dialect;
use crate::domain::session::Session;
use crate::domain::session::token::Carrier;
use crate::flows::visit::Visit;
use crate::flows::{FlowError, Gateway};

/// The data that the auth host asks browsers to clear. Never `"cookies"`: browsers apply it to the
/// whole registrable domain, so that it signs people out of every other site of that domain.
const CLEAR_SITE_DATA: &str = "\"storage\"";

/// Gives the browser the cookie of `session` for the host it is on.
pub fn set_session_cookie(
    gateway: &Gateway,
    visit: &Visit,
    session: &Session,
    headers: &mut HeaderMap,
) -> Result<(), Problem> {
    let token =
        gateway.sessions.token(session, Carrier::Cookie(visit.host.clone())).map_err(FlowError::from)?;
    cookies::append(
        headers,
        cookies::session(gateway.ground.place(), &token, gateway.sessions.cookie_lifetime(session)),
    );
    // A passkey was shown here, or made.
    if session.credential.is_some()
        && let Some(mark) = gateway.attempts.device_mark(&session.user)
    {
        cookies::append(headers, cookies::device(gateway.ground.place(), &mark));
    }
    Ok(())
}

/// Gives a caller who shows a cookie a new cookie for `session`, their session as it is now. A
/// caller who shows a token gets none.
pub fn renew(
    gateway: &Gateway,
    call: &Call,
    caller: &SignedIn,
    session: &Session,
    headers: &mut HeaderMap,
) -> Result<(), Problem> {
    match caller.shown {
        Shown::Cookie => set_session_cookie(gateway, &call.visit, session, headers),
        Shown::Bearer => Ok(()),
    }
}

/// Ends every session that the caller shows, and answers `done`. An anonymous client gets the same
/// answer.
pub async fn sign_out(gateway: &Gateway, call: &Call, done: impl IntoResponse) -> Result<Response, Problem> {
    if let Err(problem) = call.not_cross_site(gateway) {
        // A request of another site's page must not clear a user's cookies; in the native contract
        // that page is an anonymous client.
        return if call.visit.dialect == Dialect::Native { Ok(done.into_response()) } else { Err(problem) };
    }
    let shown = call.shown_sessions(gateway)?;
    let mut response = match gateway.sessions.sign_out(&shown, &call.visit).await {
        Ok(()) => done.into_response(),
        Err(error) => Problem::from(error).into_response(),
    };
    clear_session_cookie(gateway, &call.visit, response.headers_mut());
    Ok(response)
}

/// Clears this browser's cookies of a session, on the host it is on, whether or not the session
/// could be ended: a person who signs out must not be shown as signed in. Storage is cleared on the
/// auth host only, and only where no application shares that host and may keep data there.
pub fn clear_session_cookie(gateway: &Gateway, visit: &Visit, headers: &mut HeaderMap) {
    let is_ours_alone = gateway.ground.routes().host(&visit.host).is_none();
    if gateway.ground.place().is_auth_host(&visit.host) && is_ours_alone {
        headers.insert("clear-site-data", HeaderValue::from_static(CLEAR_SITE_DATA));
    }
    cookies::append(headers, cookies::expire(gateway.ground.place(), Cookie::Session));
}
