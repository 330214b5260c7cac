//! The caller of one of our endpoints, and the page that the request comes from.
//!
//! A handler asks for the evidence it needs: [`signed_in`] gives a caller, [`same_origin`] the
//! knowledge that no other site's page sent the request. A cookie alone is never enough for a
//! change: browsers attach it to requests of other sites as well.

use std::sync::Arc;

use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};

use super::{Fault, Problem, cookies};
use crate::domain::cookie::{Cookie, Found, find};
use crate::domain::dialect::Dialect;
use crate::domain::place::Scheme;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::access;
use crate::domain::session::token::Carrier;
use crate::domain::session::{Scope, Session};
use crate::domain::user::User;
use crate::flows::index::LiveSession;
use crate::flows::sessions::caller::Caller;
use crate::flows::visit::Device;
use crate::flows::visit::Visit;
use crate::flows::{FlowError, Gateway};

/// Carries the nonce that a step-up was answered with.
const STEP_UP: &str = "x-vestibule-step-up";

/// How a caller showed their session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Cookie,
    Bearer,
}

/// A known caller. Made only by [`identify`] and [`identify_lasting`].
pub struct SignedIn {
    pub session: Arc<LiveSession>,
    pub user: Arc<User>,
    pub shown: Shown,
}

impl SignedIn {
    /// The session's record.
    pub fn record(&self) -> Arc<Session> {
        self.session.record()
    }
}

/// The token that `caller` goes on with: the token that they have shown, or a new one for a caller
/// who showed a cookie. No token is exchanged for a token of another kind, which might last longer.
pub fn token_of(gateway: &Gateway, headers: &HeaderMap, caller: &SignedIn) -> Result<String, FlowError> {
    match (caller.shown, bearer(headers)) {
        (Shown::Bearer, Some(token)) => Ok(token.to_owned()),
        (Shown::Cookie, _) | (Shown::Bearer, None) => {
            Ok(gateway.sessions.token(&caller.record(), Carrier::Bearer)?)
        }
    }
}

/// Proof that the request was not sent by another site's page.
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin(());

/// Whether the request comes from a page of ours, or from no page at all.
///
/// `Origin` must be ours if it is there, and so must `Sec-Fetch-Site`; without either, a request
/// that changes something is taken to come from elsewhere (ASVS 3.5.1 to 3.5.3).
pub fn same_origin(gateway: &Gateway, headers: &HeaderMap) -> Result<SameOrigin, Problem> {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    let origin = text(ORIGIN.as_str());
    let site = text("sec-fetch-site");
    let ours = gateway.ground.place().origin();
    if origin.is_some_and(|origin| origin != ours.as_bytes())
        || site.is_some_and(|site| site != b"same-origin")
    {
        return Err(elsewhere());
    }
    if origin.is_none() && site.is_none() { Err(elsewhere()) } else { Ok(SameOrigin(())) }
}

/// Whether the request comes from a page that may use the session cookie with this dialect: one of
/// ours, and for dialects that serve other people's front ends, one of a related origin.
fn trusted_page(gateway: &Gateway, visit: &Visit, headers: &HeaderMap) -> Result<(), Problem> {
    match visit.dialect {
        Dialect::Native | Dialect::Ocore | Dialect::Zitadel => same_origin(gateway, headers).map(drop),
        Dialect::BetterAuth | Dialect::Corbado => match headers.get(ORIGIN) {
            Some(origin) if is_related(gateway, origin) => Ok(()),
            Some(_) => Err(elsewhere()),
            None => same_origin(gateway, headers).map(drop),
        },
    }
}

/// Whether `origin` may use our passkeys.
pub fn is_related(gateway: &Gateway, origin: &HeaderValue) -> bool {
    gateway.ground.relying_party().origins().iter().any(|known| known.as_bytes() == origin.as_bytes())
}

/// Refuses requests that say they come from a page that is not trusted. A request that says nothing
/// passes: for endpoints that use no cookie of a session.
pub fn not_cross_site(gateway: &Gateway, visit: &Visit, headers: &HeaderMap) -> Result<(), Problem> {
    let silent = !headers.contains_key(ORIGIN) && !headers.contains_key("sec-fetch-site");
    if silent { Ok(()) } else { trusted_page(gateway, visit, headers) }
}

/// Whether the request is a form of one of our pages, on whichever host it is.
///
/// A form of a page with `Referrer-Policy: no-referrer` is sent with `Origin: null`, so Fetch
/// Metadata decides, and `Origin` only where it is missing.
pub fn own_form(gateway: &Gateway, visit: &Visit, headers: &HeaderMap) -> Result<SameOrigin, Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text("origin") == Some(&gateway.ground.place().origin_of(&visit.host)),
    };
    if ours { Ok(SameOrigin(())) } else { Err(elsewhere()) }
}

/// The caller, if known: by bearer token, else by cookie. A cookie on a request that changes
/// something counts only if the request comes from a page of ours.
pub fn identify(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<SignedIn>, Problem> {
    if let Some(token) = bearer(headers) {
        return Ok(known(gateway.sessions.caller_by_bearer(token)?, Shown::Bearer));
    }
    identify_by_cookie(gateway, visit, method, headers)
}

/// The same, but only by a token or cookie that lasts as long as the session: an access token is
/// short-lived so that it cannot be prolonged.
pub fn identify_lasting(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<SignedIn>, Problem> {
    match bearer(headers) {
        Some(token) => Ok(known(gateway.sessions.caller_by_lasting(token)?, Shown::Bearer)),
        None => identify_by_cookie(gateway, visit, method, headers),
    }
}

/// Every session that the request shows, by token and by cookie: a user who signs out means both,
/// and an invalid token must not keep the cookie's session alive.
pub fn shown_sessions(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Vec<Arc<LiveSession>>, Problem> {
    let by_token = match bearer(headers) {
        Some(token) => known(gateway.sessions.caller_by_bearer(token)?, Shown::Bearer),
        None => None,
    };
    let by_cookie = match identify_by_cookie(gateway, visit, method, headers) {
        // The token counts from any page.
        Err(_) if by_token.is_some() => None,
        other => other?,
    };
    Ok(by_token.into_iter().chain(by_cookie).map(|caller| caller.session).collect())
}

/// Whether the request shows a session that lives, in whatever form.
pub fn shows_live_session(gateway: &Gateway, visit: &Visit, method: &Method, headers: &HeaderMap) -> bool {
    shown_sessions(gateway, visit, method, headers).is_ok_and(|sessions| !sessions.is_empty())
}

/// The caller by cookie, whatever token is shown as well. On a request that changes something it
/// counts only if the request comes from a page of ours.
pub fn identify_by_cookie(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<SignedIn>, Problem> {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && let Err(problem) = trusted_page(gateway, visit, headers) {
        let shows_cookie = cookies::read(headers, gateway.ground.place(), Cookie::Session).is_some();
        return match visit.dialect {
            // A page of another site counts as an anonymous client, as in the native contract.
            Dialect::Native => Ok(None),
            _ if shows_cookie => Err(problem),
            Dialect::BetterAuth | Dialect::Ocore | Dialect::Corbado | Dialect::Zitadel => Ok(None),
        };
    }
    let cookies = headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes);
    Ok(known(gateway.sessions.caller_by_cookie(&visit.host, cookies)?, Shown::Cookie))
}

fn known(caller: Caller, shown: Shown) -> Option<SignedIn> {
    match caller {
        Caller::Known(session, user) => Some(SignedIn { session, user, shown }),
        Caller::Anonymous { .. } => None,
    }
}

/// A caller with a session of whatever scope.
pub fn enrolling_or_signed_in(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<SignedIn, Problem> {
    let caller = identify(gateway, visit, method, headers)?.ok_or_else(Problem::unauthenticated)?;
    caller.session.touch(gateway.ground.clock().now());
    Ok(caller)
}

/// A caller with a full session. A session that may only enrol does not count here.
pub fn signed_in(
    gateway: &Gateway,
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
) -> Result<SignedIn, Problem> {
    let caller = enrolling_or_signed_in(gateway, visit, method, headers)?;
    match caller.record().scope {
        Scope::Full => Ok(caller),
        Scope::Enrol => Err(Problem::unauthenticated()),
    }
}

/// The caller's program, as the headers describe it.
pub fn device(headers: &HeaderMap) -> Device {
    let user_agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Device { user_agent: user_agent.map(str::to_owned), is_shared: false }
}

/// Whether the request carries an `Authorization` header of any kind.
pub fn has_authorization(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

/// Whether the request shows an access token.
pub fn shows_access_token(headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(access::is_access_token)
}

/// The nonce of a step-up that is to pay for the request.
pub fn step_up(headers: &HeaderMap) -> Option<SecretHash> {
    Some(Secret::parse(headers.get(STEP_UP)?.to_str().ok()?)?.hashed())
}

/// The mark of a browser in which a user has signed in, under whichever scheme its cookie was set.
pub fn device_mark(headers: &HeaderMap) -> Option<SecretHash> {
    let cookies = || headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes);
    [Scheme::Https, Scheme::Http].into_iter().find_map(|scheme| {
        match find(cookies(), Cookie::Device.name(scheme)) {
            Found::One(mark) => Some(Secret::parse(mark)?.hashed()),
            Found::Nothing | Found::Unclear => None,
        }
    })
}

/// The token in `Authorization`. Some scripts without a token write "undefined" or "null" instead;
/// that is no token, and there may still be a cookie.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())?;
    (!matches!(token, "" | "undefined" | "null")).then_some(token)
}

fn elsewhere() -> Problem {
    Problem::new(Fault::WrongOrigin, "This request came from another site.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_what_stands_behind_bearer() {
        for (authorization, token, is_access) in [
            ("Bearer abc", Some("abc"), false),
            ("bearer  a.b.c ", Some("a.b.c"), true),
            ("Bearer undefined", None, false),
            ("Bearer null", None, false),
            ("Bearer ", None, false),
            ("Basic eDp5", None, false),
            ("Bearer", None, false),
        ] {
            let shown = headers(&[("authorization", authorization)]);
            assert_eq!(bearer(&shown), token, "{authorization}");
            assert_eq!(shows_access_token(&shown), is_access, "{authorization}");
            assert!(has_authorization(&shown));
        }
        assert!(!has_authorization(&headers(&[])) && bearer(&headers(&[])).is_none());
    }

    #[test]
    fn what_a_request_shows_is_read_from_its_headers() {
        let secret = Secret::from_random([7; 32]);
        let (text, hash) = (secret.reveal(), Some(secret.hashed()));
        assert_eq!(step_up(&headers(&[(STEP_UP, &text)])), hash);
        assert_eq!(step_up(&headers(&[(STEP_UP, "short")])), None);
        assert_eq!(step_up(&headers(&[])), None);
        for scheme in [Scheme::Https, Scheme::Http] {
            let cookie = format!("a=1; {}={text}", Cookie::Device.name(scheme));
            assert_eq!(device_mark(&headers(&[("cookie", &cookie)])), hash, "{cookie}");
        }
        assert_eq!(device_mark(&headers(&[("cookie", "a=1")])), None);
        let told = device(&headers(&[("user-agent", "Firefox/1")]));
        assert_eq!((told.user_agent.as_deref(), told.is_shared), (Some("Firefox/1"), false));
        assert_eq!(device(&headers(&[])).user_agent, None);
    }
}
