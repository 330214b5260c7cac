//! Bans in force: which clients may try no credential, and whose refusals are counted towards a
//! ban.
//!
//! The list follows the store like the session index, so that a ban counts from the commit that
//! makes it until the commit that removes it, or its end. [`Attempts::spend`] asks it, and every
//! flow that tries or makes a credential calls that, in every dialect. What always holds: a client
//! that shows a live session goes on, so that a ban of its network ends no user's work, and an
//! administrator among them can lift it; and a trusted proxy is never banned, whatever the store
//! says, because every client behind it would be.
//!
//! What does not live here: who makes and removes bans (`administration/bans.rs`).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use papaya::HashMap as ConcurrentMap;

use crate::domain::ban::{
    AUTOMATIC_BANS_MAX, AutomaticBans, Ban, Bannable, CannotBan, Reason, network_to_ban, networks_around,
};
use crate::domain::event::{Kind, Origin};
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::attempts::Attempts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::following::{Following, Mirror, by_difference};
use crate::flows::visit::Visit;
use crate::ports::store::{Entries, Subscription};
use crate::ports::{Batch, Change, Clock, StoreError};
use crate::records::{self, decode, keys};

/// The author of automatic bans.
pub(in crate::flows) const GATEWAY_IN_WORDS: &str = "the gateway";
/// The most networks whose refused credentials are remembered. Beyond it, the networks are
/// forgotten that have shown none for the longest time.
const REFUSED_MAX: usize = 10_000;

/// The bans as one gateway has them in memory.
pub(in crate::flows) struct Bans {
    list: Arc<BanList>,
    proxies: Vec<Network>,
    refusals: Refusals,
    /// Bans are made one after another, so that their number is exact.
    pub(in crate::flows) making: tokio::sync::Mutex<()>,
}

impl Bans {
    pub(in crate::flows) fn new(list: Arc<BanList>, proxies: Vec<Network>) -> Self {
        Self { list, proxies, refusals: Refusals::default(), making: tokio::sync::Mutex::default() }
    }

    /// The proxies, whose own addresses are no client's, and so never banned.
    pub(in crate::flows) fn proxies(&self) -> &[Network] {
        &self.proxies
    }

    pub(in crate::flows) fn list(&self) -> &BanList {
        &self.list
    }

    /// The address of a client. A trusted proxy's address is no client's: that proxy did not say
    /// for whom it asks.
    pub(in crate::flows) fn beyond_proxies(&self, client: Option<IpAddr>) -> Option<IpAddr> {
        client.filter(|client| !self.proxies.iter().any(|proxy| proxy.contains(*client)))
    }

    /// The ban that keeps `client` out at `now`; of several, the last to end.
    pub(in crate::flows) fn of(&self, client: Option<IpAddr>, now: Timestamp) -> Option<Arc<Ban>> {
        let client = self.beyond_proxies(client)?;
        let live = networks_around(client).filter_map(|it| self.list.get(&it)).filter(|ban| ban.is_live(now));
        live.max_by_key(|ban| ban.expires_at.map_or(i64::MAX, Timestamp::as_millis))
    }
}

/// Every ban in the store, those that have expired and are not swept yet among them.
#[derive(Default)]
pub(in crate::flows) struct BanList {
    bans: ConcurrentMap<Network, Arc<Ban>>,
    followed: Following,
}

impl Mirror for BanList {
    fn reset(&self, entries: &mut Entries<'_>) -> Result<(), StoreError> {
        let known: Vec<_> = self.bans.pin().keys().copied().collect();
        let take = |ban: Ban| {
            let network = ban.network;
            self.bans.pin().insert(network, Arc::new(ban));
            network
        };
        by_difference(entries, known, take, |network| {
            self.bans.pin().remove(network);
        })
    }

    fn apply(&self, change: &Change) {
        match change {
            Change::Put { value, .. } => match decode::<Ban>(value) {
                Ok(ban) => drop(self.bans.pin().insert(ban.network, Arc::new(ban))),
                Err(error) => tracing::error!(%error, "a ban cannot be read"),
            },
            Change::Delete { key } => {
                if let Some(network) = keys::banned_network(key) {
                    self.bans.pin().remove(&network);
                }
            }
        }
    }
}

impl BanList {
    /// What a store has to tell it.
    pub(in crate::flows) fn subscription(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Subscription {
        let follower = Following::follower(Arc::clone(self), |it| &it.followed, Arc::clone(clock));
        Subscription { prefix: keys::BANS, follower }
    }

    /// Whether it has been told of every ban that is in the store.
    pub(in crate::flows) fn is_told(&self) -> bool {
        self.followed.is_told()
    }

    /// The ban of exactly this network.
    pub(in crate::flows) fn get(&self, network: &Network) -> Option<Arc<Ban>> {
        self.bans.pin().get(network).cloned()
    }

    /// Every ban.
    pub(in crate::flows) fn all(&self) -> Vec<Arc<Ban>> {
        self.bans.pin().values().cloned().collect()
    }

    /// How many there are.
    pub(in crate::flows) fn len(&self) -> usize {
        self.bans.len()
    }
}

/// When credentials were refused that anonymous clients have shown, by their networks.
#[derive(Default)]
struct Refusals(Mutex<HashMap<Network, VecDeque<Timestamp>>>);

/// Whether a network has shown as many bad credentials as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusalQuota {
    Left,
    Exhausted,
}

impl Refusals {
    /// Counts one refusal of `network`.
    fn note(&self, network: Network, rule: &AutomaticBans, now: Timestamp) -> RefusalQuota {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX && !refused.contains_key(&network) {
            make_room(&mut refused, rule.within, now);
        }
        let moments = refused.entry(network).or_default();
        moments.push_back(now);
        moments.retain(|at| now.since(*at) < rule.within);
        while moments.len() > rule.after.get() {
            moments.pop_front();
        }
        if moments.len() < rule.after.get() { RefusalQuota::Left } else { RefusalQuota::Exhausted }
    }

    fn forget(&self, network: &Network) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(network);
    }

    /// Forgets the networks that have been quiet for `within`.
    fn forget_quiet(&self, within: Duration, now: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, moments| moments.back().is_some_and(|last| now.since(*last) < within));
    }
}

fn make_room(refused: &mut HashMap<Network, VecDeque<Timestamp>>, within: Duration, now: Timestamp) {
    refused.retain(|_, moments| moments.back().is_some_and(|last| now.since(*last) < within));
    if refused.len() >= REFUSED_MAX
        && let Some(quietest) = refused.iter().min_by_key(|(_, moments)| moments.back()).map(|(it, _)| *it)
    {
        refused.remove(&quietest);
    }
}

impl Attempts {
    /// Refuses an anonymous client whose network is banned.
    pub(in crate::flows) fn must_not_be_banned(&self, visit: &Visit) -> Result<(), FlowError> {
        if visit.shows_live_session {
            return Ok(());
        }
        let now = self.ground.clock.now();
        let Some(ban) = self.bans.of(visit.client, now) else { return Ok(()) };
        self.ground.report(visit.origin(), Kind::Banned { network: ban.network });
        Err(FlowError::Banned { ends_in: ban.expires_at.map(|end| end.since(now)) })
    }

    /// Reports that a credential was refused, and bans the anonymous client that showed one too
    /// many, where the operator has set a number. Attempts of a client with a session are not
    /// counted: its user is known.
    pub(in crate::flows) async fn report_refused(&self, visit: &Visit, kind: Kind) {
        self.ground.report(visit.origin(), kind);
        self.count_refused(visit).await;
    }

    /// Bans the anonymous client whose credential was refused, if it was one too many.
    pub async fn count_refused(&self, visit: &Visit) {
        let Some(rule) = self.ground.rules().automatic_bans else { return };
        let Some(client) = visit.client.filter(|_| !visit.shows_live_session) else { return };
        let network = network_to_ban(client);
        if self.bans.refusals.note(network, &rule, self.ground.clock.now()) == RefusalQuota::Left {
            return;
        }
        match self.ban_anonymous(client, &rule).await {
            Ok(()) => self.bans.refusals.forget(&network),
            // The count stays, so that the next refusal tries again.
            Err(error) => tracing::warn!(%network, %error, "a network could not be banned"),
        }
    }

    /// Bans the anonymous client with this address, unless that would ban others with it, or a
    /// person has decided already.
    async fn ban_anonymous(&self, client: IpAddr, rule: &AutomaticBans) -> Result<(), FlowError> {
        let network = network_to_ban(client);
        let Ok(bannable) = Bannable::check(network, self.bans.proxies()) else { return Ok(()) };
        let _turn = self.bans.making.lock().await;
        let now = self.ground.clock.now();
        if self.bans.of(Some(client), now).is_some() {
            return Ok(());
        }
        let expires_at = Some(now.plus(rule.duration));
        let ban = Ban {
            network,
            by: GATEWAY_IN_WORDS.to_owned(),
            reason: Some(Reason::of(rule)),
            at: now,
            expires_at,
        };
        for _ in 0..ATTEMPTS_MAX {
            if self.put_ban(&bannable, &ban, AUTOMATIC_BANS_MAX, Batch::default()).await? {
                self.ground.report(Origin::default(), Kind::BanAdded { network });
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Writes down a ban of a network that can be banned, if there are fewer than `most`, and
    /// commits the batch `with` it. False if that is to be tried again.
    pub(in crate::flows) async fn put_ban(
        &self,
        bannable: &Bannable,
        ban: &Ban,
        most: usize,
        with: Batch,
    ) -> Result<bool, FlowError> {
        let key = keys::ban(&bannable.network());
        let batch = if let Some((_, stored)) = self.ground.records.get_exact::<Ban>(&key).await? {
            Batch::default().expect(key.clone(), stored)
        } else {
            self.must_have_room(most).await?;
            Batch::default().expect_absent(key.clone())
        };
        self.ground.is_committed(batch.put(key, records::encode(ban)?).and(with)).await
    }

    async fn must_have_room(&self, most: usize) -> Result<(), FlowError> {
        if self.bans.list().len() >= most {
            self.forget_expired_bans().await?;
        }
        if self.bans.list().len() >= most { Err(CannotBan::TooMany.into()) } else { Ok(()) }
    }

    /// Removes bans that are over. A ban that has been made anew meanwhile stays.
    pub(in crate::flows) async fn forget_expired_bans(&self) -> Result<(), FlowError> {
        let now = self.ground.clock.now();
        for ban in self.bans.list().all().iter().filter(|ban| !ban.is_live(now)) {
            let key = keys::ban(&ban.network);
            let batch = Batch::default().expect(key.clone(), records::encode(&**ban)?).delete(key);
            self.ground.is_committed(batch).await?;
        }
        Ok(())
    }

    /// Forgets refusals that no longer count.
    pub(in crate::flows) fn sweep_refusals(&self) {
        let within = self.ground.rules().automatic_bans.map_or(Duration::ZERO, |rule| rule.within);
        self.bans.refusals.forget_quiet(within, self.ground.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const WITHIN: Duration = Duration::from_mins(10);

    fn rule() -> AutomaticBans {
        let after = NonZeroUsize::new(3).unwrap();
        AutomaticBans { after, within: WITHIN, duration: Duration::from_hours(1) }
    }

    fn network(n: usize) -> Network {
        Network::only(IpAddr::from([10, 0, u8::try_from(n / 256).unwrap(), u8::try_from(n % 256).unwrap()]))
    }

    #[test]
    fn refusals_count_for_as_long_as_the_rule_says() {
        let refusals = Refusals::default();
        let note = |after: Duration| refusals.note(network(1), &rule(), NOW.plus(after));
        let second = Duration::from_secs(1);
        assert_eq!(note(Duration::ZERO), RefusalQuota::Left);
        assert_eq!(note(second), RefusalQuota::Left);
        assert_eq!(refusals.note(network(2), &rule(), NOW), RefusalQuota::Left, "another network");
        assert_eq!(note(WITHIN), RefusalQuota::Left, "the first one is too long ago");
        assert_eq!(note(WITHIN), RefusalQuota::Exhausted);
        refusals.forget(&network(1));
        assert_eq!(note(WITHIN), RefusalQuota::Left);
    }

    #[test]
    fn evicts_the_least_recently_refused_network() {
        let refusals = Refusals::default();
        for n in 0..=REFUSED_MAX {
            let at = NOW.plus(Duration::from_millis(u64::try_from(n).unwrap()));
            refusals.note(network(n), &rule(), at);
        }
        let known = |n: usize| refusals.0.lock().unwrap().contains_key(&network(n));
        assert!(!known(0) && known(1) && known(REFUSED_MAX));
        refusals.forget_quiet(WITHIN, NOW.plus(WITHIN).plus(WITHIN));
        assert!(refusals.0.lock().unwrap().is_empty());
    }
}
