//! The embedded engine: sled behind one group-commit writer thread.
//!
//! Here are opening, reading and closing. The directory and its lock live in `directory`, what is
//! checked at a start in `recovery`, the writing in `writer`, the waiting in `queue`, what is written
//! a moment later in `behind`. No other module of the program names sled.
//!
//! What always holds:
//! - Only the writer thread changes the tree, and a change is answered when it is durable, unless
//!   its caller asked for it to be written behind.
//! - Reads go to the tree directly, below what is not in it yet. They may see a change that is not
//!   yet durable, a moment before its caller is told; a decision that must not rest on such a change
//!   is made by a commit with an expectation, which is answered only from durable state.
//! - sled's background flusher stays on at its default pace, because it alone reclaims space. It
//!   acknowledges nothing, and an fsync error that it swallows is reported to the writer as well,
//!   which has the file open for itself.
//! - A store opens with every acknowledged change, or not at all: see `recovery`. So a
//!   [`SledStore`] is the evidence that its entries are those that were written.
//! - No entry is ever kept in one of sled's blob files, which it does not fsync: see
//!   [`SEGMENT_BYTES`].

mod behind;
#[cfg(test)]
mod damage;
mod directory;
#[cfg(test)]
mod formats;
mod queue;
mod reading;
mod recovery;
mod tally;
#[cfg(test)]
mod tests;
mod witness;
mod writer;

#[cfg(test)]
pub(super) use self::tests::fresh as fresh_for_the_contract;

use std::convert::Infallible;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use sled::{Db, Tree};
use tokio::sync::oneshot;

use self::behind::{Behind, NotAdded, changed};
use self::directory::{DirectoryState, StoreDirectory};
use self::queue::Queue;
use self::recovery::{Recovered, recover};
use self::witness::Witness;
use self::writer::{Fsync, Request, Shared, Writer};
use super::limits;
use crate::ports::store::{
    Batch, Change, CommitError, Entry, Follower, KeyValue, StoreError, Subscription, commit_unconditionally,
};

/// How long closing waits for the writer.
const CLOSED_WITHIN: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(5) };
const CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The unit in which sled writes its log. A page above a quarter of it goes to a blob file. A
/// leaf holds up to 17 entries, 1.1 MiB within the limits of the port, so sled's own 512 KiB
/// would not do although each value alone is small enough. Fixed when a database is created:
/// changing it is a new format.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// How much of the machine the store may use.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The size of sled's page cache.
    pub cache_bytes: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: CACHE_BYTES_DEFAULT }
    }
}

/// Measures commits, for the metrics.
#[derive(Clone)]
pub struct CommitTimer {
    /// A clock that never goes backwards, from any fixed start.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Is given the time from picking up a group of changes to having it durable. Must be quick.
    pub committed: Arc<dyn Fn(Duration) + Send + Sync>,
}

/// Why the store could not be opened. The attempt changed nothing that a restore needs.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("the store in {} is in use: another instance is running", path.display())]
    AlreadyRunning { path: PathBuf },
    /// The directory was in use before and the data is gone.
    #[error(
        "the store in {} was initialised before and its data is missing; restore it from a \
         backup into an empty directory, or empty the directory to begin anew without any accounts",
        path.display()
    )]
    Lost { path: PathBuf },
    /// The data is there and cannot be read.
    #[error(
        "the store in {} is damaged ({reason}); keep the directory aside and restore from a \
         backup into an empty one",
        path.display()
    )]
    Corrupt { path: PathBuf, reason: String },
    /// The format is of a version that this one does not know.
    #[error("the store in {} was written by a newer version; run that version", path.display())]
    OtherFormat { path: PathBuf },
    /// The directory holds other files as well, and other users can read them.
    #[error("{} holds other files and can be read by others: name an empty directory in store.path", path.display())]
    Shared { path: PathBuf },
    /// A follower could not read an entry. The store is undamaged: the entry was written like this.
    #[error("the store in {} cannot be used: {source}", path.display())]
    Untold { path: PathBuf, source: StoreError },
    /// The operating system refused.
    #[error("the store in {} cannot be opened: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl OpenError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn sled(path: &Path, error: sled::Error) -> Self {
        match error {
            sled::Error::Io(source) => Self::io(path, source),
            other => Self::Corrupt { path: path.to_owned(), reason: other.to_string() },
        }
    }
}

/// The embedded store. Dropping it finishes what was begun and lets go of the directory.
pub struct SledStore {
    shared: Arc<Shared>,
    writer: Mutex<Option<Running>>,
    /// Whether the writer did not end in time.
    is_stuck: AtomicBool,
    /// `Some` until the store is dropped.
    engine: Option<Engine>,
    /// The lock on the directory, which goes after the database.
    directory: Option<StoreDirectory>,
}

/// The writer's thread.
struct Running {
    thread: JoinHandle<()>,
    /// Disconnected when it has ended.
    ended: mpsc::Receiver<Infallible>,
}

/// An open database of sled.
struct Engine {
    tree: Tree,
    _database: Db,
}

impl SledStore {
    /// The file that says that a store is complete.
    pub const MARKER: &str = directory::MARKER;
    /// The file that a process holds while it has the store.
    pub const LOCK: &str = directory::LOCK;

    /// Whether a gateway has kept something in the directory before. Changes nothing.
    pub fn is_initialised(path: &Path) -> bool {
        directory::is_initialised(path)
    }

    /// How many bytes the database in the directory has; 0 where there is none.
    pub fn bytes_on_disk(path: &Path) -> u64 {
        directory::bytes_on_disk(path)
    }

    /// Opens the store in the directory `path`, making it on the first start.
    ///
    /// This blocks for as long as recovery takes.
    pub fn open(path: &Path, options: &SledOptions, timer: CommitTimer) -> Result<Self, OpenError> {
        Self::open_followed(path, options, timer, Vec::new())
    }

    /// Opens the store for these followers, which are told of everything by the reading that checks
    /// it. If it turns out to be damaged, they have been told of entries that count for nothing.
    pub fn open_followed(
        path: &Path,
        options: &SledOptions,
        timer: CommitTimer,
        followed: Vec<Subscription>,
    ) -> Result<Self, OpenError> {
        let directory = StoreDirectory::take(path)?;
        let recovered = recover(&directory, options, followed)?;
        Self::start(directory, recovered, timer, |file| Box::new(move || file.sync_all()))
    }

    /// Opens with a replaceable last step, so that a test can make it fail.
    #[cfg(test)]
    fn open_with(
        path: &Path,
        options: &SledOptions,
        timer: CommitTimer,
        fsync: impl FnOnce(std::fs::File) -> Fsync,
    ) -> Result<Self, OpenError> {
        let directory = StoreDirectory::take(path)?;
        let recovered = recover(&directory, options, Vec::new())?;
        Self::start(directory, recovered, timer, fsync)
    }

    /// Starts the writer of a store that was found to be complete.
    fn start(
        directory: StoreDirectory,
        recovered: Recovered,
        timer: CommitTimer,
        fsync: impl FnOnce(std::fs::File) -> Fsync,
    ) -> Result<Self, OpenError> {
        let Recovered { database, own, tally, followers } = recovered;
        let io = |error| OpenError::io(directory.path(), error);
        let file = directory.database_file()?;
        match directory.past() {
            DirectoryState::New => directory.mark_initialised(&file)?,
            DirectoryState::Initialised => file.sync_all().map_err(io)?,
        }
        let witness = Witness::begin(directory.path(), tally.changes).map_err(io)?;
        let tree = Tree::clone(&database);
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            behind: Behind::default(),
            followers,
            failure: OnceLock::new(),
        });
        let fsync = fsync(file);
        let writer =
            Writer { tree: tree.clone(), own, tally, witness, fsync, timer, shared: Arc::clone(&shared) };
        let (ending, ended) = mpsc::channel();
        let run = move || {
            let _ending = ending;
            writer.run();
        };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(run).map_err(io)?;
        let writer = Mutex::new(Some(Running { thread, ended }));
        let engine = Some(Engine { tree, _database: database });
        Ok(Self { shared, writer, is_stuck: AtomicBool::new(false), engine, directory: Some(directory) })
    }

    fn tree(&self) -> Result<&Tree, StoreError> {
        self.engine.as_ref().map(|engine| &engine.tree).ok_or_else(|| self.shared.unavailable())
    }

    /// Takes no more changes, finishes those that were accepted, and returns when they are
    /// answered. Reads go on working. Blocks for about one fsync, and never longer than
    /// [`CLOSED_WITHIN`]: sled can wait for ever for a part of its log that the disk did not take.
    pub fn close(&self) {
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { thread, ended }) = writer else { return };
        // A follower may hold the last reference, and the writer cannot wait for itself.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if ended.recv_timeout(CLOSED_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the store does not end; what was acknowledged is durable");
            self.is_stuck.store(true, Ordering::Relaxed);
            return;
        }
        // A writer that panicked has said so and has refused what it could not finish.
        let _ = thread.join();
    }

    fn scan_tree(
        tree: &Tree,
        behind: &Behind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        // Asked first: what is written meanwhile is then found in the tree. Each change takes away
        // one entry at most.
        let changes = behind.below(prefix, from);
        let enough = limit.saturating_add(changes.len());
        let mut entries = Vec::new();
        for entry in tree.range::<&[u8], _>((from, Bound::Unbounded)).take(enough) {
            let (key, value) = entry.map_err(unreadable)?;
            if !key.starts_with(prefix) {
                break;
            }
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(if changes.is_empty() { entries } else { changed(entries, changes, limit) })
    }
}

impl Drop for SledStore {
    /// sled synchronises once more as it goes, and panics where the disk fails that: everything
    /// that was acknowledged is durable already, and every caller has been told of the failure.
    fn drop(&mut self) {
        self.close();
        let engine = self.engine.take();
        if self.is_stuck.load(Ordering::Relaxed) {
            // sled's last synchronisation would wait as the writer does, so both are leaked. The
            // lock stays for as long as the process.
            std::mem::forget((engine, self.directory.take()));
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| drop(engine))).is_err() {
            tracing::warn!("the disk failed while the store was closed");
        }
    }
}

#[async_trait]
impl KeyValue for SledStore {
    /// Reads on the calling task: microseconds from the cache, one page from the disk otherwise.
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let tree = self.tree()?;
        self.shared.behind.value(key, || Ok(tree.get(key).map_err(unreadable)?.map(|value| value.to_vec())))
    }

    /// Reads on a blocking thread, since a long scan would hold up everything else on the task's.
    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let (tree, shared) = (self.tree()?.clone(), Arc::clone(&self.shared));
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let scan = move || Self::scan_tree(&tree, &shared.behind, &prefix, after.as_deref(), limit);
        tokio::task::spawn_blocking(scan)
            .await
            .map_err(|_| StoreError::Unavailable("a scan was cut short".to_owned()))?
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        limits::check_key(key)?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Take { key: key.to_vec(), reply };
        self.shared.queue.push(request).await.map_err(|_| self.shared.unavailable())?;
        answer.await.map_err(|_| self.shared.unavailable())?
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        limits::check(&batch)?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Commit { batch, reply };
        self.shared.queue.push(request).await.map_err(|_| self.shared.unavailable())?;
        answer.await.map_err(|_| self.shared.unavailable())?
    }

    /// Neither the writer nor the disk is waited for, unless too many changes wait for them already.
    async fn write_behind(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let batch = Batch { expectations: Vec::new(), changes };
        limits::check(&batch)?;
        if self.shared.failure.get().is_some() {
            return Err(self.shared.unavailable());
        }
        match self.shared.behind.add(&batch.changes) {
            Ok(()) => Ok(()),
            Err(NotAdded::Closed) => Err(self.shared.unavailable()),
            Err(NotAdded::Full) => commit_unconditionally(self, batch.changes).await,
        }
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Follow { prefix: prefix.to_vec(), follower, reply };
        self.shared.queue.push(request).await.map_err(|_| self.shared.unavailable())?;
        answer.await.map_err(|_| self.shared.unavailable())?
    }

    fn health(&self) -> Result<(), StoreError> {
        if self.shared.failure.get().is_some() || self.shared.queue.is_closed() {
            return Err(self.shared.unavailable());
        }
        Ok(())
    }
}

fn unreadable(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Corrupt(error.to_string()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod reasons {
    use super::*;

    #[test]
    fn a_10_a_store_that_cannot_be_opened_says_why() {
        let error = OpenError::io(Path::new("/data"), io::ErrorKind::PermissionDenied.into());
        let text = error.to_string();
        assert!(text.contains("/data") && text.contains("permission denied"), "{text}");
    }
}
