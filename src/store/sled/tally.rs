//! The store's count of its own entries: how many changes it has taken, how many entries it has,
//! and a sum over them. sled recovers what it can of a damaged log and does not report the rest;
//! the tally shows the loss.
//!
//! What does not live here: the changes themselves (`store/sled.rs`), and counting everything again
//! at a start (`reading.rs`).
//!
//! What always holds: the tally is written in one transaction with the changes that it counts, so
//! the two are recovered together or not at all; and a store is handed out only when counting its
//! entries again gives the tally that was written (`recovery.rs`). [`super::witness`] knows how far
//! the changes had come.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Error, Tree};
use twox_hash::XxHash3_128;

/// The key of the tally, in the tree of the format. Each format that weighs entries in another way
/// has a key of its own, so that a database is of the old format until it is of the new one.
const KEY: &str = "tally-3";
const KEY_OF_FORMAT_2: &str = "tally";
const BYTES: usize = 8 + 8 + 16;

/// The values of keys after some commits; `None` for those that are gone.
pub(super) type After = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// A count of everything. The sum is of hashes of 128 bits, so no two sets of entries meet by chance.
/// By intent they can: a process that may write this directory can write the tally as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Commits since the first start.
    pub(super) changes: u64,
    entries: u64,
    sum: u128,
}

impl Tally {
    /// Counts one entry.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], weights: Weights) {
        let weight = match weights {
            Weights::Present => weight(key, value),
            Weights::OfFormat2 => weight_of_format_2(key, value),
        };
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight);
    }

    /// The tally of two sets of entries that have nothing in common.
    pub(super) const fn with(&self, other: &Self) -> Self {
        Self {
            changes: self.changes,
            entries: self.entries.wrapping_add(other.entries),
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// Reads the tally that was written with the last change.
    pub(super) fn read(own: &Tree, weights: Weights) -> Result<Option<Self>, Error> {
        let key = match weights {
            Weights::Present => KEY,
            Weights::OfFormat2 => KEY_OF_FORMAT_2,
        };
        Ok(own.get(key)?.as_deref().and_then(Self::decode))
    }

    pub(super) fn write(&self, own: &Tree) -> Result<(), Error> {
        own.insert(KEY, &self.encode()).map(drop)
    }

    /// An empty tally after so many commits.
    pub(super) fn after(changes: u64) -> Self {
        Self { changes, ..Self::default() }
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
            self.add(key, new, Weights::Present);
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

/// By which weights entries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    Present,
    OfFormat2,
}

/// What one entry adds to the sum.
fn weight(key: &[u8], value: &[u8]) -> u128 {
    XxHash3_128::oneshot(&[&(key.len() as u64).to_be_bytes(), key, value].concat())
}

/// What one entry added in format 2: half of a SHA-256. A processor without instructions for it takes
/// many times as long.
fn weight_of_format_2(key: &[u8], value: &[u8]) -> u128 {
    let mut digest = Sha256::new();
    digest.update((key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(value);
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another build on another processor may read a store, and has to weigh its entries alike.
    #[test]
    fn the_weight_of_an_entry_never_changes() {
        let long = [b'v'; 1_000];
        for (value, expected) in [(b"".as_slice(), WEIGHTS[0]), (b"value", WEIGHTS[1]), (&long, WEIGHTS[2])] {
            assert_eq!(format!("{:032x}", weight(b"user/1", value)), expected);
        }
        assert_ne!(weight(b"a", b"bc"), weight(b"ab", b"c"));
    }

    const WEIGHTS: [&str; 3] = [
        "52e84eae37f409c9d7f5ec17838b991d",
        "c404e248181835bf48812c05c5743267",
        "798eb4f9865385497bab5a3d4ee13a7c",
    ];
}
