//! Backups of a running gateway.
//!
//! The records are read in order while the gateway goes on working, and then what has changed
//! meanwhile is appended: applied in that order, both together are the state at the end of a
//! commit. What always holds: one backup is made at a time, and memory holds no more of it than a
//! step of the walk and the changes of its own duration, which are bounded.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::domain::event::Kind;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::authority::Authority;
use crate::ports::store::Told;
use crate::ports::{Batch, Change, StoreError};
use crate::records::archive::{Summary, Writer, is_backed_up};
use crate::records::{self, Records, keys};

/// The most bytes of changes that may come about while a backup is made.
const CHANGED_BYTES_MAX: usize = 256 << 20;

/// Follows every change, and remembers it while a backup is made.
#[derive(Default)]
pub(in crate::flows) struct Tap {
    recording: Mutex<Option<Recording>>,
    /// Milliseconds; 0 while there has been no backup.
    last: AtomicI64,
}

#[derive(Default)]
struct Recording {
    changes: Vec<Change>,
    bytes: usize,
}

impl Tap {
    /// Follows the store from here on.
    pub(in crate::flows) async fn follow(records: &Records) -> Result<Arc<Self>, StoreError> {
        let tap = Arc::new(Self::default());
        if let Some(last) = records.get::<Timestamp>(keys::LAST_BACKUP).await? {
            tap.last.store(last.as_millis(), Ordering::Relaxed);
        }
        let follower = Arc::clone(&tap);
        let hear = move |told: Told<'_>| {
            follower.hear(&told);
            Ok(())
        };
        records.store().follow(b"", Arc::new(hear)).await?;
        Ok(tap)
    }

    fn hear(&self, told: &Told<'_>) {
        match told {
            Told::Changes { changes, .. } => changes.iter().for_each(|change| self.record(change)),
            // A change that is missing here would be missing from the backup: it is made anew.
            Told::Reset { .. } | Told::Behind => self.give_up(),
        }
    }

    fn give_up(&self) {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recording) = recording.as_mut() {
            recording.bytes = CHANGED_BYTES_MAX + 1;
        }
    }

    fn record(&self, change: &Change) {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recording) = recording.as_mut()
            && recording.bytes <= CHANGED_BYTES_MAX
            && (is_backed_up(change.key()) || change.key() == keys::BACKUP_MARK)
        {
            recording.bytes += match change {
                Change::Put { key, value } => key.len() + value.len(),
                Change::Delete { key } => key.len(),
            };
            recording.changes.push(change.clone());
        }
    }

    fn begin(self: &Arc<Self>) -> Result<Listening, FlowError> {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if recording.is_some() {
            return Err(FlowError::Busy);
        }
        *recording = Some(Recording::default());
        Ok(Listening(Arc::clone(self)))
    }
}

/// A recording that ends with this value, also where a backup is broken off.
struct Listening(Arc<Tap>);

impl Listening {
    /// The changes up to and without the last mark; `None` if they were too many.
    fn until_mark(&self) -> Option<Vec<Change>> {
        let mut recording = self.0.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let Recording { mut changes, bytes } = recording.take()?;
        let mark = changes.iter().rposition(|change| change.key() == keys::BACKUP_MARK)?;
        changes.truncate(mark);
        changes.retain(|change| is_backed_up(change.key()));
        (bytes <= CHANGED_BYTES_MAX).then_some(changes)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        *self.0.recording.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("the backup cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("too much has changed while the backup was made: try again when there is less to do")]
    TooMuchChanged,
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Flow(error.into())
    }
}

impl Administration {
    /// Writes everything that is to outlast this machine `into` a file or a connection.
    pub async fn back_up(
        &self,
        authority: &Authority,
        into: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<Summary, BackupError> {
        // The waiting entries of the trail are in the backup, too.
        self.write_trail().await?;
        let listening = self.tap.begin()?;
        let (mut writer, head) = Writer::begin();
        into.write_all(&head).await?;
        let mut walk = self.ground.records.walk(b"");
        while let Some((key, value)) = walk.next().await? {
            if is_backed_up(&key) {
                into.write_all(&writer.put(&key, &value)).await?;
            }
        }
        let now = records::encode(&self.ground.clock.now())?;
        let mark = Batch::default().put(keys::BACKUP_MARK.to_vec(), now);
        // When this returns, the tap has heard of every commit before it, whole.
        self.ground.records.commit(mark).await.map_err(FlowError::from)?;
        for change in listening.until_mark().ok_or(BackupError::TooMuchChanged)? {
            into.write_all(&writer.change(&change)).await?;
        }
        let (end, summary) = writer.end();
        into.write_all(&end).await?;
        into.flush().await?;
        // A writer that encrypts writes its end now.
        into.shutdown().await?;
        self.note_backup().await?;
        self.ground.report(authority.origin(), Kind::BackedUp { records: summary.records });
        Ok(summary)
    }

    /// Notes that a backup is whole, also for the next start.
    async fn note_backup(&self) -> Result<(), FlowError> {
        let now = self.ground.clock.now();
        self.ground
            .records
            .commit(Batch::default().put(keys::LAST_BACKUP.to_vec(), records::encode(&now)?))
            .await?;
        self.tap.last.store(now.as_millis(), Ordering::Relaxed);
        Ok(())
    }

    /// When the last backup was made; `None`: never.
    pub fn last_backup_at(&self) -> Option<Timestamp> {
        match self.tap.last.load(Ordering::Relaxed) {
            0 => None,
            last => Some(Timestamp::from_millis(last)),
        }
    }

    /// How long ago that is.
    pub fn backup_age(&self) -> Option<Duration> {
        self.last_backup_at().map(|at| self.ground.clock.now().since(at))
    }
}
