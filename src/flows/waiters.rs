//! Waiting until a condition no longer holds.
//!
//! What does not live here: the condition, and the code that reports that it may have changed.
//!
//! What always holds: a change between the question and the wait is not missed.

use std::pin::pin;

use tokio::sync::Notify;

/// Wakes waiting tasks whenever the answer may have changed.
#[derive(Debug, Default)]
pub(in crate::flows) struct Waiters(Notify);

impl Waiters {
    /// Lets every waiting task ask again.
    pub(in crate::flows) fn wake(&self) {
        self.0.notify_waiters();
    }

    /// Returns as soon as `holds` says no: it is asked now, and again after each [`Self::wake`].
    pub(in crate::flows) async fn while_holds(&self, holds: impl Fn() -> bool) {
        loop {
            let mut woken = pin!(self.0.notified());
            // Waiting begins before the question.
            woken.as_mut().enable();
            if !holds() {
                return;
            }
            woken.await;
        }
    }
}
