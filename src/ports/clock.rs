//! The clock, as the rest of the program sees it.

use crate::domain::time::Timestamp;

/// Tells the time.
///
/// An implementation never goes backwards within one process: when the machine's clock is set
/// back, `now` stands still until it has caught up, so that a clock change cannot revive a
/// session that has expired.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}
