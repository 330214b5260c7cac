//! The upstream of a permitted request: choice among upstreams and their addresses, and time
//! limits.
//!
//! Upstreams come from the configuration and from nowhere else. A name can have several addresses
//! of which the application listens on one (`localhost` is `::1` and `127.0.0.1`): the address in
//! use stays in use until it cannot be connected to, then the next has its turn. `dns_cache` finds
//! them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};
use pingora::{Error, ErrorType};

use super::connection_quota::Elapsed;
use super::dns_cache::DnsCache;
use super::upgrade::Upgrades;
use crate::domain::policy::route::{Route, Upstream, UpstreamScheme, WebSocket};

/// How long an idle connection is kept for a request that changes something. When the application
/// closes it just then, the gateway cannot know whether the request was carried out, and so does
/// not send it again; it resends other requests.
const IDLE_BEFORE_CHANGE: Duration = Duration::from_secs(1);
/// The most tries for one request, over all upstreams of its route.
pub(super) const TRIES_MAX: usize = 4;

/// The pool of connections for upgrades, which hold no other request.
const UPGRADES: u64 = u64::MAX - 1;

/// The demands of a request on its connection.
#[derive(Clone, Copy)]
pub(super) struct ConnectionNeeds<'a> {
    pub(super) method: &'a Method,
    /// Whether the connection is to become a WebSocket.
    pub(super) upgrades: bool,
}

/// Chooses peers.
pub(super) struct Upstreams {
    turn: AtomicUsize,
    dns_cache: DnsCache,
    upgrades: Arc<Upgrades>,
}

impl Upstreams {
    pub(super) fn new(elapsed: Elapsed) -> Self {
        Self { turn: AtomicUsize::new(0), dns_cache: DnsCache::new(elapsed), upgrades: Arc::new(Upgrades) }
    }

    /// The place in the list of upstreams where the first try of a request on `route` begins.
    pub(super) fn first(&self, route: &Route) -> usize {
        if route.upstreams.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    /// The peer for one try.
    pub(super) async fn peer(
        &self,
        route: &Route,
        turn: usize,
        asked: ConnectionNeeds<'_>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let upstream = upstream(route, turn)
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "the route has no upstream"))?;
        let address = self.address(upstream, route.timeouts.connect).await?;
        let tls = upstream.scheme == UpstreamScheme::Https;
        let name = if tls { without_brackets(&upstream.host).to_owned() } else { String::new() };
        let mut peer = HttpPeer::new(address, tls, name);
        limit(&mut peer.options, route);
        let idle = idle(route, asked.method);
        peer.options.idle_timeout = Some(idle);
        // A connection is pooled with those that are kept as long, so that no request gets a
        // connection that was idle for too long.
        peer.group_key = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        if asked.upgrades {
            peer.options.custom_l4 = Some(Arc::clone(&self.upgrades) as _);
            peer.group_key = UPGRADES;
        }
        Ok(Box::new(peer))
    }

    /// The try with this `turn` could not connect to `address`: the next has its turn.
    pub(super) fn cannot_connect(&self, route: &Route, turn: usize, address: IpAddr) {
        if let Some(upstream) = upstream(route, turn) {
            self.dns_cache.skip_address(without_brackets(&upstream.host), address);
        }
    }

    /// How often a request on `route` is worth trying: once for every address.
    pub(super) fn tries(&self, route: &Route) -> usize {
        let addresses =
            route.upstreams.iter().map(|upstream| self.dns_cache.count(without_brackets(&upstream.host)));
        addresses.sum::<usize>().min(TRIES_MAX)
    }

    async fn address(&self, upstream: &Upstream, limit: Duration) -> pingora::Result<SocketAddr> {
        let host = without_brackets(&upstream.host);
        let found = match host.parse() {
            Ok(address) => Some(address),
            Err(_) => self.dns_cache.address(host, limit).await,
        };
        let found = found.ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "the upstream's name does not resolve").into_up()
        })?;
        Ok(SocketAddr::new(found, upstream.port))
    }
}

fn upstream(route: &Route, turn: usize) -> Option<&Upstream> {
    turn.checked_rem(route.upstreams.len()).and_then(|index| route.upstreams.get(index))
}

/// A host without the brackets of an IPv6 literal.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// How long the connection of such a request is kept, and may have been idle before.
fn idle(route: &Route, method: &Method) -> Duration {
    let limit = if method.is_safe() { Duration::MAX } else { IDLE_BEFORE_CHANGE };
    route.timeouts.idle.min(limit)
}

/// pingora's defaults are no time limits at all; its defaults for headers and certificates stay.
fn limit(options: &mut PeerOptions, route: &Route) {
    options.connection_timeout = Some(route.timeouts.connect);
    options.total_connection_timeout = Some(route.timeouts.connect);
    options.read_timeout = Some(route.timeouts.read);
    options.write_timeout = Some(route.timeouts.write);
    options.http_upstream_request_policy = match route.websocket {
        WebSocket::Allowed => HttpUpstreamRequestPolicy::standard(),
        WebSocket::Refused => HttpUpstreamRequestPolicy::deny_upgrades(),
    };
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::policy::decide::Policy;
    use crate::domain::policy::headers::HeaderRules;
    use crate::domain::policy::identity::IdentityHeaders;
    use crate::domain::policy::route::{CrossOrigin, HostPattern, Timeouts};

    /// A route, also for the tests of other modules.
    pub(in crate::proxy) fn route(hosts: &[&str]) -> Route {
        let second = Duration::from_secs(1);
        let upstream =
            |host: &&str| Upstream { scheme: UpstreamScheme::Http, host: (*host).to_owned(), port: 9_000 };
        Route {
            name: "app".to_owned(),
            host: HostPattern::parse("app.example.com").unwrap(),
            path: "/".to_owned(),
            upstreams: hosts.iter().map(upstream).collect(),
            policy: Policy::default(),
            public: vec![],
            identity: IdentityHeaders::preset("remote").unwrap(),
            credentials: None,
            logout: None,
            websocket: WebSocket::Allowed,
            cross_origin: CrossOrigin::Refused,
            headers: HeaderRules::default(),
            tile: None,
            timeouts: Timeouts { connect: second, read: second, write: second, idle: second },
        }
    }

    #[tokio::test]
    async fn p_36_every_address_of_a_name_is_tried() {
        let both = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        let look_up = Arc::new(move |_| Box::pin(std::future::ready(both.to_vec())) as _);
        let dns_cache = DnsCache::asking(look_up, Arc::new(|| Duration::ZERO));
        let upstreams = Upstreams { turn: AtomicUsize::new(0), dns_cache, upgrades: Arc::new(Upgrades) };
        let asked = ConnectionNeeds { method: &Method::GET, upgrades: false };
        let route = route(&["localhost"]);
        for address in both {
            let peer = upstreams.peer(&route, 0, asked).await.unwrap();
            assert_eq!(peer.to_string(), HttpPeer::new((address, 9_000), false, String::new()).to_string());
            assert_eq!(upstreams.tries(&route), 2);
            upstreams.cannot_connect(&route, 0, address);
        }
    }

    #[test]
    fn f_26_unsafe_methods_reuse_connections_only_briefly() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let mut route = route(&["127.0.0.1"]);
        route.timeouts.idle = minute;
        for safe in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(idle(&route, &safe), minute, "{safe}");
        }
        for unsafe_one in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(idle(&route, &unsafe_one), second, "{unsafe_one}");
        }
        route.timeouts.idle = second / 2;
        assert_eq!(idle(&route, &Method::POST), second / 2, "the operator's limit holds for all");
    }

    #[test]
    fn p_36_tries_are_bounded() {
        let upstreams = Upstreams::new(Arc::new(|| Duration::ZERO));
        assert_eq!(upstreams.tries(&route(&["127.0.0.1"])), 1);
        assert_eq!(upstreams.tries(&route(&["[::1]"; 9])), TRIES_MAX);
    }

    #[test]
    fn upstreams_take_turns_where_there_are_several() {
        let upstreams = Upstreams::new(Arc::new(|| Duration::ZERO));
        let (one, two) = (route(&["127.0.0.1"]), route(&["127.0.0.1", "127.0.0.2"]));
        let turns: Vec<_> = [&two, &one, &two, &one, &two].map(|route| upstreams.first(route)).into();
        assert_eq!(turns, [0, 0, 1, 0, 2]);
    }
}
