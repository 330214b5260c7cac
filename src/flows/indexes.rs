//! The indexes that requests are decided by, from before there is an open store.
//!
//! A store can tell them everything while it is opened, by the reading that checks it
//! ([`Indexes::subscriptions`]), so that a start with a million people reads each entry once. A
//! store that is open tells them afterwards ([`Indexes::following`]).
//!
//! What always holds: indexes that were told of nothing make no gateway.
//!
//! What does not live here: what each of them makes of the entries (`index.rs`,
//! `access_tokens/index.rs`, `attempts/bans.rs`).

use std::sync::Arc;

use crate::flows::access_tokens::index::TokenIndex;
use crate::flows::attempts::BanList;
use crate::flows::index::SessionIndex;
use crate::ports::store::{Subscription, follow_all};
use crate::ports::{Clock, KeyValue, StoreError};

/// Every part of the store that is in memory.
#[derive(Default)]
pub struct Indexes {
    pub(in crate::flows) sessions: Arc<SessionIndex>,
    pub(in crate::flows) tokens: Arc<TokenIndex>,
    pub(in crate::flows) bans: Arc<BanList>,
}

impl Indexes {
    /// What a store has to tell them.
    pub fn subscriptions(&self, clock: &Arc<dyn Clock>) -> Vec<Subscription> {
        let sessions = self.sessions.subscriptions(clock);
        let tokens = self.tokens.subscriptions(clock);
        sessions.into_iter().chain(tokens).chain([self.bans.subscription(clock)]).collect()
    }

    /// Indexes that follow an open store from here on.
    pub async fn following(store: &dyn KeyValue, clock: &Arc<dyn Clock>) -> Result<Self, StoreError> {
        let indexes = Self::default();
        follow_all(store, indexes.subscriptions(clock)).await?;
        Ok(indexes)
    }

    /// Refuses indexes of which one has not been told of everything yet.
    pub(in crate::flows) fn check_told(&self) -> Result<(), StoreError> {
        if self.sessions.is_told() && self.tokens.is_told() && self.bans.is_told() {
            return Ok(());
        }
        Err(StoreError::Unavailable("what requests are decided by was not read from it".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::ports::store::Told;

    struct StoppedClock;

    impl Clock for StoppedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1)
        }
    }

    #[test]
    fn indexes_make_a_gateway_when_each_was_told_of_everything() {
        let indexes = Indexes::default();
        let clock: Arc<dyn Clock> = Arc::new(StoppedClock);
        for Subscription { follower, .. } in indexes.subscriptions(&clock) {
            let refused = indexes.check_told();
            assert!(matches!(refused, Err(StoreError::Unavailable(_))));
            follower(Told::Reset { entries: &mut std::iter::empty(), revision: 1 }).unwrap();
        }
        indexes.check_told().unwrap();
    }
}
