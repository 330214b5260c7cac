//! Changes that are written behind: kept in memory until the next group of requests is written.
//!
//! What always holds: readers see them from the moment they are added, and never a state between
//! them and the group that writes them; the writer decides every request with them in place, and
//! writes them in the first transaction of the next group, so a crash loses them only together with
//! every commit that came after them. A key has at most one change here, its last.
//!
//! What does not live here: the writing (`writer.rs`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ports::store::{Change, Entry};

/// The most changes that wait. With more of them a caller waits for the disk like any other.
const WAITING_CHANGES_MAX: usize = 256;

/// Changes by their keys.
type Changes = BTreeMap<Vec<u8>, Change>;

/// The changes that are not in the tree yet.
#[derive(Default)]
pub(super) struct Behind(RwLock<State>);

#[derive(Default)]
struct State {
    /// No group has begun to write these.
    waiting: Changes,
    /// The present group writes these.
    writing: Changes,
    closed: bool,
}

/// Why changes were not added.
pub(super) enum NotAdded {
    /// Too many wait already.
    Full,
    /// The writer has ended, or is about to.
    Closed,
}

impl Behind {
    /// Adds `changes`, all of them or none.
    pub(super) fn add(&self, changes: &[Change]) -> Result<(), NotAdded> {
        let mut state = self.write();
        if state.closed {
            return Err(NotAdded::Closed);
        }
        if state.waiting.len() + changes.len() > WAITING_CHANGES_MAX {
            return Err(NotAdded::Full);
        }
        state.waiting.extend(changes.iter().map(|change| (change.key().to_vec(), change.clone())));
        Ok(())
    }

    /// The changes that the next group has to write before everything else.
    pub(super) fn begin(&self) -> Vec<Change> {
        let mut state = self.write();
        state.writing = std::mem::take(&mut state.waiting);
        state.writing.values().cloned().collect()
    }

    /// Runs `write`, which brings what [`Self::begin`] gave out into the tree. After a failure it is
    /// still seen here.
    pub(super) fn settle<T, E>(&self, write: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut state = self.write();
        let written = write()?;
        state.writing.clear();
        Ok(written)
    }

    /// Takes no more changes.
    pub(super) fn close(&self) {
        self.write().closed = true;
    }

    /// The value at `key`: by its last change here, or else as `below` finds it in the tree.
    pub(super) fn value<E>(
        &self,
        key: &[u8],
        below: impl FnOnce() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let state = self.read();
        match state.waiting.get(key).or_else(|| state.writing.get(key)) {
            Some(Change::Put { value, .. }) => Ok(Some(value.clone())),
            Some(Change::Delete { .. }) => Ok(None),
            None => below(),
        }
    }

    /// The changes of keys that begin with `prefix`, from `from` on.
    pub(super) fn below(&self, prefix: &[u8], from: Bound<&[u8]>) -> Vec<Change> {
        let state = self.read();
        let range = |changes: &Changes| -> Vec<Change> {
            let from_there = changes.range::<[u8], _>((from, Bound::Unbounded));
            from_there.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, it)| it.clone()).collect()
        };
        let mut changes = range(&state.writing);
        changes.extend(range(&state.waiting));
        changes
    }

    // A poisoned lock is entered all the same: the state is whole between any two statements.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `limit` of `entries` after `changes`, in order.
pub(super) fn changed(entries: Vec<Entry>, changes: Vec<Change>, limit: usize) -> Vec<Entry> {
    let mut after: BTreeMap<_, _> = entries.into_iter().collect();
    for change in changes {
        match change {
            Change::Put { key, value } => drop(after.insert(key, value)),
            Change::Delete { key } => drop(after.remove(&key)),
        }
    }
    after.into_iter().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::{fs, io};

    use tempfile::TempDir;

    use super::super::SledStore;
    use super::super::tests::{open, options, timer};
    use super::*;
    use crate::ports::{Batch, KeyValue as _, StoreError};

    fn put(key: &str) -> Batch {
        Batch::default().put(key.into(), vec![])
    }

    async fn keys(store: &SledStore) -> Vec<Vec<u8>> {
        store.scan(b"", None, 100).await.unwrap().into_iter().map(|(key, _)| key).collect()
    }

    /// The keys that a start finds after a crash at this moment.
    async fn after_a_crash(home: &Path) -> Vec<Vec<u8>> {
        let crashed = TempDir::new().unwrap();
        for name in ["conf", "db", "initialised", "progress"] {
            fs::copy(home.join(name), crashed.path().join(name)).unwrap();
        }
        keys(&open(crashed.path()).unwrap()).await
    }

    #[tokio::test]
    async fn d_02_a_crash_loses_what_is_written_behind_and_nothing_else() {
        let home = TempDir::new().unwrap();
        let store = open(home.path()).unwrap();
        store.commit(put("a")).await.unwrap();
        store.write_behind(put("b").changes).await.unwrap();
        assert_eq!(keys(&store).await, [b"a", b"b"]);
        assert_eq!(after_a_crash(home.path()).await, [b"a"]);
        store.commit(put("c")).await.unwrap();
        assert_eq!(after_a_crash(home.path()).await, [b"a", b"b", b"c"]);
        let delete = Batch::default().delete(b"a".to_vec()).changes;
        store.write_behind(delete).await.unwrap();
        assert_eq!(after_a_crash(home.path()).await, [b"a", b"b", b"c"]);
        // A refusal is an answer too: it says what is durable.
        assert!(store.commit(put("d").expect(b"a".to_vec(), vec![])).await.is_err());
        assert_eq!(after_a_crash(home.path()).await, [b"b", b"c"]);
    }

    #[tokio::test]
    async fn closing_writes_what_is_written_behind_and_takes_no_more() {
        let home = TempDir::new().unwrap();
        let store = open(home.path()).unwrap();
        store.write_behind(put("a").changes).await.unwrap();
        store.close();
        assert!(matches!(store.write_behind(put("late").changes).await, Err(StoreError::Unavailable(_))));
        assert_eq!(keys(&store).await, [b"a"]);
        drop(store);
        assert_eq!(keys(&open(home.path()).unwrap()).await, [b"a"]);
    }

    #[tokio::test]
    async fn what_is_written_behind_waits_for_no_fsync_and_a_failed_one_refuses_it() {
        let home = TempDir::new().unwrap();
        let (synced, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, failing) = (Arc::clone(&synced), Arc::clone(&fails));
        let store = SledStore::open_with(home.path(), &options(), timer(), move |file| {
            Box::new(move || {
                count.fetch_add(1, Ordering::SeqCst);
                if failing.load(Ordering::SeqCst) {
                    Err(io::ErrorKind::Other.into())
                } else {
                    file.sync_all()
                }
            })
        })
        .unwrap();
        store.write_behind(put("a").changes).await.unwrap();
        store.write_behind(put("b").changes).await.unwrap();
        assert_eq!(synced.load(Ordering::SeqCst), 0);
        store.commit(put("c")).await.unwrap();
        assert_eq!(synced.load(Ordering::SeqCst), 1);
        store.take(b"c").await.unwrap();
        assert_eq!(synced.load(Ordering::SeqCst), 2);
        fails.store(true, Ordering::SeqCst);
        store.write_behind(put("d").changes).await.unwrap();
        assert!(store.take(b"d").await.is_err());
        assert!(matches!(store.write_behind(put("e").changes).await, Err(StoreError::Unavailable(_))));
        assert_eq!(store.get(b"e").await.unwrap(), None);
    }

    #[test]
    fn a_change_is_seen_while_it_is_being_written() {
        let behind = Behind::default();
        let seen = |key: &str| behind.value(key.as_bytes(), || Ok::<_, ()>(None)).unwrap().is_some();
        assert!(behind.add(&put("a").changes).is_ok());
        assert_eq!(behind.begin(), put("a").changes);
        assert!(behind.add(&put("b").changes).is_ok());
        assert!(seen("a") && seen("b"));
        assert!(behind.settle(|| Err::<(), ()>(())).is_err());
        assert!(seen("a") && seen("b"));
        behind.settle(|| Ok::<_, ()>(())).unwrap();
        assert!(!seen("a") && seen("b"));
        assert_eq!(behind.begin(), put("b").changes);
    }
}
