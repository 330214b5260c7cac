//! The wiring: settings in, a running gateway out. The only module that knows every other.
//!
//! Read [`run`] top to bottom for the list of parts and the order in which they come up: the
//! store's lock is taken before anything listens, and nothing is announced before everything does.
//! A part that ends while the others serve ends them all: whoever started us starts us again.

mod keys;
mod meter;
mod offline;
mod place;
mod post;
mod services;
mod setup_link;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::operator::GatewayOperator;
use crate::admin::server::AdminSocket;
use crate::config::{Branding, Engine, Settings};
use crate::dialects;
use crate::domain::ceremony::RelyingParty;
use crate::flows::{Gateway, Installation, World};
use crate::pages::routes::{self, Desk};
use crate::pages::theme::Accent;
use crate::pages::{self, Docs, Site, gate};
use crate::ports::KeyValue;
use crate::proxy::{self, Doors, Parts, Proxy, ProxySettings};
use crate::store::{CommitTimer, MemoryStore, SledOptions, SledStore};
use crate::system::{self, Phase, SystemClock, SystemEntropy};
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{Telemetry, exposition};
use crate::web::hosts::{self, Rooms};
use meter::ProxyMeter;
pub use offline::operate;
use services::Services;
use setup_link::SetupLink;
pub use setup_link::file as setup_link_file;

/// How often expired sessions are removed and times of use are written down.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How long writing down when sessions were last used may take at the end.
const LAST_SWEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// What people at the terminal are told once the gateway answers.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Where people sign in.
    pub origin: String,
    /// The one-time link that makes the first administrator; `None` when there is an account.
    pub setup_link: Option<String>,
}

/// Is called when every listener is open, and again if a new set-up link had to be made.
pub type Announce = Box<dyn Fn(&Announcement) + Send + Sync>;

/// Why the gateway did not start, or ended by itself. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Runs the gateway until it is told to stop.
pub fn serve(settings: Settings, announce: Announce) -> Result<(), StartError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(settings.server.workers)
        .enable_all()
        .build()
        .map_err(StartError::because)?;
    runtime.block_on(run(settings, announce))
}

async fn run(settings: Settings, announce: Announce) -> Result<(), StartError> {
    let names: Vec<_> = settings.routes.all().map(|route| route.name.clone()).collect();
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), names.iter().map(String::as_str));
    let metrics = Arc::new(metrics.map_err(StartError::because)?);
    let store = open_store(&settings, &metrics).await?;
    let gateway = open_gateway(&settings, store, Arc::clone(&metrics)).await?;

    let mailer = post::mailer(&settings)?;
    let proxy = bind_proxy(&settings, &gateway, &metrics).await?;
    let metrics_listener = match settings.server.metrics_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|error| StartError(format!("cannot listen for metrics on {address}: {error}")))?,
        ),
        None => None,
    };
    let admin_socket = AdminSocket::bind(&settings.server.admin_socket).map_err(StartError::because)?;

    let setup = SetupLink::new(Arc::clone(&gateway), &settings.store.path, announce);
    setup.announce_first().await.map_err(StartError::because)?;
    for address in proxy.addresses() {
        tracing::info!(%address, "listening");
    }
    system::tell_service_manager(Phase::Ready);

    let mut services = Services::new();
    if let Some(listener) = metrics_listener {
        let metrics = Arc::clone(&metrics);
        services.start("the metrics listener", |shutdown| serve_metrics(listener, metrics, told(shutdown)));
    }
    let operator = Arc::new(GatewayOperator(Arc::clone(&gateway)));
    services.start("the admin socket", |shutdown| admin_socket.serve(operator, told(shutdown)));
    let swept = Arc::clone(&gateway);
    services.start("the sweeper", |shutdown| sweep(swept, metrics, setup, shutdown));
    if let Some(mailer) = mailer {
        let posted = Arc::clone(&gateway);
        services.start("the postman", |shutdown| post::deliver(posted, mailer, shutdown));
    }
    services.start("the proxy", |shutdown| proxy.serve(shutdown));

    let asked = tokio::select! {
        asked = asked_to_stop() => asked,
        ended = services.one_ends() => Err(StartError::because(ended)),
    };
    match &asked {
        Ok(()) => tracing::info!("stopping"),
        Err(error) => tracing::error!(%error, "stopping"),
    }
    system::tell_service_manager(Phase::Stopping);
    services.stop(settings.server.grace_period).await;
    sweep_once_more(gateway.sweep(), LAST_SWEEP_TIMEOUT).await;
    asked
}

/// Writes down when sessions were last used. Whether that is possible decides nothing any more.
async fn sweep_once_more(sweep: impl Future<Output = ()>, limit: Duration) {
    if tokio::time::timeout(limit, sweep).await.is_err() {
        tracing::warn!("the last use of sessions could not be written down in time");
    }
}

/// Opens the store. Blocks while another gateway holds it, for as long as that takes to tell.
async fn open_store(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Arc<dyn KeyValue>, StartError> {
    if settings.store.engine == Engine::Memory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let metrics = Arc::clone(metrics);
    let timer = CommitTimer {
        now: Arc::new(system::monotonic),
        committed: Arc::new(move |took| metrics.store_committed(took)),
    };
    let (path, options) =
        (settings.store.path.clone(), SledOptions { cache_bytes: settings.store.cache_bytes });
    let opened = tokio::task::spawn_blocking(move || SledStore::open(&path, &options, timer)).await;
    let store = opened.map_err(StartError::because)?.map_err(StartError::because)?;
    Ok(Arc::new(store))
}

/// Loads every file that [`serve`] loads, and says what is wrong with each that it could not use.
pub fn rehearse(settings: &Settings) -> Vec<String> {
    let pairs = proxy_settings(settings).tls.map_or_else(Vec::new, |tls| tls.certificates);
    let mut found: Vec<String> =
        proxy::unusable_certificates(&pairs).iter().map(ToString::to_string).collect();
    found.extend(branding(settings).err().map(|error| error.to_string()));
    found.extend(post::mailer(settings).err().map(|error| error.to_string()));
    found
}

async fn open_gateway(
    settings: &Settings,
    store: Arc<dyn KeyValue>,
    metrics: Arc<Metrics>,
) -> Result<Arc<Gateway>, StartError> {
    let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let (keys, vault) =
        keys::load_or_make(settings, &*clock, &*entropy).await.map_err(StartError::because)?;
    let place = place::place(settings);
    let party = &settings.relying_party;
    let origins: Vec<_> =
        std::iter::once(place.origin()).chain(party.related_origins.iter().cloned()).collect();
    let relying_party = RelyingParty::new(&party.id, &party.name, &origins).map_err(StartError::because)?;
    let installation = Installation {
        place,
        relying_party,
        routes: settings.routes.clone(),
        lifetimes: settings.session,
        limits: settings.limits,
        email_code: post::email_code(settings),
        username_change: settings.username_change,
        has_mail: settings.mail.is_some(),
        keys,
    };
    let observer = Arc::new(Telemetry { audit: Audit, metrics });
    let world = World { store, vault, clock, entropy, observer };
    Gateway::open(installation, world).await.map_err(StartError::because)
}

async fn bind_proxy(
    settings: &Settings,
    gateway: &Arc<Gateway>,
    metrics: &Arc<Metrics>,
) -> Result<Proxy, StartError> {
    let parts = Parts {
        gateway: Arc::clone(gateway),
        doors: doors(settings, gateway)?,
        meter: Arc::new(ProxyMeter::new(Arc::clone(metrics), gateway.routes())),
        elapsed: Arc::new(system::monotonic),
    };
    Proxy::bind(proxy_settings(settings), parts).await.map_err(StartError::because)
}

fn doors(settings: &Settings, gateway: &Arc<Gateway>) -> Result<Doors, StartError> {
    let site = Site::new(&settings.server.prefix, &settings.relying_party.id, &branding(settings)?);
    let desk = Desk { gateway: Arc::clone(gateway), site: Arc::new(site) };
    let status = dialects::status(gateway);
    let described = dialects::describe(gateway).map_err(StartError::because)?;
    let docs = routes::docs(desk.clone(), Docs::of(&described));
    let rooms = Rooms {
        auth: routes::auth_host(desk.clone())
            .merge(docs)
            .merge(status.clone())
            .merge(dialects::description(&described))
            .merge(dialects::native(gateway)),
        application: routes::application_host(desk.clone()).merge(status),
        documents: dialects::documents(gateway),
        dialects: dialects::foreign(gateway),
    };
    let (own, faces) = hosts::split(Arc::clone(gateway), rooms);
    Ok(Doors { own, gate: gate::gate(desk, faces) })
}

fn branding(settings: &Settings) -> Result<pages::Branding, StartError> {
    let read = |key, path: &Option<PathBuf>| path.as_deref().map(|path| picture(key, path)).transpose();
    let logo = read("branding.logo", &settings.branding.logo)?;
    let favicon = read("branding.favicon", &settings.branding.favicon)?;
    let accent = match &settings.branding.accent {
        Some(colour) => Accent::parse(&colour.to_string()).map_err(StartError::because)?,
        None => Accent::default(),
    };
    let Branding { name, contact, links, .. } = settings.branding.clone();
    let links = links.into_iter().map(|(text, url)| pages::FooterLink { text, url }).collect();
    Ok(pages::Branding { name, accent, logo, favicon, contact, links })
}

fn picture(key: &str, path: &Path) -> Result<pages::Logo, StartError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let kind = pages::LogoKind::from_extension(extension)
        .ok_or_else(|| StartError(format!("{key}: {} is not an .svg, .png or .webp file", path.display())))?;
    let bytes = std::fs::read(path)
        .map_err(|error| StartError(format!("{key}: {} cannot be read: {error}", path.display())))?;
    Ok(pages::Logo { kind, bytes })
}

fn proxy_settings(settings: &Settings) -> ProxySettings {
    let server = &settings.server;
    let tls = server.tls.as_ref().map(|tls| proxy::TlsSettings {
        listen: tls.listen.clone(),
        certificates: tls
            .certificates
            .iter()
            .map(|pair| proxy::CertificateFiles { chain: pair.cert.clone(), key: pair.key.clone() })
            .collect(),
    });
    ProxySettings {
        listen: server.listen.clone(),
        tls,
        trusted_proxies: server.trusted_proxies.clone(),
        workers: server.workers,
        grace_period: server.grace_period,
        limits: settings.traffic,
    }
}

async fn serve_metrics(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = exposition::serve(listener, metrics, shutdown).await {
        tracing::error!(%error, "the metrics listener has stopped");
    }
}

/// Removes what has expired, and keeps the gauges up to date, until told to stop.
async fn sweep(
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
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
        if let Err(error) = setup.renew().await {
            tracing::warn!(%error, "the set-up link could not be tended");
        }
        metrics.set_sessions(gateway.session_count());
        metrics.set_store_health(gateway.health().is_ok());
    }
}

async fn told(mut shutdown: watch::Receiver<bool>) {
    // An error means that nobody is left to tell: stop as well.
    let _ = shutdown.wait_for(|told| *told).await;
}

async fn asked_to_stop() -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::because)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::because)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn p_38_the_end_does_not_wait_for_a_store_that_hangs() {
        sweep_once_more(std::future::pending(), Duration::from_millis(10)).await;
    }
}
