//! How often credentials may be tried and made.
//!
//! What lives here: the numbers. Counting is in `flows/limits.rs`.

use std::num::NonZeroU32;
use std::time::Duration;

const fn of(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// What an operator can decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests with credentials that one network, a /24 or a /64, may send at once.
    pub network_burst: NonZeroU32,
    /// How many of them it gets back each second.
    pub network_per_second: NonZeroU32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { network_burst: of(300), network_per_second: of(30) }
    }
}

/// All networks together may do as much as this many of them.
pub const GLOBAL_FACTOR: u32 = 20;

/// Attempts with one account's passkeys from one network at once. The owner, who comes from another
/// one, is never held up by them.
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
