//! Metrics. The only file that names the Prometheus library.
//!
//! What always holds: every series exists from the start with value 0; labels come from closed
//! enums and route names, never from a client; a request looks nothing up, because each route has
//! its handles ready.
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::domain::event::{Answered, Ceremony, Delivery, End, Event, Kind, Limited, Refusal};
use crate::ports::Observer;

/// The route label of requests that belong to no route. No route can have this name.
pub const NO_ROUTE: &str = "(gateway)";
/// What [`Metrics::text`] returns, for `Content-Type`.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const SUCCEEDED: &str = "succeeded";
const BEGUN: &str = "begun";
/// From half a millisecond, where an admitted request is, to what people give up on.
const DURATION_BUCKETS_S: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// An fsync takes from a fraction of a millisecond on good disks to seconds on failing ones.
const COMMIT_BUCKETS_S: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    routes: HashMap<String, RouteMetrics>,
    gateway: RouteMetrics,
    sign_ins: IntCounterVec,
    ceremonies: IntCounterVec,
    sessions: IntGauge,
    sessions_ended: IntCounterVec,
    rate_limited: IntCounterVec,
    mail: IntCounterVec,
    store_commit: Histogram,
    store_healthy: IntGauge,
    open_streams: IntGauge,
}

/// The handles of one route. Cheap to clone and to use.
#[derive(Clone)]
pub struct RouteMetrics {
    requests: Arc<[IntCounter; Answered::ALL.len()]>,
    duration: Histogram,
    upstream: Histogram,
}

impl Metrics {
    /// Registers everything, with all series at 0. `routes` are the names of the routes.
    pub fn new<'r>(
        version: &str,
        routes: impl IntoIterator<Item = &'r str>,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Families::new(&registry)?;
        let build = gauge_vec(
            &registry,
            "vestibule_build_info",
            "Always 1; the version is in the label.",
            "version",
        )?;
        build.with_label_values(&[version]).set(1);
        let metrics = Self {
            routes: routes.into_iter().map(|name| (name.to_owned(), families.route(name))).collect(),
            gateway: families.route(NO_ROUTE),
            sign_ins: counter_vec(
                &registry,
                "vestibule_sign_ins_total",
                "Sign-ins, by result.",
                &["result"],
            )?,
            ceremonies: counter_vec(
                &registry,
                "vestibule_ceremonies_total",
                "Passkey ceremonies begun, completed and refused.",
                &["ceremony", "result"],
            )?,
            sessions: gauge(&registry, "vestibule_sessions", "Sessions that are alive.")?,
            sessions_ended: counter_vec(
                &registry,
                "vestibule_sessions_ended_total",
                "Sessions that ended, by reason.",
                &["reason"],
            )?,
            rate_limited: counter_vec(
                &registry,
                "vestibule_rate_limited_total",
                "Requests with credentials that were refused because there were too many, by whose limit it was.",
                &["limit"],
            )?,
            mail: counter_vec(
                &registry,
                "vestibule_mail_total",
                "Messages handed to the mail server, and attempts that failed, by result.",
                &["result"],
            )?,
            store_commit: histogram(
                &registry,
                "vestibule_store_commit_seconds",
                "Time from a change to its being durable.",
                &COMMIT_BUCKETS_S,
            )?,
            store_healthy: gauge(&registry, "vestibule_store_healthy", "Whether the store accepts changes.")?,
            open_streams: gauge(&registry, "vestibule_open_streams", "Open WebSocket and event streams.")?,
            registry,
        };
        metrics.initialise();
        Ok(metrics)
    }

    /// The handles of a route; those of no route for a name that is not configured.
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.routes.get(name).unwrap_or(&self.gateway).clone()
    }

    /// The handles of requests that belong to no route.
    pub fn gateway(&self) -> RouteMetrics {
        self.gateway.clone()
    }

    /// Sets how many sessions are alive.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Takes note of a commit and how long it took.
    pub fn store_committed(&self, took: Duration) {
        self.store_commit.observe(took.as_secs_f64());
    }

    /// Sets whether the store accepts changes.
    pub fn set_store_health(&self, healthy: bool) {
        self.store_healthy.set(i64::from(healthy));
    }

    /// A long-lived exchange has begun.
    pub fn stream_opened(&self) {
        self.open_streams.inc();
    }

    /// It has ended.
    pub fn stream_closed(&self) {
        self.open_streams.dec();
    }

    /// Everything, in the Prometheus text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Makes every series exist, so that the first occurrence is an increase from 0.
    fn initialise(&self) {
        self.sign_ins.with_label_values(&[SUCCEEDED]);
        for ceremony in Ceremony::ALL.map(Ceremony::label) {
            for result in [BEGUN, SUCCEEDED].into_iter().chain(Refusal::ALL.map(Refusal::label)) {
                self.ceremonies.with_label_values(&[ceremony, result]);
            }
        }
        for refusal in Refusal::ALL {
            self.sign_ins.with_label_values(&[refusal.label()]);
        }
        for end in End::ALL {
            self.sessions_ended.with_label_values(&[end.label()]);
        }
        for whose in Limited::ALL {
            self.rate_limited.with_label_values(&[whose.label()]);
        }
        for delivery in Delivery::ALL {
            self.mail.with_label_values(&[delivery.label()]);
        }
        self.store_healthy.set(1);
    }

    fn ceremony(&self, ceremony: Ceremony, result: &str) {
        self.ceremonies.with_label_values(&[ceremony.label(), result]).inc();
    }
}

impl Observer for Metrics {
    fn record(&self, event: &Event) {
        match &event.kind {
            Kind::CeremonyBegun { ceremony } => self.ceremony(*ceremony, BEGUN),
            Kind::CredentialAdded { .. } => self.ceremony(Ceremony::Registration, SUCCEEDED),
            Kind::CredentialRefused { why, .. } => self.ceremony(Ceremony::Registration, why.label()),
            Kind::SignedIn { .. } => {
                self.ceremony(Ceremony::Authentication, SUCCEEDED);
                self.sign_ins.with_label_values(&[SUCCEEDED]).inc();
            }
            Kind::SignInRefused { why, .. } => {
                self.ceremony(Ceremony::Authentication, why.label());
                self.sign_ins.with_label_values(&[why.label()]).inc();
            }
            Kind::SignedOut { .. } => self.sessions_ended.with_label_values(&[End::SignedOut.label()]).inc(),
            Kind::SessionEnded { why, .. } => self.sessions_ended.with_label_values(&[why.label()]).inc(),
            Kind::RateLimited { whose } => self.rate_limited.with_label_values(&[whose.label()]).inc(),
            Kind::Mail { delivery } => self.mail.with_label_values(&[delivery.label()]).inc(),
            Kind::SetupLinkIssued
            | Kind::CodeRequested { .. }
            | Kind::CodeRedeemed { .. }
            | Kind::CodeRefused
            | Kind::Invited { .. }
            | Kind::InvitationRedeemed { .. }
            | Kind::InvitationRefused
            | Kind::InvitationRevoked { .. }
            | Kind::CredentialRenamed { .. }
            | Kind::CredentialRemoved { .. }
            | Kind::BackupChanged { .. }
            | Kind::CounterRegressed { .. }
            | Kind::HandedOff { .. }
            | Kind::HandOffRefused { .. }
            | Kind::AccessDenied { .. }
            | Kind::UserChanged { .. }
            | Kind::KeyRotated { .. }
            | Kind::LoopDetected { .. } => {}
        }
    }
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

    /// Takes note of how long the application took to begin its answer.
    pub fn upstream_answered(&self, took: Duration) {
        self.upstream.observe(took.as_secs_f64());
    }
}

/// The families with a route label.
struct Families {
    requests: IntCounterVec,
    duration: HistogramVec,
    upstream: HistogramVec,
}

impl Families {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: counter_vec(
                registry,
                "vestibule_requests_total",
                "Requests, by route and by how they ended.",
                &["route", "outcome"],
            )?,
            duration: route_histogram(
                registry,
                "vestibule_request_duration_seconds",
                "Time from a request's head to the end of its answer.",
            )?,
            upstream: route_histogram(
                registry,
                "vestibule_upstream_duration_seconds",
                "Time until the application began its answer.",
            )?,
        })
    }

    fn route(&self, name: &str) -> RouteMetrics {
        let requests = Answered::ALL.map(|outcome| self.requests.with_label_values(&[name, outcome.label()]));
        RouteMetrics {
            requests: Arc::new(requests),
            duration: self.duration.with_label_values(&[name]),
            upstream: self.upstream.with_label_values(&[name]),
        }
    }
}

fn counter_vec(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauge_vec(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntGaugeVec, prometheus::Error> {
    let family = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn route_histogram(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS_S.to_vec());
    let family = HistogramVec::new(options, &["route"])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::domain::event::Origin;
    use crate::domain::id::{SessionId, UserId};

    fn metrics() -> Metrics {
        Metrics::new("1.2.3", ["app", "wiki"]).unwrap()
    }

    #[track_caller]
    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.text().unwrap();
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }

    #[test]
    fn every_series_exists_from_the_start() {
        let metrics = metrics();
        for line in [
            "vestibule_requests_total{outcome=\"forbidden\",route=\"wiki\"} 0",
            "vestibule_requests_total{outcome=\"own\",route=\"(gateway)\"} 0",
            "vestibule_request_duration_seconds_count{route=\"app\"} 0",
            "vestibule_sign_ins_total{result=\"succeeded\"} 0",
            "vestibule_ceremonies_total{ceremony=\"registration\",result=\"bad_proof\"} 0",
            "vestibule_sessions_ended_total{reason=\"expired\"} 0",
            "vestibule_rate_limited_total{limit=\"network\"} 0",
            "vestibule_sessions 0",
            "vestibule_open_streams 0",
            "vestibule_store_commit_seconds_count 0",
            "vestibule_store_healthy 1",
            "vestibule_build_info{version=\"1.2.3\"} 1",
        ] {
            has(&metrics, line);
        }
    }

    #[test]
    fn requests_are_counted_by_route_and_outcome() {
        let metrics = metrics();
        for outcome in Answered::ALL {
            metrics.route("app").request(outcome, Duration::from_millis(2));
            has(
                &metrics,
                &format!("vestibule_requests_total{{outcome=\"{}\",route=\"app\"}} 1", outcome.label()),
            );
        }
        metrics.route("unheard-of").request(Answered::Refused, Duration::ZERO);
        has(&metrics, "vestibule_requests_total{outcome=\"refused\",route=\"(gateway)\"} 1");
        has(
            &metrics,
            &format!("vestibule_request_duration_seconds_count{{route=\"app\"}} {}", Answered::ALL.len()),
        );
    }

    #[test]
    fn events_are_counted() {
        let metrics = metrics();
        let (user, session) = (UserId::from_random([1; 16]), SessionId([2; 16]));
        for kind in [
            Kind::CeremonyBegun { ceremony: Ceremony::Authentication },
            Kind::SignInRefused { user: None, why: Refusal::BadProof },
            Kind::SessionEnded { user, session, why: End::Expired },
        ] {
            metrics.record(&Event { kind, origin: Origin::default() });
        }
        has(&metrics, "vestibule_ceremonies_total{ceremony=\"authentication\",result=\"begun\"} 1");
        has(&metrics, "vestibule_sign_ins_total{result=\"bad_proof\"} 1");
        has(&metrics, "vestibule_sessions_ended_total{reason=\"expired\"} 1");
    }

    #[test]
    fn a_stream_is_counted_while_it_is_open() {
        let metrics = metrics();
        metrics.stream_opened();
        has(&metrics, "vestibule_open_streams 1");
        metrics.stream_closed();
        has(&metrics, "vestibule_open_streams 0");
    }

    /// Debian's `prometheus` has it; `tests/run` installs that.
    #[test]
    fn promtool_finds_nothing_to_complain_about() {
        let piped = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut promtool = piped.unwrap_or_else(|error| panic!("promtool (see tests/run): {error}"));
        let text = metrics().text().unwrap();
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
