//! The followers, and how they are told of changes.
//!
//! Engines call [`Followers::tell`] and [`Followers::add`] from one place at a time, in commit
//! order, before they answer. What always holds: no lock is taken while a follower runs; a follower
//! that has missed something is told everything anew at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::ports::store::{Change, Entries, FollowError, Follower, StoreError, Told};

/// The followers of one engine.
#[derive(Default)]
pub(super) struct Followers {
    registered: ArcSwap<Vec<Arc<Registration>>>,
}

/// All entries below a prefix, as they are now.
pub(super) type Snapshot<'a> = &'a dyn Fn(&[u8]) -> Box<Entries<'a>>;

struct Registration {
    prefix: Vec<u8>,
    follower: Follower,
    /// The revision that it was told of last.
    told: AtomicU64,
}

impl Registration {
    fn reset(&self, snapshot: Snapshot<'_>, revision: u64) -> Result<(), FollowError> {
        let mut entries = snapshot(&self.prefix);
        (self.follower)(Told::Reset { entries: &mut *entries, revision })?;
        self.told.store(revision, Ordering::Relaxed);
        Ok(())
    }

    fn tell(&self, changes: &[Change], revision: u64, snapshot: Snapshot<'_>) {
        let concerned: Vec<&Change> =
            changes.iter().filter(|change| change.key().starts_with(&self.prefix)).collect();
        if concerned.is_empty() {
            return;
        }
        let since = self.told.swap(revision, Ordering::Relaxed);
        let heard = (self.follower)(Told::Changes { changes: &concerned, since, revision });
        let Err(error) = heard else { return };
        tracing::warn!(%error, "a follower of the store is told everything anew");
        if let Err(error) = self.reset(snapshot, revision) {
            tracing::error!(%error, "a follower of the store is behind");
            // The follower knows now that it is behind; the next change tries again.
            let _ = (self.follower)(Told::Behind);
        }
    }
}

impl Followers {
    /// Tells a follower everything, and adds it. It hears of every change that is told after this
    /// call.
    pub(super) fn add(
        &self,
        prefix: &[u8],
        follower: Follower,
        snapshot: Snapshot<'_>,
        revision: u64,
    ) -> Result<(), StoreError> {
        let added =
            Arc::new(Registration { prefix: prefix.to_vec(), follower, told: AtomicU64::new(revision) });
        added.reset(snapshot, revision).map_err(|error| match error {
            FollowError::Store(error) => error,
            FollowError::Missed => {
                StoreError::Unavailable("a follower has missed what it was told".to_owned())
            }
        })?;
        self.registered.rcu(|known| {
            let mut all = Vec::clone(known);
            all.push(Arc::clone(&added));
            all
        });
        Ok(())
    }

    /// Tells every follower concerned of the changes of some commits, the last of which made
    /// `revision`.
    pub(super) fn tell(&self, changes: &[Change], revision: u64, snapshot: Snapshot<'_>) {
        for registration in self.registered.load().iter() {
            registration.tell(changes, revision, snapshot);
        }
    }
}
