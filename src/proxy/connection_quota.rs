//! How many connections there may be, in all and from every network.
//!
//! What always holds: a connection that holds a [`ConnectionSlot`] is counted, and no other is.
//! When there is no room for a new connection, connections without a request under way are closed:
//! those of the network that has its share, or of the region that has most. A trusted proxy's
//! address is counted in the total only; the clients behind it are counted in `request_quota.rs`.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::forwarded::TrustedProxies;
use super::{Limits, preface};
use crate::domain::ledger::{Budget, Exhausted, Ledger, Standing};
use crate::domain::network::Network;

/// The most connections closed for one new connection; those beyond one make room for the next new
/// connections.
const CLOSED_AT_ONCE_MAX: usize = 32;
/// How long to refuse new connections without another search, once nothing was found to close.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

/// Says whether a user is signed in from a client's network.
pub(super) type Standings = Arc<dyn Fn(Option<IpAddr>) -> Standing + Send + Sync>;
/// Time since some fixed moment.
pub(super) type Elapsed = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Bounds how many connections there are.
pub(super) struct ConnectionQuota {
    trusted: TrustedProxies,
    standings: Standings,
    elapsed: Elapsed,
    connections: Mutex<OpenConnections>,
}

struct OpenConnections {
    ledger: Ledger,
    /// By age: numbers are given in order.
    open: BTreeMap<u64, Arc<Activity>>,
    next: u64,
    /// When to search again for connections to close.
    search_from: Duration,
}

/// The activity of one connection.
pub(super) struct Activity {
    /// `None` for a trusted proxy.
    source: Option<IpAddr>,
    requests: AtomicUsize,
    closing: Notify,
}

/// Why a connection was not taken.
pub(super) enum AcceptError {
    NoRoom,
    System(std::io::Error),
}

/// The right to be connected, given back when dropped.
pub(super) struct ConnectionSlot {
    quota: Arc<ConnectionQuota>,
    number: u64,
    activity: Arc<Activity>,
}

impl ConnectionSlot {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Activity {
    /// A request has come in.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The request has been answered, or given up.
    pub(super) fn end_request(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns when the connection has to make room.
    pub(super) async fn until_closed(&self) {
        self.closing.notified().await;
    }

    fn may_be_closed(&self) -> bool {
        self.source.is_some() && self.requests.load(Ordering::Relaxed) == 0
    }
}

impl ConnectionQuota {
    pub(super) fn new(
        limits: Limits,
        trusted: TrustedProxies,
        standings: Standings,
        elapsed: Elapsed,
    ) -> Self {
        let ledger = Ledger::new(limits.connections);
        let connections =
            OpenConnections { ledger, open: BTreeMap::new(), next: 0, search_from: Duration::ZERO };
        Self { trusted, standings, elapsed, connections: Mutex::new(connections) }
    }

    /// Counts connections by these limits from now on.
    pub(super) fn exchange(&self, connections: Budget) {
        self.connections().ledger.set_budget(connections);
    }

    /// Accepts a connection, and closes it again when there is no room for it.
    pub(super) async fn accept(
        self: &Arc<Self>,
        socket: &TcpListener,
    ) -> Result<(TcpStream, SocketAddr, ConnectionSlot), AcceptError> {
        let (stream, peer) = socket.accept().await.map_err(AcceptError::System)?;
        let slot = self.enter(peer.ip().to_canonical()).ok_or(AcceptError::NoRoom)?;
        Ok((stream, peer, slot))
    }

    /// The client of a trusted proxy's connection, if the proxy names it; closes the connection
    /// when there is no room for that client.
    pub(super) async fn identify_client(
        self: &Arc<Self>,
        socket: &mut TcpStream,
        peer: SocketAddr,
        slot: ConnectionSlot,
    ) -> Option<(SocketAddr, ConnectionSlot)> {
        if !self.trusted.trusts(peer.ip()) {
            return Some((peer, slot));
        }
        match preface::read(socket, peer).await {
            Ok(client) if client == peer => Some((peer, slot)),
            Ok(client) => Some((client, self.enter(client.ip())?)),
            Err(error) => {
                tracing::debug!(proxy = %peer.ip(), %error, "a connection of a trusted proxy is closed");
                None
            }
        }
    }

    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let source = (!self.trusted.trusts(peer)).then_some(peer);
        // A trusted proxy may use the reserve, because users come through it.
        let standing = source.map_or(Standing::Known, |_| (self.standings)(source));
        let now = (self.elapsed)();
        let mut connections = self.connections();
        if let Err(exhausted) = connections.ledger.take(source, 1, standing) {
            connections.make_room(exhausted, now);
            connections.ledger.take(source, 1, standing).ok()?;
        }
        let activity = Arc::new(Activity { source, requests: AtomicUsize::new(0), closing: Notify::new() });
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, Arc::clone(&activity));
        Some(ConnectionSlot { quota: Arc::clone(self), number, activity })
    }

    fn connections(&self) -> MutexGuard<'_, OpenConnections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenConnections {
    fn make_room(&mut self, exhausted: Exhausted, now: Duration) {
        let crowded = match exhausted {
            Exhausted::Network(network) => Some(network),
            Exhausted::Total if now < self.search_from => return,
            Exhausted::Total => self.biggest_region_with_idle_connections(),
        };
        let Some(crowded) = crowded else {
            self.search_from = now + SEARCH_INTERVAL;
            return;
        };
        let is_crowded = |it: &Activity| it.source.is_some_and(|source| crowded.contains(source));
        let idle = self.open.iter().filter(|(_, it)| it.may_be_closed() && is_crowded(it));
        let idle: Vec<u64> = idle.map(|(number, _)| *number).take(CLOSED_AT_ONCE_MAX).collect();
        for number in idle {
            if let Some(activity) = self.leave(number) {
                activity.closing.notify_one();
            }
        }
    }

    fn biggest_region_with_idle_connections(&self) -> Option<Network> {
        let idle = self.open.values().filter(|it| it.may_be_closed());
        let regions: HashMap<Network, usize> = idle
            .filter_map(|it| it.source.map(Network::region))
            .map(|region| (region, self.ledger.taken_by(&region)))
            .collect();
        regions.into_iter().max_by_key(|(_, taken)| *taken).map(|(region, _)| region)
    }

    fn leave(&mut self, number: u64) -> Option<Arc<Activity>> {
        let activity = self.open.remove(&number)?;
        self.ledger.give_back(activity.source, 1);
        Some(activity)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.quota.connections().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::domain::ledger::Budget;
    use crate::domain::limits::Shares;
    use crate::proxy::ForwardedBy;

    fn quota(total: usize, per_network: usize) -> Arc<ConnectionQuota> {
        quota_at(total, per_network, Arc::new(|| Duration::ZERO))
    }

    fn quota_at(total: usize, per_network: usize, elapsed: Elapsed) -> Arc<ConnectionQuota> {
        let connections = Budget { total, per_network, shares: Shares::default() };
        let limits = Limits { connections, ..Limits::default() };
        let trusted = TrustedProxies::new(vec!["127.0.0.1/32".parse().unwrap()], ForwardedBy::XForwarded);
        let standings: Standings = Arc::new(|client| match client {
            Some(IpAddr::V4(v4)) if v4.octets()[0] == 192 => Standing::Known,
            _ => Standing::Unknown,
        });
        Arc::new(ConnectionQuota::new(limits, trusted, standings, elapsed))
    }

    fn enter(quota: &Arc<ConnectionQuota>, address: &str) -> Option<ConnectionSlot> {
        quota.enter(address.parse::<IpAddr>().unwrap().to_canonical())
    }

    fn busy(slot: Option<ConnectionSlot>) -> ConnectionSlot {
        let slot = slot.unwrap();
        slot.activity().begin_request();
        slot
    }

    #[test]
    fn p_17_one_network_cannot_take_all_connections() {
        let quota = quota(100, 2);
        let first = busy(enter(&quota, "198.51.100.1"));
        let _second = busy(enter(&quota, "::ffff:198.51.100.1"));
        assert!(enter(&quota, "198.51.100.2").is_none());
        let _other = busy(enter(&quota, "198.51.101.2"));
        drop(first);
        assert!(enter(&quota, "198.51.100.3").is_some());
        let _two = (busy(enter(&quota, "2001:db8::1")), busy(enter(&quota, "2001:db8::2")));
        assert!(enter(&quota, "2001:db8::3").is_none());
        assert!(enter(&quota, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn f_06_the_reserve_takes_networks_with_a_user_when_all_else_is_taken() {
        let quota = quota(10, 10);
        let _others: Vec<_> = (0..9).map(|n| busy(enter(&quota, &format!("10.{n}.0.1")))).collect();
        assert!(enter(&quota, "10.99.0.1").is_none());
        assert!(enter(&quota, "192.0.2.1").is_some());
    }

    #[tokio::test]
    async fn f_06_full_connections_close_idle_connections_of_the_biggest_region() {
        let quota = quota(100, 100);
        let one_elsewhere = enter(&quota, "203.0.113.1").unwrap();
        let many: Vec<_> = (0..89).map(|n| enter(&quota, &format!("10.0.{n}.1")).unwrap()).collect();
        many[0].activity().begin_request();
        assert!(enter(&quota, "198.51.100.1").is_some());
        let closed = |slot: &ConnectionSlot| !quota.connections().open.contains_key(&slot.number);
        assert!(!closed(&one_elsewhere));
        assert!(!closed(&many[0]), "a request is under way");
        assert_eq!(many.iter().filter(|slot| closed(slot)).count(), CLOSED_AT_ONCE_MAX);
        many[1].activity().until_closed().await;
    }

    #[test]
    fn f_07_trusted_proxies_have_no_connection_limit() {
        let quota = quota(100, 2);
        let _many: Vec<_> = (0..50).map(|_| busy(enter(&quota, "127.0.0.1"))).collect();
        assert!(enter(&quota, "127.0.0.1").is_some());
        let _two = (busy(enter(&quota, "127.0.0.2")), busy(enter(&quota, "127.0.0.2")));
        assert!(enter(&quota, "127.0.0.2").is_none());
    }

    #[test]
    fn f_06_whoever_has_been_answered_makes_room_again() {
        let quota = quota(100, 1);
        let slot = busy(enter(&quota, "198.51.100.1"));
        assert!(enter(&quota, "198.51.100.2").is_none(), "a request is under way");
        slot.activity().end_request();
        assert!(enter(&quota, "198.51.100.2").is_some());
    }

    #[test]
    fn p_17_other_limits_count_from_now_on() {
        let quota = quota(100, 1);
        let _first = busy(enter(&quota, "198.51.100.1"));
        assert!(enter(&quota, "198.51.100.2").is_none());
        quota.exchange(Budget { total: 100, per_network: 2, shares: Shares::default() });
        assert!(enter(&quota, "198.51.100.2").is_some());
    }

    /// A client that knocks again and again does not have every connection looked at each time, and
    /// does not put the search off either.
    #[test]
    fn f_06_a_search_in_vain_is_not_repeated_at_once() {
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let quota = quota_at(10, 10, Arc::new(move || Duration::from_millis(clock.load(Ordering::Relaxed))));
        let all: Vec<_> = (0..9).map(|n| busy(enter(&quota, &format!("10.{n}.0.1")))).collect();
        assert!(enter(&quota, "10.99.0.1").is_none());
        all[0].activity().end_request();
        millis.store(99, Ordering::Relaxed);
        assert!(enter(&quota, "10.99.0.1").is_none(), "no search yet");
        millis.store(100, Ordering::Relaxed);
        assert!(enter(&quota, "10.99.0.1").is_some());
    }

    #[tokio::test]
    async fn p_04_a_proxy_that_speaks_for_itself_is_counted_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let quota = quota(1, 1);
        for (words, may_come_in) in
            [(&b"PROXY UNKNOWN\r\n"[..], true), (b"PROXY TCP4 203.0.113.7 10.0.0.1 4386 80\r\n", false)]
        {
            let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            proxy.write_all(words).await.unwrap();
            let Ok((mut socket, peer, slot)) = quota.accept(&listener).await else { panic!("there is room") };
            let identified = quota.identify_client(&mut socket, peer, slot).await;
            assert_eq!(identified.is_some(), may_come_in, "{words:?}");
        }
    }
}
