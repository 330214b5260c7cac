//! The writer thread: the only place that changes the tree, and the only one that acknowledges.
//!
//! It takes whatever requests wait, applies them one after the other, makes the whole group
//! durable once, tells the watchers and then answers everybody (group commit). Since nobody else
//! writes, checking an expectation and acting on it need no transaction.
//!
//! What always holds:
//! - Nothing is answered from a state that is not durable, refusals included.
//! - `flush_async` is never used: called from several tasks it can lock up sled's thread pool.
//! - The first failure is the last: an fsync that failed may have lost the data it was for, and
//!   the next one may succeed without it. From then on every change is refused.
//! - A request that is dropped by its caller is carried out like any other.

use std::io;
use std::slice;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sled::Tree;
use tokio::sync::oneshot;

use super::CommitTimer;
use super::queue::Queue;
use super::tally::Tally;
use super::witness::Witness;
use crate::ports::store::{Batch, Change, CommitError, Expectation, StoreError};
use crate::store::watchers::Watchers;

/// The step after sled's own flush that makes the file survive a power cut.
pub(super) type Fsync = Box<dyn FnMut() -> io::Result<()> + Send>;

/// What a caller asks of the writer, and where the answer goes.
pub(super) enum Request {
    Commit { batch: Batch, reply: oneshot::Sender<Result<(), CommitError>> },
    Take { key: Vec<u8>, reply: oneshot::Sender<Result<Option<Vec<u8>>, StoreError>> },
}

/// A request that has been carried out and waits for the group to be durable.
enum Settled {
    Commit { outcome: Result<(), CommitError>, reply: oneshot::Sender<Result<(), CommitError>> },
    Take { taken: Option<Vec<u8>>, reply: oneshot::Sender<Result<Option<Vec<u8>>, StoreError>> },
}

/// What the writer and the callers' side share.
pub(super) struct Shared {
    pub(super) queue: Queue<Request>,
    pub(super) watchers: Watchers,
    /// Why changes are refused, once they are.
    pub(super) failure: OnceLock<String>,
}

impl Shared {
    /// The answer to any change after the first failure.
    pub(super) fn unavailable(&self) -> StoreError {
        let reason = self.failure.get().map_or("it is closing", String::as_str);
        StoreError::Unavailable(reason.to_owned())
    }

    fn fail(&self, reason: &str) {
        // A failure after the first adds nothing: changes are refused already.
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "the store refuses changes until the next start");
        }
    }
}

/// The writer's own belongings.
pub(super) struct Writer {
    pub(super) tree: Tree,
    /// Where the tally is kept.
    pub(super) own: Tree,
    pub(super) tally: Tally,
    pub(super) witness: Witness,
    pub(super) fsync: Fsync,
    pub(super) timer: CommitTimer,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Serves the queue until it is closed and empty.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        while let Some(group) = self.shared.queue.next_group() {
            let started = (self.timer.now)();
            if self.shared.failure.get().is_some() {
                for request in group {
                    request.refuse(self.shared.unavailable());
                }
            } else {
                self.serve(group, started);
            }
        }
    }

    fn serve(&mut self, group: Vec<Request>, started: Duration) {
        let mut settled = Vec::with_capacity(group.len());
        let mut told = Vec::new();
        let mut waiting = group.into_iter();
        let mut result = Ok(());
        for request in waiting.by_ref() {
            match self.apply(request, &mut told) {
                Ok(one) => settled.push(one),
                Err((one, error)) => {
                    settled.push(one);
                    result = Err(format!("a write failed: {error}"));
                    break;
                }
            }
        }
        // Every earlier group is durable, so an answer that changed nothing needs no fsync.
        if result.is_ok() && !told.is_empty() {
            result = self.make_durable();
        }
        if let Err(reason) = result {
            self.shared.fail(&reason);
            for one in settled {
                one.refuse(self.shared.unavailable());
            }
            for request in waiting {
                request.refuse(self.shared.unavailable());
            }
            return;
        }
        if !told.is_empty() {
            (self.timer.committed)((self.timer.now)().saturating_sub(started));
            self.shared.watchers.tell(&told);
        }
        settled.into_iter().for_each(Settled::answer);
    }

    /// Carries out one request. On failure the request comes back beside the error, so that it
    /// can be answered with the rest of its group.
    fn apply(&mut self, request: Request, told: &mut Vec<Change>) -> Result<Settled, (Settled, sled::Error)> {
        match request {
            Request::Commit { batch, reply } => match self.apply_batch(batch, told) {
                Ok(outcome) => Ok(Settled::Commit { outcome, reply }),
                Err(error) => Err((Settled::Commit { outcome: Ok(()), reply }, error)),
            },
            Request::Take { key, reply } => match self.take(key, told) {
                Ok(taken) => Ok(Settled::Take { taken, reply }),
                Err(error) => Err((Settled::Take { taken: None, reply }, error)),
            },
        }
    }

    fn take(&mut self, key: Vec<u8>, told: &mut Vec<Change>) -> Result<Option<Vec<u8>>, sled::Error> {
        let Some(taken) = self.tree.get(&key)? else { return Ok(None) };
        let change = Change::Delete { key };
        self.tally = self.tally.advance(slice::from_ref(&change), &self.tree, &self.own)?;
        told.push(change);
        Ok(Some(taken.to_vec()))
    }

    fn apply_batch(
        &mut self,
        batch: Batch,
        told: &mut Vec<Change>,
    ) -> Result<Result<(), CommitError>, sled::Error> {
        for expected in &batch.expectations {
            if !self.holds(expected)? {
                return Ok(Err(CommitError::Conflict));
            }
        }
        if !batch.changes.is_empty() {
            self.tally = self.tally.advance(&batch.changes, &self.tree, &self.own)?;
        }
        told.extend(batch.changes);
        Ok(Ok(()))
    }

    fn holds(&self, expected: &Expectation) -> Result<bool, sled::Error> {
        Ok(match expected {
            Expectation::Absent { key } => self.tree.get(key)?.is_none(),
            Expectation::Exactly { key, value } => {
                self.tree.get(key)?.is_some_and(|found| found.as_ref() == value.as_slice())
            }
        })
    }

    /// sled's flush hands the log to the kernel and no further on Linux; the fsync does the rest.
    fn make_durable(&mut self) -> Result<(), String> {
        self.tree.flush().map_err(|error| format!("a flush failed: {error}"))?;
        (self.fsync)().map_err(|error| format!("an fsync failed: {error}"))?;
        self.witness.note(self.tally.changes).map_err(|error| format!("a note failed: {error}"))
    }
}

/// Sees to it that nobody waits for a writer that has ended, even in a panic.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer panicked");
        }
        self.0.queue.abandon();
    }
}

// An answer that cannot be delivered belongs to a caller that went away, which is allowed.
impl Request {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error.into()))),
            Self::Take { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

impl Settled {
    fn answer(self) {
        match self {
            Self::Commit { outcome, reply } => drop(reply.send(outcome)),
            Self::Take { taken, reply } => drop(reply.send(Ok(taken))),
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error.into()))),
            Self::Take { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
