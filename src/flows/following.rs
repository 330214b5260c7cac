//! How far something in memory has followed a part of the store.
//!
//! What does not live here: what it makes of the entries, which each index says itself
//! ([`Mirror`]). What always holds: a revision that was told twice changes nothing; after a gap
//! everything is told anew; and a caller can tell whether the memory has been behind for too long
//! to be believed.

use std::collections::HashSet;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::domain::time::Timestamp;
use crate::ports::Clock;
use crate::ports::store::{Change, Entries, Entry, FollowError, Follower, StoreError, Told};
use crate::records::decode;

/// How many entries are handed from the thread that reads to the thread that takes them in.
const PORTION_ENTRIES: usize = 256;
/// How many portions wait to be taken in.
const PORTIONS_WAITING_MAX: usize = 4;
/// How long requests are decided by a memory that may have missed something.
pub const BEHIND_MAX: Duration = Duration::from_secs(5);
/// Stands for no moment: the follower is not behind.
const NEVER: i64 = i64::MAX;
/// Stands for the time before everything: the follower has not been told of anything yet.
const FROM_THE_FIRST: i64 = i64::MIN;

/// Keeps a part of the store in memory.
pub(in crate::flows) trait Mirror: Send + Sync {
    /// Becomes what `entries` are, by difference: entries that stay are not interrupted. If an
    /// entry cannot be read, none is taken to be gone.
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError>;

    /// Takes in one change.
    fn apply(&self, change: &Change);
}

/// Takes in every entry, and then forgets the `known` ids that are not among them. If an entry
/// cannot be read, none is forgotten. `take` returns the id of the record. The store is read while
/// earlier entries are taken in, because a start with many users waits for both.
pub(in crate::flows) fn by_difference<R: DeserializeOwned, I: Eq + Hash + Send>(
    entries: &mut Entries<'_>,
    known: impl IntoIterator<Item = I>,
    mut take: impl FnMut(R) -> I + Send,
    forget: impl Fn(&I),
) -> Result<(), StoreError> {
    let mut gone: HashSet<I> = known.into_iter().collect();
    thread::scope(|scope| {
        let (to_take, read) = mpsc::sync_channel::<Vec<Entry>>(PORTIONS_WAITING_MAX);
        let taking = scope.spawn(|| {
            for (_, bytes) in read.into_iter().flatten() {
                gone.remove(&take(decode(&bytes)?));
            }
            Ok(())
        });
        loop {
            let portion = entries.take(PORTION_ENTRIES).collect::<Result<Vec<_>, _>>()?;
            // The other side has gone where it could not read an entry.
            if portion.is_empty() || to_take.send(portion).is_err() {
                break;
            }
        }
        drop(to_take);
        taking.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    gone.iter().for_each(forget);
    Ok(())
}

/// How far one part of the store was followed.
pub(in crate::flows) struct Following {
    revision: AtomicU64,
    /// In milliseconds.
    behind_since: AtomicI64,
}

impl Default for Following {
    fn default() -> Self {
        Self { revision: AtomicU64::new(0), behind_since: AtomicI64::new(FROM_THE_FIRST) }
    }
}

impl Following {
    /// A follower for the store that keeps `mirror` up to date; `of` says where its following is
    /// noted.
    pub(in crate::flows) fn follower<M: Mirror + 'static>(
        mirror: Arc<M>,
        of: fn(&M) -> &Self,
        clock: Arc<dyn Clock>,
    ) -> Follower {
        Arc::new(move |told| of(&mirror).receive(told, &*mirror, &*clock))
    }

    fn receive(&self, told: Told<'_>, mirror: &dyn Mirror, clock: &dyn Clock) -> Result<(), FollowError> {
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
                // Also after a gap: ended sessions have to end now, and the reset corrects the
                // rest.
                for change in changes {
                    mirror.apply(change);
                }
                self.revision.store(revision, Ordering::Relaxed);
                // While the follower is behind, each change asks again for the reset, until it
                // comes.
                if since > known || self.is_behind() {
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

    /// Whether it has been told of everything at least once.
    pub(in crate::flows) fn is_told(&self) -> bool {
        self.behind_since.load(Ordering::Relaxed) != FROM_THE_FIRST
    }

    fn is_behind(&self) -> bool {
        self.behind_since.load(Ordering::Relaxed) != NEVER
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

#[cfg(test)]
mod tests {
    use super::*;

    struct EmptyMirror;

    impl Mirror for EmptyMirror {
        fn reset(&self, _: &mut Entries<'_>) -> Result<(), StoreError> {
            Ok(())
        }

        fn apply(&self, _: &Change) {}
    }

    struct StubPorts;

    impl Clock for StubPorts {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1)
        }
    }

    #[test]
    fn asks_for_a_reset_with_each_change_until_it_comes() {
        let following = Following::default();
        let receive = |told: Told<'_>| following.receive(told, &EmptyMirror, &StubPorts).is_ok();
        let changed = |since, revision| receive(Told::Changes { changes: &[], since, revision });
        assert!(receive(Told::Reset { entries: &mut std::iter::empty(), revision: 0 }));
        assert!(changed(0, 1));
        assert!(receive(Told::Behind));
        assert!(!changed(1, 2) && !changed(2, 3), "nothing is missing, and it is still behind");
        assert!(receive(Told::Reset { entries: &mut std::iter::empty(), revision: 3 }));
        assert!(changed(3, 4));
        assert!(!changed(5, 6), "a gap");
    }

    #[test]
    fn lets_no_user_in_until_it_was_told_of_everything() {
        let following = Following::default();
        let receive = |told: Told<'_>| following.receive(told, &EmptyMirror, &StubPorts).is_ok();
        let now = StubPorts.now();
        assert!(following.is_too_old(now) && !following.is_told());
        assert!(!receive(Told::Changes { changes: &[], since: 0, revision: 1 }), "the rest is missing");
        assert!(following.is_too_old(now) && !following.is_told());
        assert!(receive(Told::Reset { entries: &mut std::iter::empty(), revision: 1 }));
        assert!(!following.is_too_old(now) && following.is_told());
    }
}
