//! Walks over the entries below a prefix in key order, a step at a time.
//!
//! What always holds: memory holds one step of them, however many there are; and an entry that is
//! there all the while is met exactly once, whatever is added and removed meanwhile, because a step
//! begins after the key that the one before ended with.

use std::vec::IntoIter;

use serde::de::DeserializeOwned;

use super::decode;
use crate::ports::store::Entry;
use crate::ports::{KeyValue, StoreError};

/// A walk over the entries below a prefix.
pub struct Walk<'a> {
    store: &'a dyn KeyValue,
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    step: usize,
    read: IntoIter<Entry>,
    is_at_end: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a dyn KeyValue, prefix: &[u8], after: Option<&[u8]>, step: usize) -> Self {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        Self { store, prefix, after, step, read: IntoIter::default(), is_at_end: false }
    }

    /// The next entry.
    pub async fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        if self.read.len() == 0 && !self.is_at_end {
            let found = self.store.scan(&self.prefix, self.after.as_deref(), self.step).await?;
            self.is_at_end = found.len() < self.step;
            self.after = found.last().map(|(key, _)| key.clone());
            self.read = found.into_iter();
        }
        Ok(self.read.next())
    }

    /// The next record, with its key.
    pub async fn next_record<T: DeserializeOwned>(&mut self) -> Result<Option<(Vec<u8>, T)>, StoreError> {
        let next = self.next().await?;
        next.map(|(key, bytes)| Ok((key, decode(&bytes)?))).transpose()
    }

    /// The next record of which `holds` says yes, with its key.
    pub async fn next_where<T: DeserializeOwned>(
        &mut self,
        holds: impl Fn(&T) -> bool,
    ) -> Result<Option<(Vec<u8>, T)>, StoreError> {
        while let Some((key, record)) = self.next_record().await? {
            if holds(&record) {
                return Ok(Some((key, record)));
            }
        }
        Ok(None)
    }
}
