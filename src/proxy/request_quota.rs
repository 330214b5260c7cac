//! How many requests the clients behind a trusted proxy may have under way.
//!
//! Such clients share the proxy's connections, so they are counted by request, with the limits that
//! count connections for other clients. What always holds: clients of different regions seldom
//! share a lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ledger::{Budget, Ledger, Standing};
use crate::domain::network::Network;

const SHARDS: usize = 64;

/// Counts requests under way by the client for which a trusted proxy sends them.
pub(super) struct RequestQuota {
    shards: Vec<Mutex<Ledger>>,
    hasher: RandomState,
}

/// The right to have a request under way, given back when dropped.
pub(super) struct RequestSlot {
    request_quota: Arc<RequestQuota>,
    client: IpAddr,
}

impl RequestQuota {
    /// The total is bounded by the connection quota, so there is none here.
    pub(super) fn new(connections: Budget) -> Self {
        let budget = Budget { total: usize::MAX, ..connections };
        let shards = std::iter::repeat_with(|| Mutex::new(Ledger::new(budget))).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Counts requests by these limits from now on.
    pub(super) fn exchange(&self, connections: Budget) {
        let budget = Budget { total: usize::MAX, ..connections };
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).set_budget(budget);
        }
    }

    /// `None`: a network around `client` has its share.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Option<RequestSlot> {
        let taken = self.with(client, |ledger| ledger.take(Some(client), 1, Standing::Known));
        taken?.ok()?;
        Some(RequestSlot { request_quota: Arc::clone(self), client })
    }

    fn with<T>(&self, client: IpAddr, work: impl FnOnce(&mut Ledger) -> T) -> Option<T> {
        // All networks around a client are in one region, and so in one shard.
        let hash = usize::try_from(self.hasher.hash_one(Network::region(client)) >> 32).unwrap_or(0);
        let shard = self.shards.get(hash % SHARDS)?;
        Some(work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.request_quota.with(self.client, |ledger| ledger.give_back(Some(self.client), 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::Shares;

    #[test]
    fn f_07_limits_requests_of_a_forwarded_client() {
        let budget = Budget { total: 1, per_network: 2, shares: Shares::default() };
        let request_quota = Arc::new(RequestQuota::new(budget));
        let enter = |address: &str| request_quota.enter(address.parse().unwrap());
        let (first, _second) = (enter("198.51.100.1").unwrap(), enter("198.51.100.2").unwrap());
        assert!(enter("198.51.100.3").is_none());
        assert!(enter("203.0.113.1").is_some());
        drop(first);
        assert!(enter("198.51.100.3").is_some());
    }

    #[test]
    fn f_07_clients_of_many_regions_share_no_lock_and_no_total() {
        let connections = Budget { total: 1, per_network: 1, shares: Shares::default() };
        let request_quota = Arc::new(RequestQuota::new(connections));
        let clients = (0..100).map(|n| IpAddr::from([10, n, 0, 1]));
        let shard = |client| request_quota.with(client, |ledger| std::ptr::from_mut(ledger).addr()).unwrap();
        let shards: std::collections::HashSet<_> = clients.clone().map(shard).collect();
        assert!(shards.len() > SHARDS / 4, "{}", shards.len());
        for _ in 0..2 {
            let slots: Vec<_> = clients.clone().map(|client| request_quota.enter(client)).collect();
            assert!(slots.iter().all(Option::is_some), "their total is counted elsewhere");
            assert!(request_quota.enter(IpAddr::from([10, 0, 0, 1])).is_none());
            // New limits have no total either.
            request_quota.exchange(connections);
        }
    }
}
