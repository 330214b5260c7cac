//! What sessions and access tokens have in common while they are in memory: they end once, streams
//! wait for that end, and verified tokens and decisions are kept with them.
//!
//! What does not live here: what a session or a token is, which `index.rs` and
//! `access_tokens/index.rs` read from the store. What always holds: what has ended never lives
//! again; a token is remembered as verified only as long as the session or token that it points at
//! lives, and none of these has more than a bounded number of them.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use papaya::HashMap;

use crate::domain::id::UserId;
use crate::flows::passport::Passports;
use crate::flows::waiters::Waiters;

/// The most tokens of one session that are remembered as verified; further ones are verified at
/// every use.
const REMEMBERED_MAX: usize = 64;

/// SHA-256 of a whole token.
pub(in crate::flows) type TokenDigest = [u8; 32];

/// The live state of a session or of an access token.
///
/// There may be a million of these, so it owns no concurrent map: an empty one takes 18 KiB.
#[derive(Default)]
pub(in crate::flows) struct LiveState {
    has_ended: AtomicBool,
    /// Wakes the open streams when it has, and when its user has changed.
    waiters: Waiters,
    /// Digests of its tokens that were verified, to forget them with it.
    digests: Mutex<Vec<TokenDigest>>,
    passports: Passports,
}

impl LiveState {
    pub(in crate::flows) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends it, for every look-up and for open streams.
    pub(in crate::flows) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.waiters.wake();
    }

    /// Has its open streams decided about again.
    pub(in crate::flows) fn recheck_streams(&self) {
        self.waiters.wake();
    }

    /// Returns when it has ended, or when `holds` says no; see [`Waiters::while_holds`]. Open
    /// streams wait for it.
    pub(in crate::flows) async fn ended_or_not(&self, holds: impl Fn() -> bool) {
        self.waiters.while_holds(|| !self.has_ended() && holds()).await;
    }

    /// Its passports, decided beforehand.
    pub(in crate::flows) fn passports(&self) -> &Passports {
        &self.passports
    }

    /// Notes a verified token, to be forgotten with it. `false`: there are too many.
    fn note(&self, digest: TokenDigest) -> bool {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.contains(&digest) {
            return true;
        }
        let has_room = digests.len() < REMEMBERED_MAX;
        if has_room {
            digests.push(digest);
        }
        has_room
    }
}

/// An object that has a live state.
pub(in crate::flows) trait HasLiveState {
    fn live_state(&self) -> &LiveState;
}

/// Tokens whose signatures were checked once, by their digests.
pub(in crate::flows) struct VerifiedTokens<V>(HashMap<TokenDigest, Arc<V>>);

impl<V> Default for VerifiedTokens<V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<V: HasLiveState> VerifiedTokens<V> {
    /// A token verified before.
    pub(in crate::flows) fn get(&self, digest: &TokenDigest) -> Option<Arc<V>> {
        self.0.pin().get(digest).cloned()
    }

    /// Remembers a token whose signatures have just been checked.
    pub(in crate::flows) fn remember(&self, digest: TokenDigest, verified: V) -> Arc<V> {
        let verified = Arc::new(verified);
        if !verified.live_state().note(digest) {
            return verified;
        }
        self.0.pin().insert(digest, Arc::clone(&verified));
        // It may have ended between look-up and insertion; then no other code forgets it.
        if verified.live_state().has_ended() {
            self.0.pin().remove(&digest);
        }
        verified
    }

    /// Ends a live state, and forgets its tokens.
    pub(in crate::flows) fn end(&self, state: &LiveState) {
        state.end();
        let digests = std::mem::take(&mut *state.digests.lock().unwrap_or_else(PoisonError::into_inner));
        for digest in &digests {
            self.0.pin().remove(digest);
        }
    }
}

/// The ids of each user's sessions or tokens, in the order in which they came.
pub(in crate::flows) struct IdsByUser<Id>(HashMap<UserId, Arc<[Id]>>);

impl<Id> Default for IdsByUser<Id> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<Id: Copy + Eq + Hash> IdsByUser<Id> {
    pub(in crate::flows) fn of(&self, user: &UserId) -> Arc<[Id]> {
        self.0.pin().get(user).cloned().unwrap_or_default()
    }

    pub(in crate::flows) fn add(&self, user: UserId, id: Id) {
        let added = |ids: &Arc<[Id]>| ids.iter().copied().chain([id]).collect();
        self.0.pin().update_or_insert_with(user, added, || Arc::from([id]));
    }

    pub(in crate::flows) fn remove(&self, user: UserId, id: &Id) {
        let removed = |ids: &Arc<[Id]>| ids.iter().copied().filter(|known| known != id).collect();
        self.0.pin().update(user, removed);
    }
}
