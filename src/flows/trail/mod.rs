//! The audit trail in memory: the entries that wait to be written to the store, and those that are
//! not written again.
//!
//! An event is reported in the middle of a flow, which must not wait for another commit: entries
//! wait here for a moment and are written together. A crash may lose that moment's entries from the
//! trail; the log has them. What always holds: at most [`WAITING_MAX`] entries wait, and a client
//! cannot fill the trail by repeating a request that is refused.
//!
//! What does not live here: writing, reading and removing entries (`administration/trail.rs`).

pub mod activity;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::audit::{Entry, Retention, is_kept};
use crate::domain::event::{Event, Kind, TokenEvent};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::records::keys::AUDIT_ID_BYTES;
use activity::Activity;

/// The most entries that wait to be written. Further entries, while the store takes no changes, are
/// in the log alone.
const WAITING_MAX: usize = 10_000;
/// Entries that are written in one commit, each with its index.
pub(in crate::flows) const WRITTEN_AT_ONCE: usize = 50;
/// How long a user whom one route refuses again and again, or one token, is written down once.
const DENIED_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How many users and routes are remembered for that.
const DENIED_MAX: usize = 1_000;

/// The entries that wait to be written, and how many are kept.
pub(in crate::flows) struct Trail {
    pub(in crate::flows) retention: Retention,
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

    /// Changes the number of kept entries, once it is known.
    pub(in crate::flows) fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.map(change);
    }

    pub(in crate::flows) fn kept(&self) -> Option<usize> {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::flows) fn set_count(&self, count: Option<usize>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    pub(in crate::flows) const fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(in crate::flows) fn taken(&self) -> Vec<Entry> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let some = waiting.len().min(WRITTEN_AT_ONCE);
        waiting.drain(..some).collect()
    }

    pub(in crate::flows) fn put_back(&self, entries: Vec<Entry>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.splice(..0, entries);
        waiting.truncate(WAITING_MAX);
    }

    /// The name of an entry: its moment and a number, both turned round, so that the newest comes
    /// first.
    pub(in crate::flows) fn name(&self, at: Timestamp, random: [u8; 4]) -> [u8; AUDIT_ID_BYTES] {
        let number = u32::MAX - self.number.fetch_add(1, Ordering::Relaxed);
        let mut name = [0; AUDIT_ID_BYTES];
        let parts = moment(at).into_iter().chain(number.to_be_bytes()).chain(random);
        name.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        name
    }
}

/// A moment as names of entries begin with it: the later it is, the lower.
pub(in crate::flows) fn moment(at: Timestamp) -> [u8; 8] {
    (u64::MAX - u64::try_from(at.as_millis()).unwrap_or(0)).to_be_bytes()
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

    /// Events that a client can repeat for nothing must not fill the trail: the oldest entries
    /// would make room.
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
        assert_eq!(waiting(&trail), 4, "any client can send a code that was never made");
        // The overview counts each refusal.
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
