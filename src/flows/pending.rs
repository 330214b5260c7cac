//! State that waits for a browser to come back: ceremonies, processes, codes, return targets and
//! hand-offs.
//!
//! All of it is begun by clients that have shown nothing yet, so all of it is bounded: in all, and
//! for every network around the client, so that one client's flood pushes out that client's own.
//! When there are too many in all, the oldest of the region that has most makes room. Entries begun
//! in a network where a user is signed in wait in a queue of their own, out of the others' reach.
//! An entry is removed with the commit that adds a new one, so that nothing has to run for the
//! bounds to hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::domain::ledger::Standing;
use crate::domain::limits::RateLimits;
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::ports::Batch;

/// The most entries removed along with a new entry.
pub(in crate::flows) const REMOVED_AT_ONCE_MAX: usize = 16;

/// The entries of one kind.
pub(in crate::flows) struct Waiting {
    limits: ArcSwap<RateLimits>,
    unknown: Mutex<Queue>,
    known: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// By age: numbers are given in order.
    entries: BTreeMap<u64, Entry>,
    of_network: HashMap<Network, BTreeSet<u64>>,
    /// Regions by the number of their entries.
    regions: BTreeSet<(usize, Network)>,
    next: u64,
}

struct Entry {
    key: Vec<u8>,
    /// `None` for entries that waited when the gateway was started.
    client: Option<IpAddr>,
    expires_at: Timestamp,
}

impl Waiting {
    pub(in crate::flows) fn new(limits: RateLimits) -> Self {
        Self { limits: ArcSwap::from_pointee(limits), unknown: Mutex::default(), known: Mutex::default() }
    }

    /// Bounds what is added from now on by these limits.
    pub(in crate::flows) fn exchange(&self, limits: RateLimits) {
        self.limits.store(Arc::new(limits));
    }

    /// Notes `key`, begun by `client` and good until `expires_at`, and returns the keys that must
    /// make room for it.
    pub(in crate::flows) fn admit(
        &self,
        key: Vec<u8>,
        (client, standing): (Option<IpAddr>, Standing),
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Batch {
        let limits = self.limits.load();
        let reserve = limits.shares.reserve(limits.pending_max);
        let (queue, max) = match standing {
            Standing::Known => (&self.known, reserve.max(1)),
            Standing::Unknown => (&self.unknown, limits.pending_max - reserve),
        };
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(Entry { key, client, expires_at });
        let mut removed = Batch::default();
        while removed.changes.len() < REMOVED_AT_ONCE_MAX
            && let Some(number) = queue.to_evict(client, max, &limits, now)
        {
            removed = removed.delete(queue.remove(number));
        }
        removed
    }

    /// How many wait, expired ones included.
    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |queue: &Mutex<Queue>| queue.lock().unwrap_or_else(PoisonError::into_inner).entries.len();
        len(&self.unknown) + len(&self.known)
    }
}

impl Queue {
    fn push(&mut self, entry: Entry) {
        let number = self.next;
        self.next += 1;
        self.change_networks(entry.client, |numbers| numbers.insert(number));
        self.entries.insert(number, entry);
    }

    /// The oldest entry of a network around `client` that has too many; else the oldest of all, if
    /// it has expired; else the oldest of the biggest region, if there are too many in all.
    fn to_evict(
        &self,
        client: Option<IpAddr>,
        max: usize,
        limits: &RateLimits,
        now: Timestamp,
    ) -> Option<u64> {
        for (reach, network) in client.into_iter().flat_map(Network::around) {
            let numbers = self.of_network.get(&network);
            let share = limits.shares.of(reach, limits.pending_per_network_max);
            if let Some(numbers) = numbers.filter(|numbers| numbers.len() > share) {
                return numbers.first().copied();
            }
        }
        let (number, oldest) = self.entries.first_key_value()?;
        if oldest.expires_at <= now {
            return Some(*number);
        }
        if self.entries.len() <= max {
            return None;
        }
        let biggest = self.regions.last().filter(|(count, _)| *count > 1);
        let of_biggest = biggest.and_then(|(_, region)| self.of_network.get(region)?.first());
        Some(of_biggest.copied().unwrap_or(*number))
    }

    /// Removes an entry, and returns its key.
    fn remove(&mut self, number: u64) -> Vec<u8> {
        let Some(entry) = self.entries.remove(&number) else { return Vec::new() };
        self.change_networks(entry.client, |numbers| numbers.remove(&number));
        entry.key
    }

    fn change_networks(&mut self, client: Option<IpAddr>, change: impl Fn(&mut BTreeSet<u64>) -> bool) {
        let Some(client) = client else { return };
        let region = Network::region(client);
        for (_, network) in Network::around(client) {
            let numbers = self.of_network.entry(network).or_default();
            let before = numbers.len();
            change(numbers);
            let after = numbers.len();
            if network == region {
                self.regions.remove(&(before, region));
                if after > 0 {
                    self.regions.insert((after, region));
                }
            }
            if after == 0 {
                self.of_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(0);
    const LIFE: Duration = Duration::from_secs(300);

    fn admit(waiting: &Waiting, n: u32, from: [u8; 4], now: Timestamp) -> Vec<Vec<u8>> {
        let key = n.to_be_bytes().to_vec();
        let from = (Some(IpAddr::from(from)), Standing::Unknown);
        let batch = waiting.admit(key, from, now.plus(LIFE), now);
        batch.changes.iter().map(|change| change.key().to_vec()).collect()
    }

    #[test]
    fn w_18_a_flood_from_everywhere_does_not_grow_the_queue() {
        let waiting = Waiting::new(RateLimits::default());
        let everywhere = (0..30_000_u32).map(|n| (n, [10, (n % 100) as u8, 1, 1]));
        let removed: usize = everywhere.map(|(n, from)| admit(&waiting, n, from, NOW).len()).sum();
        assert_eq!((waiting.len(), removed), (9_000, 21_000));
        let later = NOW.plus(LIFE);
        admit(&waiting, 0, [10, 0, 0, 1], later);
        assert_eq!(waiting.len(), 9_000 + 1 - REMOVED_AT_ONCE_MAX);
    }

    #[test]
    fn s_34_a_flood_from_one_network_pushes_out_its_own() {
        let waiting = Waiting::new(RateLimits::default());
        admit(&waiting, 1_000_000, [192, 0, 2, 1], NOW);
        for n in 0..30_000_u32 {
            for removed in admit(&waiting, n, [198, 51, 100, (n % 250) as u8], NOW) {
                assert_ne!(removed, 1_000_000_u32.to_be_bytes());
            }
        }
        assert_eq!(waiting.len(), 1_001);
    }

    #[test]
    fn f_06_a_flood_from_many_networks_of_one_region_pushes_out_its_own() {
        let waiting = Waiting::new(RateLimits::default());
        let one = |n: u32, from: &str, standing| {
            let key = n.to_be_bytes().to_vec();
            waiting.admit(key, (from.parse().ok(), standing), NOW.plus(LIFE), NOW)
        };
        one(1_000_000, "192.0.2.1", Standing::Unknown);
        one(1_000_001, "2001:db8:ffff::1", Standing::Known);
        for n in 0..30_000_u32 {
            let flood = one(n, &format!("2001:db8:{:x}:{:x}::1", n % 5, n % 7_000), Standing::Unknown);
            for change in &flood.changes {
                assert!(change.key() < &1_000_000_u32.to_be_bytes()[..], "{n} pushed another region out");
            }
        }
        assert_eq!(waiting.len(), 9_001);
    }
}
