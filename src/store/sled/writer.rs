//! The writer thread: the only place that changes the tree and acknowledges changes.
//!
//! It takes whatever requests wait, decides them one after the other, writes what they change
//! together, makes the whole group durable once, tells the followers and then answers every caller
//! (group commit). What was to be written behind is written before them, with every group. Since no
//! other thread writes, checking an expectation and acting on it need no transaction. The changes of
//! a group are written in one transaction, since each transaction makes sled seal and write two
//! buffers of its log.
//!
//! What always holds:
//! - No answer, not even a refusal, is given from a state that is not durable.
//! - `flush_async` is never used: called from several tasks it can lock up sled's thread pool.
//! - After the first failure every change is refused: an fsync that failed may have lost the data
//!   it was for, and the next one may succeed without it.
//! - A request that is dropped by its caller is carried out like any other.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sled::{IVec, Tree};
use tokio::sync::oneshot;

use super::behind::Behind;
use super::queue::Queue;
use super::tally::{After, Tally};
use super::witness::Witness;
use super::{CommitTimer, unreadable};
use crate::ports::store::{Batch, Change, CommitError, Entries, Expectation, Follower, StoreError};
use crate::store::followers::Followers;

/// The most changes that one transaction of sled's takes from a group, if no single batch has more.
const TRANSACTION_CHANGES_MAX: usize = 1_024;

/// The step after sled's own flush that makes the file survive a power cut.
pub(super) type Fsync = Box<dyn FnMut() -> io::Result<()> + Send>;

/// A caller's request to the writer, and the channel for its answer.
pub(super) enum Request {
    Commit { batch: Batch, reply: oneshot::Sender<Result<(), CommitError>> },
    Take { key: Vec<u8>, reply: oneshot::Sender<Result<Option<Vec<u8>>, StoreError>> },
    Follow { prefix: Vec<u8>, follower: Follower, reply: oneshot::Sender<Result<(), StoreError>> },
}

/// A follower that is to be added when the group before it has been told.
struct PendingFollower {
    prefix: Vec<u8>,
    follower: Follower,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

/// A request that has been carried out and waits for the group to be durable.
enum AwaitingSync {
    Commit { outcome: Result<(), CommitError>, reply: oneshot::Sender<Result<(), CommitError>> },
    Take { taken: Option<Vec<u8>>, reply: oneshot::Sender<Result<Option<Vec<u8>>, StoreError>> },
    Follow(PendingFollower),
}

/// The state that the writer and the callers' side share.
pub(super) struct Shared {
    pub(super) queue: Queue<Request>,
    pub(super) behind: Behind,
    pub(super) followers: Followers,
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

/// The state of the writer.
pub(super) struct Writer {
    pub(super) tree: Tree,
    /// The tree of the tally.
    pub(super) own: Tree,
    pub(super) tally: Tally,
    pub(super) witness: Witness,
    pub(super) fsync: Fsync,
    pub(super) timer: CommitTimer,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Serves the queue until it is closed and empty, and then writes what is left.
    pub(super) fn run(mut self) {
        let _ending = FailOnPanic(Arc::clone(&self.shared));
        while let Some(group) = self.shared.queue.next_group() {
            self.serve_or_refuse(group);
        }
        self.shared.behind.close();
        self.serve_or_refuse(Vec::new());
    }

    fn serve_or_refuse(&mut self, group: Vec<Request>) {
        if self.shared.failure.get().is_some() {
            for request in group {
                request.refuse(self.shared.unavailable());
            }
        } else {
            let started = (self.timer.now)();
            self.serve(group, started);
        }
    }

    fn serve(&mut self, group: Vec<Request>, started: Duration) {
        let mut settled = Vec::with_capacity(group.len());
        let mut decided = Decided::default();
        decided.add(self.shared.behind.begin());
        let mut told = Vec::new();
        let mut waiting = group.into_iter();
        let mut result = Ok(());
        for request in waiting.by_ref() {
            match self.decide(request, &mut decided, &mut told) {
                Ok(one) => settled.push(one),
                Err((one, error)) => {
                    settled.push(one);
                    result = Err(error);
                    break;
                }
            }
        }
        let result = result.and_then(|()| self.write(&mut decided, &mut told));
        let mut result = result.map_err(|error| format!("a write failed: {error}"));
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
            let below = |prefix: &[u8]| below(&self.tree, prefix);
            self.shared.followers.tell(&told, self.tally.changes, &below);
        }
        for one in settled {
            match one {
                AwaitingSync::Follow(pending) => self.add_follower(pending),
                other => other.answer(),
            }
        }
    }

    /// The other followers have been told of every entry that is there now, so no change is told
    /// twice or missed.
    fn add_follower(&self, pending: PendingFollower) {
        let PendingFollower { prefix, follower, reply } = pending;
        let below = |prefix: &[u8]| below(&self.tree, prefix);
        let added = self.shared.followers.add(&prefix, follower, &below, self.tally.changes);
        drop(reply.send(added));
    }

    /// Decides one request by the tree and the requests decided before it. On failure the request
    /// comes back beside the error, so that it can be answered with the rest of its group.
    fn decide(
        &mut self,
        request: Request,
        decided: &mut Decided,
        told: &mut Vec<Change>,
    ) -> Result<AwaitingSync, (AwaitingSync, sled::Error)> {
        match request {
            Request::Commit { batch, reply } => match self.decide_batch(batch, decided, told) {
                Ok(outcome) => Ok(AwaitingSync::Commit { outcome, reply }),
                Err(error) => Err((AwaitingSync::Commit { outcome: Ok(()), reply }, error)),
            },
            Request::Take { key, reply } => match self.take(key, decided, told) {
                Ok(taken) => Ok(AwaitingSync::Take { taken, reply }),
                Err(error) => Err((AwaitingSync::Take { taken: None, reply }, error)),
            },
            Request::Follow { prefix, follower, reply } => {
                Ok(AwaitingSync::Follow(PendingFollower { prefix, follower, reply }))
            }
        }
    }

    fn take(
        &mut self,
        key: Vec<u8>,
        decided: &mut Decided,
        told: &mut Vec<Change>,
    ) -> Result<Option<Vec<u8>>, sled::Error> {
        let Some(taken) = decided.value(&key, &self.tree)? else { return Ok(None) };
        self.add(vec![Change::Delete { key }], decided, told)?;
        Ok(Some(taken.to_vec()))
    }

    fn decide_batch(
        &mut self,
        batch: Batch,
        decided: &mut Decided,
        told: &mut Vec<Change>,
    ) -> Result<Result<(), CommitError>, sled::Error> {
        for expected in &batch.expectations {
            if !decided.satisfies(expected, &self.tree)? {
                return Ok(Err(CommitError::Conflict));
            }
        }
        self.add(batch.changes, decided, told)?;
        Ok(Ok(()))
    }

    /// Adds the changes of one request, in a further transaction where this one is full.
    fn add(
        &mut self,
        changes: Vec<Change>,
        decided: &mut Decided,
        told: &mut Vec<Change>,
    ) -> Result<(), sled::Error> {
        if decided.changes.len() + changes.len() > TRANSACTION_CHANGES_MAX {
            self.write(decided, told)?;
        }
        decided.add(changes);
        Ok(())
    }

    /// Writes the decided changes, with the tally that follows from them.
    fn write(&mut self, decided: &mut Decided, told: &mut Vec<Change>) -> Result<(), sled::Error> {
        let Decided { changes, requests, after } = std::mem::take(decided);
        if requests > 0 {
            let write = || self.tally.advance(&after, requests, &self.tree, &self.own);
            self.tally = self.shared.behind.settle(write)?;
            told.extend(changes);
        }
        Ok(())
    }

    /// sled's flush hands the log to the kernel and no further on Linux; the fsync does the rest.
    fn make_durable(&mut self) -> Result<(), String> {
        self.tree.flush().map_err(|error| format!("a flush failed: {error}"))?;
        (self.fsync)().map_err(|error| format!("an fsync failed: {error}"))?;
        self.witness.note(self.tally.changes).map_err(|error| format!("a note failed: {error}"))
    }
}

/// All entries below `prefix`, read as they are asked for.
fn below<'a>(tree: &'a Tree, prefix: &[u8]) -> Box<Entries<'a>> {
    let entries = tree.scan_prefix(prefix);
    Box::new(entries.map(|entry| match entry {
        Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
        Err(error) => Err(unreadable(error)),
    }))
}

/// The changes of a group of requests, before they are written.
#[derive(Default)]
struct Decided {
    changes: Vec<Change>,
    /// How many requests change something.
    requests: u64,
    /// The values of these keys after the changes.
    after: After,
}

impl Decided {
    fn add(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.requests += 1;
        for change in &changes {
            let (key, value) = match change {
                Change::Put { key, value } => (key, Some(value)),
                Change::Delete { key } => (key, None),
            };
            self.after.insert(key.clone(), value.cloned());
        }
        self.changes.extend(changes);
    }

    /// The value at `key` after everything that has been decided.
    fn value(&self, key: &[u8], tree: &Tree) -> Result<Option<IVec>, sled::Error> {
        match self.after.get(key) {
            Some(value) => Ok(value.as_deref().map(IVec::from)),
            None => tree.get(key),
        }
    }

    fn satisfies(&self, expected: &Expectation, tree: &Tree) -> Result<bool, sled::Error> {
        Ok(match expected {
            Expectation::Absent { key } => self.value(key, tree)?.is_none(),
            Expectation::Exactly { key, value } => {
                self.value(key, tree)?.is_some_and(|found| found.as_ref() == value.as_slice())
            }
        })
    }
}

/// Sees to it that no caller waits for a writer that has ended, even in a panic.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer panicked");
        }
        self.0.behind.close();
        self.0.queue.abandon();
    }
}

// An answer cannot be delivered where its caller went away, which is allowed.
impl Request {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error.into()))),
            Self::Take { reply, .. } => drop(reply.send(Err(error))),
            Self::Follow { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

impl AwaitingSync {
    fn answer(self) {
        match self {
            Self::Commit { outcome, reply } => drop(reply.send(outcome)),
            Self::Take { taken, reply } => drop(reply.send(Ok(taken))),
            Self::Follow(pending) => drop(pending.reply.send(Ok(()))),
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error.into()))),
            Self::Take { reply, .. } => drop(reply.send(Err(error))),
            Self::Follow(pending) => drop(pending.reply.send(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group is written at its end, and each request in it is judged by what those before it have
    /// changed.
    #[test]
    fn what_was_decided_before_counts_as_if_it_were_written() {
        let database = sled::Config::new().temporary(true).open().unwrap();
        database.insert("gone", "1").unwrap();
        database.insert("kept", "1").unwrap();
        let mut decided = Decided::default();
        decided.add(Vec::new());
        assert_eq!(decided.requests, 0, "it changes nothing");
        let put = Change::Put { key: b"new".to_vec(), value: b"2".to_vec() };
        decided.add(vec![put, Change::Delete { key: b"gone".to_vec() }]);
        assert_eq!(decided.requests, 1);
        let value = |key: &str| decided.value(key.as_bytes(), &database).unwrap().map(|it| it.to_vec());
        assert_eq!(["new", "gone", "kept"].map(value), [Some(b"2".to_vec()), None, Some(b"1".to_vec())]);
        let satisfies = |expected| decided.satisfies(&expected, &database).unwrap();
        assert!(satisfies(Expectation::Absent { key: b"gone".to_vec() }));
        assert!(!satisfies(Expectation::Absent { key: b"new".to_vec() }));
        assert!(satisfies(Expectation::Exactly { key: b"new".to_vec(), value: b"2".to_vec() }));
        assert!(!satisfies(Expectation::Exactly { key: b"gone".to_vec(), value: b"1".to_vec() }));
        assert!(database.get("new").unwrap().is_none(), "nothing was written yet");
    }
}
