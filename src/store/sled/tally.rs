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

use sha2::{Digest, Sha256};
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Error, Tree};

use crate::ports::Change;

/// The key of the tally, in the tree of the format.
const KEY: &str = "tally";
const BYTES: usize = 8 + 8 + 16;
/// A count of everything. The sum is of halves of SHA-256, so no two sets of entries meet by chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Commits since the first start.
    pub(super) changes: u64,
    entries: u64,
    sum: u128,
}

impl Tally {
    /// Counts one entry.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.exchange(key, None, Some(value));
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

    /// Makes the `changes` of so many commits in `tree`, with the tally that follows from them.
    pub(super) fn advance(
        &self,
        changes: &[Change],
        commits: u64,
        tree: &Tree,
        own: &Tree,
    ) -> Result<Self, Error> {
        let advanced = (tree, own).transaction(|(tree, own)| {
            let mut tally = Self { changes: self.changes + commits, ..*self };
            for change in changes {
                match change {
                    Change::Put { key, value } => {
                        let old = tree.insert(key.as_slice(), value.as_slice())?;
                        tally.exchange(key, old.as_deref(), Some(value));
                    }
                    Change::Delete { key } => {
                        let old = tree.remove(key.as_slice())?;
                        tally.exchange(key, old.as_deref(), None);
                    }
                }
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

/// What one entry adds to the sum.
fn weight(key: &[u8], value: &[u8]) -> u128 {
    let mut digest = Sha256::new();
    digest.update((key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(value);
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
}
