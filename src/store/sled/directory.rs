//! The directory that holds the database: which process has it, and whether it is in order.
//!
//! What always holds:
//! - Nothing in the directory is touched before its lock is held, so tidying up after a crash
//!   cannot hit a running instance.
//! - Beside the marker there is never an empty database. The marker is written after the first
//!   creation is durable and before the first change, so a directory that has it and no database
//!   has lost data, and coming up empty would open the first-administrator step to any visitor.
//! - Without the marker nothing was ever acknowledged.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{OpenError, witness};

pub(super) const LOCK: &str = "lock";
pub(super) const MARKER: &str = "initialised";
const MARKER_TEXT: &str = "vestibule sled store, format 1\n";
const DATABASE: &str = "db";
const PARAMETERS: &str = "conf";
const BLOBS: &str = "blobs";
const SNAPSHOT_START: &str = "snap.";
const SNAPSHOT_UNFINISHED_END: &str = ".generating";
/// sled treats a parameter file up to this size as never written.
const PARAMETERS_EMPTY_BYTES_MAX: u64 = 8;
/// How long an earlier store of this process may take to let go of its files.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(5);
const DIRECTORY_MODE: u32 = 0o700;
/// Mode bits that let others in.
const OTHERS: u32 = 0o077;
const FILE_MODE: u32 = 0o600;

/// Whether the directory has held a database before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirectoryState {
    /// No change was acknowledged from it yet.
    New,
    /// It was in use, so its data must be found again.
    Initialised,
}

/// How many bytes the database in `path` has; 0 where there is none.
pub(super) fn bytes_on_disk(path: &Path) -> u64 {
    fs::metadata(path.join(DATABASE)).map_or(0, |database| database.len())
}

/// Whether the marker is there.
pub(super) fn is_initialised(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

/// A directory that this process has to itself, until this value is dropped.
pub(super) struct StoreDirectory {
    path: PathBuf,
    past: DirectoryState,
    _lock: File,
}

impl StoreDirectory {
    /// Makes the directory if need be, locks it and clears what a crash can leave behind.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(path, error);
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(io)?;
        keep_private(path)?;
        let lock = lock(path)?;
        wait_until_released(path)?;
        let past = past(path)?;
        remove_unfinished_snapshots(path).map_err(io)?;
        match past {
            DirectoryState::New => start_over_if_unwritten(path).map_err(io)?,
            DirectoryState::Initialised => {
                if size(&path.join(DATABASE)).map_err(io)? == 0 {
                    return Err(OpenError::Lost { path: path.to_owned() });
                }
            }
        }
        Ok(Self { path: path.to_owned(), past, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn past(&self) -> DirectoryState {
        self.past
    }

    /// The database file, opened apart from sled. The kernel reports a failed write-back once to
    /// every open file, so an error that sled's own background fsync swallows is seen here too.
    pub(super) fn database_file(&self) -> Result<File, OpenError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(DATABASE))
            .map_err(|error| OpenError::io(&self.path, error))
    }

    /// Makes a fresh database durable, with its directory, and then says so in the marker.
    pub(super) fn mark_initialised(&self, database: &File) -> Result<(), OpenError> {
        self.write_marker(database).map_err(|error| OpenError::io(&self.path, error))
    }

    fn write_marker(&self, database: &File) -> io::Result<()> {
        database.sync_all()?;
        File::open(self.path.join(PARAMETERS))?.sync_all()?;
        sync_directory(&self.path)?;
        // A path without a parent is the root directory or relative to the current one.
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent)?,
            _ => sync_directory(Path::new("."))?,
        }
        let mut marker = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(self.path.join(MARKER))?;
        marker.write_all(MARKER_TEXT.as_bytes())?;
        marker.sync_all()?;
        sync_directory(&self.path)
    }
}

/// Closes a directory that others can read: it holds addresses, session ids and keys. A directory
/// that holds other things as well is not ours to close, so it is refused.
fn keep_private(path: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::io(path, error);
    let mode = fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    if !is_initialised(path) && !holds_nothing_else(path).map_err(io)? {
        return Err(OpenError::Shared { path: path.to_owned() });
    }
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)).map_err(io)?;
    tracing::warn!(path = %path.display(), "the data directory could be read by others; now it cannot");
    Ok(())
}

/// Whether everything in the directory is what a start that was interrupted leaves behind.
fn holds_nothing_else(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let ours = [LOCK, DATABASE, PARAMETERS, BLOBS, witness::NAME];
        if !ours.contains(&name.as_ref()) && !name.starts_with(SNAPSHOT_START) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path.join(LOCK))
        .map_err(|error| OpenError::io(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::AlreadyRunning { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(path, error)),
    }
}

/// Waits for sled's own lock, which its thread pool may hold for a moment after a store of this
/// process has been dropped. Any other holder is another instance.
fn wait_until_released(path: &Path) -> Result<(), OpenError> {
    let database = match File::open(path.join(DATABASE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(path, error)),
    };
    match database.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(OpenError::io(path, error)),
    }
    let (released, is_released) = mpsc::channel();
    thread::Builder::new()
        .name("store-lock".to_owned())
        .spawn(move || {
            let locked = database.lock();
            drop(database);
            // The receiver is gone when the wait has been given up.
            let _ = released.send(locked);
        })
        .map_err(|error| OpenError::io(path, error))?;
    match is_released.recv_timeout(RELEASE_WAIT_MAX) {
        Ok(locked) => locked.map_err(|error| OpenError::io(path, error)),
        Err(_) => Err(OpenError::AlreadyRunning { path: path.to_owned() }),
    }
}

/// Reads the marker. A marker that was cut short counts: the database was durable before the marker
/// was begun.
fn past(path: &Path) -> Result<DirectoryState, OpenError> {
    let mut text = String::new();
    let marker = File::open(path.join(MARKER)).and_then(|mut file| file.read_to_string(&mut text));
    match marker {
        Ok(_) if MARKER_TEXT.starts_with(&text) => Ok(DirectoryState::Initialised),
        Ok(_) => Err(OpenError::OtherFormat { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(OpenError::OtherFormat { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DirectoryState::New),
        Err(error) => Err(OpenError::io(path, error)),
    }
}

/// sled picks the newest file whose name starts like a snapshot's, even if a crash cut it short,
/// and then refuses to open. Without that file, sled uses the snapshot before, or the log.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for found in fs::read_dir(path)? {
        let found = found?;
        let name = found.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(SNAPSHOT_START) && name.ends_with(SNAPSHOT_UNFINISHED_END) {
            tracing::warn!(file = %found.path().display(), "removing a snapshot that was cut short");
            fs::remove_file(found.path())?;
        }
    }
    Ok(())
}

/// Clears a creation that a power cut interrupted before sled's parameter file had any content.
fn start_over_if_unwritten(path: &Path) -> io::Result<()> {
    let parameters = path.join(PARAMETERS);
    if !parameters.try_exists()? || size(&parameters)? > PARAMETERS_EMPTY_BYTES_MAX {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "the first start was interrupted; starting over");
    for found in fs::read_dir(path)? {
        let found = found?;
        let name = found.file_name();
        let name = name.to_string_lossy();
        if name == DATABASE || name == PARAMETERS || name.starts_with(SNAPSHOT_START) {
            fs::remove_file(found.path())?;
        }
    }
    Ok(())
}

/// The size of a file; none counts as empty.
fn size(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
