//! Observers of what happened: audit log and metrics.

use crate::domain::event::Event;

/// Is told of every security event, once, after what it reports has been made durable.
///
/// An implementation must not block and must not fail the caller.
pub trait Observer: Send + Sync {
    /// Takes note of `event`.
    fn record(&self, event: &Event);
}
