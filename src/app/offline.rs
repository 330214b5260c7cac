//! An operator's command while no gateway runs: the store is opened for one command, under its
//! lock.
//!
//! What always holds: a store that no gateway has made is not made here, and written files belong
//! to the owner of the directory afterwards, so that root's commands do not lock the service out.

use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::StartError;
use super::opening::open_gateway;
use crate::admin::operator::GatewayOperator;
use crate::admin::{Answer, Operator as _, QuestionLine, Request};
use crate::config::{Engine, Settings, Store};
use crate::store::SledStore;
use crate::telemetry::metrics::Metrics;

/// A gateway without listeners, for the requests of one command.
pub struct Offline {
    runtime: Runtime,
    operator: GatewayOperator,
    store: Store,
}

impl Offline {
    /// Opens the store; for a question that the rules alone can answer, a gateway without users
    /// will do where there is none.
    pub fn open(settings: &Settings, first: &Request) -> Result<Self, StartError> {
        let mut settings = settings.clone();
        if !needs_store(first) && must_be_there(&settings.store).is_err() {
            settings.store.engine = Engine::Memory;
        } else {
            must_be_there(&settings.store)?;
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::because)?;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(StartError::because)?);
        match runtime.block_on(open_gateway(&settings, metrics)) {
            Ok(gateway) => {
                let operator = GatewayOperator { gateway, process: None };
                Ok(Self { runtime, operator, store: settings.store })
            }
            Err(error) => {
                drop(runtime);
                give_back_files_of(&settings.store)?;
                Err(error)
            }
        }
    }

    /// Carries a request out.
    pub fn ask(&self, request: Request) -> Result<Answer, StartError> {
        if needs_store(&request) {
            must_be_there(&self.store)?;
        }
        self.runtime.block_on(async {
            let answer = self.operator.handle(request).await;
            // The change is in the trail, or the operator is told that it is not.
            self.operator.gateway.administration.write_trail().await.map_err(StartError::because)?;
            Ok(answer)
        })
    }

    /// Lets go of the store.
    pub fn close(self) -> Result<(), StartError> {
        let Self { runtime, operator, store } = self;
        drop(operator);
        // The store lets go of its files with its last owner.
        drop(runtime);
        give_back_files_of(&store)
    }
}

fn give_back_files_of(store: &Store) -> Result<(), StartError> {
    if store.engine == Engine::Memory { Ok(()) } else { give_back_files(&store.path) }
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
