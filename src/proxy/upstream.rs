//! Where a permitted request goes: choice among upstreams, their addresses, and time limits.
//!
//! Upstreams come from the configuration and from nowhere else. A name is resolved again after a
//! few seconds, because containers change their address when they restart; an old answer is used
//! while none is to be had.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use papaya::HashMap;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};
use pingora::{Error, ErrorType};

use crate::domain::policy::route::{Route, Upstream, UpstreamScheme, WebSocket};

/// How long a resolved name is good for.
const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// How long an idle connection to an upstream is kept. Many applications close theirs sooner; that
/// is noticed when it happens, and a request that crosses with it is retried if it is idempotent.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// The most tries for one request, over all upstreams of its route.
pub(super) const TRIES_MAX: usize = 4;

/// A source of the monotonic time.
pub(super) type Elapsed = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Chooses peers.
pub(super) struct Upstreams {
    turn: AtomicUsize,
    resolved: HashMap<String, Arc<Resolved>>,
    elapsed: Elapsed,
}

struct Resolved {
    address: IpAddr,
    at: Duration,
}

impl Upstreams {
    pub(super) fn new(elapsed: Elapsed) -> Self {
        Self { turn: AtomicUsize::new(0), resolved: HashMap::new(), elapsed }
    }

    /// Where the first try of a request on `route` begins in its list of upstreams.
    pub(super) fn first(&self, route: &Route) -> usize {
        if route.upstreams.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    /// The peer for one try.
    pub(super) async fn peer(&self, route: &Route, turn: usize) -> pingora::Result<Box<HttpPeer>> {
        let upstream =
            turn.checked_rem(route.upstreams.len())
                .and_then(|index| route.upstreams.get(index))
                .ok_or_else(|| Error::explain(ErrorType::InternalError, "the route has no upstream"))?;
        let address = self.address(upstream, route.timeouts.connect).await?;
        let tls = upstream.scheme == UpstreamScheme::Https;
        let name = if tls { bare(&upstream.host).to_owned() } else { String::new() };
        let mut peer = HttpPeer::new(address, tls, name);
        limit(&mut peer.options, route);
        Ok(Box::new(peer))
    }

    async fn address(&self, upstream: &Upstream, limit: Duration) -> pingora::Result<SocketAddr> {
        let host = bare(&upstream.host);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, upstream.port));
        }
        let now = (self.elapsed)();
        let known = self.resolved.pin().get(host).cloned();
        if let Some(known) = &known
            && now.saturating_sub(known.at) < RESOLVED_FOR
        {
            return Ok(SocketAddr::new(known.address, upstream.port));
        }
        let found = tokio::time::timeout(limit, tokio::net::lookup_host((host, upstream.port))).await;
        let found = found.ok().and_then(Result::ok).and_then(|mut addresses| addresses.next());
        let address = match (found, known) {
            (Some(found), _) => found.ip(),
            (None, Some(known)) => known.address,
            (None, None) => {
                let why = "the upstream's name does not resolve";
                return Err(Error::explain(ErrorType::ConnectNoRoute, why).into_up());
            }
        };
        self.resolved.pin().insert(host.to_owned(), Arc::new(Resolved { address, at: now }));
        Ok(SocketAddr::new(address, upstream.port))
    }
}

/// A host without the brackets of an IPv6 literal.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// pingora's defaults are no time limits at all; its defaults for headers and certificates stay.
fn limit(options: &mut PeerOptions, route: &Route) {
    options.connection_timeout = Some(route.timeouts.connect);
    options.total_connection_timeout = Some(route.timeouts.connect);
    options.read_timeout = Some(route.timeouts.read);
    options.write_timeout = Some(route.timeouts.write);
    options.idle_timeout = Some(IDLE_TIMEOUT);
    options.http_upstream_request_policy = match route.websocket {
        WebSocket::Allowed => HttpUpstreamRequestPolicy::standard(),
        WebSocket::Refused => HttpUpstreamRequestPolicy::deny_upgrades(),
    };
}
