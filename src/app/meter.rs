//! Counts the proxy's work with telemetry, so that neither knows the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Answered;
use crate::domain::policy::decide::Decision;
use crate::domain::policy::route::RouteTable;
use crate::domain::served::Served;
use crate::proxy::{AccessDetail, Handshake, Meter};
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::{Metrics, RouteMetrics, TlsHandshake};

/// Handles for every route, so that a request looks nothing up but its route's name.
pub(super) struct ProxyMeter {
    metrics: Arc<Metrics>,
    routes: HashMap<String, RouteMetrics>,
    gateway: RouteMetrics,
    access: Option<Access>,
}

/// The access log, and how much of a request it gets.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) log: Arc<AccessLog>,
    pub(super) access_detail: AccessDetail,
}

impl ProxyMeter {
    pub(super) fn new(metrics: Arc<Metrics>, routes: &RouteTable, access: Option<Access>) -> Self {
        let handles = routes.all().map(|route| (route.name.clone(), metrics.route(&route.name))).collect();
        Self { gateway: metrics.gateway(), routes: handles, metrics, access }
    }
}

impl Meter for ProxyMeter {
    fn request(
        &self,
        route: Option<&str>,
        outcome: Answered,
        decision: Option<Decision>,
        duration: Duration,
    ) {
        let handles = route.and_then(|name| self.routes.get(name)).unwrap_or(&self.gateway);
        handles.request(outcome, duration);
        if let Some(decision) = decision {
            handles.decided(decision);
        }
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

    fn upstream_retried(&self, route: &str) {
        if let Some(handles) = self.routes.get(route) {
            handles.upstream_retried();
        }
    }

    fn handshake(&self, how: Handshake) {
        self.metrics.handshake(match how {
            Handshake::Done => TlsHandshake::Done,
            Handshake::Failed => TlsHandshake::Failed,
            Handshake::Validation => TlsHandshake::Validation,
        });
    }

    fn access_detail(&self) -> AccessDetail {
        self.access.as_ref().map_or(AccessDetail::Nothing, |access| access.access_detail)
    }

    fn served(&self, served: &Served) {
        if let Some(access) = &self.access {
            access.log.served(served);
        }
    }
}
