//! The one seam between the program and its memory: a small, ordered key-value store.
//!
//! What lives here: the trait, its batch and its errors. What does not: keys, encodings and
//! record types (`records/`), and engines (`store/`). Every engine passes the contract suite in
//! `store/contract.rs`, which tests each sentence below.

use std::sync::Arc;

use async_trait::async_trait;

/// The longest value an engine has to accept. sled keeps larger ones in files it never fsyncs.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 - 1;
/// The longest key an engine has to accept: a 1,023-byte credential id and its prefixes.
pub const KEY_BYTES_MAX: usize = 1_200;
/// The most operations one batch may hold, expectations included; etcd takes 128 in a transaction.
pub const BATCH_OPERATIONS_MAX: usize = 100;

/// An ordered key-value store with atomic, durable commits.
///
/// Keys order bytewise. Values are opaque. All methods may be called from any task at any time.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// The value at `key`, as of some moment between call and return.
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` entries whose key starts with `prefix` and is greater than `after`, in key
    /// order. Fewer than `limit` means there are no more.
    async fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize)
    -> Result<Vec<Entry>, StoreError>;

    /// Removes the entry and returns its value. Of several concurrent callers at most one gets
    /// `Some`, and the removal is durable before it does.
    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Applies `batch` if every expectation in it holds: all of it or nothing. When this returns
    /// `Ok`, the change survives a power cut, and every follower on this node has been told.
    ///
    /// A caller that goes away while waiting leaves either all of the batch or nothing behind.
    async fn commit(&self, batch: Batch) -> Result<(), CommitError>;

    /// Makes changes that may be lost, all of them or none, for state that its owner can do without.
    /// When this returns `Ok`, every reader sees them and every commit is decided with them in
    /// place. They are durable with the next commit, or at the orderly end of the program; a crash
    /// before it takes them away, and nothing that was committed. Followers may hear of them no
    /// sooner than that, and of the last one alone where several change one key.
    async fn write_behind(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        commit_unconditionally(self, changes).await
    }

    /// Tells `follower` of everything whose key starts with `prefix`, and from there on of every
    /// change, in commit order, and before the commit that made it returns on this node. No change
    /// is missed in between. A follower must be quick and must not call the store.
    ///
    /// An engine that may have lost a change says [`Told::Behind`], and tells everything anew as
    /// soon as it can. It may tell a change twice. `Err` if the first telling failed; then the
    /// follower is told nothing more.
    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError>;

    /// Whether changes are accepted. `Err` says why not; reads may go on working.
    fn health(&self) -> Result<(), StoreError>;
}

/// Commits changes that expect nothing.
pub async fn commit_unconditionally<S>(store: &S, changes: Vec<Change>) -> Result<(), StoreError>
where
    S: KeyValue + ?Sized,
{
    match store.commit(Batch { expectations: Vec::new(), changes }).await {
        Ok(()) => Ok(()),
        Err(CommitError::Store(error)) => Err(error),
        Err(CommitError::Conflict) => Err(StoreError::Unavailable("an engine broke its contract".to_owned())),
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A follower: a quick function that is told of changes.
pub type Follower = Arc<dyn Fn(Told<'_>) -> Result<(), FollowError> + Send + Sync>;

/// A follower, and the prefix of the keys that it follows.
pub struct Subscription {
    pub prefix: &'static [u8],
    pub follower: Follower,
}

/// Has an open store tell each of these followers, one after the other.
pub async fn follow_all<S>(store: &S, followed: Vec<Subscription>) -> Result<(), StoreError>
where
    S: KeyValue + ?Sized,
{
    for Subscription { prefix, follower } in followed {
        store.follow(prefix, follower).await?;
    }
    Ok(())
}

/// The entries that a follower is told of.
pub type Entries<'a> = dyn Iterator<Item = Result<Entry, StoreError>> + 'a;

/// A message to a follower. Revisions count what has been committed, so they only grow.
pub enum Told<'a> {
    /// All entries, as of `revision`: an entry that is not among `entries` is gone. After an entry
    /// that cannot be read the rest is unknown, and no entry may be taken to be gone.
    Reset { entries: &'a mut Entries<'a>, revision: u64 },
    /// The changes of the commits up to `revision`, in order. `since` is the revision that the
    /// follower was told of before: if that is not its own, it has missed something.
    Changes { changes: &'a [&'a Change], since: u64, revision: u64 },
    /// Changes may be missing from here on, until the next reset.
    Behind,
}

/// Why a follower has not taken in what it was told.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There are changes that it was not told of. The engine tells it everything anew.
    #[error("changes are missing")]
    Missed,
    /// An entry cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One key's new state, as a follower sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key now has this value.
    Put { key: Vec<u8>, value: Vec<u8> },
    /// The key is gone. Reported even when it was not there before.
    Delete { key: Vec<u8> },
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A condition of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The key has no value.
    Absent { key: Vec<u8> },
    /// The key has exactly this value.
    Exactly { key: Vec<u8>, value: Vec<u8> },
}

impl Expectation {
    /// The key of the expectation.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Absent { key } | Self::Exactly { key, .. } => key,
        }
    }
}

/// Changes that happen together or not at all.
///
/// A key may appear once among `changes`; expectations are checked against the state before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub expectations: Vec<Expectation>,
    pub changes: Vec<Change>,
}

impl Batch {
    /// Adds a write.
    #[must_use]
    pub fn put(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.changes.push(Change::Put { key, value });
        self
    }

    /// Adds a removal.
    #[must_use]
    pub fn delete(mut self, key: Vec<u8>) -> Self {
        self.changes.push(Change::Delete { key });
        self
    }

    /// Adds the condition that `key` has no value.
    #[must_use]
    pub fn expect_absent(mut self, key: Vec<u8>) -> Self {
        self.expectations.push(Expectation::Absent { key });
        self
    }

    /// Adds the condition that `key` has exactly `value`.
    #[must_use]
    pub fn expect(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.expectations.push(Expectation::Exactly { key, value });
        self
    }

    /// How many operations it holds.
    pub const fn operations(&self) -> usize {
        self.expectations.len() + self.changes.len()
    }

    /// Its expectations, without its changes.
    #[must_use]
    pub fn conditions(&self) -> Self {
        Self { expectations: self.expectations.clone(), changes: Vec::new() }
    }

    /// Whether it changes a key that `other` expects to be unchanged.
    pub fn changes_what_is_expected_by(&self, other: &Self) -> bool {
        let is_expected = |key: &[u8]| other.expectations.iter().any(|expected| expected.key() == key);
        self.changes.iter().any(|change| is_expected(change.key()))
    }

    /// The same without repeated changes, which come about where two reasons lead to one change.
    #[must_use]
    pub fn without_repeats(mut self) -> Self {
        let mut kept: Vec<Change> = Vec::with_capacity(self.changes.len());
        for change in self.changes {
            if !kept.contains(&change) {
                kept.push(change);
            }
        }
        self.changes = kept;
        self
    }

    /// Appends everything in `other` but changes of keys that are deleted here already.
    #[must_use]
    pub fn and_unless_gone(mut self, other: Self) -> Self {
        let gone: Vec<Vec<u8>> = self
            .changes
            .iter()
            .filter(|change| matches!(change, Change::Delete { .. }))
            .map(|change| change.key().to_vec())
            .collect();
        self.expectations.extend(other.expectations);
        let changes = other.changes.into_iter();
        self.changes.extend(changes.filter(|change| !gone.iter().any(|key| key == change.key())));
        self
    }

    /// Appends everything in `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.expectations.extend(other.expectations);
        self.changes.extend(other.changes);
        self
    }
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold; nothing was changed. Load again and decide again.
    #[error("the stored state is not the expected one")]
    Conflict,
    /// The engine failed. Only for [`StoreError::Unavailable`] is it unknown whether the batch is
    /// durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine failed or is shutting down. Acknowledged changes are not affected.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The value was not written by this version. Never treated as "absent".
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// A key, value or batch above the limits of this module.
    #[error("too large for the store: {0}")]
    TooLarge(String),
}
