//! Admission: the one function that decides whether a request reaches an upstream.
//!
//! It reads memory only: no store, no lock that all requests share, and no signature is checked
//! twice. It is the only maker of a [`Permit`], and the proxy cannot choose an upstream without
//! one. Whatever is unclear is an [`Outcome`], which is answered, never forwarded.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::index::{LiveSession, Verified};
use super::passport::Passport;
use super::{FlowError, Gateway};
use crate::domain::cookie::{self, Cookie, Found};
use crate::domain::dialect::Dialect;
use crate::domain::event::{Kind, Origin};
use crate::domain::id::UserId;
use crate::domain::place::Scheme;
use crate::domain::policy::may_enter;
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::route::Route;
use crate::domain::secret::SecretHash;
use crate::domain::session::step_up::Change;
use crate::domain::session::token::{Beside, Carrier, TokenError};
use crate::domain::session::{Scope, access};
use crate::domain::user::{Standing, User};

/// Where a request came in, as the proxy found it. Nothing in it is believed from a header unless
/// the peer is a trusted proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Lower case, no port, no trailing dot.
    pub host: String,
    /// What the person's browser used.
    pub scheme: Scheme,
    pub client: Option<IpAddr>,
    pub request_id: String,
    /// Which API is asked; native unless a dialect's router says otherwise.
    pub dialect: Dialect,
    /// Whether the caller shows an access token, which others may have seen: it pays for no change.
    pub by_access_token: bool,
    /// What it would change; nothing where that does not matter.
    pub change: Option<Change>,
    /// Of the nonce with which a step-up is to pay for it.
    pub step_up: Option<SecretHash>,
}

impl Visit {
    /// For the audit log.
    pub fn origin(&self) -> Origin {
        Origin { client: self.client, request: self.request_id.clone(), dialect: Some(self.dialect) }
    }
}

/// Permission to forward one request along one route. Only [`Gateway::admit`] makes one.
#[must_use]
pub struct Permit {
    route: Arc<Route>,
    visitor: Visitor,
}

enum Visitor {
    /// On a public path, without a valid session.
    Stranger,
    Known {
        session: Arc<LiveSession>,
        passport: Arc<Passport>,
    },
}

impl Permit {
    /// The route to take.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Who it is, to be written over whatever the client claimed.
    pub fn identity_headers(&self) -> &[(HeaderName, HeaderValue)] {
        match &self.visitor {
            Visitor::Stranger => &[],
            Visitor::Known { passport, .. } => passport.headers.as_deref().unwrap_or_default(),
        }
    }

    /// The session that open streams live and die with.
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        match &self.visitor {
            Visitor::Stranger => None,
            Visitor::Known { session, .. } => Some(session),
        }
    }
}

/// What is to be done with a request.
pub enum Admission {
    /// Forward it.
    Forward(Permit),
    /// It is for our own endpoints.
    Ours,
    /// Answer it.
    Answer(Outcome),
}

/// Why a request is answered instead of forwarded.
#[derive(Clone)]
pub enum Outcome {
    /// A stranger on a protected route.
    SignIn { route: Arc<Route> },
    /// Signed in, but not allowed here.
    Forbidden { route: Arc<Route>, user: Arc<User> },
    /// No route and not the auth host.
    UnknownHost,
    /// A host of ours, but no route for this path.
    NoRoute,
    /// A path that must not be shown to any server.
    MalformedRequest,
    /// A path with more than one reading, or one that letter case alone keeps apart from another
    /// route or a public path, on a host where decisions depend on the path.
    AmbiguousPath,
    /// A WebSocket upgrade on a route that does not allow them.
    UpgradeRefused { route: Arc<Route> },
    /// A request that changes something, with an identity, from a page of another origin.
    CrossOriginRefused { route: Arc<Route> },
    /// The script of a service worker on the host where people sign in.
    ServiceWorkerRefused { route: Arc<Route> },
    /// `CONNECT`, `TRACE`, or a method that is not an upper-case token.
    MethodRefused,
    /// A body above the limit of our own endpoints.
    BodyTooLarge,
    /// Headers above the limit.
    HeadersTooLarge,
    /// TLS was made for another host than the request names.
    Misdirected,
    /// The decision could not be made in time; says nothing about the visitor.
    Unavailable,
    /// The upstream could not be reached, or broke off before it answered.
    UpstreamFailed { route: Arc<Route> },
    /// The upstream took too long.
    UpstreamTimedOut { route: Arc<Route> },
    /// Something of ours went wrong.
    Internal,
}

/// Who a request is from.
pub enum Caller {
    Known(Arc<LiveSession>, Arc<User>),
    /// Nobody we know. `showed_token` says whether a token was shown, but not a valid one.
    Stranger {
        showed_token: bool,
    },
}

/// The session check ran out of its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session could not be checked in time")]
pub struct CheckUnavailable;

impl Gateway {
    /// Decides about a request for `raw_path` on the host of `visit`.
    pub fn admit<'a>(
        &self,
        visit: &Visit,
        raw_path: &[u8],
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Admission {
        let host = self.routes.host(&visit.host);
        let known = host.is_some() || self.place.is_auth_host(&visit.host);
        if !known && self.place.document(&visit.host, raw_path).is_none() {
            return Admission::Answer(Outcome::UnknownHost);
        }
        let reading = path::read(raw_path);
        if reading == Reading::Malformed {
            return Admission::Answer(Outcome::MalformedRequest);
        }
        if self.place.owns(&visit.host, raw_path) {
            return Admission::Ours;
        }
        let Some(host) = host else { return Admission::Answer(Outcome::NoRoute) };
        let unclear = reading == Reading::Ambiguous || host.depends_on_case(raw_path);
        if unclear && host.decides_by_path() {
            return Admission::Answer(Outcome::AmbiguousPath);
        }
        match host.find(raw_path) {
            Some(route) => self.admit_to(route, visit, raw_path, cookies),
            None => Admission::Answer(Outcome::NoRoute),
        }
    }

    fn admit_to<'a>(
        &self,
        route: &Arc<Route>,
        visit: &Visit,
        raw_path: &[u8],
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Admission {
        let route = Arc::clone(route);
        let public = route.public.iter().any(|path| path.opens(raw_path));
        let caller = self.caller_by_cookie(&visit.host, cookies);
        match caller {
            Ok(Caller::Known(session, user)) if session.record().scope == Scope::Full => {
                let Ok(passport) = self.passport(&route, &session, user) else {
                    tracing::error!(route = route.name, "an assertion could not be signed");
                    return Admission::Answer(Outcome::Internal);
                };
                if passport.headers.is_some() {
                    session.touch(self.clock.now());
                    return Admission::Forward(Permit {
                        route,
                        visitor: Visitor::Known { session, passport },
                    });
                }
                if !public {
                    return self.forbid(route, visit, &passport.user);
                }
            }
            Err(CheckUnavailable) if !public => return Admission::Answer(Outcome::Unavailable),
            Ok(_) | Err(CheckUnavailable) => {}
        }
        if public {
            return Admission::Forward(Permit { route, visitor: Visitor::Stranger });
        }
        Admission::Answer(Outcome::SignIn { route })
    }

    /// Returns when the owner of `session` may not use `route` any more: the session has ended, or the
    /// person has lost what `allow` asks for, or their account. Streams that were let in wait for it.
    pub async fn until_refused(&self, session: &LiveSession, route: &Route) {
        let may_enter =
            || self.active_user(&session.record().user).is_some_and(|user| may_enter(&route.allow, &user));
        session.ended_or_not(may_enter).await;
    }

    fn forbid(&self, route: Arc<Route>, visit: &Visit, user: &Arc<User>) -> Admission {
        self.report(visit.origin(), Kind::AccessDenied { user: user.id, route: route.name.clone() });
        Admission::Answer(Outcome::Forbidden { route, user: Arc::clone(user) })
    }

    fn passport(
        &self,
        route: &Route,
        session: &LiveSession,
        user: Arc<User>,
    ) -> Result<Arc<Passport>, FlowError> {
        let now = self.clock.now();
        if let Some(passport) = session.passport(&route.name)
            && passport.holds(&user, now)
        {
            return Ok(passport);
        }
        let issued = Passport::issue(
            &self.open_keys.load().assertions,
            &self.issuer,
            route,
            user,
            &session.record(),
            now,
        )?;
        let issued = Arc::new(issued);
        session.keep_passport(&issued);
        Ok(issued)
    }

    /// Who a request with these `Cookie` headers is from, on `host`.
    pub fn caller_by_cookie<'a>(
        &self,
        host: &str,
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Caller, CheckUnavailable> {
        match cookie::find(cookies, Cookie::Session.name(self.place.scheme)) {
            Found::One(token) => {
                self.caller(token, |it| matches!(&it.carrier, Carrier::Cookie(h) if h == host))
            }
            Found::Nothing => Ok(Caller::Stranger { showed_token: false }),
            Found::Unclear => Ok(Caller::Stranger { showed_token: true }),
        }
    }

    /// Who a request with this token in its `Authorization` header is from: an opaque token, a refresh
    /// token or an access token of a session. Only our own endpoints ask.
    pub fn caller_by_bearer(&self, token: &str) -> Result<Caller, CheckUnavailable> {
        if access::is_one(token) {
            Ok(self.caller_by_access_token(token))
        } else {
            self.caller_by_lasting(token)
        }
    }

    /// The same, but not with an access token, which is short-lived so that it cannot be prolonged.
    pub fn caller_by_lasting(&self, token: &str) -> Result<Caller, CheckUnavailable> {
        self.caller(token, |it| !matches!(it.carrier, Carrier::Cookie(_)))
    }

    /// The same, but only with the token that a sign-in answered with. Where it gave a cookie beside it,
    /// the request has to show that cookie: `by_cookie` is the session that it shows.
    pub fn caller_by_sign_in(
        &self,
        token: &str,
        by_cookie: Option<&LiveSession>,
    ) -> Result<Caller, CheckUnavailable> {
        self.caller(token, |it| match it.carrier {
            Carrier::SignIn(Beside::Nothing) => true,
            Carrier::SignIn(Beside::Cookie) => {
                by_cookie.is_some_and(|shown| shown.record().id == it.session.record().id)
            }
            Carrier::Cookie(_) | Carrier::Bearer | Carrier::Refresh => false,
        })
    }

    fn caller_by_access_token(&self, token: &str) -> Caller {
        let stranger = Caller::Stranger { showed_token: true };
        let now = self.clock.now();
        let Some(pointer) = access::verify(&self.open_keys.load().assertions, &self.issuer, token, now)
        else {
            return stranger;
        };
        let session = self.index.session(&pointer.session);
        let session =
            session.filter(|it| it.record().user == pointer.user && it.is_live(&self.lifetimes, now));
        match (session, self.active_user(&pointer.user)) {
            (Some(session), Some(user)) => Caller::Known(session, user),
            _ => stranger,
        }
    }

    fn caller(&self, token: &str, fits: impl Fn(&Verified) -> bool) -> Result<Caller, CheckUnavailable> {
        let stranger = Ok(Caller::Stranger { showed_token: true });
        let now = self.clock.now();
        let digest = Sha256::digest(token).into();
        let verified = match self.index.verified(&digest) {
            Some(verified) => verified,
            None => match self.open_keys.load().tokens.verify(token, &self.issuer, now) {
                Err(TokenError::LimitReached) => return Err(CheckUnavailable),
                Err(TokenError::Invalid) => return stranger,
                Ok(claims) => match self.index.session(&claims.session) {
                    Some(session) if session.record().user == claims.user => {
                        self.index.remember(digest, Verified { session, carrier: claims.carrier })
                    }
                    _ => return stranger,
                },
            },
        };
        let session = &verified.session;
        match self.active_user(&session.record().user) {
            Some(user) if fits(&verified) && session.is_live(&self.lifetimes, now) => {
                Ok(Caller::Known(Arc::clone(session), user))
            }
            _ => stranger,
        }
    }

    /// A person who may use their account.
    pub(super) fn active_user(&self, id: &UserId) -> Option<Arc<User>> {
        self.index.user(id).filter(|user| user.standing == Standing::Active)
    }
}
