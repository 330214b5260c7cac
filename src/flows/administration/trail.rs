//! The audit trail in the store: written, read, and removed in time.
//!
//! What does not live here: the waiting entries, and which are not written again
//! (`flows/trail/mod.rs`). What always holds: dispatches about an entry are enqueued in the commit
//! that keeps it; kept entries are bounded by time and number.

use std::time::Duration;

use crate::domain::audit::Entry;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::flows::administration::Administration;
use crate::flows::administration::paging::{Cursor, Page, Pager};
use crate::flows::commit::{Parts, packed};
use crate::flows::trail::WRITTEN_AT_ONCE;
use crate::flows::trail::activity::HOURS_KEPT;
use crate::flows::{FlowError, trail};
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How many entries one request looks at, if most do not pass its filters.
const LOOKED_AT_MAX: usize = 5_000;
/// The most entries of one page.
pub const PAGE_ENTRIES_MAX: usize = 500;
/// How many are on a page unless the caller says otherwise.
pub const PAGE_ENTRIES: usize = 50;

/// The entries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct TrailQuery {
    /// Only those about this user.
    pub user: Option<UserId>,
    /// Only those of this kind.
    pub event: Option<String>,
    /// Only those that are not older.
    pub since: Option<Timestamp>,
    pub after: Option<Cursor>,
    /// From 1 to [`PAGE_ENTRIES_MAX`].
    pub limit: usize,
}

/// An entry, and where the list goes on after it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its name, by which callers can tell whether they have seen it.
    pub id: Cursor,
    pub entry: Entry,
}

/// How many entries a walk has met, and where it ended.
struct Walked {
    count: usize,
    last: Option<Vec<u8>>,
}

impl Administration {
    /// Writes the waiting entries. Called every moment, and once more at the end.
    pub async fn write_trail(&self) -> Result<(), FlowError> {
        loop {
            let entries = self.ground.trail.taken();
            if entries.is_empty() {
                return Ok(());
            }
            let mut parts = Parts::new();
            for entry in entries {
                let batch = self.keeping_entry(&entry)?;
                parts.push((entry, batch));
            }
            let mut packs = packed(parts, 0).into_iter();
            while let Some((entries, batch)) = packs.next() {
                if let Err(error) = self.ground.records.commit(batch).await {
                    let unwritten = entries.into_iter().chain(packs.flat_map(|(entries, _)| entries));
                    self.ground.trail.put_back(unwritten.collect());
                    return Err(error.into());
                }
                self.messages.wake_webhooks();
                self.ground.trail.count(|kept| kept + entries.len());
            }
        }
    }

    /// The batch that keeps an entry, and tells the webhooks that subscribe to it.
    fn keeping_entry(&self, entry: &Entry) -> Result<Batch, FlowError> {
        let id = self.ground.trail.name(entry.at, entropy::bytes(&*self.ground.entropy));
        let mut batch = Batch::default().put(keys::audit(&id), records::encode(entry)?);
        if let Some(user) = &entry.user {
            batch = batch.put(keys::audit_of_user(user, &id), records::encode(&())?);
        }
        Ok(batch.and(self.messages.dispatching_entry(entry)?))
    }

    /// A page of the trail, newest first. It has the events of a moment ago.
    pub async fn read_trail(&self, query: &TrailQuery) -> Result<Page<Kept>, FlowError> {
        self.write_trail().await?;
        let limit = query.limit.clamp(1, PAGE_ENTRIES_MAX);
        let prefix = query.user.as_ref().map_or_else(|| keys::AUDIT.to_vec(), keys::audit_of);
        let after = query.after.as_ref().map(|id| [&*prefix, id.as_bytes()].concat());
        let mut pager = Pager::new(&self.ground.records, &prefix, after.as_deref(), limit, LOOKED_AT_MAX);
        while let Some((key, value)) = pager.next().await? {
            let Some(id) = keys::audit_id(&key) else { continue };
            // The index of a user leads to entries; without one, the walk has read them already.
            let entry: Option<Entry> = match query.user {
                Some(_) => self.ground.records.get(&keys::audit(&id)).await?,
                None => Some(records::decode(&value)?),
            };
            let Some(entry) = entry else { continue };
            if query.since.is_some_and(|since| entry.at < since) {
                break;
            }
            if query.event.as_ref().is_none_or(|event| entry.event == *event) {
                pager.take(Kept { id: Cursor::of(&id), entry });
            }
        }
        let Page { items, next } = pager.page();
        let next = next.and_then(|last| keys::audit_id(last.as_bytes())).map(|id| Cursor::of(&id));
        Ok(Page { items, next })
    }

    /// Counts what happened in the last week, when the gateway starts.
    pub(in crate::flows) async fn recall_activity(&self) -> Result<(), FlowError> {
        let since = self.ground.clock.now().minus(Duration::from_hours(HOURS_KEPT.unsigned_abs()));
        let mut walk = self.ground.records.walk(keys::AUDIT);
        while let Some((_, value)) = walk.next().await? {
            match records::decode::<Entry>(&value) {
                Ok(entry) if entry.at >= since => self.ground.trail.activity().note(&entry),
                // The newest come first, so the rest is older still.
                _ => break,
            }
        }
        Ok(())
    }

    /// Removes what is older than `audit.keep`, and the oldest beyond the most that are kept.
    pub(in crate::flows) async fn forget_old_entries(&self) -> Result<(), FlowError> {
        let oldest = self.ground.clock.now().minus(self.ground.trail.retention.keep);
        let mut too_old = keys::AUDIT.to_vec();
        too_old.extend(trail::moment(oldest));
        self.forget_entries_after(&too_old).await?;
        let most = self.ground.trail.retention.entries_max;
        if self.kept_entries().await? <= most {
            return Ok(());
        }
        let newest = self.newest_entries(most).await?;
        self.forget_entries_after(&newest.last.unwrap_or_else(|| keys::AUDIT.to_vec())).await?;
        self.ground.trail.set_count(Some(newest.count));
        Ok(())
    }

    /// How many entries are kept. They are counted when this is first asked, not at the start,
    /// which a long trail would delay.
    async fn kept_entries(&self) -> Result<usize, FlowError> {
        if let Some(kept) = self.ground.trail.kept() {
            return Ok(kept);
        }
        // Entries that are written meanwhile are counted by the code that writes them.
        self.ground.trail.set_count(Some(0));
        match self.newest_entries(usize::MAX).await {
            Ok(all) => {
                self.ground.trail.count(|kept| kept + all.count);
                Ok(self.ground.trail.kept().unwrap_or(all.count))
            }
            Err(error) => {
                self.ground.trail.set_count(None);
                Err(error)
            }
        }
    }

    /// Walks over the newest `most` entries.
    async fn newest_entries(&self, most: usize) -> Result<Walked, FlowError> {
        let (mut walk, mut walked) = (self.ground.records.walk(keys::AUDIT), Walked { count: 0, last: None });
        while walked.count < most
            && let Some((key, _)) = walk.next().await?
        {
            walked = Walked { count: walked.count + 1, last: Some(key) };
        }
        Ok(walked)
    }

    async fn forget_entries_after(&self, key: &[u8]) -> Result<(), FlowError> {
        loop {
            let found = self.ground.records.store().scan(keys::AUDIT, Some(key), WRITTEN_AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            let gone = found.len();
            let mut batch = Batch::default();
            for (key, value) in found {
                let user = records::decode::<Entry>(&value).ok().and_then(|entry| entry.user);
                if let (Some(user), Some(id)) = (user, keys::audit_id(&key)) {
                    batch = batch.delete(keys::audit_of_user(&user, &id));
                }
                batch = batch.delete(key);
            }
            self.ground.records.commit(batch).await?;
            self.ground.trail.count(|kept| kept.saturating_sub(gone));
        }
    }
}
