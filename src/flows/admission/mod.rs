//! Admission: the one function that decides whether a request reaches an upstream.
//!
//! It reads memory only: no store, no lock that all requests share, and no signature is checked
//! twice. It is the only maker of a [`Permit`], and the proxy cannot choose an upstream without
//! one. An unclear request is an [`Outcome`], which is answered, never forwarded.

mod by_token;
mod explain;
pub mod questions;
mod stay;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::domain::access_token::TokenRefusal;
use crate::domain::access_token::carrier::{self, Found, Means, TOKEN_HEADER};
use crate::domain::assertion::Shown;
use crate::domain::event::Kind;
use crate::domain::policy::decide::{Decision, Verdict};
use crate::domain::policy::path::{self, Reading};
use crate::domain::policy::route::Route;
use crate::domain::policy::rule::RequestFacts;
use crate::domain::session::Scope;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::access_tokens::AccessTokens;
use crate::flows::access_tokens::index::VerifiedToken;
use crate::flows::attempts::Attempts;
use crate::flows::ground::Ground;
use crate::flows::index::LiveSession;
use crate::flows::passport::{Passport, Passports};
use crate::flows::rules::Rules;
use crate::flows::sessions::Sessions;
use crate::flows::sessions::caller::{Caller, CheckUnavailable};
use crate::flows::visit::Visit;

pub use stay::Stay;

/// Permission to forward one request along one route. Only [`Doorkeeper::admit`] makes one.
#[must_use]
pub struct Permit {
    route: Arc<Route>,
    visitor: Visitor,
}

pub(in crate::flows) enum Visitor {
    /// A client without a valid session, where anonymous clients may be.
    Anonymous,
    Known {
        session: Arc<LiveSession>,
        passport: Arc<Passport>,
    },
    /// A program that shows an access token.
    Token {
        shown: Arc<VerifiedToken>,
        passport: Arc<Passport>,
        means: Means,
    },
}

impl Permit {
    pub(in crate::flows) fn new(route: Arc<Route>, visitor: Visitor) -> Self {
        Self { route, visitor }
    }

    fn passport(&self) -> Option<&Passport> {
        match &self.visitor {
            Visitor::Anonymous => None,
            Visitor::Known { passport, .. } | Visitor::Token { passport, .. } => Some(passport),
        }
    }

    /// The user who sent the request; `None`: an anonymous client.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.passport().map(|passport| &passport.user)
    }

    /// Whether a browser may have added what the request shows by itself, so that a page of another
    /// origin may have caused it. A program that shows a token in a header of its own has done so
    /// on purpose.
    pub fn is_ambient(&self) -> bool {
        match &self.visitor {
            Visitor::Anonymous => false,
            Visitor::Known { .. } => true,
            Visitor::Token { means, .. } => *means == Means::Ambient,
        }
    }

    /// Whether it was given for an access token.
    pub fn is_by_token(&self) -> bool {
        matches!(self.visitor, Visitor::Token { .. })
    }

    /// The route to take.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The identity headers, which replace any that the client sent.
    pub fn identity_headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.passport().and_then(|passport| passport.headers.as_deref()).unwrap_or_default()
    }

    /// The value of `Authorization` for the application; `None`: none.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.passport()?.authorization.as_ref()
    }

    /// The decision.
    pub fn decision(&self) -> Decision {
        match &self.visitor {
            Visitor::Anonymous => Decision::Public,
            Visitor::Known { .. } | Visitor::Token { .. } => Decision::Allowed,
        }
    }
}

/// The next step with a request.
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
    /// An anonymous client on a protected route.
    SignIn { route: Arc<Route> },
    /// Signed in, but with a passkey that was shown too long ago for this.
    StepUp { route: Arc<Route> },
    /// The policy of the route ran out of what a decision may cost; says nothing about the visitor.
    Undecided { route: Arc<Route> },
    /// The client may not enter, whether signed in or not.
    Forbidden { route: Arc<Route>, refused: Refused },
    /// The access token is not valid, or does not cover the request. The reason is in the audit
    /// trail alone.
    TokenRefused { route: Arc<Route>, why: TokenRefusal },
    /// No route and not the auth host.
    UnknownHost,
    /// A host of ours, but no route for this path.
    NoRoute,
    /// A path that must not be shown to any server.
    MalformedRequest,
    /// A path with more than one reading, or a path that differs by letter case alone from another
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
    /// The gateway itself failed.
    Internal,
}

/// The place that a request is for.
pub(in crate::flows) enum Destination {
    At(Arc<Route>),
    /// To our own endpoints.
    Ours,
    Unroutable(Outcome),
}

/// A refusal by a route: the client, and the rule.
#[derive(Debug, Clone)]
pub struct Refused {
    /// `None`: the client is anonymous.
    pub user: Option<Arc<User>>,
    /// The name of the rule that refuses; `None`: no rule is about the request.
    pub rule: Option<Box<str>>,
}

impl Refused {
    pub(in crate::flows) fn by(verdict: &Verdict<'_>, user: Option<Arc<User>>) -> Self {
        Self { user, rule: verdict.by.name().map(Into::into) }
    }
}

/// The target of a request, and the evidence that it shows of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    /// As it was sent, without the query.
    pub raw_path: &'a [u8],
    /// Only cookies and tokens are read from these.
    pub headers: &'a HeaderMap,
}

/// Decides about requests, from memory.
pub struct Doorkeeper {
    ground: Arc<Ground>,
    attempts: Arc<Attempts>,
    sessions: Arc<Sessions>,
    access_tokens: Arc<AccessTokens>,
}

impl Doorkeeper {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        sessions: Arc<Sessions>,
        access_tokens: Arc<AccessTokens>,
    ) -> Self {
        Self { ground, attempts, sessions, access_tokens }
    }

    /// Has every open stream decided about again.
    pub(in crate::flows) fn decide_again(&self) {
        self.sessions.index.recheck_all_streams();
        self.access_tokens.index.recheck_all_streams();
        self.ground.in_force.wake_waiters();
    }

    /// Decides about a request on the host of `visit`.
    pub fn admit(&self, visit: &Visit, asked: &Asked<'_>) -> Admission {
        match self.locate(&self.ground.rules(), &visit.host, asked.raw_path) {
            Destination::At(route) => {
                let asking = self.asking(asked.method, &visit.host, asked.raw_path, visit.client);
                match token_in(asked.headers) {
                    Found::Nothing => self.admit_to(route, visit, &asking, asked.headers),
                    Found::One(shown) => self.admit_by_token(route, visit, &asking, &shown),
                    Found::Unclear => self.refuse_token(route, visit, None, TokenRefusal::Misplaced),
                }
            }
            Destination::Ours => Admission::Ours,
            Destination::Unroutable(outcome) => Admission::Answer(outcome),
        }
    }

    /// The facts that rules look at.
    fn asking<'a>(
        &self,
        method: &'a Method,
        host: &'a str,
        raw_path: &'a [u8],
        client: Option<IpAddr>,
    ) -> RequestFacts<'a> {
        RequestFacts {
            method,
            host,
            raw_path,
            client: self.attempts.bans.beyond_proxies(client),
            now: self.ground.clock.now(),
        }
    }

    /// The route that a request for `raw_path` of `host` belongs to.
    pub(in crate::flows) fn locate(&self, rules: &Rules, host: &str, raw_path: &[u8]) -> Destination {
        let routes = rules.routes.host(host);
        let known = routes.is_some() || self.ground.place.is_auth_host(host);
        if !known && self.ground.place.document(host, raw_path).is_none() {
            return Destination::Unroutable(Outcome::UnknownHost);
        }
        let reading = path::read(raw_path);
        if reading == Reading::Malformed {
            return Destination::Unroutable(Outcome::MalformedRequest);
        }
        if self.ground.place.owns(host, raw_path)
            || routes.is_some_and(|it| it.has_pomerium_keys_at(raw_path))
        {
            return Destination::Ours;
        }
        let Some(routes) = routes else { return Destination::Unroutable(Outcome::NoRoute) };
        let unclear = reading == Reading::Ambiguous || routes.depends_on_case(raw_path);
        if unclear && routes.decides_by_path() {
            return Destination::Unroutable(Outcome::AmbiguousPath);
        }
        match routes.find(raw_path) {
            Some(route) => Destination::At(Arc::clone(route)),
            None => Destination::Unroutable(Outcome::NoRoute),
        }
    }

    fn admit_to(
        &self,
        route: Arc<Route>,
        visit: &Visit,
        asking: &RequestFacts<'_>,
        headers: &HeaderMap,
    ) -> Admission {
        let public = route.opens(asking.raw_path);
        let cookies = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        match self.sessions.caller_by_cookie(&visit.host, cookies) {
            Ok(Caller::Known(session, user)) if session.scope() == Scope::Full => {
                let Ok(passport) = self.passport_of(&route, &session, user, asking.now) else {
                    tracing::error!(route = route.name, "an assertion could not be signed");
                    return Admission::Answer(Outcome::Internal);
                };
                let verdict = route.policy.decide(&passport.user_policy, session.shown_at(), asking);
                match verdict.decision {
                    Decision::Allowed => {
                        session.touch(asking.now);
                        let visitor = Visitor::Known { session, passport };
                        return Admission::Forward(Permit { route, visitor });
                    }
                    _ if public => {}
                    Decision::StepUp => return Admission::Answer(Outcome::StepUp { route }),
                    Decision::Undecided => return Admission::Answer(Outcome::Undecided { route }),
                    Decision::Refused | Decision::SignIn | Decision::Public => {
                        let refused = Refused::by(&verdict, Some(Arc::clone(&passport.user)));
                        return self.forbid(route, visit, refused);
                    }
                }
            }
            Err(CheckUnavailable) if !public => return Admission::Answer(Outcome::Unavailable),
            Ok(_) | Err(CheckUnavailable) => {}
        }
        if public {
            return Admission::Forward(Permit { route, visitor: Visitor::Anonymous });
        }
        self.admit_anonymous(route, visit, asking)
    }

    fn admit_anonymous(&self, route: Arc<Route>, visit: &Visit, asking: &RequestFacts<'_>) -> Admission {
        let verdict = route.policy.decide_for_anonymous(asking);
        match verdict.decision {
            Decision::Public => Admission::Forward(Permit { route, visitor: Visitor::Anonymous }),
            Decision::Refused => {
                let refused = Refused::by(&verdict, None);
                self.forbid(route, visit, refused)
            }
            Decision::SignIn | Decision::StepUp | Decision::Allowed | Decision::Undecided => {
                Admission::Answer(Outcome::SignIn { route })
            }
        }
    }

    pub(in crate::flows) fn forbid(&self, route: Arc<Route>, visit: &Visit, refused: Refused) -> Admission {
        let denied = Kind::AccessDenied {
            user: refused.user.as_ref().map(|user| user.id),
            route: route.name.clone(),
            rule: refused.rule.as_deref().map(str::to_owned),
        };
        self.ground.report(visit.origin(), denied);
        Admission::Answer(Outcome::Forbidden { route, refused })
    }

    /// Ends the session that `permit` was given for, on every host. An access token has none.
    pub async fn sign_out_through(&self, permit: &Permit, visit: &Visit) -> Result<(), FlowError> {
        match &permit.visitor {
            Visitor::Known { session, .. } => {
                self.sessions.sign_out(std::slice::from_ref(session), visit).await
            }
            Visitor::Anonymous | Visitor::Token { .. } => Ok(()),
        }
    }

    fn passport_of(
        &self,
        route: &Arc<Route>,
        session: &LiveSession,
        user: Arc<User>,
        now: Timestamp,
    ) -> Result<Arc<Passport>, FlowError> {
        let record = session.record();
        self.passport_among(session.passports(), route, (user, Shown::Session(&record)), now)
    }

    /// The passport for a route among `known`, or a new one.
    pub(in crate::flows) fn passport_among(
        &self,
        known: &Passports,
        route: &Arc<Route>,
        (user, shown): (Arc<User>, Shown<'_>),
        now: Timestamp,
    ) -> Result<Arc<Passport>, FlowError> {
        if let Some(passport) = known.of(&route.name)
            && passport.holds(route, &user, now)
        {
            return Ok(passport);
        }
        let signer = &self.ground.open_keys.load().assertions;
        let issued = Arc::new(Passport::issue(signer, &self.ground.issuer, route, user, shown, now)?);
        known.keep(&issued);
        Ok(issued)
    }
}

fn token_in(headers: &HeaderMap) -> Found<'_> {
    let authorization = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    carrier::find(authorization, headers.get_all(TOKEN_HEADER).iter().map(HeaderValue::as_bytes))
}
