//! A store in which a test holds a commit back, so that something else happens meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use vestibule::ports::store::{Entry, Follower};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::store::MemoryStore;

/// A store that holds one commit back until another has been made.
#[derive(Default)]
pub(crate) struct Held {
    inner: MemoryStore,
    pub(crate) holds_next: AtomicBool,
    pub(crate) reached: Notify,
    pub(crate) released: Notify,
}

#[async_trait]
impl KeyValue for Held {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.scan(prefix, after, limit).await
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.take(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        if self.holds_next.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.released.notified().await;
        }
        self.inner.commit(batch).await
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        self.inner.follow(prefix, follower).await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }
}
