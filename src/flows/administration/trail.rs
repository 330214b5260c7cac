//! The audit trail in the store: what happened, and who did it, for as long as `audit.keep` says.
//!
//! An event is reported in the middle of a flow, which must not wait for another commit: entries wait in
//! memory for a moment and are written together. A crash may lose that moment's entries from the trail;
//! the log has them. What webhooks are told of an entry is posted in the same commit. What always holds: at most [`WAITING_MAX`] entries wait; what is kept is bounded by
//! time and number; and a client cannot fill it by repeating a request that is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::activity::{Activity, HOURS_KEPT};
use super::directory::{Cursor, Page};
use crate::domain::audit::{Entry, Retention, is_kept};
use crate::domain::event::{Event, Kind, TokenEvent};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::flows::{FlowError, Gateway};
use crate::ports::{Batch, entropy};
use crate::records::keys::AUDIT_ID_BYTES;
use crate::records::{self, keys};

/// The most entries that wait to be written. What comes beyond them while the store takes no changes is
/// in the log alone.
const WAITING_MAX: usize = 10_000;
/// Entries that are written in one commit, each with its index.
const WRITTEN_AT_ONCE: usize = 50;
/// Entries that are read at a time.
const STEP_ENTRIES: usize = 128;
/// How many entries one request reads, if most do not pass its filters.
const WALKED_MAX: usize = 5_000;
/// The most entries of one page.
pub const PAGE_ENTRIES_MAX: usize = 500;
/// How many are on a page unless the caller says otherwise.
pub const PAGE_ENTRIES: usize = 50;
/// How long a user whom one route refuses again and again, or one token, is written down once.
const DENIED_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How many users and routes are remembered for that.
const DENIED_MAX: usize = 1_000;

/// What waits to be written, and how much is kept.
pub(in crate::flows) struct Trail {
    retention: Retention,
    waiting: Mutex<Vec<Entry>>,
    /// When a user was last noted to be refused by a route, or a token for a reason.
    denied: Mutex<HashMap<(Option<UserId>, String), Timestamp>>,
    number: AtomicU32,
    /// How many entries there are; `None` until they have been counted.
    kept: Mutex<Option<usize>>,
    activity: Activity,
}

impl Trail {
    pub(in crate::flows) fn new(retention: Retention) -> Self {
        Self {
            retention,
            waiting: Mutex::default(),
            denied: Mutex::default(),
            number: AtomicU32::new(0),
            kept: Mutex::default(),
            activity: Activity::default(),
        }
    }

    /// Takes note of what happened `at`.
    pub(in crate::flows) fn note(&self, event: &Event, at: Timestamp) {
        let entry = Entry::of(event, at);
        self.activity.note(&entry);
        if !is_kept(&event.kind) || self.is_repeated(&event.kind, at) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(entry);
        }
    }

    /// Whether this was written down a short time ago already.
    fn is_repeated(&self, kind: &Kind, at: Timestamp) -> bool {
        let key = match kind {
            Kind::AccessDenied { user, route, .. } => (*user, route.clone()),
            // No route has a space in its name.
            Kind::AccessToken(TokenEvent::Refused { token, why, .. }) => match token {
                Some((id, user)) => (Some(*user), format!("{} {id}", why.label())),
                None => (None, format!("{} ", why.label())),
            },
            _ => return false,
        };
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.retain(|_, last| at.since(*last) < DENIED_AGAIN_AFTER);
        if denied.contains_key(&key) {
            return true;
        }
        // Beyond this many at once, each is written down.
        if denied.len() < DENIED_MAX {
            denied.insert(key, at);
        }
        false
    }

    /// Changes how many entries are kept, once that is known.
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.map(change);
    }

    fn kept(&self) -> Option<usize> {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_count(&self, count: Option<usize>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    pub(super) const fn activity(&self) -> &Activity {
        &self.activity
    }

    fn taken(&self) -> Vec<Entry> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let some = waiting.len().min(WRITTEN_AT_ONCE);
        waiting.drain(..some).collect()
    }

    fn put_back(&self, entries: Vec<Entry>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.splice(..0, entries);
        waiting.truncate(WAITING_MAX);
    }

    /// The name of an entry: its moment and a number, both turned round, so that the newest comes first.
    fn name(&self, at: Timestamp, random: [u8; 4]) -> [u8; AUDIT_ID_BYTES] {
        let number = u32::MAX - self.number.fetch_add(1, Ordering::Relaxed);
        let mut name = [0; AUDIT_ID_BYTES];
        let parts = moment(at).into_iter().chain(number.to_be_bytes()).chain(random);
        name.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        name
    }
}

/// A moment as names of entries begin with it: the later it is, the lower.
fn moment(at: Timestamp) -> [u8; 8] {
    (u64::MAX - u64::try_from(at.as_millis()).unwrap_or(0)).to_be_bytes()
}

/// Which entries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct TrailQuery {
    /// Only those about this user.
    pub user: Option<UserId>,
    /// Only those of this kind.
    pub event: Option<String>,
    /// None that are older.
    pub since: Option<Timestamp>,
    pub after: Option<Cursor>,
    /// From 1 to [`PAGE_ENTRIES_MAX`].
    pub limit: usize,
}

/// An entry, and where the list goes on after it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its name, for callers who want to know whether they have seen it.
    pub id: Cursor,
    pub entry: Entry,
}

/// How many entries a walk has met, and where it ended.
struct Walked {
    count: usize,
    last: Option<Vec<u8>>,
}

impl Gateway {
    /// Writes what waits. Called every moment, and once more at the end.
    pub async fn write_trail(&self) -> Result<(), FlowError> {
        loop {
            let entries = self.trail.taken();
            if entries.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for entry in &entries {
                let id = self.trail.name(entry.at, entropy::bytes(&*self.entropy));
                batch = batch.put(keys::audit(&id), records::encode(entry)?);
                if let Some(user) = &entry.user {
                    batch = batch.put(keys::audit_of_user(user, &id), records::encode(&())?);
                }
                batch = batch.and(self.dispatching_entry(entry)?);
            }
            if let Err(error) = self.records.commit(batch).await {
                self.trail.put_back(entries);
                return Err(error.into());
            }
            self.wake_courier();
            self.trail.count(|kept| kept + entries.len());
        }
    }

    /// A page of the trail, newest first. What has happened a moment ago is in it.
    pub async fn read_trail(&self, query: &TrailQuery) -> Result<Page<Kept>, FlowError> {
        self.write_trail().await?;
        let limit = query.limit.clamp(1, PAGE_ENTRIES_MAX);
        let prefix = query.user.as_ref().map_or_else(|| keys::AUDIT.to_vec(), keys::audit_of);
        let mut after = query.after.as_ref().map(|cursor| [&*prefix, cursor.as_bytes()].concat());
        let mut items: Vec<Kept> = Vec::new();
        for _ in 0..WALKED_MAX / STEP_ENTRIES {
            let found = self.records.store().scan(&prefix, after.as_deref(), STEP_ENTRIES).await?;
            let was_last = found.len() < STEP_ENTRIES;
            for (key, value) in found {
                let Some(id) = keys::audit_id(&key) else { continue };
                if items.len() == limit {
                    let next = items.last().map(|last| last.id.clone());
                    return Ok(Page { items, next });
                }
                after = Some(key);
                // The index of a user leads to entries; without one, the scan has read them already.
                let entry: Option<Entry> = match query.user {
                    Some(_) => self.records.get(&keys::audit(&id)).await?,
                    None => Some(records::decode(&value)?),
                };
                let Some(entry) = entry else { continue };
                if query.since.is_some_and(|since| entry.at < since) {
                    return Ok(Page { items, next: None });
                }
                if query.event.as_ref().is_none_or(|event| entry.event == *event) {
                    items.push(Kept { id: Cursor::of(&id), entry });
                }
            }
            if was_last {
                return Ok(Page { items, next: None });
            }
        }
        let next = after.as_deref().and_then(keys::audit_id).map(|id| Cursor::of(&id));
        Ok(Page { items, next })
    }

    /// Counts what happened in the last week, when the gateway starts.
    pub(in crate::flows) async fn recall_activity(&self) -> Result<(), FlowError> {
        let since = self.clock.now().minus(Duration::from_hours(HOURS_KEPT.unsigned_abs()));
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = self.records.store().scan(keys::AUDIT, after.as_deref(), STEP_ENTRIES).await?;
            for (_, value) in &found {
                match records::decode::<Entry>(value) {
                    Ok(entry) if entry.at >= since => self.trail.activity.note(&entry),
                    // The newest come first: nothing young comes after an old one.
                    _ => return Ok(()),
                }
            }
            let Some((last, _)) = found.into_iter().next_back() else { return Ok(()) };
            after = Some(last);
        }
    }

    /// Removes what is older than `audit.keep`, and the oldest beyond the most that are kept.
    pub(in crate::flows) async fn forget_old_entries(&self) -> Result<(), FlowError> {
        let oldest = self.clock.now().minus(self.trail.retention.keep);
        let mut too_old = keys::AUDIT.to_vec();
        too_old.extend(moment(oldest));
        self.forget_entries_after(&too_old).await?;
        let most = self.trail.retention.entries_max;
        if self.kept_entries().await? <= most {
            return Ok(());
        }
        let newest = self.newest_entries(most).await?;
        self.forget_entries_after(&newest.last.unwrap_or_else(|| keys::AUDIT.to_vec())).await?;
        self.trail.set_count(Some(newest.count));
        Ok(())
    }

    /// How many entries are kept. They are counted when this is first asked, not at the start, which a long
    /// trail would delay.
    async fn kept_entries(&self) -> Result<usize, FlowError> {
        if let Some(kept) = self.trail.kept() {
            return Ok(kept);
        }
        // What is written meanwhile is counted where it is written.
        self.trail.set_count(Some(0));
        match self.newest_entries(usize::MAX).await {
            Ok(all) => {
                self.trail.count(|kept| kept + all.count);
                Ok(self.trail.kept().unwrap_or(all.count))
            }
            Err(error) => {
                self.trail.set_count(None);
                Err(error)
            }
        }
    }

    /// Walks over the newest `most` entries.
    async fn newest_entries(&self, most: usize) -> Result<Walked, FlowError> {
        let mut walked = Walked { count: 0, last: None };
        while walked.count < most {
            let step = STEP_ENTRIES.min(most - walked.count);
            let found = self.records.store().scan(keys::AUDIT, walked.last.as_deref(), step).await?;
            walked.count += found.len();
            let was_last = found.len() < step;
            walked.last = found.into_iter().next_back().map(|(key, _)| key).or(walked.last);
            if was_last {
                break;
            }
        }
        Ok(walked)
    }

    async fn forget_entries_after(&self, key: &[u8]) -> Result<(), FlowError> {
        loop {
            let found = self.records.store().scan(keys::AUDIT, Some(key), WRITTEN_AT_ONCE).await?;
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
            self.records.commit(batch).await?;
            self.trail.count(|kept| kept.saturating_sub(gone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access_token::TokenRefusal;
    use crate::domain::event::{Actor, Kind, Origin};
    use crate::domain::id::AccessTokenId;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MANY: usize = 100;

    fn event(kind: Kind) -> Event {
        Event { kind, origin: Origin { actor: Actor::Client, ..Origin::default() } }
    }

    fn waiting(trail: &Trail) -> usize {
        trail.waiting.lock().unwrap().len()
    }

    /// What a client can repeat for nothing must not fill the trail: the oldest entries would make room.
    #[test]
    fn s_22_repeating_a_refused_request_pushes_nothing_out_of_the_trail() {
        let trail = Trail::new(Retention::default());
        let (user, other) = (UserId::from_random([1; 16]), UserId::from_random([2; 16]));
        let denied = |user, route: &str| {
            event(Kind::AccessDenied { user: Some(user), route: route.to_owned(), rule: None })
        };
        for _ in 0..MANY {
            trail.note(&denied(user, "wiki"), NOW);
        }
        assert_eq!(waiting(&trail), 1, "one user at one route");
        trail.note(&denied(user, "mail"), NOW);
        trail.note(&denied(other, "wiki"), NOW);
        assert_eq!(waiting(&trail), 3, "another route, and another user, are news");
        trail.note(&denied(user, "wiki"), NOW.plus(DENIED_AGAIN_AFTER));
        assert_eq!(waiting(&trail), 4, "so is the same after a while");
        for _ in 0..MANY {
            trail.note(&event(Kind::HandOffRefused { host: "wiki.example.com".to_owned() }), NOW);
        }
        assert_eq!(waiting(&trail), 4, "anybody can send a code that was never made");
        // The overview counts each of them.
        let refused: usize = trail.activity.until(NOW).iter().map(|hour| hour.refused).sum();
        assert_eq!(refused, MANY + 3);
    }

    #[test]
    fn s_22_showing_a_bad_token_again_and_again_is_written_down_once() {
        let trail = Trail::new(Retention::default());
        let (user, first, second) =
            (UserId::from_random([1; 16]), AccessTokenId([1; 16]), AccessTokenId([2; 16]));
        let refused = |token: Option<AccessTokenId>, why| {
            let token = token.map(|id| (id, user));
            event(Kind::AccessToken(TokenEvent::Refused { token, route: None, why }))
        };
        for _ in 0..MANY {
            trail.note(&refused(None, TokenRefusal::Forged), NOW);
            trail.note(&refused(Some(first), TokenRefusal::Method), NOW);
        }
        assert_eq!(waiting(&trail), 2);
        trail.note(&refused(Some(second), TokenRefusal::Method), NOW);
        trail.note(&refused(Some(first), TokenRefusal::Path), NOW);
        trail.note(&refused(None, TokenRefusal::Forged), NOW.plus(DENIED_AGAIN_AFTER));
        assert_eq!(waiting(&trail), 5, "another token, another reason, and the same after a while");
    }
}
