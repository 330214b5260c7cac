//! The real clock, the real source of randomness, and the service manager. The only file that
//! reads the first two.
//!
//! What always holds: [`SystemClock`] never goes backwards within one process, and
//! [`SystemEntropy`] never hands out anything weaker than what the operating system gives.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;
use crate::ports::{Clock, Entropy};

/// The machine's clock, standing still while it is set back.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_millis: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(not_before(&self.latest_millis, wall_clock_millis()))
    }
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, into: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "this file is where randomness comes in")]
        let filled = getrandom::fill(into);
        if let Err(error) = filled {
            // Unwinding would end one task and leave a process that cannot make secrets.
            tracing::error!(%error, "the operating system gives no randomness");
            std::process::abort();
        }
    }
}

/// Time since the first call in this process; not affected by changes of the machine's clock.
pub fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this file is where time comes in")]
    let now = Instant::now();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// What the service manager is told (`Type=notify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every listener is open and the store is loaded.
    Ready,
    /// Requests under way are finished, no new ones are taken.
    Stopping,
}

/// Tells the service manager, if there is one. Nobody to tell is no failure.
pub fn tell_service_manager(phase: Phase) {
    let state = match phase {
        Phase::Ready => sd_notify::NotifyState::Ready,
        Phase::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn wall_clock_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this file is where time comes in")]
    let now = SystemTime::now();
    // A clock before 1970 reads as 1970.
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The later of `read` and everything returned before.
fn not_before(latest: &AtomicI64, read: i64) -> i64 {
    latest.fetch_max(read, Ordering::Relaxed).max(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy;

    #[test]
    fn the_clock_stands_still_while_it_is_set_back() {
        let latest = AtomicI64::new(0);
        let told: Vec<_> = [10, 20, 5, 19, 21].map(|read| not_before(&latest, read)).into();
        assert_eq!(told, [10, 20, 20, 20, 21]);
    }

    #[test]
    fn the_clock_tells_this_century_and_monotonic_time_does_not_go_back() {
        let clock = SystemClock::default();
        let first = clock.now();
        assert!(first.as_millis() > 1_700_000_000_000 && clock.now() >= first);
        let first = monotonic();
        assert!(monotonic() >= first);
    }

    #[test]
    fn two_draws_differ() {
        let draw = || entropy::bytes::<32>(&SystemEntropy);
        assert_ne!(draw(), draw());
    }
}
