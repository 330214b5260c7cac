//! Waiting for a result that comes a moment later.

use std::time::{Duration, Instant};

/// A busy machine may take a while.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// Asks until there is an answer; `what` says what is missing when there is none.
#[track_caller]
pub fn until<T>(what: &str, check: impl AsyncFn() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = check().await {
                return found;
            }
            assert!(Instant::now() < deadline, "{caller}: {what}: not after {PATIENCE:?}");
            tokio::time::sleep(STEP).await;
        }
    }
}
