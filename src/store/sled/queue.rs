//! The bounded queue between callers and the writer thread.
//!
//! What always holds: a request is either refused by [`Queue::push`] or seen by the writer, or
//! dropped when the writer is gone for good, which its caller notices. Once closed, the queue takes
//! no request and still hands out the waiting ones. Nothing here knows what a request is.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most requests that wait at once; later callers wait outside, in order.
const WAITING_REQUESTS_MAX: usize = 1_024;
/// The most requests answered by one fsync. Larger groups gain nothing and hold up the first.
const GROUP_REQUESTS_MAX: usize = 256;

/// Requests in the order in which they came.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    room: Arc<Semaphore>,
}

struct State<T> {
    waiting: VecDeque<(T, OwnedSemaphorePermit)>,
    closed: bool,
}

/// The queue takes no more requests.
pub(super) struct Closed;

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), closed: false }),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(WAITING_REQUESTS_MAX)),
        }
    }

    /// Puts `request` at the end, waiting for room. Dropping the future leaves it out.
    pub(super) async fn push(&self, request: T) -> Result<(), Closed> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Closed)?;
        let mut state = self.state();
        if state.closed {
            return Err(Closed);
        }
        state.waiting.push_back((request, permit));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// The next requests, waiting for at least one. `None` once closed and empty.
    pub(super) fn next_group(&self) -> Option<Vec<T>> {
        let state = self.state();
        let mut state = self
            .filled
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            return None;
        }
        let count = state.waiting.len().min(GROUP_REQUESTS_MAX);
        Some(state.waiting.drain(..count).map(|(request, _permit)| request).collect())
    }

    /// Takes no more requests. Waiting ones are still handed out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.room.close();
        self.filled.notify_all();
    }

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Closes and drops the waiting requests.
    pub(super) fn abandon(&self) {
        self.close();
        self.state().waiting.clear();
    }

    // A poisoned lock is entered all the same: the state is whole between any two statements.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
