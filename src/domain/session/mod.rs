//! Sessions: the server's records of sign-ins.
//!
//! The record decides, the token (`token.rs`) only points at it. A session is minted only from
//! evidence: a verified assertion, a fresh registration, or a redeemed invitation. Nothing here
//! reads a clock.

pub mod access;
pub mod step_up;
pub mod token;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use step_up::StepUp;

use super::id::{CredentialId, SessionId, UserId};
use super::time::Timestamp;

/// How many sessions one person may have unless the operator says otherwise.
pub const SESSIONS_PER_USER: usize = 20;
/// The most bytes that are kept of a `User-Agent`.
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// How long a session that may only enrol a passkey lives.
pub const ENROL_LIFETIME: Duration = Duration::from_mins(15);
/// How long after its ceremony a session may be exchanged for one in another place.
pub const EXCHANGE_LIFETIME: Duration = Duration::from_mins(5);
/// How often `last_seen_at` of a session is written to the store.
pub const LAST_SEEN_GRANULARITY: Duration = Duration::from_mins(1);

/// How long sessions live, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Ends a session that is not used for this long.
    pub idle: Duration,
    /// Ends a session this long after its sign-in, whatever happens.
    pub absolute: Duration,
    /// Ends a session on a device that others use too this long after its sign-in.
    pub short: Duration,
    /// The most sessions one person may have; the oldest ends first.
    pub sessions_max: usize,
    /// How long an assertion counts as fresh for sensitive changes.
    pub fresh: Duration,
}

/// The rights of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that its user may do.
    Full,
    /// Adding a passkey, and nothing else: it opens no application.
    Enrol,
}

/// A sign-in of one browser or program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    pub scope: Scope,
    /// The passkey that was used; `None` while enrolling.
    pub credential: Option<CredentialId>,
    pub created_at: Timestamp,
    /// When the person was last verified by a passkey.
    pub authenticated_at: Option<Timestamp>,
    /// Since when that verification pays for sensitive changes; `None` when it never did, or has
    /// been used up.
    #[serde(default)]
    pub fresh_since: Option<Timestamp>,
    /// Whether a mailed code began it: a person who reads the mailbox may have a passkey of their
    /// own by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mailed_code: bool,
    /// When a user who was signed in showed a passkey again; `None` once it has paid for a change.
    // Left out while there is nothing to say: commits expect a record byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_up_at: Option<Timestamp>,
    /// The step-up, where it is for one change alone. Boxed because few sessions have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<Box<StepUp>>,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub client: Option<IpAddr>,
    pub user_agent: Option<String>,
}

impl Session {
    /// Whether it may be used at `now`, given when it was last seen.
    pub fn is_live(&self, last_seen_at: Timestamp, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        now < self.expires_at && now.since(last_seen_at) < lifetimes.idle
    }

    /// When it would end if it were not used any more.
    pub fn ends_at(&self, last_seen_at: Timestamp, lifetimes: &Lifetimes) -> Timestamp {
        last_seen_at.plus(lifetimes.idle).min(self.expires_at)
    }

    /// Whether its ceremony is recent enough for an exchange. A session that was opened without a
    /// ceremony is never exchanged.
    pub fn is_exchangeable(&self, now: Timestamp) -> bool {
        self.scope == Scope::Full && self.authenticated_at.is_some_and(|at| now.since(at) < EXCHANGE_LIFETIME)
    }

    /// Whether the person was verified recently enough for a sensitive change.
    pub fn is_fresh(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        self.fresh_since.is_some_and(|at| now.since(at) < lifetimes.fresh)
    }

    /// Whether the person, being signed in, showed a passkey again recently enough, and has changed
    /// nothing since that costs a step-up.
    pub fn is_stepped_up(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        self.stepped_up_at.is_some_and(|at| now.since(at) < lifetimes.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const LIFETIMES: Lifetimes = Lifetimes {
        idle: Duration::from_hours(1),
        absolute: Duration::from_hours(24),
        short: Duration::from_hours(12),
        sessions_max: SESSIONS_PER_USER,
        fresh: Duration::from_mins(5),
    };

    fn session() -> Session {
        Session {
            id: SessionId([1; 16]),
            user: UserId::from_random([2; 16]),
            scope: Scope::Full,
            credential: None,
            created_at: NOW,
            authenticated_at: Some(NOW),
            fresh_since: Some(NOW),
            by_mailed_code: false,
            stepped_up_at: Some(NOW),
            step_up: None,
            last_seen_at: NOW,
            expires_at: NOW.plus(LIFETIMES.absolute),
            client: None,
            user_agent: None,
        }
    }

    /// Asks at the beginning, a moment before `length` is over, and when it is over.
    fn during(length: Duration, ask: impl Fn(Timestamp) -> bool) -> [bool; 3] {
        let over = NOW.plus(length);
        [NOW, over.minus(Duration::from_millis(1)), over].map(ask)
    }

    const UNTIL_THEN: [bool; 3] = [true, true, false];

    #[test]
    fn a_session_lives_until_its_end_and_as_long_as_it_is_used() {
        let session = session();
        let unused = during(LIFETIMES.idle, |now| session.is_live(NOW, &LIFETIMES, now));
        assert_eq!(unused, UNTIL_THEN);
        let used = during(LIFETIMES.absolute, |now| session.is_live(now, &LIFETIMES, now));
        assert_eq!(used, UNTIL_THEN);
    }

    #[test]
    fn a_passkey_that_was_shown_counts_for_a_time() {
        let session = session();
        assert_eq!(during(EXCHANGE_LIFETIME, |now| session.is_exchangeable(now)), UNTIL_THEN);
        assert_eq!(during(LIFETIMES.fresh, |now| session.is_fresh(&LIFETIMES, now)), UNTIL_THEN);
        assert_eq!(during(LIFETIMES.fresh, |now| session.is_stepped_up(&LIFETIMES, now)), UNTIL_THEN);
        let never = Session { authenticated_at: None, fresh_since: None, stepped_up_at: None, ..session };
        assert!(!never.is_exchangeable(NOW) && !never.is_fresh(&LIFETIMES, NOW));
        assert!(!never.is_stepped_up(&LIFETIMES, NOW));
        let enrolling = Session { scope: Scope::Enrol, authenticated_at: Some(NOW), ..never };
        assert!(!enrolling.is_exchangeable(NOW));
    }
}
