//! Metrics. The only door to the Prometheus library.
//!
//! What always holds: every series exists from the start with value 0; labels come from closed
//! enums and names of the configuration, never from a client; a request looks nothing up, because
//! each route has its handles ready.
#![deny(clippy::wildcard_enum_match_arm)]

mod certificates;
mod handshakes;
mod outgoing;
mod register;
mod reloads;
mod routes;
mod tokens;

use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder,
};

pub use certificates::CertificateLife;
use certificates::Certificates;
use handshakes::Handshakes;
pub use handshakes::TlsHandshake;
use outgoing::Outgoing;
use register::{counter, counter_vec, gauge, gauge_vec, histogram};
use reloads::Reloads;
use routes::Families;
pub use routes::RouteMetrics;
use tokens::Tokens;

use crate::domain::event::{Ceremony, End, Event, Kind, Limited, Refusal};
use crate::domain::time::Timestamp;
use crate::ports::Observer;

/// The route label of requests that belong to no route. No route can have this name.
pub const NO_ROUTE: &str = "(gateway)";
/// The `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const SUCCEEDED: &str = "succeeded";
const BEGUN: &str = "begun";
const REFUSED: &str = "refused";
/// An fsync takes from a fraction of a millisecond on good disks to seconds on failing ones.
const COMMIT_BUCKETS_S: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    gateway: RouteMetrics,
    reloads: Reloads,
    certificates: Certificates,
    handshakes: Handshakes,
    access_dropped: IntCounter,
    sign_ins: IntCounterVec,
    ceremonies: IntCounterVec,
    sessions: IntGauge,
    backup_age: Gauge,
    sessions_ended: IntCounterVec,
    rate_limited: IntCounterVec,
    bans: IntGauge,
    banned: IntCounter,
    tokens: Tokens,
    outgoing: Outgoing,
    store_commit: Histogram,
    store_healthy: IntGauge,
    open_streams: IntGauge,
}

impl Metrics {
    /// Registers everything, with all series at 0.
    pub fn new(version: &str) -> Result<Self, prometheus::Error> {
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
            gateway: families.route(NO_ROUTE),
            families,
            reloads: Reloads::new(&registry)?,
            certificates: Certificates::new(&registry)?,
            handshakes: Handshakes::new(&registry)?,
            access_dropped: counter(
                &registry,
                "vestibule_access_log_dropped_total",
                "Requests missing from the access log, because it could not be written fast enough.",
            )?,
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
            backup_age: backup_age(&registry)?,
            sessions_ended: counter_vec(
                &registry,
                "vestibule_sessions_ended_total",
                "Sessions that ended, by reason.",
                &["reason"],
            )?,
            rate_limited: rate_limited(&registry)?,
            bans: gauge(&registry, "vestibule_bans", "Bans that are in force.")?,
            banned: counter(
                &registry,
                "vestibule_banned_total",
                "Requests with credentials that were refused because their network is banned.",
            )?,
            tokens: Tokens::new(&registry)?,
            outgoing: Outgoing::new(&registry)?,
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

    /// The handles of a route, with its series at 0 when it is new. `name` comes from the
    /// configuration.
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.families.route(name)
    }

    /// Counts a configuration that was taken in at `now`.
    pub fn reloaded(&self, now: Timestamp) {
        self.reloads.total.with_label_values(&[SUCCEEDED]).inc();
        self.configured(now);
    }

    /// Counts a configuration that was refused.
    pub fn reload_refused(&self) {
        self.reloads.total.with_label_values(&[REFUSED]).inc();
        self.reloads.succeeded.set(0);
    }

    /// Notes when the configuration in force was taken in.
    pub fn configured(&self, now: Timestamp) {
        self.reloads.succeeded.set(1);
        self.reloads.at.set(now.as_millis() / 1000);
    }

    /// The handles of requests that belong to no route.
    pub fn gateway(&self) -> RouteMetrics {
        self.gateway.clone()
    }

    /// Sets how long ago the last backup was made; `None`: never, which is longer ago than any
    /// alert waits.
    pub fn set_backup_age(&self, age: Option<Duration>) {
        self.backup_age.set(age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
    }

    /// A TLS handshake is over.
    pub fn handshake(&self, how: TlsHandshake) {
        self.handshakes.ended(how);
    }

    /// The access log misses a request.
    pub fn access_dropped(&self) {
        self.access_dropped.inc();
    }

    /// Sets the remaining life of each certificate.
    pub fn set_certificates(&self, all: &[CertificateLife]) {
        self.certificates.set(all);
    }

    /// Sets how many sessions are alive.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets how many bans are in force.
    pub fn set_bans(&self, count: usize) {
        self.bans.set(i64::try_from(count).unwrap_or(i64::MAX));
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

    /// A long-lived exchange has ended.
    pub fn stream_closed(&self) {
        self.open_streams.dec();
    }

    /// All metrics, in the Prometheus text format.
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
        self.outgoing.initialise();
        for result in [SUCCEEDED, REFUSED] {
            self.reloads.total.with_label_values(&[result]);
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
            Kind::Banned { .. } => self.banned.inc(),
            Kind::AccessToken(event) => self.tokens.note(event),
            Kind::Mail { delivery } => self.outgoing.mailed(*delivery),
            Kind::Webhook { delivery, .. } => self.outgoing.called(*delivery),
            Kind::SetupLinkIssued
            | Kind::CodeRequested { .. }
            | Kind::CodeRedeemed { .. }
            | Kind::RecoveryCodeRedeemed { .. }
            | Kind::CodeRefused
            | Kind::DeviceLink { .. }
            | Kind::Invited { .. }
            | Kind::InvitationRedeemed { .. }
            | Kind::SignedUp { .. }
            | Kind::NewDevice { .. }
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
            | Kind::BackedUp { .. }
            | Kind::Reload { .. }
            | Kind::Upgrade { .. }
            | Kind::MailTested { .. }
            | Kind::BanAdded { .. }
            | Kind::BanRemoved { .. }
            | Kind::LoopDetected { .. } => {}
        }
    }
}

fn rate_limited(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    counter_vec(
        registry,
        "vestibule_rate_limited_total",
        "Requests with credentials that were refused because there were too many, by whose limit it was.",
        &["limit"],
    )
}

fn backup_age(registry: &Registry) -> Result<Gauge, prometheus::Error> {
    let about = "How long ago the last backup was made; +Inf: never.";
    let age = Gauge::new("vestibule_backup_age_seconds", about)?;
    age.set(f64::INFINITY);
    registry.register(Box::new(age.clone()))?;
    Ok(age)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::domain::event::{Answered, Origin};
    use crate::domain::id::{SessionId, UserId};

    fn metrics() -> Metrics {
        let metrics = Metrics::new("1.2.3").unwrap();
        for name in ["app", "wiki"] {
            metrics.route(name);
        }
        metrics
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
            "vestibule_bans 0",
            "vestibule_banned_total 0",
            "vestibule_access_tokens_refused_total{reason=\"forged\"} 0",
            "vestibule_access_token_checks_timed_out_total 0",
            "vestibule_sessions 0",
            "vestibule_open_streams 0",
            "vestibule_store_commit_seconds_count 0",
            "vestibule_store_healthy 1",
            "vestibule_config_reloads_total{result=\"refused\"} 0",
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
        metrics.gateway().request(Answered::Refused, Duration::ZERO);
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
    fn reports_remaining_certificate_lifetime() {
        let metrics = metrics();
        let certificate = |name: &str, left, whole| CertificateLife {
            certificate: name.to_owned(),
            left: Duration::from_secs(left),
            whole: Duration::from_secs(whole),
        };
        metrics.set_certificates(&[certificate("a.example", 25, 100), certificate("b.example", 0, 0)]);
        has(&metrics, "vestibule_certificate_lifetime_ratio{certificate=\"a.example\"} 0.25");
        has(&metrics, "vestibule_certificate_expiry_seconds{certificate=\"a.example\"} 25");
        has(&metrics, "vestibule_certificate_lifetime_ratio{certificate=\"b.example\"} 0");
        metrics.set_certificates(&[]);
        assert!(!metrics.text().unwrap().contains("certificate=\"a.example\""));
    }

    #[test]
    fn a_stream_is_counted_while_it_is_open() {
        let metrics = metrics();
        metrics.stream_opened();
        has(&metrics, "vestibule_open_streams 1");
        metrics.stream_closed();
        has(&metrics, "vestibule_open_streams 0");
    }

    /// `promtool` is in Debian's `prometheus`, which `tests/run` installs.
    #[test]
    fn metrics_pass_promtool() {
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
