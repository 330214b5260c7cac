//! The clock, as the rest of the program sees it.

use crate::domain::time::Timestamp;

/// Tells the time.
///
/// An implementation never goes backwards within one process, and never stands still: when the
/// machine's clock is set back, `now` goes on from where it was, so that a clock change can neither
/// revive an expired session nor prolong a session that is about to expire.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}
