//! The session index: what admission reads instead of the store.
//!
//! It follows the store through a watch, so whoever ends a session, and however, the index knows
//! before the commit returns. Look-ups take no lock that all requests share.
//!
//! What always holds: a session that has ended here never comes back under the same id; a token
//! is remembered as verified only as long as its session lives.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use papaya::{HashMap, Operation};
use tokio::sync::Notify;

use super::passport::Passport;
use crate::domain::id::{SessionId, UserId};
use crate::domain::network::Network;
use crate::domain::session::token::Carrier;
use crate::domain::session::{Lifetimes, Session};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::ports::{Change, StoreError};
use crate::records::{Records, decode, keys};

/// The most tokens of one session that are remembered as verified; further ones are verified at
/// every use.
const TOKENS_REMEMBERED_MAX: usize = 64;

/// SHA-256 of a whole token.
pub type TokenDigest = [u8; 32];

/// A session as the running gateway knows it.
///
/// There may be a million of these, so it owns no concurrent map: an empty one takes 18 KiB.
pub struct LiveSession {
    record: ArcSwap<Session>,
    /// Milliseconds; ahead of the record by up to a minute.
    last_seen_at: AtomicI64,
    has_ended: AtomicBool,
    /// Wakes the open streams when it has, and when its person has changed.
    stirred: Notify,
    /// Open streams: each is a use of the session for as long as it lasts.
    streams: AtomicUsize,
    /// Digests of this session's tokens that were verified, to forget them with it.
    digests: Mutex<Vec<TokenDigest>>,
    /// What each route needs to know: at most one passport a route, and so a handful.
    passports: ArcSwapOption<Vec<Arc<Passport>>>,
}

impl LiveSession {
    fn new(record: Session) -> Self {
        Self {
            last_seen_at: AtomicI64::new(record.last_seen_at.as_millis()),
            record: ArcSwap::from_pointee(record),
            has_ended: AtomicBool::new(false),
            stirred: Notify::new(),
            streams: AtomicUsize::new(0),
            digests: Mutex::default(),
            passports: ArcSwapOption::empty(),
        }
    }

    /// The record.
    pub fn record(&self) -> Arc<Session> {
        self.record.load_full()
    }

    /// When it was last used.
    pub fn last_seen_at(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen_at.load(Ordering::Relaxed))
    }

    /// Notes a use.
    pub fn touch(&self, now: Timestamp) {
        self.last_seen_at.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether it may be used at `now`.
    pub fn is_live(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        !self.has_ended() && self.record.load().is_live(self.last_seen_at(), lifetimes, now)
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Returns when the session has ended, or when `holds` says no: it is asked now, and again whenever
    /// the session's person has changed. Open streams wait for it.
    pub(super) async fn ended_or_not(&self, holds: impl Fn() -> bool) {
        loop {
            let mut stirred = pin!(self.stirred.notified());
            // Waiting begins before the questions, so that a change in between is not missed.
            stirred.as_mut().enable();
            if self.has_ended() || !holds() {
                return;
            }
            stirred.await;
        }
    }

    /// Keeps the session in use until the returned value is dropped: a long upload is not idle.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    /// Whether a stream of this session is open.
    pub(super) fn is_held(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// The passport that was made for the route with this name.
    pub(super) fn passport(&self, route: &str) -> Option<Arc<Passport>> {
        self.passports.load().as_ref()?.iter().find(|passport| passport.route == route).cloned()
    }

    /// Keeps `passport` instead of the one before for the same route. Of two that are kept at the same
    /// moment for different routes, both stay.
    pub(super) fn keep_passport(&self, passport: &Arc<Passport>) {
        self.passports.rcu(|known| {
            let known = known.as_deref().map_or(&[][..], Vec::as_slice);
            let others = known.iter().filter(|other| other.route != passport.route);
            Some(Arc::new(others.chain([passport]).cloned().collect::<Vec<_>>()))
        });
    }

    /// Ends it in memory: for everybody who asks, and for open streams.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.stirred.notify_waiters();
    }

    /// Notes a verified token, to be forgotten with the session. `false`: there are too many.
    fn note(&self, digest: TokenDigest) -> bool {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.contains(&digest) {
            return true;
        }
        let has_room = digests.len() < TOKENS_REMEMBERED_MAX;
        if has_room {
            digests.push(digest);
        }
        has_room
    }
}

/// An open stream of a session.
pub struct Held(Arc<LiveSession>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A token that was verified once, and the session it points at.
pub struct Verified {
    pub session: Arc<LiveSession>,
    pub carrier: Carrier,
}

/// All sessions and people, in memory.
#[derive(Default)]
pub struct SessionIndex {
    sessions: HashMap<SessionId, Arc<LiveSession>>,
    of_user: HashMap<UserId, Arc<[SessionId]>>,
    verified: HashMap<TokenDigest, Arc<Verified>>,
    users: HashMap<UserId, Arc<User>>,
    /// How many sessions were begun in a network.
    of_network: HashMap<Network, usize>,
}

impl SessionIndex {
    /// Follows the store from here on, and reads what is there already.
    pub async fn follow(records: &Records) -> Result<Arc<Self>, StoreError> {
        let index = Arc::new(Self::default());
        for prefix in [keys::SESSIONS, keys::USERS] {
            let follower = Arc::clone(&index);
            records.store().watch(prefix, Arc::new(move |change| follower.apply(change)));
        }
        for (_, user) in records.all::<User>(keys::USERS).await? {
            index.users.pin().insert(user.id, Arc::new(user));
        }
        for (_, session) in records.all::<Session>(keys::SESSIONS).await? {
            index.insert(session);
        }
        Ok(index)
    }

    /// A session by id, live or not.
    pub fn session(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.sessions.pin().get(id).cloned()
    }

    /// A person by id.
    pub fn user(&self, id: &UserId) -> Option<Arc<User>> {
        self.users.pin().get(id).cloned()
    }

    /// A person's sessions, oldest first.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<LiveSession>> {
        let ids = self.of_user.pin().get(user).cloned().unwrap_or_default();
        let mut sessions: Vec<_> = ids.iter().filter_map(|id| self.session(id)).collect();
        sessions.sort_by_key(|session| session.record.load().created_at);
        sessions
    }

    /// Whether a session was begun in `network`.
    pub fn knows(&self, network: &Network) -> bool {
        self.of_network.pin().contains_key(network)
    }

    /// Every session.
    pub fn all(&self) -> Vec<Arc<LiveSession>> {
        self.sessions.pin().values().cloned().collect()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A token verified before.
    pub fn verified(&self, digest: &TokenDigest) -> Option<Arc<Verified>> {
        self.verified.pin().get(digest).cloned()
    }

    /// Remembers a token whose signature has just been checked.
    pub fn remember(&self, digest: TokenDigest, verified: Verified) -> Arc<Verified> {
        let verified = Arc::new(verified);
        if !verified.session.note(digest) {
            return verified;
        }
        self.verified.pin().insert(digest, Arc::clone(&verified));
        // The session may have ended between look-up and insertion; then nobody else forgets it.
        if verified.session.has_ended() {
            self.verified.pin().remove(&digest);
        }
        verified
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Put { key, value } if key.starts_with(keys::SESSIONS) => match decode(value) {
                Ok(session) => self.insert(session),
                Err(error) => tracing::error!(%error, "a session record cannot be read"),
            },
            Change::Put { key, value } if key.starts_with(keys::USERS) => match decode::<User>(value) {
                Ok(user) => self.change_user(user),
                Err(error) => tracing::error!(%error, "a user record cannot be read"),
            },
            Change::Put { .. } => {}
            Change::Delete { key } => {
                if let Some(id) = keys::session_id(key) {
                    self.remove(&id);
                }
                if let Some(id) = keys::user_id(key) {
                    self.users.pin().remove(&id);
                }
            }
        }
    }

    fn change_user(&self, user: User) {
        let id = user.id;
        self.users.pin().insert(id, Arc::new(user));
        // What they may do may have changed, and their open streams have to be decided about again.
        for session in self.sessions_of(&id) {
            session.stirred.notify_waiters();
        }
    }

    fn insert(&self, session: Session) {
        let (id, user) = (session.id, session.user);
        if let Some(known) = self.sessions.pin().get(&id) {
            known.touch(session.last_seen_at);
            known.record.store(Arc::new(session));
            return;
        }
        if let Some(client) = session.client {
            self.of_network.pin().update_or_insert(Network::of(client), |count| count + 1, 1);
        }
        self.sessions.pin().insert(id, Arc::new(LiveSession::new(session)));
        self.change_sessions_of(user, |ids| ids.push(id));
    }

    fn remove(&self, id: &SessionId) {
        let Some(session) = self.sessions.pin().remove(id).cloned() else { return };
        session.end();
        let digests = std::mem::take(&mut *session.digests.lock().unwrap_or_else(PoisonError::into_inner));
        for digest in &digests {
            self.verified.pin().remove(digest);
        }
        let record = session.record();
        if let Some(client) = record.client {
            self.of_network.pin().compute(Network::of(client), |entry| match entry {
                Some((_, count)) if *count > 1 => Operation::Insert(count - 1),
                Some(_) => Operation::Remove,
                None => Operation::Abort(()),
            });
        }
        self.change_sessions_of(record.user, |ids| ids.retain(|known| known != id));
    }

    fn change_sessions_of(&self, user: UserId, change: impl Fn(&mut Vec<SessionId>)) {
        let changed = |ids: &Arc<[SessionId]>| {
            let mut ids = ids.to_vec();
            change(&mut ids);
            Arc::from(ids)
        };
        self.of_user.pin().update_or_insert_with(user, changed, || changed(&Arc::default()));
    }
}
