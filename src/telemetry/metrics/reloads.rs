//! The outcomes of reloads of the configuration.

use prometheus::{IntCounterVec, IntGauge, Registry};

use super::register::{counter_vec, gauge};

/// Counts of reloads.
pub(super) struct Reloads {
    pub(super) total: IntCounterVec,
    pub(super) succeeded: IntGauge,
    pub(super) at: IntGauge,
}

impl Reloads {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            total: counter_vec(
                registry,
                "vestibule_config_reloads_total",
                "Configurations taken in while running, and refused, by result.",
                &["result"],
            )?,
            succeeded: gauge(
                registry,
                "vestibule_config_last_reload_successful",
                "Whether the last configuration asked for is in force.",
            )?,
            at: gauge(
                registry,
                "vestibule_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was taken in.",
            )?,
        })
    }
}
