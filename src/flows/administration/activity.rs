//! What the overview shows: who came in and who was refused, by the hour, and who may be locked out.
//!
//! What always holds: this is read from memory, or kept for a moment, so that an overview that is opened
//! often costs the store nothing; and no decision depends on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::trail::Trail;
use crate::domain::audit::Entry;
use crate::domain::time::Timestamp;
use crate::flows::{FlowError, Gateway};
use crate::records::keys;

/// How far back hours are counted.
pub const HOURS_KEPT: i64 = 7 * 24;
/// How long the number of people with few passkeys is taken to be what it was.
const COUNTED_FOR: Duration = Duration::from_mins(1);
/// Entries that are read at a time.
const STEP_ENTRIES: usize = 512;
/// The bytes of a person's id in the index of credentials.
const OWNER_BYTES: usize = 16;

/// What happened within an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    pub signed_in: usize,
    /// Sign-ins that failed, and requests of people who may not enter.
    pub refused: usize,
}

/// How many people have how many passkeys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasskeyCounts {
    /// A lost phone would lock them out.
    pub with_one: usize,
    /// They cannot sign in.
    pub with_none: usize,
}

/// The hours of the last week.
#[derive(Default)]
pub(in crate::flows) struct Activity {
    hours: Mutex<BTreeMap<i64, Hour>>,
    passkeys: Mutex<Option<(Timestamp, PasskeyCounts)>>,
}

const fn hour_of(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(3_600)
}

impl Activity {
    /// Counts what happens now, or has happened before and is in the trail.
    pub(super) fn note(&self, entry: &Entry) {
        match &*entry.event {
            "signed_in" => self.count(entry.at, |hour| hour.signed_in += 1),
            "sign_in_refused" | "access_denied" | "code_refused" => {
                self.count(entry.at, |hour| hour.refused += 1);
            }
            _ => {}
        }
    }

    fn count(&self, at: Timestamp, one_more: impl FnOnce(&mut Hour)) {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        one_more(hours.entry(hour_of(at)).or_default());
        let newest = hours.keys().next_back().copied().unwrap_or_default();
        hours.retain(|hour, _| *hour > newest - HOURS_KEPT);
    }

    /// The hours up to `now`, oldest first, those without an event among them.
    pub(super) fn until(&self, now: Timestamp) -> Vec<Hour> {
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let this = hour_of(now);
        (this - HOURS_KEPT + 1..=this).map(|hour| hours.get(&hour).copied().unwrap_or_default()).collect()
    }
}

impl Gateway {
    /// What happened in each of the last [`HOURS_KEPT`] hours, oldest first.
    pub fn activity(&self) -> Vec<Hour> {
        self.trail.activity().until(self.clock.now())
    }

    /// How many people have one passkey, or none, as of a moment ago.
    pub async fn passkey_counts(&self) -> Result<PasskeyCounts, FlowError> {
        let now = self.clock.now();
        if let Some(counted) = self.trail.counted(now) {
            return Ok(counted);
        }
        let (mut with_any, mut with_one) = (0_usize, 0_usize);
        let mut owner: Option<([u8; OWNER_BYTES], usize)> = None;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let prefix = keys::USER_CREDENTIALS;
            let found = self.records.store().scan(prefix, after.as_deref(), STEP_ENTRIES).await?;
            let was_last = found.len() < STEP_ENTRIES;
            for (key, _) in &found {
                let Some(id) = key.get(prefix.len()..).and_then(|rest| rest.first_chunk()) else { continue };
                match &mut owner {
                    Some((current, count)) if current == id => *count += 1,
                    _ => {
                        with_one += usize::from(owner.is_some_and(|(_, count)| count == 1));
                        with_any += 1;
                        owner = Some((*id, 1));
                    }
                }
            }
            after = found.into_iter().next_back().map(|(key, _)| key).or(after);
            if was_last {
                break;
            }
        }
        with_one += usize::from(owner.is_some_and(|(_, count)| count == 1));
        let counts = PasskeyCounts { with_one, with_none: self.user_count().saturating_sub(with_any) };
        self.trail.keep_count(now, counts);
        Ok(counts)
    }
}

impl Trail {
    fn counted(&self, now: Timestamp) -> Option<PasskeyCounts> {
        let counted = *self.activity().passkeys.lock().unwrap_or_else(PoisonError::into_inner);
        counted.filter(|(at, _)| now.since(*at) < COUNTED_FOR).map(|(_, counts)| counts)
    }

    fn keep_count(&self, now: Timestamp, counts: PasskeyCounts) {
        *self.activity().passkeys.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, counts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Kind, Origin, Refusal};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn hours_of_a_week_are_counted_and_no_more() {
        let activity = Activity::default();
        let refused = Event {
            kind: Kind::SignInRefused { user: None, why: Refusal::BadProof },
            origin: Origin::default(),
        };
        for at in [NOW.minus(Duration::from_hours(200)), NOW.minus(Duration::from_hours(2)), NOW, NOW] {
            activity.note(&Entry::of(&refused, at));
        }
        let hours = activity.until(NOW);
        assert_eq!(hours.len(), 168);
        let refused: Vec<_> = hours.iter().rev().take(4).map(|hour| hour.refused).collect();
        assert_eq!(refused, [2, 0, 1, 0]);
        assert_eq!(hours.iter().map(|hour| hour.refused).sum::<usize>(), 3);
    }
}
