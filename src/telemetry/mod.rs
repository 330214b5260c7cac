//! The output for operators: log lines, the audit log, and metrics.
//!
//! `logging` sets up where lines go and what they look like, `audit` turns events into lines,
//! `access` turns requests into lines, `metrics` counts, and `exposition` answers Prometheus. What
//! always holds: labels come from closed enums and names of the configuration, control bytes never
//! reach a log raw, and no secret is logged at any level.

pub mod access;
pub mod audit;
pub mod exposition;
pub mod logging;
pub mod metrics;

use std::sync::Arc;

use crate::domain::event::Event;
use crate::ports::Observer;
use audit::Audit;
use metrics::Metrics;

/// The observer of a running gateway: every event is written down and counted.
#[derive(Clone)]
pub struct Telemetry {
    pub audit: Audit,
    pub metrics: Arc<Metrics>,
}

impl Observer for Telemetry {
    fn record(&self, event: &Event) {
        self.audit.record(event);
        self.metrics.record(event);
    }
}
