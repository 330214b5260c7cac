//! How many connections there may be, in all and from every network.
//!
//! What always holds: a connection that holds a [`Pass`] is counted, and no other is. When there is
//! no room for a newcomer, connections without a request under way are closed: those of the network
//! that has its share, or of the region that has most. A trusted proxy's address is counted in the
//! total only; the clients behind it are counted in `crowd.rs`.

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

/// The most connections closed for one newcomer; those beyond one make room for the next newcomers.
const CLOSED_AT_ONCE_MAX: usize = 32;
/// How long to refuse newcomers without another search, once nothing was found to close.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

/// Says whether a user is signed in from a client's network.
pub(super) type Standings = Arc<dyn Fn(Option<IpAddr>) -> Standing + Send + Sync>;
/// Time since some fixed moment.
pub(super) type Elapsed = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Bounds how many connections there are.
pub(super) struct Gate {
    trusted: TrustedProxies,
    standings: Standings,
    elapsed: Elapsed,
    roll: Mutex<Roll>,
}

struct Roll {
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
pub(super) enum Full {
    Gate,
    System(std::io::Error),
}

/// The right to be connected, given back when dropped.
pub(super) struct Pass {
    gate: Arc<Gate>,
    number: u64,
    activity: Arc<Activity>,
}

impl Pass {
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

impl Gate {
    pub(super) fn new(
        limits: Limits,
        trusted: TrustedProxies,
        standings: Standings,
        elapsed: Elapsed,
    ) -> Self {
        let ledger = Ledger::new(limits.connections);
        let roll = Roll { ledger, open: BTreeMap::new(), next: 0, search_from: Duration::ZERO };
        Self { trusted, standings, elapsed, roll: Mutex::new(roll) }
    }

    /// Counts connections by these limits from now on.
    pub(super) fn exchange(&self, connections: Budget) {
        self.roll().ledger.set_budget(connections);
    }

    /// Accepts a connection, and closes it again when there is no room for it.
    pub(super) async fn accept(
        self: &Arc<Self>,
        socket: &TcpListener,
    ) -> Result<(TcpStream, SocketAddr, Pass), Full> {
        let (stream, peer) = socket.accept().await.map_err(Full::System)?;
        let pass = self.enter(peer.ip().to_canonical()).ok_or(Full::Gate)?;
        Ok((stream, peer, pass))
    }

    /// The client of a trusted proxy's connection, if the proxy names it; closes the connection
    /// when there is no room for that client.
    pub(super) async fn introduce(
        self: &Arc<Self>,
        socket: &mut TcpStream,
        peer: SocketAddr,
        pass: Pass,
    ) -> Option<(SocketAddr, Pass)> {
        if !self.trusted.trusts(peer.ip()) {
            return Some((peer, pass));
        }
        match preface::read(socket, peer).await {
            Ok(client) if client == peer => Some((peer, pass)),
            Ok(client) => Some((client, self.enter(client.ip())?)),
            Err(error) => {
                tracing::debug!(proxy = %peer.ip(), %error, "a connection of a trusted proxy is closed");
                None
            }
        }
    }

    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Pass> {
        let source = (!self.trusted.trusts(peer)).then_some(peer);
        // A trusted proxy may use the reserve, because users come through it.
        let standing = source.map_or(Standing::Known, |_| (self.standings)(source));
        let now = (self.elapsed)();
        let mut roll = self.roll();
        if let Err(exhausted) = roll.ledger.take(source, 1, standing) {
            roll.make_room(exhausted, now);
            roll.ledger.take(source, 1, standing).ok()?;
        }
        let activity = Arc::new(Activity { source, requests: AtomicUsize::new(0), closing: Notify::new() });
        let number = roll.next;
        roll.next += 1;
        roll.open.insert(number, Arc::clone(&activity));
        Some(Pass { gate: Arc::clone(self), number, activity })
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roll {
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

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.roll().leave(self.number);
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

    fn gate(total: usize, per_network: usize) -> Arc<Gate> {
        gate_at(total, per_network, Arc::new(|| Duration::ZERO))
    }

    fn gate_at(total: usize, per_network: usize, elapsed: Elapsed) -> Arc<Gate> {
        let connections = Budget { total, per_network, shares: Shares::default() };
        let limits = Limits { connections, ..Limits::default() };
        let trusted = TrustedProxies::new(vec!["127.0.0.1/32".parse().unwrap()], ForwardedBy::XForwarded);
        let standings: Standings = Arc::new(|client| match client {
            Some(IpAddr::V4(v4)) if v4.octets()[0] == 192 => Standing::Known,
            _ => Standing::Unknown,
        });
        Arc::new(Gate::new(limits, trusted, standings, elapsed))
    }

    fn enter(gate: &Arc<Gate>, address: &str) -> Option<Pass> {
        gate.enter(address.parse::<IpAddr>().unwrap().to_canonical())
    }

    fn busy(pass: Option<Pass>) -> Pass {
        let pass = pass.unwrap();
        pass.activity().begin_request();
        pass
    }

    #[test]
    fn p_17_one_network_cannot_take_all_connections() {
        let gate = gate(100, 2);
        let first = busy(enter(&gate, "198.51.100.1"));
        let _second = busy(enter(&gate, "::ffff:198.51.100.1"));
        assert!(enter(&gate, "198.51.100.2").is_none());
        let _other = busy(enter(&gate, "198.51.101.2"));
        drop(first);
        assert!(enter(&gate, "198.51.100.3").is_some());
        let _two = (busy(enter(&gate, "2001:db8::1")), busy(enter(&gate, "2001:db8::2")));
        assert!(enter(&gate, "2001:db8::3").is_none());
        assert!(enter(&gate, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn f_06_the_reserve_takes_networks_with_a_user_when_all_else_is_taken() {
        let gate = gate(10, 10);
        let _others: Vec<_> = (0..9).map(|n| busy(enter(&gate, &format!("10.{n}.0.1")))).collect();
        assert!(enter(&gate, "10.99.0.1").is_none());
        assert!(enter(&gate, "192.0.2.1").is_some());
    }

    #[tokio::test]
    async fn f_06_a_full_gate_closes_idle_connections_of_the_biggest_region() {
        let gate = gate(100, 100);
        let one_elsewhere = enter(&gate, "203.0.113.1").unwrap();
        let many: Vec<_> = (0..89).map(|n| enter(&gate, &format!("10.0.{n}.1")).unwrap()).collect();
        many[0].activity().begin_request();
        assert!(enter(&gate, "198.51.100.1").is_some());
        let closed = |pass: &Pass| !gate.roll().open.contains_key(&pass.number);
        assert!(!closed(&one_elsewhere));
        assert!(!closed(&many[0]), "a request is under way");
        assert_eq!(many.iter().filter(|pass| closed(pass)).count(), CLOSED_AT_ONCE_MAX);
        many[1].activity().until_closed().await;
    }

    #[test]
    fn f_07_trusted_proxies_have_no_connection_limit() {
        let gate = gate(100, 2);
        let _many: Vec<_> = (0..50).map(|_| busy(enter(&gate, "127.0.0.1"))).collect();
        assert!(enter(&gate, "127.0.0.1").is_some());
        let _two = (busy(enter(&gate, "127.0.0.2")), busy(enter(&gate, "127.0.0.2")));
        assert!(enter(&gate, "127.0.0.2").is_none());
    }

    #[test]
    fn f_06_whoever_has_been_answered_makes_room_again() {
        let gate = gate(100, 1);
        let pass = busy(enter(&gate, "198.51.100.1"));
        assert!(enter(&gate, "198.51.100.2").is_none(), "a request is under way");
        pass.activity().end_request();
        assert!(enter(&gate, "198.51.100.2").is_some());
    }

    #[test]
    fn p_17_other_limits_count_from_now_on() {
        let gate = gate(100, 1);
        let _first = busy(enter(&gate, "198.51.100.1"));
        assert!(enter(&gate, "198.51.100.2").is_none());
        gate.exchange(Budget { total: 100, per_network: 2, shares: Shares::default() });
        assert!(enter(&gate, "198.51.100.2").is_some());
    }

    /// A client that knocks again and again does not have every connection looked at each time, and
    /// does not put the search off either.
    #[test]
    fn f_06_a_search_in_vain_is_not_repeated_at_once() {
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let gate = gate_at(10, 10, Arc::new(move || Duration::from_millis(clock.load(Ordering::Relaxed))));
        let all: Vec<_> = (0..9).map(|n| busy(enter(&gate, &format!("10.{n}.0.1")))).collect();
        assert!(enter(&gate, "10.99.0.1").is_none());
        all[0].activity().end_request();
        millis.store(99, Ordering::Relaxed);
        assert!(enter(&gate, "10.99.0.1").is_none(), "no search yet");
        millis.store(100, Ordering::Relaxed);
        assert!(enter(&gate, "10.99.0.1").is_some());
    }

    #[tokio::test]
    async fn p_04_a_proxy_that_speaks_for_itself_is_counted_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = gate(1, 1);
        for (words, may_come_in) in
            [(&b"PROXY UNKNOWN\r\n"[..], true), (b"PROXY TCP4 203.0.113.7 10.0.0.1 4386 80\r\n", false)]
        {
            let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            proxy.write_all(words).await.unwrap();
            let Ok((mut socket, peer, pass)) = gate.accept(&listener).await else { panic!("there is room") };
            let introduced = gate.introduce(&mut socket, peer, pass).await;
            assert_eq!(introduced.is_some(), may_come_in, "{words:?}");
        }
    }
}
