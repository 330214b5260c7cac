//! The engine in memory: for tests and for runs that must leave nothing behind.
//!
//! It keeps every promise of the port except that entries outlive the process. It is the model
//! that other engines are compared with, so it stays as plain as possible.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError, RwLock};

use async_trait::async_trait;

use super::followers::Followers;
use super::limits;
use crate::ports::store::{
    Batch, Change, CommitError, Entries as Told, Entry, Expectation, Follower, KeyValue, StoreError,
};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// An ordered map that implements the port.
#[derive(Default)]
pub struct MemoryStore {
    entries: RwLock<Entries>,
    /// The revision. Held from the check of the expectations until the followers have been told, so
    /// that changes are told in commit order. Readers do not take it and never wait for a follower.
    order: Mutex<u64>,
    followers: Followers,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a batch whose size has been checked.
    fn apply(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut revision = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.read(|entries| batch.expectations.iter().all(|expected| holds(entries, expected))) {
            return Err(CommitError::Conflict);
        }
        self.write(|entries| {
            for change in &batch.changes {
                match change {
                    Change::Put { key, value } => entries.insert(key.clone(), value.clone()),
                    Change::Delete { key } => entries.remove(key),
                };
            }
        });
        *revision += 1;
        self.followers.tell(&batch.changes, *revision, &|prefix| self.below(prefix));
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut revision = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.write(|entries| entries.remove(key))?;
        *revision += 1;
        let change = Change::Delete { key: key.to_vec() };
        self.followers.tell(&[change], *revision, &|prefix| self.below(prefix));
        Some(taken)
    }

    /// All entries below `prefix`.
    fn below(&self, prefix: &[u8]) -> Box<Told<'static>> {
        let found: Vec<Entry> = self.read(|entries| {
            let below = entries.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
            let below = below.take_while(|(key, _)| key.starts_with(prefix));
            below.map(|(key, value)| (key.clone(), value.clone())).collect()
        });
        Box::new(found.into_iter().map(Ok))
    }

    // A poisoned lock is entered all the same: no change of the map can end in the middle.
    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl KeyValue for MemoryStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read(|entries| entries.get(key).cloned()))
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        Ok(self.read(|entries| {
            entries
                .range::<[u8], _>((from, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        }))
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        limits::check_key(key)?;
        Ok(self.remove(key))
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        limits::check(&batch)?;
        self.apply(&batch)
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        let revision = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.followers.add(prefix, follower, &|prefix| self.below(prefix), *revision)
    }

    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn holds(entries: &Entries, expected: &Expectation) -> bool {
    match expected {
        Expectation::Absent { key } => !entries.contains_key(key),
        Expectation::Exactly { key, value } => entries.get(key) == Some(value),
    }
}
