//! How far something in memory has followed a part of the store.
//!
//! What does not live here: what it makes of the entries, which each index says itself
//! ([`Mirror`]). What always holds: a revision that was told twice changes nothing; after a gap
//! everything is told anew; and who asks can tell whether the memory has been behind for too long
//! to be believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::ports::Clock;
use crate::ports::store::{Change, Entries, FollowError, Follower, StoreError, Told};

/// How long requests are decided by a memory that may have missed something.
pub const BEHIND_MAX: Duration = Duration::from_secs(5);
/// No moment: it is not behind.
const NEVER: i64 = i64::MAX;

/// What keeps in memory what a part of the store has.
pub(in crate::flows) trait Mirror: Send + Sync {
    /// Becomes what `entries` are, by difference: what goes on is not interrupted. If one cannot be
    /// read, nothing is taken to be gone.
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError>;

    /// Takes in one change.
    fn apply(&self, change: &Change);
}

/// How far one part of the store was followed.
pub(in crate::flows) struct Following {
    revision: AtomicU64,
    /// In milliseconds.
    behind_since: AtomicI64,
}

impl Default for Following {
    fn default() -> Self {
        Self { revision: AtomicU64::new(0), behind_since: AtomicI64::new(NEVER) }
    }
}

impl Following {
    /// A follower for the store that keeps `mirror` up to date; `of` says where its following is noted.
    pub(in crate::flows) fn follower<M: Mirror + 'static>(
        mirror: Arc<M>,
        of: fn(&M) -> &Self,
        clock: Arc<dyn Clock>,
    ) -> Follower {
        Arc::new(move |told| of(&mirror).hear(told, &*mirror, &*clock))
    }

    fn hear(&self, told: Told<'_>, mirror: &dyn Mirror, clock: &dyn Clock) -> Result<(), FollowError> {
        match told {
            Told::Reset { entries, revision } => {
                mirror.reset(entries)?;
                self.revision.store(revision, Ordering::Relaxed);
                self.behind_since.store(NEVER, Ordering::Relaxed);
                Ok(())
            }
            Told::Changes { changes, since, revision } => {
                let known = self.revision.load(Ordering::Relaxed);
                if revision <= known {
                    return Ok(());
                }
                // Also after a gap: what ends is to end now, and what is wrong is put right by the
                // reset.
                for change in changes {
                    mirror.apply(change);
                }
                self.revision.store(revision, Ordering::Relaxed);
                if since > known {
                    self.fall_behind(clock.now());
                    return Err(FollowError::Missed);
                }
                Ok(())
            }
            Told::Behind => {
                self.fall_behind(clock.now());
                Ok(())
            }
        }
    }

    fn fall_behind(&self, now: Timestamp) {
        self.behind_since.fetch_min(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether it has been behind for longer than [`BEHIND_MAX`].
    pub(in crate::flows) fn is_too_old(&self, now: Timestamp) -> bool {
        let since = self.behind_since.load(Ordering::Relaxed);
        since != NEVER && now.since(Timestamp::from_millis(since)) >= BEHIND_MAX
    }
}
