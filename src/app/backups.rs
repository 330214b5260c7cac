//! Backups that the gateway makes on schedule, those of a store without a gateway, and restoring
//! one.
//!
//! What always holds: a backup under its final name is whole, because it gets that name at the end;
//! and a restore fills a store that has no accounts, or leaves nothing behind.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::UNIX_EPOCH;

use tokio::io::AsyncWrite;
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::encryption::{Key, Opened, Sealed, Sealing};
use super::opening::{open_gateway, open_store};
use super::{StartError, offline};
use crate::config::{BackupPlan, Engine, Settings, Store};
use crate::domain::time::Timestamp;
use crate::flows::Gateway;
use crate::flows::authority::Authority;
use crate::ports::store::BATCH_OPERATIONS_MAX;
use crate::ports::{Batch, Change, KeyValue};
use crate::records::archive::{Frame, Reader, Summary, verify};
use crate::store::{SledStore, private_file};
use crate::telemetry::metrics::Metrics;

/// The beginning of the names of files that are made, counted and removed here.
const FILE_START: &str = "vestibule-";
const FILE_END: &str = ".backup";
/// Records that are restored in one commit.
const RESTORED_AT_ONCE: usize = BATCH_OPERATIONS_MAX;
/// The end of a restored store's name until it is complete and takes its place.
const STAGING_END: &str = ".restoring";

/// Makes backups as `plan` says, until told to stop.
pub(super) async fn keep(gateway: Arc<Gateway>, plan: BackupPlan, mut shutdown: watch::Receiver<bool>) {
    loop {
        let wait = gateway
            .administration
            .backup_age()
            .map_or_else(Default::default, |age| plan.every.saturating_sub(age));
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            () = tokio::time::sleep(wait) => {}
        }
        if let Err(error) = one(&gateway, &plan).await {
            tracing::error!(%error, "a backup could not be made; the next try is in an hour");
            tokio::select! {
                _ = shutdown.wait_for(|told| *told) => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

/// How long the next try waits after a failure.
const RETRY: std::time::Duration = std::time::Duration::from_hours(1);

async fn one(gateway: &Arc<Gateway>, plan: &BackupPlan) -> Result<(), StartError> {
    fs::create_dir_all(&plan.directory).map_err(StartError::because)?;
    let file = plan.directory.join(name_at(gateway.ground.clock().now()));
    // The gateway made it, not an operator; the trail has the same event either way.
    let summary = write_file(gateway, &file, Sealing::to(plan.recipients.clone())).await?;
    tracing::info!(file = %file.display(), records = summary.records, "a backup was made");
    prune(&plan.directory, plan.keep).map_err(StartError::because)
}

/// Names sort by time, and have no character that a file system refuses.
fn name_at(now: Timestamp) -> String {
    format!("{FILE_START}{}{FILE_END}", now.to_rfc3339().replace([':', '.'], "-"))
}

/// When the newest file of ours in `directory` was made.
pub(super) fn newest(directory: &Path) -> io::Result<Option<Timestamp>> {
    let Some(file) = ours(directory)?.pop() else { return Ok(None) };
    let made = fs::metadata(file)?.modified()?;
    let since_epoch = made.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since_epoch.as_millis()).ok().map(Timestamp::from_millis))
}

/// Removes all but the newest `keep` files of ours.
fn prune(directory: &Path, keep: usize) -> io::Result<()> {
    let ours = ours(directory)?;
    let beyond = ours.len().saturating_sub(keep);
    ours.iter().take(beyond).try_for_each(fs::remove_file)
}

/// The files of ours in `directory`, oldest first.
fn ours(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut ours: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(FILE_START) && name.ends_with(FILE_END) {
            ours.push(path);
        }
    }
    ours.sort();
    Ok(ours)
}

async fn write_file(gateway: &Arc<Gateway>, file: &Path, sealing: Sealing) -> Result<Summary, StartError> {
    let (gateway, file) = (Arc::clone(gateway), file.to_path_buf());
    let handle = tokio::runtime::Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        private_file::write_with(&file, |into| {
            let mut into = AtOnce(Some(sealing.begin(into)?));
            handle
                .block_on(gateway.administration.back_up(&Authority::of_gateway(), &mut into))
                .map_err(io::Error::other)
        })
    });
    written.await.map_err(StartError::because)?.map_err(StartError::because)
}

/// Writes without waiting, on a thread that may block, because a file is ready at any time.
struct AtOnce<W: Write>(Option<Sealed<W>>);

impl<W: Write> AtOnce<W> {
    fn sealed(&mut self) -> io::Result<&mut Sealed<W>> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<W: Write + Unpin> AsyncWrite for AtOnce<W> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.sealed().and_then(|sealed| sealed.write(bytes)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sealed().and_then(Write::flush))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.take().map_or(Ok(()), Sealed::finish))
    }
}

/// Writes a backup of a store whose gateway does not run.
pub fn back_up_offline(settings: &Settings, file: &Path, sealing: Sealing) -> Result<Summary, StartError> {
    offline::must_be_there(&settings.store)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(StartError::because)?;
    let summary = runtime.block_on(async {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let metrics = Arc::new(metrics.map_err(StartError::because)?);
        let gateway = open_gateway(settings, metrics).await?;
        write_file(&gateway, file, sealing).await
    });
    drop(runtime);
    offline::give_back_files(&settings.store.path)?;
    summary
}

/// Fills the store of `settings`, which has no accounts yet, from a backup.
pub fn restore(settings: &Settings, file: &Path, key: &Key) -> Result<Summary, StartError> {
    let cannot = |error: &dyn std::fmt::Display| StartError(format!("{}: {error}", file.display()));
    let path = &settings.store.path;
    if settings.store.engine == Engine::Memory {
        return Err(StartError("the store engine is \"memory\", which keeps nothing".to_owned()));
    }
    if SledStore::is_initialised(path) {
        return Err(StartError(format!(
            "there is a store in {}: a backup is restored into an empty one. Move the directory away first, \
             or set another store.path",
            path.display()
        )));
    }
    // The whole file is read before the first write.
    let open = || key.open(file).map_err(|error| cannot(&error));
    let summary = verify(open()?).map_err(|error| cannot(&error))?;
    let mut staging = path.as_os_str().to_owned();
    staging.push(STAGING_END);
    let staging = PathBuf::from(staging);
    let filled = fill(settings, &staging, open()?)
        .and_then(|()| move_in(&staging, path).map_err(|error| cannot(&error)));
    let _ = fs::remove_dir_all(&staging);
    filled?;
    offline::give_back_files(path)?;
    Ok(summary)
}

fn fill(settings: &Settings, staging: &Path, from: Opened) -> Result<(), StartError> {
    if staging.exists() {
        // A restore that was cut off has left it.
        fs::remove_dir_all(staging).map_err(StartError::because)?;
    }
    let store = Store { path: staging.to_path_buf(), ..settings.store.clone() };
    let settings = Settings { store, ..settings.clone() };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::because)?;
    runtime.block_on(async {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let metrics = Arc::new(metrics.map_err(StartError::because)?);
        let store = open_store(&settings, &metrics, Vec::new()).await?;
        apply(&*store, from).await
    })
}

async fn apply(store: &dyn KeyValue, from: Opened) -> Result<(), StartError> {
    let mut reader = Reader::open(from).map_err(StartError::because)?;
    let (mut batch, mut touched) = (Batch::default(), HashSet::new());
    loop {
        let Frame::Change(change) = reader.read_frame().map_err(StartError::because)? else {
            return store.commit(batch).await.map_err(StartError::because);
        };
        // A commit changes a key at most once, and the order of frames counts.
        if touched.len() == RESTORED_AT_ONCE || touched.contains(change.key()) {
            store.commit(std::mem::take(&mut batch)).await.map_err(StartError::because)?;
            touched.clear();
        }
        touched.insert(change.key().to_vec());
        batch = match change {
            Change::Put { key, value } => batch.put(key, value),
            Change::Delete { key } => batch.delete(key),
        };
    }
}

/// Moves a store to where it is used. The file that marks it as complete comes last.
fn move_in(staging: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let mut names: Vec<_> =
        fs::read_dir(staging)?.map(|entry| entry.map(|it| it.file_name())).collect::<Result<_, _>>()?;
    names.sort_by_key(|name| name == SledStore::MARKER);
    for name in names.iter().filter(|name| *name != SledStore::LOCK) {
        fs::rename(staging.join(name), path.join(name))?;
    }
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prunes_old_backups_and_no_other_files() {
        let directory = tempfile::tempdir().unwrap();
        for day in 1..=5 {
            let at = Timestamp::from_millis(1_800_000_000_000 + day * 86_400_000);
            fs::write(directory.path().join(name_at(at)), "x").unwrap();
        }
        fs::write(directory.path().join("precious.txt"), "x").unwrap();
        prune(directory.path(), 2).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        let newest = name_at(Timestamp::from_millis(1_800_000_000_000 + 5 * 86_400_000));
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.contains(&newest.into()) && left.contains(&"precious.txt".into()));
    }
}
