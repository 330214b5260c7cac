//! Work that is done now and again while the gateway serves, and once more at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::certificates;
use super::setup_link::SetupLink;
use crate::flows::Gateway;
use crate::proxy::ProxyControl;
use crate::system;
use crate::telemetry::metrics::Metrics;

/// How often expired sessions are removed and times of use are written down.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How long events wait before they are in the audit trail.
const TRAIL_INTERVAL: Duration = Duration::from_secs(1);

/// How long writing down when sessions were last used may take at the end.
const LAST_SWEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Removes expired records, and keeps the gauges up to date, until told to stop.
pub(super) async fn sweep(
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    control: Arc<ProxyControl>,
    setup: SetupLink,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            _ = interval.tick() => {}
        }
        gateway.sweep().await;
        gateway.admission.recheck_time_rules();
        if let Err(error) = setup.renew().await {
            tracing::warn!(%error, "the set-up link could not be kept up to date");
        }
        metrics.set_sessions(gateway.sessions.session_count());
        metrics.set_bans(gateway.administration.list_bans().len());
        metrics.set_store_health(gateway.ground.health().is_ok());
        metrics.set_backup_age(gateway.administration.backup_age());
        metrics.set_certificates(&certificates::remaining_lifetimes(&control, gateway.ground.clock().now()));
        gateway.upkeep.note_certificates(certificates::ends(&control));
        system::give_memory_back();
    }
}

/// Writes events into the audit trail a moment after they were reported, until told to stop.
pub(super) async fn write_trail(gateway: Arc<Gateway>, mut shutdown: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TRAIL_INTERVAL);
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            _ = interval.tick() => {}
        }
        write_trail_once(&gateway).await;
    }
}

async fn write_trail_once(gateway: &Gateway) {
    if let Err(error) = gateway.administration.write_trail().await {
        tracing::warn!(%error, "the audit trail cannot be written at the moment; the log has the events");
    }
}

/// Writes down the state that is in memory alone.
pub(super) async fn finish(gateway: &Gateway) {
    let last_words = async {
        gateway.sweep().await;
        write_trail_once(gateway).await;
    };
    sweep_once_more(last_words, LAST_SWEEP_TIMEOUT).await;
}

/// Writes down when sessions were last used. A failure does not matter, because the gateway ends.
async fn sweep_once_more(sweep: impl Future<Output = ()>, limit: Duration) {
    if tokio::time::timeout(limit, sweep).await.is_err() {
        tracing::warn!("the last use of sessions could not be stored in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn p_38_shutdown_does_not_wait_for_a_hanging_store() {
        sweep_once_more(std::future::pending(), Duration::from_millis(10)).await;
    }
}
