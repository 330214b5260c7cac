//! The store's count of its own entries: how many changes it has taken, how many entries it has,
//! and a sum over them. sled recovers what it can of a damaged log and does not report the rest;
//! the tally shows the loss.
//!
//! What does not live here: the changes themselves (`store/sled.rs`).
//!
//! What always holds: the tally is written in one transaction with the changes that it counts, so
//! the two are recovered together or not at all; and a store is handed out only when counting its
//! entries again gives the tally that was written. [`super::witness`] knows how far the changes had
//! come.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use sha2::{Digest, Sha256};
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Error, Tree};

/// The key of the tally, in the tree of the format.
const KEY: &str = "tally";
const BYTES: usize = 8 + 8 + 16;
/// How many kinds of keys are divided into stretches; the rest is one stretch.
const KINDS_MAX: usize = 100;
/// How many values of a byte are one stretch.
const STRETCH: usize = 8;

/// The values of keys after some commits; `None` for those that are gone.
pub(super) type After = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// A count of everything. The sum is of halves of SHA-256, so no two sets of entries meet by chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Commits since the first start.
    pub(super) changes: u64,
    entries: u64,
    sum: u128,
}

impl Tally {
    /// Counts the entries, reading all of them, with as many threads as there are cores: a start
    /// waits for this.
    pub(super) fn of(tree: &Tree) -> Result<Self, Error> {
        let starts = stretches(tree)?;
        let next = AtomicUsize::new(0);
        let count = || {
            let mut tally = Self::default();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(start) = starts.get(at) else { break };
                tally.count(tree, start, starts.get(at + 1))?;
            }
            Ok::<_, Error>(tally)
        };
        let threads = available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            let counting: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
            counting.into_iter().try_fold(Self::default(), |sum, thread| {
                // sled may panic over damage, which is caught where the store is opened.
                let counted = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                Ok::<_, Error>(sum.with(&counted))
            })
        })
    }

    /// Counts what is from `start` up to `end`.
    fn count(&mut self, tree: &Tree, start: &[u8], end: Option<&Vec<u8>>) -> Result<(), Error> {
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        for entry in tree.range::<&[u8], _>((Bound::Included(start), end)) {
            let (key, value) = entry?;
            self.exchange(&key, None, Some(&value));
        }
        Ok(())
    }

    /// The tally of two sets of entries that have nothing in common.
    const fn with(&self, other: &Self) -> Self {
        Self {
            changes: self.changes,
            entries: self.entries.wrapping_add(other.entries),
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// Reads the tally that was written with the last change.
    pub(super) fn read(own: &Tree) -> Result<Option<Self>, Error> {
        Ok(own.get(KEY)?.as_deref().and_then(Self::decode))
    }

    pub(super) fn write(&self, own: &Tree) -> Result<(), Error> {
        own.insert(KEY, &self.encode()).map(drop)
    }

    /// Whether both have the same entries.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        (self.entries, self.sum) == (other.entries, other.sum)
    }

    /// Brings every key in `tree` to its value `after` so many commits, with the tally that follows
    /// from them. A key that is not there need not be removed.
    pub(super) fn advance(
        &self,
        after: &After,
        commits: u64,
        tree: &Tree,
        own: &Tree,
    ) -> Result<Self, Error> {
        let advanced = (tree, own).transaction(|(tree, own)| {
            let mut tally = Self { changes: self.changes + commits, ..*self };
            for (key, value) in after {
                let old = match value {
                    Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                    None if tree.get(key)?.is_none() => continue,
                    None => tree.remove(key.as_slice())?,
                };
                tally.exchange(key, old.as_deref(), value.as_deref());
            }
            own.insert(KEY, &tally.encode())?;
            Ok::<_, ConflictableTransactionError<Error>>(tally)
        });
        advanced.map_err(|error| match error {
            TransactionError::Abort(error) | TransactionError::Storage(error) => error,
        })
    }

    fn exchange(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(old) = old {
            self.entries = self.entries.wrapping_sub(1);
            self.sum = self.sum.wrapping_sub(weight(key, old));
        }
        if let Some(new) = new {
            self.entries = self.entries.wrapping_add(1);
            self.sum = self.sum.wrapping_add(weight(key, new));
        }
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let fields = self.changes.to_be_bytes().into_iter().chain(self.entries.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(fields.chain(self.sum.to_be_bytes())) {
            *to = from;
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (changes, rest) = bytes.split_first_chunk()?;
        let (entries, sum) = rest.split_first_chunk()?;
        Some(Self {
            changes: u64::from_be_bytes(*changes),
            entries: u64::from_be_bytes(*entries),
            sum: u128::from_be_bytes(sum.try_into().ok()?),
        })
    }
}

/// Where stretches of the keys begin that can be counted beside one another: for each kind of keys,
/// which is what stands before the first slash, at every few values of the byte after it.
fn stretches(tree: &Tree) -> Result<Vec<Vec<u8>>, Error> {
    let mut starts = vec![Vec::new()];
    let mut from: Vec<u8> = Vec::new();
    for _ in 0..KINDS_MAX {
        let Some(first) = tree.range(from.as_slice()..).next() else { break };
        let (key, _) = first?;
        let kind = key.split(|byte| *byte == b'/').next().unwrap_or_default();
        starts.extend((0..=u8::MAX).step_by(STRETCH).map(|byte| [kind, &[b'/', byte]].concat()));
        from = [kind, &[b'/' + 1]].concat();
    }
    Ok(starts)
}

/// What one entry adds to the sum.
fn weight(key: &[u8], value: &[u8]) -> u128 {
    let mut digest = Sha256::new();
    digest.update((key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(value);
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However keys are divided among threads, each entry is counted once.
        #[test]
        fn every_entry_is_counted_once(keys in prop::collection::btree_set("[ab]{0,2}[-/0]?.{0,2}", 0..200)) {
            let tree = sled::Config::new().temporary(true).open().unwrap();
            let mut expected = Tally::default();
            for key in keys {
                let key = key.into_bytes();
                tree.insert(&key, &*key).unwrap();
                expected.exchange(&key, None, Some(&key));
            }
            prop_assert_eq!(Tally::of(&tree).unwrap(), expected);
        }
    }
}
