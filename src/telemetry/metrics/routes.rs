//! Metrics by route. A request looks nothing up: each route has its handles ready.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::register::{counter_vec, histogram_vec};
use crate::domain::event::Answered;
use crate::domain::policy::decide::Decision;

const LABEL: &str = "route";
/// From half a millisecond, the time of an admitted request, to the time after which people give
/// up.
const DURATION_BUCKETS_S: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The handles of one route. Cheap to clone and to use.
#[derive(Clone)]
pub struct RouteMetrics {
    requests: Arc<[IntCounter; Answered::ALL.len()]>,
    decisions: Arc<[IntCounter; Decision::ALL.len()]>,
    duration: Histogram,
    upstream: Histogram,
    retries: IntCounter,
}

impl RouteMetrics {
    /// Counts a request that ended, and how long it took.
    pub fn request(&self, outcome: Answered, took: Duration) {
        // `Answered::ALL` is in the order of declaration, which is what `as` counts.
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a decision of the route's rules.
    pub fn decided(&self, decision: Decision) {
        if let Some(counter) = self.decisions.get(decision as usize) {
            counter.inc();
        }
    }

    /// Another address of the application was tried.
    pub fn upstream_retried(&self) {
        self.retries.inc();
    }

    /// Takes note of how long the application took to begin its answer.
    pub fn upstream_answered(&self, took: Duration) {
        self.upstream.observe(took.as_secs_f64());
    }
}

/// The families with a route label.
pub(super) struct Families {
    requests: IntCounterVec,
    decisions: IntCounterVec,
    duration: HistogramVec,
    upstream: HistogramVec,
    retries: IntCounterVec,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: counter_vec(
                registry,
                "vestibule_requests_total",
                "Requests, by route and by how they ended.",
                &[LABEL, "outcome"],
            )?,
            decisions: counter_vec(
                registry,
                "vestibule_decisions_total",
                "What the rules said about requests, by route.",
                &[LABEL, "decision"],
            )?,
            duration: histogram_vec(
                registry,
                "vestibule_request_duration_seconds",
                "Time from a request's head to the end of its answer.",
                LABEL,
                &DURATION_BUCKETS_S,
            )?,
            upstream: histogram_vec(
                registry,
                "vestibule_upstream_duration_seconds",
                "Time until the application began its answer.",
                LABEL,
                &DURATION_BUCKETS_S,
            )?,
            retries: counter_vec(
                registry,
                "vestibule_upstream_retries_total",
                "Tries after the first, because an address of the application could not be reached.",
                &[LABEL],
            )?,
        })
    }

    pub(super) fn route(&self, name: &str) -> RouteMetrics {
        let requests = Answered::ALL.map(|outcome| self.requests.with_label_values(&[name, outcome.label()]));
        let decisions =
            Decision::ALL.map(|decision| self.decisions.with_label_values(&[name, decision.name()]));
        RouteMetrics {
            requests: Arc::new(requests),
            decisions: Arc::new(decisions),
            duration: self.duration.with_label_values(&[name]),
            upstream: self.upstream.with_label_values(&[name]),
            retries: self.retries.with_label_values(&[name]),
        }
    }
}
