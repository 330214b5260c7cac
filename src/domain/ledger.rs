//! A limited resource, shared out among networks.
//!
//! Connections, bytes of request bodies and pending ceremonies are all taken by anonymous clients.
//! So each network may take a part of them only, a wider network a few times as much, and the last
//! part is kept for networks in which a user is signed in.
//!
//! What does not live here: the resources, and when they are given back. What always holds: no
//! network takes more than its share, and given-back amounts are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;

use super::limits::Shares;
use super::network::Network;

/// Whether a user is signed in from a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Known,
    Unknown,
}

/// The size of a resource, and of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For all together.
    pub total: usize,
    /// For one /64 or /24; wider networks get a multiple.
    pub per_network: usize,
    pub shares: Shares,
}

/// Why an amount could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// This network has its share already.
    Network(Network),
    /// The whole budget is taken, or all but the reserve.
    Total,
}

/// How much each network has taken.
#[derive(Debug)]
pub struct Ledger {
    budget: Budget,
    taken: usize,
    by_network: HashMap<Network, usize>,
}

impl Ledger {
    /// A ledger from which nothing is taken yet.
    pub fn new(budget: Budget) -> Self {
        Self { budget, taken: 0, by_network: HashMap::new() }
    }

    /// Shares out this budget from now on. Taken parts stay taken, so that more than the budget may
    /// be taken for a while.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Takes `amount` for `client`; without an address, it counts for the total alone.
    pub fn take(
        &mut self,
        client: Option<IpAddr>,
        amount: usize,
        standing: Standing,
    ) -> Result<(), Exhausted> {
        for (reach, network) in client.into_iter().flat_map(Network::around) {
            let taken = self.taken_by(&network).saturating_add(amount);
            if taken > self.budget.shares.of(reach, self.budget.per_network) {
                return Err(Exhausted::Network(network));
            }
        }
        let total = match standing {
            Standing::Known => self.budget.total,
            Standing::Unknown => self.budget.total - self.budget.shares.reserve(self.budget.total),
        };
        if self.taken.saturating_add(amount) > total {
            return Err(Exhausted::Total);
        }
        self.taken = self.taken.saturating_add(amount);
        for (_, network) in client.into_iter().flat_map(Network::around) {
            *self.by_network.entry(network).or_default() += amount;
        }
        Ok(())
    }

    /// Gives back what `client` has taken.
    pub fn give_back(&mut self, client: Option<IpAddr>, amount: usize) {
        self.taken = self.taken.saturating_sub(amount);
        for (_, network) in client.into_iter().flat_map(Network::around) {
            let Some(taken) = self.by_network.get_mut(&network) else { continue };
            *taken = taken.saturating_sub(amount);
            if *taken == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    /// How much `network` has taken.
    pub fn taken_by(&self, network: &Network) -> usize {
        self.by_network.get(network).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn ledger() -> Ledger {
        let shares = Shares {
            site_factor: NonZeroU32::new(2).unwrap(),
            region_factor: NonZeroU32::new(4).unwrap(),
            reserve_percent: 10,
        };
        Ledger::new(Budget { total: 100, per_network: 10, shares })
    }

    fn fill(ledger: &mut Ledger, address: impl Fn(u16) -> String, standing: Standing) -> usize {
        let mut taken = 0;
        for n in 0..1000 {
            taken += usize::from(ledger.take(address(n).parse().ok(), 1, standing).is_ok());
        }
        taken
    }

    #[test]
    fn f_06_a_network_a_site_and_a_region_have_shares_of_their_own() {
        let mut ledger = ledger();
        let unknown = Standing::Unknown;
        assert_eq!(fill(&mut ledger, |n| format!("2001:db8::{n:x}"), unknown), 10);
        assert_eq!(fill(&mut ledger, |n| format!("2001:db8:0:{:x}::1", n % 256), unknown), 10);
        assert_eq!(fill(&mut ledger, |n| format!("2001:db8:0:{n:x}::1"), unknown), 20);
        assert_eq!(fill(&mut ledger, |n| format!("192.0.2.{}", n % 256), unknown), 10);
        assert_eq!(fill(&mut ledger, |n| format!("192.0.{}.1", n % 256), unknown), 30);
    }

    #[test]
    fn new_budget_counts_existing_shares() {
        let mut ledger = ledger();
        assert_eq!(fill(&mut ledger, |_| "192.0.2.1".to_owned(), Standing::Unknown), 10);
        let budget = Budget { per_network: 12, ..ledger.budget };
        ledger.set_budget(budget);
        assert_eq!(fill(&mut ledger, |_| "192.0.2.1".to_owned(), Standing::Unknown), 2);
        ledger.set_budget(Budget { per_network: 5, ..budget });
        ledger.give_back("192.0.2.1".parse().ok(), 7);
        assert!(ledger.take("192.0.2.1".parse().ok(), 1, Standing::Unknown).is_err());
        ledger.give_back("192.0.2.1".parse().ok(), 1);
        assert!(ledger.take("192.0.2.1".parse().ok(), 1, Standing::Unknown).is_ok());
    }

    #[test]
    fn f_06_reserve_is_for_networks_with_a_session() {
        let mut ledger = ledger();
        assert_eq!(fill(&mut ledger, |n| format!("10.{}.0.1", n % 256), Standing::Unknown), 90);
        assert_eq!(fill(&mut ledger, |_| "192.0.2.1".to_owned(), Standing::Known), 10);
        ledger.give_back("192.0.2.1".parse().ok(), 1);
        let unknown = ledger.take("198.51.100.1".parse().ok(), 1, Standing::Unknown);
        assert_eq!(unknown, Err(Exhausted::Total));
        assert_eq!(ledger.take("192.0.2.1".parse().ok(), 1, Standing::Known), Ok(()));
    }

    #[test]
    fn returning_all_shares_removes_the_entry() {
        let mut ledger = ledger();
        let client: Option<IpAddr> = "2001:db8::1".parse().ok();
        assert_eq!(ledger.take(client, 10, Standing::Unknown), Ok(()));
        ledger.give_back(client, 10);
        assert_eq!((ledger.taken, ledger.by_network.len()), (0, 0));
    }
}
