//! The wiring: settings in, a running gateway out. The only module that knows every other.
//!
//! Read [`run`] top to bottom for the list of parts and the order in which they come up: the
//! store's lock is taken before anything listens, and nothing is announced before everything does.
//! A part that ends while the others serve ends them all: the supervisor that started us starts us
//! again.

mod backups;
mod certificates;
mod chores;
pub mod doctor;
mod doors;
pub mod encryption;
mod keys;
mod mail;
mod meter;
mod offline;
mod opening;
mod place;
mod reload;
mod services;
mod setup_link;
mod upgrade;
mod webhooks;

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};

use crate::acme;
use crate::admin::Process;
use crate::admin::operator::GatewayOperator;
use crate::admin::server::AdminSocket;
use crate::config::Settings;
use crate::flows::Gateway;
use crate::ports::{Mailer, WebhookSender};
use crate::proxy::{self, AccessDetail, Challenges, Parts, Preface, Proxy, ProxySettings, Sockets};
use crate::system::{self, Holder, Phase};
use crate::telemetry::access::AccessLog;
use crate::telemetry::exposition;
use crate::telemetry::metrics::Metrics;
pub use backups::{back_up_offline, restore};
pub use mail::send_test;
use meter::{Access, ProxyMeter};
pub use offline::Offline;
use opening::open_gateway;
use reload::Reloader;
pub use reload::Reread;
use services::Services;
use setup_link::SetupLink;
pub use setup_link::file as setup_link_file;
pub use upgrade::Successor;
use upgrade::Upgrader;
pub use webhooks::{Tried, try_webhooks};

/// The message for people at the terminal once the gateway answers.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The origin where people sign in.
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

/// How this process is started anew, in whole or in part.
pub struct Restart {
    /// Reads the configuration when it is to be taken in again.
    pub reread: Reread,
    pub successor: Successor,
}

/// How a gateway came to its end, without a failure.
enum End {
    /// It was told to stop.
    Stopped,
    /// Another program is to go on with these sockets.
    GivesWay(Successor, Vec<OwnedFd>),
}

/// Listening sockets that were opened before this program ran.
struct HandedOver {
    sockets: Sockets,
    holder: Holder,
}

/// Runs the gateway until it is told to stop. Without `restart` there is no file to take in and no
/// program to give way to, and SIGHUP ends the process.
pub fn serve(settings: Settings, restart: Option<Restart>, announce: Announce) -> Result<(), StartError> {
    // This comes while there is one thread, because it takes variables out of the environment.
    let handed_over = system::handed_over()
        .and_then(|(sockets, holder)| Ok(HandedOver { sockets: Sockets::handed_over(sockets)?, holder }));
    let handed_over = handed_over
        .map_err(|error| StartError(format!("a socket that was handed over cannot be used: {error}")))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(settings.server.workers)
        .enable_all()
        .build()
        .map_err(StartError::because)?;
    let end = runtime.block_on(run(settings, restart, announce, handed_over))?;
    drop(runtime);
    match end {
        End::Stopped => Ok(()),
        End::GivesWay(successor, sockets) => Err(successor.take_over(sockets)),
    }
}

async fn run(
    settings: Settings,
    restart: Option<Restart>,
    announce: Announce,
    handed_over: HandedOver,
) -> Result<End, StartError> {
    let (reread, successor) = restart.map(|restart| (restart.reread, restart.successor)).unzip();
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let metrics = Arc::new(metrics.map_err(StartError::because)?);
    let gateway = open_gateway(&settings, Arc::clone(&metrics)).await?;

    let (mailer, mailers) = watch::channel(mail::mailer(&settings)?);
    let (webhook_sender, webhook_senders) = watch::channel(webhooks::webhook_sender(&settings)?);
    let challenges = Arc::default();
    let access = access_log(&settings, &metrics)?;
    let parts = parts(&settings, &gateway, &metrics, &challenges, access.clone())?;
    let (proxy, metrics_listener) = listen(&settings, parts, handed_over).await?;
    let open = duplicates(&proxy, metrics_listener.as_ref()).map_err(StartError::because)?;
    let (certificates, plans) = watch::channel(certificates::plan(&settings).map(Arc::new));
    let control = proxy.control();
    let obtaining = certificates::ports(&settings, &control, &challenges);
    // This comes before the gateway reports that it is ready: until then, a signal ends the
    // process.
    let stops = StopSignals::listen()?;
    let hangups = reload::hangups(reread.as_ref())?;
    let reloader = Arc::new(Reloader {
        reread,
        settings: Mutex::new(settings.clone()),
        gateway: Arc::clone(&gateway),
        control: proxy.control(),
        metrics: Arc::clone(&metrics),
        mailer,
        webhook_sender,
        certificates,
        access,
    });
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
        services
            .start("the metrics listener", |shutdown| serve_metrics(listener, metrics, stopped(shutdown)));
    }
    metrics.configured(gateway.ground.clock().now());
    metrics.set_certificates(&certificates::remaining_lifetimes(&control, gateway.ground.clock().now()));
    let upgrader = Arc::new(Upgrader::new(successor, settings.server.grace_period));
    let looked_at = proxy.control();
    let process = Process {
        reload: Arc::clone(&reloader) as _,
        upgrade: Arc::clone(&upgrader) as _,
        remarks: Box::new(move || looked_at.remarks()),
        started_at: gateway.ground.clock().now(),
    };
    let operator = Arc::new(GatewayOperator { gateway: Arc::clone(&gateway), process: Some(process) });
    if let Some(hangups) = hangups {
        services.start("the reloader", |shutdown| reload::on_hangup(reloader, hangups, shutdown));
    }
    services.start("the admin socket", |shutdown| admin_socket.serve(operator, stopped(shutdown)));
    let swept = Arc::clone(&gateway);
    services.start("the sweeper", |shutdown| chores::sweep(swept, metrics, control, setup, shutdown));
    services.start("certificates", |shutdown| acme::keep(obtaining, plans, shutdown));
    let written = Arc::clone(&gateway);
    services.start("the audit trail", |shutdown| chores::write_trail(written, shutdown));
    start_backups(&mut services, &gateway, &settings);
    start_messengers(&mut services, &gateway, mailers, webhook_senders);
    services.start("the proxy", |shutdown| proxy.serve(shutdown));

    let end = until_end(&mut services, &upgrader, stops, open).await;
    services.stop(settings.server.grace_period).await;
    chores::finish(&gateway).await;
    end
}

/// Starts the service that writes backups, if they are configured.
fn start_backups(services: &mut Services, gateway: &Arc<Gateway>, settings: &Settings) {
    let Some(plan) = settings.backup.clone() else { return };
    let backed_up = Arc::clone(gateway);
    services.start("backups", |shutdown| backups::keep(backed_up, plan, shutdown));
}

/// Starts the services that deliver the messages and dispatches that wait in the store.
fn start_messengers(
    services: &mut Services,
    gateway: &Arc<Gateway>,
    mailers: watch::Receiver<Option<Arc<dyn Mailer>>>,
    webhook_senders: watch::Receiver<Arc<dyn WebhookSender>>,
) {
    let (by_mail, dispatched) = (Arc::clone(gateway), Arc::clone(gateway));
    services.start("mail", |shutdown| mail::deliver(by_mail, mailers, shutdown));
    services.start("webhooks", |shutdown| webhooks::deliver(dispatched, webhook_senders, shutdown));
}

/// Waits for the signal to end, or for a part that ends without it. `open` are the sockets that we
/// listen on: unless another program goes on with them, they are closed, so that no client waits at
/// a socket from which no program takes connections.
async fn until_end(
    services: &mut Services,
    upgrader: &Upgrader,
    mut stops: StopSignals,
    open: Vec<OwnedFd>,
) -> Result<End, StartError> {
    let end = tokio::select! {
        successor = upgrader.asked() => {
            let program = successor.program.display();
            tracing::info!(%program, "stopping, so that another program goes on");
            return Ok(End::GivesWay(successor, open));
        }
        () = stops.next() => Ok(()),
        ended = services.one_ends() => Err(StartError::because(ended)),
    };
    match &end {
        Ok(()) => tracing::info!("stopping"),
        Err(error) => tracing::error!(%error, "stopping"),
    }
    system::tell_service_manager(Phase::Stopping);
    end.map(|()| End::Stopped)
}

/// The sockets that we listen on, once more: they stay open when the listeners do not.
fn duplicates(proxy: &Proxy, metrics: Option<&TcpListener>) -> std::io::Result<Vec<OwnedFd>> {
    let metrics = metrics.map(|listener| listener.as_fd().try_clone_to_owned());
    proxy.descriptors().chain(metrics).collect()
}

fn access_log(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Option<Access>, StartError> {
    let Some(format) = settings.log.access else { return Ok(None) };
    let metrics = Arc::clone(metrics);
    let dropped = Box::new(move || metrics.access_dropped());
    let log = AccessLog::start(format, dropped).map_err(StartError::because)?;
    let access_detail = if settings.log.access_query { AccessDetail::Target } else { AccessDetail::Path };
    Ok(Some(Access { log: Arc::new(log), access_detail }))
}

/// The parts of the gateway that the proxy needs.
fn parts(
    settings: &Settings,
    gateway: &Arc<Gateway>,
    metrics: &Arc<Metrics>,
    challenges: &Arc<Challenges>,
    access: Option<Access>,
) -> Result<Parts, StartError> {
    Ok(Parts {
        gateway: Arc::clone(gateway),
        doors: doors::doors(settings, gateway)?,
        meter: Arc::new(ProxyMeter::new(Arc::clone(metrics), &gateway.ground.routes(), access)),
        challenges: Arc::clone(challenges),
        elapsed: Arc::new(system::monotonic),
    })
}

/// Opens every listener: takes over the service manager's sockets, and opens the others.
async fn listen(
    settings: &Settings,
    parts: Parts,
    handed_over: HandedOver,
) -> Result<(Proxy, Option<TcpListener>), StartError> {
    let HandedOver { mut sockets, holder } = handed_over;
    let settings_of_proxy = proxy_settings(settings);
    let pairs = settings_of_proxy.tls.iter().flat_map(|tls| &tls.certificates);
    certificates::set_aside_unusable(pairs).map_err(StartError::because)?;
    let proxy = Proxy::bind(settings_of_proxy, parts, &mut sockets).await.map_err(StartError::because)?;
    let metrics = match settings.server.metrics_listen {
        Some(address) => {
            let cannot = |error| StartError(format!("cannot listen for metrics on {address}: {error}"));
            Some(sockets.listen(address).await.map_err(cannot)?)
        }
        None => None,
    };
    match sockets.unclaimed().first() {
        // The configuration has changed since: that listener is closed.
        Some(_) if holder == Holder::Predecessor => Ok((proxy, metrics)),
        Some(address) => Err(StartError(format!(
            "the service manager holds a socket for {address}, where the configuration does not listen: name it \
             in server.listen or server.tls.listen, or take it out of the socket unit"
        ))),
        None => Ok((proxy, metrics)),
    }
}

/// Loads every file that [`serve`] loads, and reports the fault of each unusable one.
pub fn check_files(settings: &Settings) -> Vec<String> {
    let pairs = certificates::files(settings);
    let mut found: Vec<String> =
        proxy::unusable_certificates(&pairs).iter().map(ToString::to_string).collect();
    found.extend(certificates::check_authority(settings).err());
    found.extend(doors::branding(settings).err().map(|error| error.to_string()));
    found.extend(mail::mailer(settings).err().map(|error| error.to_string()));
    found.extend(webhooks::webhook_sender(settings).err().map(|error| error.to_string()));
    found
}

fn proxy_settings(settings: &Settings) -> ProxySettings {
    let server = &settings.server;
    let tls = server.tls.as_ref().map(|tls| proxy::TlsSettings {
        listen: tls.listen.clone(),
        certificates: certificates::files(settings),
    });
    ProxySettings {
        listen: server.listen.clone(),
        tls,
        trusted_proxies: server.trusted_proxies.clone(),
        forwarded_by: server.forwarded_by,
        preface: if server.proxy_protocol { Preface::Proxy } else { Preface::No },
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

async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // An error means that the sender is gone: stop as well.
    let _ = shutdown.wait_for(|told| *told).await;
}

/// The signals that ask the process to stop, once this value is made; before, they end the process.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::because);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
