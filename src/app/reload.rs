//! A new configuration without a restart.
//!
//! What always holds: everything that the new file needs has been read and found good before
//! anything changes; a file with a mistake changes nothing, and the log, the metrics and `/ready`
//! say so. A setting that cannot change while the gateway runs keeps its old value, and is named.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};

use super::meter::{Access, ProxyMeter};
use super::opening::rules;
use super::{StartError, certificates, doors, mail, webhooks};
use crate::acme::Plan;
use crate::admin::Reload;
use crate::config::Settings;
use crate::domain::event::{Origin, Outcome};
use crate::flows::Gateway;
use crate::ports::{Mailer, WebhookSender};
use crate::proxy::{ProxyControl, ProxyUpdate};
use crate::telemetry::metrics::Metrics;

/// Reads the configuration again, as it was read at the start. An error says what is wrong with it.
pub type Reread = Box<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// Exchanges the configuration of a running gateway.
pub(super) struct Reloader {
    /// `None`: there is no file.
    pub(super) reread: Option<Reread>,
    /// The settings in force. Locked while they are exchanged, so that exchanges follow one
    /// another.
    pub(super) settings: Mutex<Settings>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) control: Arc<ProxyControl>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) mailer: watch::Sender<Option<Arc<dyn Mailer>>>,
    pub(super) webhook_sender: watch::Sender<Arc<dyn WebhookSender>>,
    pub(super) certificates: watch::Sender<Option<Arc<Plan>>>,
    pub(super) access: Option<Access>,
}

#[async_trait]
impl Reload for Reloader {
    async fn reload(&self) -> Result<Vec<String>, String> {
        let mut settings = self.settings.lock().await;
        let taken = tokio::task::block_in_place(|| self.take_in(&mut settings));
        match &taken {
            Ok(waiting) => {
                self.metrics.reloaded(self.gateway.ground.clock().now());
                tracing::info!("the configuration has been taken in");
                if !waiting.is_empty() {
                    tracing::warn!(keys = waiting.join(", "), "these keys count after a restart");
                }
            }
            Err(reason) => {
                self.metrics.reload_refused();
                self.gateway.ground.note_newer_refused();
                tracing::error!(%reason, "the new configuration is refused; the old one stays in force");
            }
        }
        taken
    }
}

impl Reloader {
    /// The keys that count after a restart only.
    fn take_in(&self, current: &mut Settings) -> Result<Vec<String>, String> {
        let reread = self.reread.as_ref().ok_or("this gateway has no configuration file")?;
        let read = reread()?;
        let waiting = needing_restart(current, &read);
        if let Some(key) = waiting.iter().find(|key| IDENTITY.contains(key)) {
            return Err(format!(
                "{key} cannot change while the gateway runs, and the rest of the file depends on it: \
                 restart the gateway"
            ));
        }
        let mut next = with_what_stays(read, current);
        for line in &mut next.written {
            line.waits = waiting.iter().any(|key| is_below(key, &line.key));
        }
        let mailer = mail::mailer(&next).map_err(in_words)?;
        let webhook_sender = webhooks::webhook_sender(&next).map_err(in_words)?;
        let update = ProxyUpdate {
            doors: doors::doors(&next, &self.gateway).map_err(in_words)?,
            meter: Arc::new(ProxyMeter::new(Arc::clone(&self.metrics), &next.routes, self.access.clone())),
            certificates: certificates::files(&next),
            limits: next.traffic,
        };
        self.control.exchange(rules(&next), update).map_err(|error| error.to_string())?;
        self.gateway.adopt_limits(next.limits);
        self.mailer.send_replace(mailer);
        self.webhook_sender.send_replace(webhook_sender);
        self.certificates.send_replace(certificates::plan(&next).map(Arc::new));
        *current = next;
        Ok(waiting.into_iter().map(str::to_owned).collect())
    }
}

/// Whether `key` is `above`, or a key in that table.
fn is_below(above: &str, key: &str) -> bool {
    key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn in_words(error: StartError) -> String {
    error.to_string()
}

/// Keys that the rest of a file was checked against: with another value, the rest cannot count
/// either.
const IDENTITY: [&str; 6] = [
    "public_url",
    "relying_party.id",
    "relying_party.related_origins",
    "server.prefix",
    "dialects",
    "forward_auth",
];

/// The keys whose values differ and count after a restart only.
fn needing_restart(current: &Settings, read: &Settings) -> Vec<&'static str> {
    let (server, new) = (&current.server, &read.server);
    let (party, theirs) = (&current.relying_party, &read.relying_party);
    let tls = |settings: &Settings| settings.server.tls.as_ref().map(|tls| tls.listen.clone());
    let same = [
        ("public_url", current.public_url == read.public_url),
        ("relying_party.id", party.id == theirs.id),
        ("relying_party.related_origins", party.related_origins == theirs.related_origins),
        // Without `relying_party.name`, it is `branding.name`.
        ("relying_party.name", party.name == theirs.name),
        ("server.prefix", server.prefix == new.prefix),
        ("dialects", current.mounts == read.mounts),
        ("forward_auth", current.forward_auth == read.forward_auth),
        ("server.listen", server.listen == new.listen),
        ("server.tls.listen", tls(current) == tls(read)),
        ("server.metrics_listen", server.metrics_listen == new.metrics_listen),
        ("server.admin_socket", server.admin_socket == new.admin_socket),
        ("server.trusted_proxies", server.trusted_proxies == new.trusted_proxies),
        ("server.forwarded_header", server.forwarded_by == new.forwarded_by),
        ("server.proxy_protocol", server.proxy_protocol == new.proxy_protocol),
        ("server.workers", server.workers == new.workers),
        ("server.grace_period", server.grace_period == new.grace_period),
        ("store", current.store == read.store),
        ("audit", current.audit == read.audit),
        ("backup", current.backup == read.backup),
        ("log", current.log == read.log),
    ];
    same.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

/// The new settings, with the old values of those that count after a restart only.
fn with_what_stays(read: Settings, current: &Settings) -> Settings {
    let mut next = current.clone();
    if let (Some(tls), Some(fresh)) = (&mut next.server.tls, read.server.tls) {
        tls.certificates = fresh.certificates;
        tls.acme = fresh.acme;
    }
    Settings {
        session: read.session,
        limits: read.limits,
        automatic_bans: read.automatic_bans,
        access_tokens: read.access_tokens,
        traffic: read.traffic,
        branding: read.branding,
        mail: read.mail,
        webhooks: read.webhooks,
        email_code: read.email_code,
        username_change: read.username_change,
        sign_up: read.sign_up,
        recovery_delay: read.recovery_delay,
        attributes: read.attributes,
        routes: read.routes,
        remarks: read.remarks,
        written: read.written,
        ..next
    }
}

/// The SIGHUPs from now on, where there is a configuration to take in; elsewhere a SIGHUP still
/// ends the process, as when a terminal is closed.
pub(super) fn hangups(reread: Option<&Reread>) -> Result<Option<Signal>, StartError> {
    reread.map(|_| signal(SignalKind::hangup())).transpose().map_err(StartError::because)
}

/// Takes in the configuration at every SIGHUP, until told to stop.
pub(super) async fn on_hangup(
    reloader: Arc<Reloader>,
    mut hangups: Signal,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            told = hangups.recv() => if told.is_none() { return },
        }
        let taken = reloader.reload().await;
        // A signal does not say whose it is.
        reloader.gateway.administration.report_reload(Origin::default(), Outcome::of(&taken));
    }
}
