//! Events by the hour, and how many people have few passkeys, as counted last.
//!
//! What always holds: no decision depends on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Trail;
use crate::domain::audit::Entry;
use crate::domain::time::Timestamp;

/// How far back hours are counted.
pub const HOURS_KEPT: i64 = 7 * 24;
/// How long a count of people with few passkeys is kept.
const COUNTED_FOR: Duration = Duration::from_mins(1);

/// The numbers of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    pub signed_in: usize,
    /// Sign-ins that failed, and requests of people who may not enter.
    pub refused: usize,
}

/// How many people have how many passkeys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasskeyCounts {
    /// People whom a lost phone would lock out.
    pub with_one: usize,
    /// People who cannot sign in.
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
    /// Counts an event, new or from the trail.
    pub(in crate::flows) fn note(&self, entry: &Entry) {
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
    pub(in crate::flows) fn until(&self, now: Timestamp) -> Vec<Hour> {
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let this = hour_of(now);
        (this - HOURS_KEPT + 1..=this).map(|hour| hours.get(&hour).copied().unwrap_or_default()).collect()
    }
}

impl Trail {
    pub(in crate::flows) fn counted(&self, now: Timestamp) -> Option<PasskeyCounts> {
        let counted = *self.activity().passkeys.lock().unwrap_or_else(PoisonError::into_inner);
        counted.filter(|(at, _)| now.since(*at) < COUNTED_FOR).map(|(_, counts)| counts)
    }

    pub(in crate::flows) fn keep_count(&self, now: Timestamp, counts: PasskeyCounts) {
        *self.activity().passkeys.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, counts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Kind, Origin, Refusal};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn counts_only_the_last_week() {
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
