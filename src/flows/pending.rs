//! What waits for a browser to come back: ceremonies, ways back and hand-offs.
//!
//! All of it is begun by strangers, so all of it is bounded: when a kind is full, its oldest
//! entry makes room. Entries are removed with the commit that adds a new one, so that nothing has
//! to run for the bound to hold.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;
use crate::ports::Batch;

/// The most entries of one kind that wait at the same time.
pub const WAITING_MAX: usize = 10_000;
/// The most entries removed along with one that is added.
const REMOVED_AT_ONCE_MAX: usize = 16;

/// The entries of one kind, oldest first.
#[derive(Default)]
pub(super) struct Waiting {
    queue: Mutex<VecDeque<(Vec<u8>, Timestamp)>>,
}

impl Waiting {
    /// Notes `key`, which is good until `expires_at`, and returns what must go in its favour.
    pub(super) fn admit(&self, key: Vec<u8>, expires_at: Timestamp, now: Timestamp) -> Batch {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back((key, expires_at));
        let mut removed = Batch::default();
        while removed.changes.len() < REMOVED_AT_ONCE_MAX
            && (queue.len() > WAITING_MAX || queue.front().is_some_and(|(_, until)| *until <= now))
        {
            if let Some((key, _)) = queue.pop_front() {
                removed = removed.delete(key);
            }
        }
        removed
    }

    /// How many wait, expired ones included.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn w_18_a_flood_does_not_grow_the_queue() {
        let waiting = Waiting::default();
        let now = Timestamp::from_millis(0);
        let mut removed = 0;
        for n in 0..30_000_u32 {
            let until = now.plus(Duration::from_secs(300));
            removed += waiting.admit(n.to_be_bytes().to_vec(), until, now).changes.len();
        }
        assert_eq!((waiting.len(), removed), (WAITING_MAX, 20_000));
        let later = now.plus(Duration::from_secs(301));
        waiting.admit(vec![1], later.plus(Duration::from_secs(300)), later);
        assert_eq!(waiting.len(), WAITING_MAX + 1 - REMOVED_AT_ONCE_MAX);
    }
}
