//! Routes: which upstream a request belongs to, by host and path.
//!
//! What always holds: an exact host beats a wildcard, a longer prefix beats a shorter one, and a
//! host that no route names is unknown. There is no default route.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::credentials::Credentials;
use super::decide::{Decision, Policy};
use super::headers::HeaderRules;
use super::identity::IdentityHeaders;
use super::logout::LogoutUrl;
use super::path;
use super::public::PublicPath;
use super::rule::RequestFacts;
use crate::domain::time::Timestamp;
use crate::domain::user::{User, Username};

/// The path at which applications that are set up for Pomerium look for the keys of its assertion,
/// on their own host.
pub const POMERIUM_KEYS_PATH: &str = "/.well-known/pomerium/jwks.json";

/// A configured route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Label for metrics and policy.
    pub name: String,
    pub host: HostPattern,
    /// Segment prefix: `/` or `/x` without a trailing slash.
    pub path: String,
    pub upstreams: Vec<Upstream>,
    /// The rules for all but its public paths.
    pub policy: Policy,
    pub public: Vec<PublicPath>,
    pub identity: IdentityHeaders,
    /// The credentials for its application in `Authorization`; `None`: the client's own value is
    /// passed on.
    pub credentials: Option<Credentials>,
    pub headers: HeaderRules,
    pub websocket: WebSocket,
    pub cross_origin: CrossOrigin,
    /// The address at which users sign out of the application; `None`: neither side tells the
    /// other.
    pub logout: Option<LogoutUrl>,
    pub timeouts: Timeouts,
    /// How it is shown among a user's applications; `None`: it is not.
    pub tile: Option<Tile>,
}

impl Route {
    /// Whether `path` is open to anonymous clients. `path` has one reading.
    pub fn opens(&self, path: &[u8]) -> bool {
        self.public.iter().any(|public| public.opens(path))
    }

    /// The hosts that can be named: its own, or of those below a wildcard the ones with a tile.
    pub fn known_hosts(&self) -> &[String] {
        match (&self.host, &self.tile) {
            (HostPattern::Exact(host), _) => std::slice::from_ref(host),
            (HostPattern::Wildcard(_), Some(tile)) => &tile.hosts,
            (HostPattern::Wildcard(_), None) => &[],
        }
    }

    /// The header for an assertion that looks like Pomerium's, and the host that it is about.
    pub fn pomerium_assertion(&self) -> Option<(&HeaderName, &str)> {
        match &self.host {
            HostPattern::Exact(host) => Some((self.identity.pomerium_assertion()?, host)),
            HostPattern::Wildcard(_) => None,
        }
    }

    /// Whether the name `username` opens it, or has a password of the application's.
    pub fn is_about_name(&self, username: &Username) -> bool {
        let has_secret = self.credentials.as_ref().is_some_and(|it| it.is_about_name(username));
        has_secret || self.policy.is_about_name(username)
    }

    /// Whether `user` may open the route, as far as its rules can tell: some request of theirs may
    /// go on. A policy in Datalog is asked about its front page, at `now` and from nowhere in
    /// particular.
    pub fn may_be_entered_by(&self, user: &User, now: Timestamp) -> bool {
        let user_policy = self.policy.about(user);
        if self.policy.clauses().is_empty() {
            return self.policy.lets_in(&user_policy);
        }
        let host = match &self.host {
            HostPattern::Exact(host) => host,
            HostPattern::Wildcard(suffix) => suffix,
        };
        let raw_path = self.path.as_bytes();
        let asking = RequestFacts { method: &Method::GET, host, raw_path, client: None, now };
        self.policy.decide(&user_policy, Some(now), &asking).decision == Decision::Allowed
    }
}

/// A route as a user's page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tile {
    /// Its title for people; the address where there is none.
    pub title: Option<String>,
    pub icon: Icon,
    /// Of a route below a wildcard, the hosts that are shown: a tile each.
    pub hosts: Vec<String>,
}

/// The picture of a tile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Icon {
    /// The first letter of the tile's title.
    #[default]
    Initial,
    /// One letter or sign.
    Letter(String),
    /// A picture file; the configuration has looked at it.
    File(PathBuf),
}

/// The hosts that a route answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// One host, lower case, no port, no trailing dot.
    Exact(String),
    /// Any one label before this suffix, which begins with a dot: `*.example.com`.
    Wildcard(String),
}

/// Whether a route passes WebSocket upgrades on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocket {
    Allowed,
    Refused,
}

/// The handling of a request that changes something, carries an identity, and comes from a page of
/// another origin. Browsers send our cookie along from other hosts of the same domain, and
/// applications that trust headers often have no protection of their own against such requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossOrigin {
    Refused,
    Passed,
}

/// The address at which an application listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub scheme: UpstreamScheme,
    pub host: String,
    pub port: u16,
}

/// The protocol to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamScheme {
    Http,
    /// TLS, with the upstream's certificate verified for its host name.
    Https,
}

/// Time limits towards an upstream. There is no limit on a request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two reads from the upstream.
    pub read: Duration,
    /// Between two writes to the upstream.
    pub write: Duration,
    /// How long a connection without a request is kept for the next one.
    pub idle: Duration,
}

impl HostPattern {
    /// Reads `host` or `*.suffix`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "expected a host name such as \"app.example.com\" or \"*.example.com\", without scheme, port or path";
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let lower = rest.to_ascii_lowercase();
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if lower.len() > 253 || !lower.split('.').all(label) {
            return Err(WRONG);
        }
        Ok(if wildcard { Self::Wildcard(format!(".{lower}")) } else { Self::Exact(lower) })
    }

    /// Whether `host` (lower case, no port) is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host == exact,
            Self::Wildcard(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// All routes, ready for look-up.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    exact: HashMap<String, HostRoutes>,
    /// Suffix and routes.
    wildcard: Vec<(HostPattern, HostRoutes)>,
    /// The routes in the order of the configuration.
    in_order: Vec<Arc<Route>>,
}

/// How a host is known to the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A route names it.
    ByName,
    /// It lies below a wildcard, as any name may.
    ByWildcard,
    Not,
}

/// The routes of one host pattern, longest prefix first.
#[derive(Debug, Clone, Default)]
pub struct HostRoutes {
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Orders routes for look-up. The configuration has made sure that none overlap.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let route = Arc::new(route);
            table.in_order.push(Arc::clone(&route));
            match route.host.clone() {
                HostPattern::Exact(host) => table.exact.entry(host).or_default().insert(route),
                wildcard @ HostPattern::Wildcard(_) => table.wildcard_routes(wildcard).insert(route),
            }
        }
        table
    }

    fn wildcard_routes(&mut self, pattern: HostPattern) -> &mut HostRoutes {
        let known = self.wildcard.iter().position(|(other, _)| *other == pattern);
        let at = known.unwrap_or(self.wildcard.len());
        if known.is_none() {
            self.wildcard.push((pattern, HostRoutes::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "the index was found, or has just been pushed")]
        &mut self.wildcard[at].1
    }

    /// The routes of `host` (lower case, no port).
    pub fn host(&self, host: &str) -> Option<&HostRoutes> {
        let wildcard =
            || self.wildcard.iter().find(|(pattern, _)| pattern.matches(host)).map(|(_, routes)| routes);
        self.exact.get(host).or_else(wildcard)
    }

    /// How `host` (lower case, no port) is known.
    pub fn knows(&self, host: &str) -> Known {
        match (self.exact.contains_key(host), self.host(host)) {
            (true, _) => Known::ByName,
            (false, Some(_)) => Known::ByWildcard,
            (false, None) => Known::Not,
        }
    }

    /// The route that answers `path` of `host`, if it has taken the place of `other`, which is of
    /// this table or of one before it: the same name at the same address.
    pub fn successor(&self, other: &Route, host: &str, path: &[u8]) -> Option<&Arc<Route>> {
        let now = self.host(host)?.find(path)?;
        let is_same = now.name == other.name && now.host == other.host && now.path == other.path;
        is_same.then_some(now)
    }

    /// Every route, in the order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.in_order.iter()
    }
}

impl HostRoutes {
    fn insert(&mut self, route: Arc<Route>) {
        self.routes.push(route);
        self.routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
    }

    /// Whether `path` is where applications of Pomerium look for keys, and one of these routes
    /// sends Pomerium's assertion.
    pub fn has_pomerium_keys_at(&self, path: &[u8]) -> bool {
        path == POMERIUM_KEYS_PATH.as_bytes()
            && self.routes.iter().any(|route| route.identity.pomerium_assertion().is_some())
    }

    /// The route with the longest prefix that covers `path`.
    pub fn find(&self, path: &[u8]) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| covers(&route.path, path))
    }

    /// Whether the decision about `path` would be another one if letter case made no difference:
    /// an application that folds case sees a path which we did not decide on.
    pub fn depends_on_case(&self, path: &[u8]) -> bool {
        let folded = path::folded(path);
        self.differs_in_case(path) || folded.is_some_and(|folded| self.is_about_another(path, &folded))
    }

    /// Whether other lines would decide about a path that is read as `folded` elsewhere.
    fn is_about_another(&self, path: &[u8], folded: &[u8]) -> bool {
        let in_any_case = self.routes.iter().find(|route| covers_in_any_case(&route.path, folded));
        let (Some(route), Some(other)) = (self.find(path), in_any_case) else {
            return self.find(path).is_some() || in_any_case.is_some();
        };
        let opens = other.public.iter().any(|literal| literal.opens_in_any_case(folded));
        !Arc::ptr_eq(route, other)
            || route.opens(path) != opens
            || route.policy.folds_to_another(path, folded)
    }

    fn differs_in_case(&self, path: &[u8]) -> bool {
        let Some(route) = self.routes.iter().find(|route| covers_in_any_case(&route.path, path)) else {
            return false;
        };
        let open = route.opens(path);
        let open_in_any_case = route.public.iter().any(|literal| literal.opens_in_any_case(path));
        !covers(&route.path, path) || open != open_in_any_case || route.policy.depends_on_case(path)
    }

    /// Whether a decision on this host depends on the path, so that ambiguous paths must be
    /// refused.
    pub fn decides_by_path(&self) -> bool {
        let by_path =
            |route: &Arc<Route>| !route.public.is_empty() || route.path != "/" || route.policy.names_paths();
        // Where a host has two routes, one of them has a path.
        self.routes.iter().any(by_path)
    }
}

/// Whether `prefix` covers `path` at a segment boundary.
pub fn covers(prefix: &str, path: &[u8]) -> bool {
    if prefix == "/" {
        return true;
    }
    path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn covers_in_any_case(prefix: &str, path: &[u8]) -> bool {
    let Some((start, rest)) = path.split_at_checked(prefix.len()) else { return prefix == "/" };
    prefix == "/"
        || (start.eq_ignore_ascii_case(prefix.as_bytes()) && (rest.is_empty() || rest.starts_with(b"/")))
}

#[cfg(test)]
mod tests;
