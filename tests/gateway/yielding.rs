//! A store that lets other tasks go on before and after every call, so that a read and a write
//! without an expectation between them are caught.

use async_trait::async_trait;
use tokio::task::yield_now;
use vestibule::ports::store::{Entry, Follower};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::store::MemoryStore;

#[derive(Default)]
pub(crate) struct Yielding(MemoryStore);

#[async_trait]
impl KeyValue for Yielding {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        yield_now().await;
        let found = self.0.get(key).await;
        yield_now().await;
        found
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        yield_now().await;
        let found = self.0.scan(prefix, after, limit).await;
        yield_now().await;
        found
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        yield_now().await;
        let taken = self.0.take(key).await;
        yield_now().await;
        taken
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        yield_now().await;
        let committed = self.0.commit(batch).await;
        yield_now().await;
        committed
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        self.0.follow(prefix, follower).await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.0.health()
    }
}
