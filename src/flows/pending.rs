//! What waits for a browser to come back: ceremonies, processes, codes, ways back and hand-offs.
//!
//! All of it is begun by strangers, so all of it is bounded: in all, and for the network that it
//! was begun from, so that one stranger's flood pushes out that stranger's own. The oldest entry
//! makes room. It is removed with the commit that adds a new one, so that nothing has to run for
//! the bounds to hold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::session::network_of;
use crate::domain::time::Timestamp;
use crate::ports::Batch;

/// The most entries of one kind that wait at the same time.
pub const WAITING_MAX: usize = 10_000;
/// The most of them that were begun from one network: a /24, or a /64 for IPv6.
pub const WAITING_PER_NETWORK_MAX: usize = 1_000;
/// The most entries removed along with one that is added.
const REMOVED_AT_ONCE_MAX: usize = 16;

/// The entries of one kind.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// By age: numbers are given in order.
    entries: BTreeMap<u64, Entry>,
    of_network: HashMap<String, VecDeque<u64>>,
    next: u64,
}

struct Entry {
    key: Vec<u8>,
    /// `None` for what waited when the gateway was started.
    network: Option<String>,
    expires_at: Timestamp,
}

impl Waiting {
    /// Notes `key`, begun by `client` and good until `expires_at`, and returns what must go in its
    /// favour.
    pub(super) fn admit(
        &self,
        key: Vec<u8>,
        client: Option<IpAddr>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Batch {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let network = client.map(network_of);
        queue.push(Entry { key, network: network.clone(), expires_at });
        let mut removed = Batch::default();
        while removed.changes.len() < REMOVED_AT_ONCE_MAX
            && let Some(number) = queue.superfluous(network.as_deref(), now)
        {
            removed = removed.delete(queue.remove(number));
        }
        removed
    }

    /// How many wait, expired ones included.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }
}

impl Queue {
    fn push(&mut self, entry: Entry) {
        if let Some(network) = &entry.network {
            self.of_network.entry(network.clone()).or_default().push_back(self.next);
        }
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    /// The oldest entry, if it has expired or there are too many; else the oldest of `network`, if
    /// it has too many.
    fn superfluous(&self, network: Option<&str>, now: Timestamp) -> Option<u64> {
        let mine = network.and_then(|network| self.of_network.get(network));
        if let Some(mine) = mine.filter(|mine| mine.len() > WAITING_PER_NETWORK_MAX) {
            return mine.front().copied();
        }
        let (number, oldest) = self.entries.first_key_value()?;
        (self.entries.len() > WAITING_MAX || oldest.expires_at <= now).then_some(*number)
    }

    /// Removes the oldest entry of its network, and returns its key.
    fn remove(&mut self, number: u64) -> Vec<u8> {
        let Some(entry) = self.entries.remove(&number) else { return Vec::new() };
        if let Some(network) = &entry.network
            && let Some(numbers) = self.of_network.get_mut(network)
        {
            numbers.pop_front();
            if numbers.is_empty() {
                self.of_network.remove(network);
            }
        }
        entry.key
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
        let batch = waiting.admit(key, Some(IpAddr::from(from)), now.plus(LIFE), now);
        batch.changes.iter().map(|change| change.key().to_vec()).collect()
    }

    #[test]
    fn w_18_a_flood_from_everywhere_does_not_grow_the_queue() {
        let waiting = Waiting::default();
        let everywhere = (0..30_000_u32).map(|n| (n, [10, (n % 100) as u8, 1, 1]));
        let removed: usize = everywhere.map(|(n, from)| admit(&waiting, n, from, NOW).len()).sum();
        assert_eq!((waiting.len(), removed), (WAITING_MAX, 20_000));
        let later = NOW.plus(LIFE);
        admit(&waiting, 0, [10, 0, 0, 1], later);
        assert_eq!(waiting.len(), WAITING_MAX + 1 - REMOVED_AT_ONCE_MAX);
    }

    #[test]
    fn s_34_a_flood_from_one_network_pushes_out_its_own() {
        let waiting = Waiting::default();
        admit(&waiting, 1_000_000, [192, 0, 2, 1], NOW);
        for n in 0..30_000_u32 {
            for removed in admit(&waiting, n, [198, 51, 100, (n % 250) as u8], NOW) {
                assert_ne!(removed, 1_000_000_u32.to_be_bytes());
            }
        }
        assert_eq!(waiting.len(), WAITING_PER_NETWORK_MAX + 1);
    }
}
