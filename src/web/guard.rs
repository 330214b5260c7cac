//! The caller of one of our endpoints, and the page that the request comes from.
//!
//! A handler says in its signature what it needs: [`SignedIn`] or [`AnySession`] for a caller whom
//! we know, [`Trusted`] for the knowledge that no other site's page sent the request. Handlers that
//! use a ceremony up ask the call itself, in their own order. A cookie alone is never enough for a
//! change: browsers attach it to requests of other sites as well.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::call::Call;
use super::{Fault, Problem};
use crate::domain::cookie::{Cookie, Found, find};
use crate::domain::dialect::{BadToken, OtherPages, Pages};
use crate::domain::place::Scheme;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::token::Carrier;
use crate::domain::session::{Scope, Session, access};
use crate::domain::user::User;
use crate::flows::index::LiveSession;
use crate::flows::sessions::caller::Caller;
use crate::flows::{FlowError, Gateway};

/// Carries the nonce that a step-up was answered with.
const STEP_UP: &str = "x-vestibule-step-up";
/// Names the kind of page that sent a request (W3C, "Fetch Metadata Request Headers").
const FETCH_SITE: &str = "sec-fetch-site";

/// How a caller showed their session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Cookie,
    Bearer,
}

/// A known caller. Made only by a [`Call`].
pub struct Known {
    pub session: Arc<LiveSession>,
    pub user: Arc<User>,
    pub shown: Shown,
}

impl Known {
    /// The session's record.
    pub fn record(&self) -> Arc<Session> {
        self.session.record()
    }

    /// The caller, if the session is a full one.
    pub fn fully(self) -> Option<Self> {
        Some(self).filter(|caller| caller.record().scope == Scope::Full)
    }
}

/// A caller with a full session. A session that may only enrol does not count.
pub struct SignedIn(pub Known, pub Call);

/// A caller with a session of whatever scope.
pub struct AnySession(pub Known, pub Call);

/// A call that no untrusted page has sent; see [`Call::not_cross_site`].
pub struct Trusted(pub Call);

/// Makes an extractor of what is read from a call.
macro_rules! extracted {
    ($name:ident, $read:expr) => {
        impl<S: Send + Sync> FromRequestParts<S> for $name
        where
            Arc<Gateway>: FromRef<S>,
        {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let read: fn(Call) -> Result<Self, Problem> = $read;
                read(Call::from_request_parts(parts, state).await?)
            }
        }
    };
}

extracted!(SignedIn, |call| Ok(Self(call.signed_in()?, call)));
extracted!(AnySession, |call| Ok(Self(call.enrolling_or_signed_in()?, call)));
extracted!(Trusted, |call| call.not_cross_site().map(|()| Self(call)));

/// Proof that the request was not sent by another site's page.
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin(());

impl Call {
    /// A caller with a full session. A session that may only enrol does not count.
    pub fn signed_in(&self) -> Result<Known, Problem> {
        self.enrolling_or_signed_in()?.fully().ok_or_else(|| self.unauthenticated())
    }

    /// A caller with a session of whatever scope.
    pub fn enrolling_or_signed_in(&self) -> Result<Known, Problem> {
        let caller = self.identify()?.ok_or_else(|| self.unauthenticated())?;
        caller.session.touch(self.gateway.ground.clock().now());
        Ok(caller)
    }

    /// The failure for a caller who is not known.
    fn unauthenticated(&self) -> Problem {
        match self.terms().bad_token {
            BadToken::Told if self.has_authorization() => {
                Problem::new(Fault::TokenInvalid, "The access token is not valid, or not any more.")
            }
            BadToken::Told | BadToken::Missing => Problem::unauthenticated(),
        }
    }

    /// The caller, if known: by bearer token, else by cookie. A cookie on a request that changes
    /// something counts only if the request comes from a page of ours.
    pub fn identify(&self) -> Result<Option<Known>, Problem> {
        if let Some(token) = bearer(&self.headers) {
            return Ok(known(self.gateway.sessions.caller_by_bearer(token)?, Shown::Bearer));
        }
        self.identify_by_cookie()
    }

    /// The same, but only by a token or cookie that lasts as long as the session: an access token
    /// is short-lived so that it cannot be prolonged.
    pub fn identify_lasting(&self) -> Result<Option<Known>, Problem> {
        match bearer(&self.headers) {
            Some(token) => Ok(known(self.gateway.sessions.caller_by_lasting(token)?, Shown::Bearer)),
            None => self.identify_by_cookie(),
        }
    }

    /// The caller by cookie, whatever token is shown as well. On a request that changes something
    /// it counts only if the request comes from a page of ours.
    pub fn identify_by_cookie(&self) -> Result<Option<Known>, Problem> {
        let safe = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !safe && let Err(problem) = self.trusted_page() {
            return match self.terms().other_pages {
                OtherPages::Refused if self.cookie(Cookie::Session).is_some() => Err(problem),
                OtherPages::Refused | OtherPages::Unknown => Ok(None),
            };
        }
        Ok(known(self.caller_by_cookie()?, Shown::Cookie))
    }

    /// The owner of the cookie, from whichever page it comes: for page loads, which change nothing.
    pub fn caller_by_cookie(&self) -> Result<Caller, Problem> {
        Ok(self.gateway.sessions.caller_by_cookie(&self.visit.host, self.cookie_headers())?)
    }

    /// Every session that the request shows, by token and by cookie: a user who signs out means
    /// both, and an invalid token must not keep the cookie's session alive.
    pub fn shown_sessions(&self) -> Result<Vec<Arc<LiveSession>>, Problem> {
        let by_token = match bearer(&self.headers) {
            Some(token) => known(self.gateway.sessions.caller_by_bearer(token)?, Shown::Bearer),
            None => None,
        };
        let by_cookie = match self.identify_by_cookie() {
            // The token counts from any page.
            Err(_) if by_token.is_some() => None,
            other => other?,
        };
        Ok(by_token.into_iter().chain(by_cookie).map(|caller| caller.session).collect())
    }

    /// The token that `caller` goes on with: the token that they have shown, or a new one for a
    /// caller who showed a cookie. No token is exchanged for a token of another kind, which might
    /// last longer.
    pub fn token_of(&self, caller: &Known) -> Result<String, FlowError> {
        match (caller.shown, bearer(&self.headers)) {
            (Shown::Bearer, Some(token)) => Ok(token.to_owned()),
            (Shown::Cookie, _) | (Shown::Bearer, None) => {
                Ok(self.gateway.sessions.token(&caller.record(), Carrier::Bearer)?)
            }
        }
    }

    /// Whether the request comes from a page of ours, or from no page at all.
    ///
    /// `Origin` must be ours if it is there, and so must `Sec-Fetch-Site`; without either, a
    /// request that changes something is taken to come from elsewhere (ASVS 3.5.1 to 3.5.3).
    fn same_origin(&self) -> Result<(), Problem> {
        let text = |name| self.headers.get(name).map(HeaderValue::as_bytes);
        let (origin, site) = (text(ORIGIN.as_str()), text(FETCH_SITE));
        let ours = self.place().origin();
        let fits = origin.is_none_or(|origin| origin == ours.as_bytes())
            && site.is_none_or(|site| site == b"same-origin");
        if fits && !self.is_silent() { Ok(()) } else { Err(elsewhere()) }
    }

    /// Whether the request comes from a page that may use the session cookie with this dialect.
    fn trusted_page(&self) -> Result<(), Problem> {
        match (self.terms().pages, self.headers.get(ORIGIN)) {
            (Pages::Related, Some(origin)) if is_related(&self.gateway, origin) => Ok(()),
            (Pages::Related, Some(_)) => Err(elsewhere()),
            (Pages::Related, None) | (Pages::Ours, _) => self.same_origin(),
        }
    }

    /// Refuses requests that say they come from a page that is not trusted. A request that says
    /// nothing passes: for endpoints that use no cookie of a session.
    pub fn not_cross_site(&self) -> Result<(), Problem> {
        if self.is_silent() { Ok(()) } else { self.trusted_page() }
    }

    /// Whether the request does not say from which page it comes.
    fn is_silent(&self) -> bool {
        !self.headers.contains_key(ORIGIN) && !self.headers.contains_key(FETCH_SITE)
    }

    /// Whether the request is a form of one of our pages, on whichever host it is.
    ///
    /// A form of a page with `Referrer-Policy: no-referrer` is sent with `Origin: null`, so Fetch
    /// Metadata decides, and `Origin` only where it is missing.
    pub fn own_form(&self) -> Result<SameOrigin, Problem> {
        let ours = match self.header(FETCH_SITE) {
            Some(site) => site == "same-origin",
            None => self.header("origin") == Some(&self.place().origin_of(&self.visit.host)),
        };
        if ours { Ok(SameOrigin(())) } else { Err(elsewhere()) }
    }

    /// Whether the request carries an `Authorization` header of any kind.
    pub fn has_authorization(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }
}

/// Whether `origin` may use our passkeys.
pub fn is_related(gateway: &Gateway, origin: &HeaderValue) -> bool {
    gateway.ground.relying_party().origins().iter().any(|known| known.as_bytes() == origin.as_bytes())
}

fn known(caller: Caller, shown: Shown) -> Option<Known> {
    match caller {
        Caller::Known(session, user) => Some(Known { session, user, shown }),
        Caller::Anonymous { .. } => None,
    }
}

/// Whether the request shows an access token.
pub(super) fn shows_access_token(headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(access::is_access_token)
}

/// The nonce of a step-up that is to pay for the request.
pub(super) fn step_up(headers: &HeaderMap) -> Option<SecretHash> {
    Some(Secret::parse(headers.get(STEP_UP)?.to_str().ok()?)?.hashed())
}

/// The mark of a browser in which a user has signed in, under whichever scheme its cookie was set.
pub(super) fn device_mark(headers: &HeaderMap) -> Option<SecretHash> {
    let cookies = || headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
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
        }
        assert_eq!(bearer(&headers(&[])), None);
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
    }
}
