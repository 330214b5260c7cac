//! An operator's command while no gateway runs: the store is opened for one command, under its lock.
//!
//! What always holds: a store that no gateway has made is not made here, and written files belong
//! to the owner of the directory afterwards, so that root's commands do not lock the service out.

use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Builder;

use super::{StartError, open_gateway, open_store};
use crate::admin::operator::GatewayOperator;
use crate::admin::{Answer, Operator as _, QuestionLine, Request};
use crate::config::{Engine, Settings, Store};
use crate::store::SledStore;
use crate::telemetry::metrics::Metrics;

/// Carries `request` out.
pub fn operate(settings: &Settings, request: Request) -> Result<Answer, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::because)?;
    if !needs_store(&request) && must_be_there(&settings.store).is_err() {
        // Questions that the rules alone can answer are put to a gateway without users.
        let mut settings = settings.clone();
        settings.store.engine = Engine::Memory;
        return runtime.block_on(carry_out(&settings, request));
    }
    must_be_there(&settings.store)?;
    let answer = runtime.block_on(carry_out(settings, request));
    // The store lets go of its files with its last owner.
    drop(runtime);
    give_back_files(&settings.store.path)?;
    answer
}

/// Whether a request depends on accounts.
fn needs_store(request: &Request) -> bool {
    match request {
        Request::PolicyExplain { questions } => questions.iter().any(QuestionLine::is_about_account),
        _ => true,
    }
}

/// Refuses a store that no gateway has made.
pub(super) fn must_be_there(store: &Store) -> Result<(), StartError> {
    if store.engine == Engine::Memory || !SledStore::is_initialised(&store.path) {
        return Err(StartError(format!(
            "no gateway is running, and there is no store in {}: start it with `vestibule serve`, or name \
             its configuration with --config FILE",
            store.path.display()
        )));
    }
    Ok(())
}

/// Gives the written files to the owner of the directory.
pub(super) fn give_back_files(path: &Path) -> Result<(), StartError> {
    give_back(path).map_err(|error| {
        StartError(format!(
            "the files in {} could not be given back to their owner, so the gateway may not start: {error}",
            path.display()
        ))
    })
}

async fn carry_out(settings: &Settings, request: Request) -> Result<Answer, StartError> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let metrics = Arc::new(metrics.map_err(StartError::because)?);
    let store = open_store(settings, &metrics).await?;
    let gateway = open_gateway(settings, store, metrics).await?;
    let answer = GatewayOperator { gateway: Arc::clone(&gateway), process: None }.handle(request).await;
    // The change is in the trail, or the operator is told that it is not.
    gateway.administration.write_trail().await.map_err(StartError::because)?;
    Ok(answer)
}

/// Gives everything below `directory` to its owner.
fn give_back(directory: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if (found.uid(), found.gid()) != (owner.uid(), owner.gid()) {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
        if found.is_dir() {
            give_back(&entry.path())?;
        }
    }
    Ok(())
}
