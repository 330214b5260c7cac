//! What the proxy does, counted by telemetry. Neither knows the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Answered;
use crate::domain::policy::route::RouteTable;
use crate::proxy::Meter;
use crate::telemetry::metrics::{Metrics, RouteMetrics};

/// Handles for every route, so that a request looks nothing up but its route's name.
pub(super) struct ProxyMeter {
    metrics: Arc<Metrics>,
    routes: HashMap<String, RouteMetrics>,
    gateway: RouteMetrics,
}

impl ProxyMeter {
    pub(super) fn new(metrics: Arc<Metrics>, routes: &RouteTable) -> Self {
        let handles = routes.all().map(|route| (route.name.clone(), metrics.route(&route.name))).collect();
        Self { gateway: metrics.gateway(), routes: handles, metrics }
    }
}

impl Meter for ProxyMeter {
    fn request(&self, route: Option<&str>, outcome: Answered, duration: Duration) {
        let handles = route.and_then(|name| self.routes.get(name)).unwrap_or(&self.gateway);
        handles.request(outcome, duration);
    }

    fn upstream_answered(&self, route: &str, duration: Duration) {
        if let Some(handles) = self.routes.get(route) {
            handles.upstream_answered(duration);
        }
    }

    fn stream_opened(&self) {
        self.metrics.stream_opened();
    }

    fn stream_closed(&self) {
        self.metrics.stream_closed();
    }
}
