//! Opening the store, and the gateway on it, for the service and for commands without one.
//!
//! What does not live here: what serves the gateway (`mod.rs`), and which commands open a store
//! themselves (`offline.rs`, `backups.rs`). What always holds: a gateway is opened on indexes that
//! the store has told of everything while it was opened.

use std::sync::Arc;

use super::{StartError, keys, place, webhooks};
use crate::config::{Engine, Settings};
use crate::domain::ceremony::RelyingParty;
use crate::flows::indexes::Indexes;
use crate::flows::rules::Rules;
use crate::flows::{Gateway, Installation, Ports};
use crate::ports::KeyValue;
use crate::ports::store::{Subscription, follow_all};
use crate::store::{CommitTimer, MemoryStore, SledOptions, SledStore};
use crate::system::{self, SystemClock, SystemEntropy};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;

/// From this size on, a store fills so much memory that requests wait for the kernel's tables of
/// small pages: about 250,000 people and sessions. With fewer, large pages only take more memory.
const LARGE_STORE_BYTES: u64 = 1 << 30;

/// Opens the store for these followers. Where another gateway holds it, this blocks until that is
/// known.
pub(super) async fn open_store(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    followed: Vec<Subscription>,
) -> Result<Arc<dyn KeyValue>, StartError> {
    if settings.store.engine == Engine::Memory {
        let store = MemoryStore::new();
        follow_all(&store, followed).await.map_err(StartError::because)?;
        return Ok(Arc::new(store));
    }
    let metrics = Arc::clone(metrics);
    let timer = CommitTimer {
        now: Arc::new(system::monotonic),
        committed: Arc::new(move |took| metrics.store_committed(took)),
    };
    let (path, options) =
        (settings.store.path.clone(), SledOptions { cache_bytes: settings.store.cache_bytes });
    if SledStore::bytes_on_disk(&path) >= LARGE_STORE_BYTES {
        system::use_large_pages();
    }
    let open = move || SledStore::open_followed(&path, &options, timer, followed);
    let opened = tokio::task::spawn_blocking(open).await;
    let store = opened.map_err(StartError::because)?.map_err(StartError::because)?;
    Ok(Arc::new(store))
}

/// Opens the store, and the gateway on it.
pub(super) async fn open_gateway(
    settings: &Settings,
    metrics: Arc<Metrics>,
) -> Result<Arc<Gateway>, StartError> {
    let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let indexes = Indexes::default();
    let followed = indexes.subscriptions(&(Arc::clone(&clock) as _));
    let store = open_store(settings, &metrics, followed).await?;
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
        rules: rules(settings),
        limits: settings.limits,
        audit: settings.audit,
        trusted_proxies: settings.server.trusted_proxies.iter().copied().map(Into::into).collect(),
        keys,
    };
    let observer = Arc::new(Telemetry { audit: Audit, metrics });
    let ports = Ports { store, vault, clock, entropy, observer };
    Gateway::open_with(installation, ports, indexes).await.map_err(StartError::because)
}

pub(super) fn rules(settings: &Settings) -> Rules {
    Rules {
        routes: settings.routes.clone(),
        lifetimes: settings.session,
        email_code: settings.email_code,
        username_change: settings.username_change,
        has_mail: settings.mail.is_some(),
        webhooks: webhooks::subscriptions(settings),
        sign_up: settings.sign_up.clone(),
        recovery_delay: settings.recovery_delay,
        automatic_bans: settings.automatic_bans,
        access_tokens: settings.access_tokens,
        attributes: Arc::clone(&settings.attributes),
    }
}
