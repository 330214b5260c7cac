//! The index of access tokens: what admission reads instead of the store.
//!
//! It follows the store like the session index, so that a token is revoked before the commit
//! returns that revokes it. What always holds: a token is remembered as verified only as long as
//! its record is there, and no more than a bounded number of narrowed copies of it; so the
//! signatures of a token are checked once, and memory is bounded whatever its holders add.
//!
//! What does not live here: what a token opens (`admission/by_token.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use papaya::HashMap;

use crate::domain::access_token::AccessToken;
use crate::domain::access_token::narrowing::Narrowing;
use crate::domain::id::{AccessTokenId, UserId};
use crate::domain::time::Timestamp;
use crate::flows::following::{Following, Mirror, by_difference};
use crate::flows::live_state::{HasLiveState, IdsByUser, LiveState, TokenDigest, VerifiedTokens};
use crate::flows::passport::Passports;
use crate::ports::store::{Entries, Subscription};
use crate::ports::{Change, Clock, StoreError};
use crate::records::{decode, keys};

/// A token as the running gateway knows it.
pub struct LiveToken {
    record: ArcSwap<AccessToken>,
    /// Milliseconds, 0 for never; ahead of the record by up to a minute.
    last_used_at: AtomicI64,
    live_state: LiveState,
}

impl LiveToken {
    pub(in crate::flows) fn new(record: AccessToken) -> Self {
        Self {
            last_used_at: AtomicI64::new(record.last_used_at.map_or(0, Timestamp::as_millis)),
            record: ArcSwap::from_pointee(record),
            live_state: LiveState::default(),
        }
    }

    /// The record, as it was last written.
    pub fn record(&self) -> Arc<AccessToken> {
        self.record.load_full()
    }

    /// When it was last used.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        let millis = self.last_used_at.load(Ordering::Relaxed);
        (millis > 0).then(|| Timestamp::from_millis(millis))
    }

    /// Notes a use.
    pub(in crate::flows) fn touch(&self, at: Timestamp) {
        self.last_used_at.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// Whether it may be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.has_ended() && self.record.load().is_live(now)
    }

    /// Returns when the token has ended, or when `holds` says no.
    pub(in crate::flows) async fn ended_or_not(&self, holds: impl Fn() -> bool) {
        self.live_state.ended_or_not(holds).await;
    }

    pub(in crate::flows) fn has_ended(&self) -> bool {
        self.live_state.has_ended()
    }

    pub(in crate::flows) fn passports(&self) -> &Passports {
        self.live_state.passports()
    }

    /// Ends it in memory, for every look-up and for open streams.
    pub(in crate::flows) fn end(&self) {
        self.live_state.end();
    }
}

/// A token whose signatures were checked once, and what its holder has added.
pub struct VerifiedToken {
    pub(in crate::flows) token: Arc<LiveToken>,
    pub(in crate::flows) narrowing: Option<Narrowing>,
}

impl HasLiveState for VerifiedToken {
    fn live_state(&self) -> &LiveState {
        &self.token.live_state
    }
}

/// All access tokens, in memory.
#[derive(Default)]
pub(in crate::flows) struct TokenIndex {
    tokens: HashMap<AccessTokenId, Arc<LiveToken>>,
    of_user: IdsByUser<AccessTokenId>,
    verified: VerifiedTokens<VerifiedToken>,
    tokens_followed: Following,
    owners_followed: Following,
}

impl Mirror for TokenIndex {
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError> {
        let known: Vec<_> = self.tokens.pin().keys().copied().collect();
        let take = |token: AccessToken| {
            let id = token.id;
            self.insert(token);
            id
        };
        by_difference(entries, known, take, |id| self.remove(id))
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Put { value, .. } => match decode(value) {
                Ok(token) => self.insert(token),
                Err(error) => tracing::error!(%error, "the record of an access token cannot be read"),
            },
            Change::Delete { key } => {
                if let Some(id) = keys::access_token_id(key) {
                    self.remove(&id);
                }
            }
        }
    }
}

/// The owners of the tokens: when one of them changes or is gone, the rights of their tokens may
/// have changed.
struct Owners(Arc<TokenIndex>);

impl Mirror for Owners {
    fn reset(&self, _: &mut Entries<'_>) -> Result<(), StoreError> {
        self.0.recheck_all_streams();
        Ok(())
    }

    fn apply(&self, change: &Change) {
        let owner = keys::user_id(change.key());
        for token in owner.map(|user| self.0.tokens_of(&user)).unwrap_or_default() {
            token.live_state.recheck_streams();
        }
    }
}

impl TokenIndex {
    /// What a store has to tell it.
    pub(in crate::flows) fn subscriptions(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> [Subscription; 2] {
        let tokens = Following::follower(Arc::clone(self), |it| &it.tokens_followed, Arc::clone(clock));
        let owners = Arc::new(Owners(Arc::clone(self)));
        let owners = Following::follower(owners, |it| &it.0.owners_followed, Arc::clone(clock));
        [
            Subscription { prefix: keys::ACCESS_TOKENS, follower: tokens },
            Subscription { prefix: keys::USERS, follower: owners },
        ]
    }

    /// Whether it has been told of everything that is in the store.
    pub(in crate::flows) fn is_told(&self) -> bool {
        self.tokens_followed.is_told() && self.owners_followed.is_told()
    }

    /// Whether changes may be missing for so long that it must let no user in.
    pub(in crate::flows) fn is_too_old(&self, now: Timestamp) -> bool {
        self.tokens_followed.is_too_old(now) || self.owners_followed.is_too_old(now)
    }

    pub(in crate::flows) fn token(&self, id: &AccessTokenId) -> Option<Arc<LiveToken>> {
        self.tokens.pin().get(id).cloned()
    }

    /// A user's tokens, oldest first.
    pub(in crate::flows) fn tokens_of(&self, user: &UserId) -> Vec<Arc<LiveToken>> {
        let ids = self.of_user.of(user);
        let mut tokens: Vec<_> = ids.iter().filter_map(|id| self.token(id)).collect();
        tokens.sort_by_key(|token| token.record.load().created_at);
        tokens
    }

    /// Every token, for the sweep, which looks at each of them.
    pub(in crate::flows) fn all(&self) -> Vec<Arc<LiveToken>> {
        self.tokens.pin().values().cloned().collect()
    }

    /// A token verified before.
    pub(in crate::flows) fn verified(&self, digest: &TokenDigest) -> Option<Arc<VerifiedToken>> {
        self.verified.get(digest)
    }

    /// Remembers a token whose signatures have just been checked.
    pub(in crate::flows) fn remember(
        &self,
        digest: TokenDigest,
        verified: VerifiedToken,
    ) -> Arc<VerifiedToken> {
        self.verified.remember(digest, verified)
    }

    /// Every open stream has to be decided about again.
    pub(in crate::flows) fn recheck_all_streams(&self) {
        for token in self.tokens.pin().values() {
            token.live_state.recheck_streams();
        }
    }

    fn insert(&self, record: AccessToken) {
        let (id, user) = (record.id, record.user);
        if let Some(known) = self.tokens.pin().get(&id) {
            if let Some(at) = record.last_used_at {
                known.touch(at);
            }
            known.record.store(Arc::new(record));
            return;
        }
        self.tokens.pin().insert(id, Arc::new(LiveToken::new(record)));
        self.of_user.add(user, id);
    }

    fn remove(&self, id: &AccessTokenId) {
        let Some(token) = self.tokens.pin().remove(id).cloned() else { return };
        self.verified.end(&token.live_state);
        self.of_user.remove(token.record().user, id);
    }
}
