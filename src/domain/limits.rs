//! How often credentials may be tried and made, and how much clients may take before they have
//! shown any.
//!
//! What lives here: the numbers. Counting is in `ledger.rs` and `flows/attempts/limits.rs`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::network::Reach;

const fn of(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// How resources are shared out among networks. It is the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// A /56 of IPv6 may take as much as this many networks.
    pub site_factor: NonZeroU32,
    /// A /48 of IPv6, or a /16 of IPv4, may take as much as this many networks.
    pub region_factor: NonZeroU32,
    /// The part of every resource that is kept for networks in which a user is signed in, in
    /// percent.
    pub reserve_percent: u8,
}

impl Default for Shares {
    fn default() -> Self {
        Self { site_factor: of(2), region_factor: of(4), reserve_percent: 10 }
    }
}

impl Shares {
    /// How much a network of this reach may take where one network may take `one`.
    pub fn of(&self, reach: Reach, one: usize) -> usize {
        one.saturating_mul(self.factor(reach).get() as usize)
    }

    /// How many networks' worth a network of this reach may take.
    pub fn factor(&self, reach: Reach) -> NonZeroU32 {
        match reach {
            Reach::Network => NonZeroU32::MIN,
            Reach::Site => self.site_factor,
            Reach::Region => self.region_factor,
        }
    }

    /// The reserve out of `total`.
    pub fn reserve(&self, total: usize) -> usize {
        total / 100 * usize::from(self.reserve_percent)
            + total % 100 * usize::from(self.reserve_percent) / 100
    }
}

/// The limits that an operator can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests with credentials that one network, a /24 or a /64, may send at once.
    pub network_burst: NonZeroU32,
    /// How many of them it gets back each second.
    pub network_per_second: NonZeroU32,
    /// All networks together may do as much as this many of them.
    pub total_factor: NonZeroU32,
    /// The most ceremonies, codes or the like that wait for a browser, of one kind each.
    pub pending_max: usize,
    /// The most of them that were begun from one network.
    pub pending_per_network_max: usize,
    pub shares: Shares,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            network_burst: of(300),
            network_per_second: of(30),
            total_factor: of(20),
            pending_max: 10_000,
            pending_per_network_max: 1_000,
            shares: Shares::default(),
        }
    }
}

/// Attempts with one account's passkeys from one network at once. They never hold up the owner, who
/// comes from another network.
pub const ACCOUNT_BURST: NonZeroU32 = of(60);
/// How many of them come back each second.
pub const ACCOUNT_PER_SECOND: NonZeroU32 = of(2);

/// Messages that one network can have sent to one account at once.
pub const MAIL_BURST: NonZeroU32 = of(3);
/// After that, one in this time.
pub const MAIL_INTERVAL: Duration = Duration::from_mins(1);
/// Messages that all networks together can have sent to one account at once.
pub const MAIL_TO_ACCOUNT_BURST: NonZeroU32 = of(12);
/// After that, one in this time.
pub const MAIL_TO_ACCOUNT_INTERVAL: Duration = Duration::from_mins(5);
