//! The session index: what admission reads instead of the store.
//!
//! It follows the store through the feed of the port, so the index knows that a session has ended
//! before the commit that ends it returns. Look-ups take no lock that all requests share.
//!
//! What always holds: a session that has ended here never comes back under the same id; a token
//! is remembered as verified only as long as its session lives.
//!
//! The index holds every user, not only users with a session. The follower hears of a session that
//! another gateway makes without the record of its user, and may not read that record from the
//! store; the next request shows the session and is decided by memory alone. Users without a
//! session also use access tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use papaya::{HashMap, HashSet, Operation};

use crate::domain::id::{SessionId, UserId};
use crate::domain::network::Network;
use crate::domain::session::token::Carrier;
use crate::domain::session::{Lifetimes, Scope, Session};
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, Standing, User};
use crate::flows::following::{Following, Mirror, by_difference};
use crate::flows::live_state::{HasLiveState, IdsByUser, LiveState, TokenDigest, VerifiedTokens};
use crate::flows::passport::Passports;
use crate::ports::store::{Entries, Subscription};
use crate::ports::{Change, Clock, StoreError};
use crate::records::{decode, keys};

/// A session as the running gateway knows it.
pub struct LiveSession {
    record: ArcSwap<Session>,
    /// Milliseconds; ahead of the record by up to a minute.
    last_seen_at: AtomicI64,
    live_state: LiveState,
    /// Open streams: each is a use of the session for as long as it lasts.
    streams: AtomicUsize,
}

impl LiveSession {
    pub(in crate::flows) fn new(record: Session) -> Self {
        Self {
            last_seen_at: AtomicI64::new(record.last_seen_at.as_millis()),
            record: ArcSwap::from_pointee(record),
            live_state: LiveState::default(),
            streams: AtomicUsize::new(0),
        }
    }

    /// The record.
    pub fn record(&self) -> Arc<Session> {
        self.record.load_full()
    }

    /// The scope of the session.
    pub fn scope(&self) -> Scope {
        self.record.load().scope
    }

    /// When its user has shown a passkey last.
    pub fn shown_at(&self) -> Option<Timestamp> {
        self.record.load().authenticated_at
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
        !self.live_state.has_ended() && self.record.load().is_live(self.last_seen_at(), lifetimes, now)
    }

    /// Returns when the session has ended, or when `holds` says no: it is asked now, and again
    /// whenever the session's person has changed. Open streams wait for it.
    pub(in crate::flows) async fn ended_or_not(&self, holds: impl Fn() -> bool) {
        self.live_state.ended_or_not(holds).await;
    }

    /// Keeps the session in use until the returned value is dropped: a long upload is not idle.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    /// Whether a stream of this session is open.
    pub(in crate::flows) fn is_held(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Its passports, decided beforehand.
    pub(in crate::flows) fn passports(&self) -> &Passports {
        self.live_state.passports()
    }

    /// Ends it in memory, for every look-up and for open streams.
    pub(in crate::flows) fn end(&self) {
        self.live_state.end();
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

impl HasLiveState for Verified {
    fn live_state(&self) -> &LiveState {
        &self.session.live_state
    }
}

/// Sets of users that are asked for without an id. They follow the store with the index, so that a
/// question costs as much as its answer, however many users there are.
#[derive(Default)]
struct UserSets {
    administrators: HashSet<UserId>,
    pending: HashSet<UserId>,
    /// Users whose account has an end, and who have not been told of it.
    ending: HashSet<UserId>,
}

impl UserSets {
    fn note(&self, user: &User) {
        let has_end_to_announce = user.expires_at.is_some() && user.expires_at != user.told_of_end;
        for (set, is_on_it) in [
            (&self.administrators, user.role == Role::Administrator),
            (&self.pending, user.standing == Standing::Pending),
            (&self.ending, has_end_to_announce),
        ] {
            if is_on_it {
                set.pin().insert(user.id)
            } else {
                set.pin().remove(&user.id)
            };
        }
    }

    fn forget(&self, id: &UserId) {
        for set in [&self.administrators, &self.pending, &self.ending] {
            set.pin().remove(id);
        }
    }
}

/// All sessions and people, in memory.
#[derive(Default)]
pub struct SessionIndex {
    sessions: HashMap<SessionId, Arc<LiveSession>>,
    of_user: IdsByUser<SessionId>,
    verified: VerifiedTokens<Verified>,
    users: HashMap<UserId, Arc<User>>,
    user_sets: UserSets,
    /// How many sessions were begun in a network.
    of_network: HashMap<Network, usize>,
    sessions_followed: Following,
    users_followed: Following,
}

impl Mirror for SessionIndex {
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError> {
        let known: Vec<_> = self.sessions.pin().keys().copied().collect();
        let take = |session: Session| {
            let id = session.id;
            self.insert(session);
            id
        };
        by_difference(entries, known, take, |id| self.remove(id))
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Put { value, .. } => match decode(value) {
                Ok(session) => self.insert(session),
                Err(error) => tracing::error!(%error, "a session record cannot be read"),
            },
            Change::Delete { key } => {
                if let Some(id) = keys::session_id(key) {
                    self.remove(&id);
                }
            }
        }
    }
}

/// The people of an index.
struct Users(Arc<SessionIndex>);

impl Mirror for Users {
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError> {
        let known: Vec<_> = self.0.users.pin().keys().copied().collect();
        let is_first = known.is_empty();
        let take = |user: User| {
            let id = user.id;
            if is_first || self.0.user(&id).is_none_or(|known| *known != user) {
                self.0.change_user(user);
            }
            id
        };
        by_difference(entries, known, take, |id| self.0.forget_user(id))
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Put { value, .. } => match decode::<User>(value) {
                Ok(user) => self.0.change_user(user),
                Err(error) => tracing::error!(%error, "a user record cannot be read"),
            },
            Change::Delete { key } => {
                if let Some(id) = keys::user_id(key) {
                    self.0.forget_user(&id);
                }
            }
        }
    }
}

impl SessionIndex {
    /// What a store has to tell it.
    pub fn subscriptions(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> [Subscription; 2] {
        let users = Arc::new(Users(Arc::clone(self)));
        let users = Following::follower(users, |it| &it.0.users_followed, Arc::clone(clock));
        let sessions = Following::follower(Arc::clone(self), |it| &it.sessions_followed, Arc::clone(clock));
        [
            Subscription { prefix: keys::USERS, follower: users },
            Subscription { prefix: keys::SESSIONS, follower: sessions },
        ]
    }

    /// Whether it has been told of everything that is in the store.
    pub(in crate::flows) fn is_told(&self) -> bool {
        self.sessions_followed.is_told() && self.users_followed.is_told()
    }

    /// Whether changes may be missing for so long that it must let no user in.
    pub(in crate::flows) fn is_too_old(&self, now: Timestamp) -> bool {
        self.sessions_followed.is_too_old(now) || self.users_followed.is_too_old(now)
    }

    /// A session by id, live or not.
    pub fn session(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.sessions.pin().get(id).cloned()
    }

    /// A person by id.
    pub fn user(&self, id: &UserId) -> Option<Arc<User>> {
        self.users.pin().get(id).cloned()
    }

    /// Every user who has the administrator's role.
    pub fn administrators(&self) -> Vec<UserId> {
        self.user_sets.administrators.pin().iter().copied().collect()
    }

    /// Every user whose account ends soon, and who has not been told.
    pub fn users_with_end_to_announce(&self, now: Timestamp) -> Vec<UserId> {
        let (ending, users) = (self.user_sets.ending.pin(), self.users.pin());
        let ends_soon = |id: &&UserId| users.get(*id).is_some_and(|user| user.end_to_announce(now).is_some());
        ending.iter().filter(ends_soon).copied().collect()
    }

    /// How many accounts wait for an administrator.
    pub fn pending_count(&self) -> usize {
        self.user_sets.pending.len()
    }

    /// How many people have the administrator's role.
    pub fn administrator_count(&self) -> usize {
        self.user_sets.administrators.len()
    }

    /// How many people have an account.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// A person's sessions, oldest first.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<LiveSession>> {
        let ids = self.of_user.of(user);
        let mut sessions: Vec<_> = ids.iter().filter_map(|id| self.session(id)).collect();
        sessions.sort_by_key(|session| session.record.load().created_at);
        sessions
    }

    /// Whether a session was begun in `network`.
    pub fn has_session_from(&self, network: &Network) -> bool {
        self.of_network.pin().contains_key(network)
    }

    /// Every session, for the sweep, which looks at each of them.
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
        self.verified.get(digest)
    }

    /// Remembers a token whose signature has just been checked.
    pub fn remember(&self, digest: TokenDigest, verified: Verified) -> Arc<Verified> {
        self.verified.remember(digest, verified)
    }

    fn forget_user(&self, id: &UserId) {
        self.users.pin().remove(id);
        self.user_sets.forget(id);
        for session in self.sessions_of(id) {
            session.live_state.recheck_streams();
        }
    }

    fn change_user(&self, user: User) {
        let id = user.id;
        self.user_sets.note(&user);
        self.users.pin().insert(id, Arc::new(user));
        // Their rights may have changed, so their open streams have to be decided about again.
        for session in self.sessions_of(&id) {
            session.live_state.recheck_streams();
        }
    }

    /// The rules have changed: every open stream has to be decided about again.
    pub(in crate::flows) fn recheck_all_streams(&self) {
        for session in self.sessions.pin().values() {
            session.live_state.recheck_streams();
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
        self.of_user.add(user, id);
    }

    fn remove(&self, id: &SessionId) {
        let Some(session) = self.sessions.pin().remove(id).cloned() else { return };
        self.verified.end(&session.live_state);
        let record = session.record();
        if let Some(client) = record.client {
            self.of_network.pin().compute(Network::of(client), |entry| match entry {
                Some((_, count)) if *count > 1 => Operation::Insert(count - 1),
                Some(_) => Operation::Remove,
                None => Operation::Abort(()),
            });
        }
        self.of_user.remove(record.user, id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::user::{Email, Username};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_user_is_on_the_roll_exactly_while_they_belong_there() {
        let index = SessionIndex::default();
        let found = |index: &SessionIndex| {
            (index.administrator_count(), index.pending_count(), index.users_with_end_to_announce(NOW).len())
        };
        let (name, email) = (Username::parse("zoe").unwrap(), Email::parse("zoe@example.com").unwrap());
        let member = User::hypothetical(name, email, [].into()).unwrap();
        let end = Some(NOW.plus(Duration::from_hours(1)));
        let steps = [
            (User { standing: Standing::Pending, ..member.clone() }, (0, 1, 0)),
            (User { role: Role::Administrator, ..member.clone() }, (1, 0, 0)),
            (User { expires_at: end, ..member.clone() }, (0, 0, 1)),
            (User { expires_at: end, told_of_end: end, ..member.clone() }, (0, 0, 0)),
            (User { expires_at: end, told_of_end: Some(NOW), ..member.clone() }, (0, 0, 1)),
            (member.clone(), (0, 0, 0)),
            (User { role: Role::Administrator, expires_at: end, ..member.clone() }, (1, 0, 1)),
        ];
        for (user, expected) in steps {
            index.change_user(user);
            assert_eq!(found(&index), expected);
        }
        index.forget_user(&member.id);
        assert_eq!((found(&index), index.user_count()), ((0, 0, 0), 0));
    }
}
