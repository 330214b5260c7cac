//! Exchanges that go on after they were let in: WebSockets, event streams, long uploads and
//! downloads.
//!
//! What does not live here: the proxy's side of a stream, which waits for
//! [`Doorkeeper::until_refused`] and then cuts it. What always holds: a stream is decided about
//! again by the same rules whenever its session, its token, its user or the rules change, and now
//! and again where hours count.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use crate::domain::policy::decide::Decision;
use crate::domain::policy::route::Route;
use crate::flows::access_tokens::index::VerifiedToken;
use crate::flows::admission::Doorkeeper;
use crate::flows::admission::{Permit, Visitor};
use crate::flows::index::LiveSession;
use crate::flows::visit::Visit;

/// The evidence that a long exchange was let in with.
pub struct Stay {
    route: Arc<Route>,
    host: Box<str>,
    method: Method,
    raw_path: Box<[u8]>,
    client: Option<IpAddr>,
    by: By,
}

/// The session or token whose end ends an exchange.
enum By {
    /// No evidence, where anonymous clients may be.
    Anonymous,
    Session(Arc<LiveSession>),
    Token(Arc<VerifiedToken>),
}

impl Stay {
    /// The session whose end ends the exchange.
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        match &self.by {
            By::Session(session) => Some(session),
            By::Anonymous | By::Token(_) => None,
        }
    }
}

impl Permit {
    /// The stay of an exchange that `visit` has begun by a request for `raw_path`.
    pub fn stay(&self, visit: &Visit, method: &Method, raw_path: &[u8]) -> Stay {
        Stay {
            route: Arc::clone(&self.route),
            host: visit.host.as_str().into(),
            method: method.clone(),
            raw_path: raw_path.into(),
            client: visit.client,
            by: match &self.visitor {
                Visitor::Anonymous => By::Anonymous,
                Visitor::Known { session, .. } => By::Session(Arc::clone(session)),
                Visitor::Token { shown, .. } => By::Token(Arc::clone(shown)),
            },
        }
    }
}

impl Doorkeeper {
    /// Returns when a stream that was let in may not go on: its session has ended, or the user has
    /// lost what the route asks for, or their account, or the route is gone, or another one answers
    /// its path. A stream that an anonymous client opened ends when anonymous clients may no longer
    /// enter. How long ago a passkey was shown counts when a request comes in, and not afterwards.
    pub async fn until_refused(&self, stay: &Stay) {
        match &stay.by {
            By::Anonymous => self.ground.while_rules(|| self.may_stay(stay)).await,
            By::Session(session) => session.ended_or_not(|| self.may_stay(stay)).await,
            By::Token(shown) => shown.token().ended_or_not(|| self.may_stay(stay)).await,
        }
    }

    fn may_stay(&self, stay: &Stay) -> bool {
        let rules = self.ground.rules();
        let Some(route) = rules.routes.successor(&stay.route, &stay.host, &stay.raw_path) else {
            return false;
        };
        let Stay { method, host, raw_path, client, .. } = stay;
        let asking = self.asking(method, host, raw_path, *client);
        let session = match &stay.by {
            By::Anonymous => {
                return route.opens(raw_path)
                    || route.policy.decide_for_anonymous(&asking).decision == Decision::Public;
            }
            By::Token(shown) => return self.may_stay_by_token(route, shown, &asking),
            By::Session(session) => session,
        };
        let record = session.record();
        let Some(user) = self.sessions.active_user(&record.user) else { return false };
        let verdict = route.policy.decide(&route.policy.about(&user), record.authenticated_at, &asking);
        // A policy that ran out of time or facts does not end an open stream.
        matches!(verdict.decision, Decision::Allowed | Decision::StepUp | Decision::Undecided)
    }

    /// Whether a request that was let in some time ago may still be answered.
    pub fn still_holds(&self, permit: &Permit) -> bool {
        let now = self.ground.clock.now();
        match &permit.visitor {
            Visitor::Anonymous => true,
            Visitor::Known { session, .. } => session.is_live(&self.ground.lifetimes(), now),
            Visitor::Token { shown, .. } => shown.token().is_live(now),
        }
    }

    /// Decides about open streams again where hours matter. Called now and again.
    pub fn recheck_time_rules(&self) {
        // Holders of tokens may have added hours of their own.
        self.access_tokens.index.recheck_all_streams();
        if self.ground.routes().all().any(|route| route.policy.depends_on_time()) {
            self.decide_again();
        }
    }
}
