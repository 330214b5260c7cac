//! The parts that run side by side while the gateway serves.
//!
//! What always holds: a part that ends or panics without having been asked to is noticed and
//! named, so that the process can end and be started again, rather than go on without it.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// How long the parts may take to end after the grace period for requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A part has ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{name} has ended by itself{}", if *panicked { ": it panicked" } else { "" })]
pub(super) struct Ended {
    name: &'static str,
    panicked: bool,
}

/// The running parts, and the channel that tells them to end.
pub(super) struct Services {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    shutdown: watch::Sender<bool>,
}

impl Services {
    pub(super) fn new() -> Self {
        Self { running: JoinSet::new(), names: HashMap::new(), shutdown: watch::Sender::new(false) }
    }

    /// Starts a part. It has to end when its receiver holds `true`, and not before.
    pub(super) fn start<F>(&mut self, name: &'static str, part: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let started = self.running.spawn(part(self.shutdown.subscribe()));
        self.names.insert(started.id(), name);
    }

    /// Waits until a part ends by itself. Never returns when there are none.
    pub(super) async fn one_ends(&mut self) -> Ended {
        let ended = match self.running.join_next_with_id().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        Ended { name: self.names.get(&id).copied().unwrap_or("a part"), panicked: ended.is_err() }
    }

    /// Tells all parts to end and waits for that, for at most `grace_period` and [`STOP_TIMEOUT`].
    pub(super) async fn stop(mut self, grace_period: Duration) {
        self.shutdown.send_replace(true);
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace_period + STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!("a part does not stop; the process ends without waiting for it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(mut shutdown: watch::Receiver<bool>) {
        let _ = shutdown.wait_for(|told| *told).await;
    }

    #[tokio::test]
    async fn p_38_reports_a_service_that_ends_by_itself() {
        let mut services = Services::new();
        services.start("one", told);
        services.start("two", |_| std::future::ready(()));
        assert_eq!(services.one_ends().await.to_string(), "two has ended by itself");
        services.start("three", |_| async { panic!("a test of panics") });
        assert_eq!(services.one_ends().await.to_string(), "three has ended by itself: it panicked");
        services.stop(Duration::from_secs(10)).await;
    }
}
