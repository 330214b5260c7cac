//! Rate limits for everything that tries or makes credentials.
//!
//! What always holds: what is counted is a resolved account and the networks around a client, never
//! a text that a user typed; and whether an address has an account never decides about the answer.
//! An anonymous client's attempts count against the anonymous client's own network: they never keep
//! an account's owner, who comes from elsewhere, from signing in.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::domain::code::EmailCode;
use crate::domain::event::{Kind, Limited};
use crate::domain::id::UserId;
use crate::domain::ledger::Standing;
use crate::domain::limits::{
    ACCOUNT_BURST, ACCOUNT_PER_SECOND, MAIL_BURST, MAIL_INTERVAL, MAIL_TO_ACCOUNT_BURST,
    MAIL_TO_ACCOUNT_INTERVAL, RateLimits,
};
use crate::domain::network::{Network, Reach};
use crate::domain::secret::Secret;
use crate::domain::user::Email;
use crate::flows::FlowError;
use crate::flows::attempts::Attempts;
use crate::flows::visit::Visit;
use crate::ports::Clock;

/// How many networks or accounts are remembered before those that have recovered are forgotten.
const REMEMBERED_MAX: usize = 100_000;

/// The port's clock, as the limiter reads it.
#[derive(Clone)]
struct LimiterClock(Arc<dyn Clock>);

impl GovernorClock for LimiterClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap_or(0);
        Nanos::from(Duration::from_millis(millis))
    }
}

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, LimiterClock, NoOpMiddleware<Nanos>>;
type Single = RateLimiter<NotKeyed, InMemoryState, LimiterClock, NoOpMiddleware<Nanos>>;

/// The network of a client; `None` when there is no address to count.
type Origin = Option<Network>;

/// All limiters of one gateway.
pub(in crate::flows) struct Limiters {
    clock: LimiterClock,
    around: ArcSwap<NetworkLimits>,
    accounts: Keyed<(UserId, Origin)>,
    /// Messages that an anonymous client from this network can have sent to an account.
    mail: Keyed<(UserId, Origin)>,
    mail_to_account: Keyed<UserId>,
    /// Messages that people have sent to themselves.
    own_mail: Keyed<UserId>,
    /// Messages to an address that no user has yet, from any client.
    reader: Keyed<Email>,
}

/// The operator's settings: the limits of clients, by the networks around them.
struct NetworkLimits {
    limits: RateLimits,
    everybody: Single,
    /// Attempts for networks with a signed-in user when all clients together have none left.
    reserve: Single,
    networks: Keyed<Origin>,
    sites: Keyed<Network>,
    regions: Keyed<Network>,
}

impl NetworkLimits {
    fn new(limits: RateLimits, clock: &LimiterClock) -> Self {
        let times = |factor: NonZeroU32| {
            Quota::per_second(limits.network_per_second.saturating_mul(factor))
                .allow_burst(limits.network_burst.saturating_mul(factor))
        };
        let total = limits.total_factor.get() as usize;
        let reserve = u32::try_from(limits.shares.reserve(total)).ok().and_then(NonZeroU32::new);
        Self {
            limits,
            everybody: RateLimiter::direct_with_clock(times(limits.total_factor), clock.clone()),
            reserve: RateLimiter::direct_with_clock(times(reserve.unwrap_or(NonZeroU32::MIN)), clock.clone()),
            networks: keyed(times(NonZeroU32::MIN), clock),
            sites: keyed(times(limits.shares.factor(Reach::Site)), clock),
            regions: keyed(times(limits.shares.factor(Reach::Region)), clock),
        }
    }
}

impl Limiters {
    pub(in crate::flows) fn new(limits: RateLimits, clock: &Arc<dyn Clock>) -> Self {
        let clock = LimiterClock(Arc::clone(clock));
        let account = Quota::per_second(ACCOUNT_PER_SECOND).allow_burst(ACCOUNT_BURST);
        Self {
            around: ArcSwap::from_pointee(NetworkLimits::new(limits, &clock)),
            accounts: keyed(account, &clock),
            mail: keyed(one_in(MAIL_INTERVAL).allow_burst(MAIL_BURST), &clock),
            own_mail: keyed(one_in(MAIL_INTERVAL).allow_burst(MAIL_BURST), &clock),
            reader: keyed(one_in(MAIL_INTERVAL).allow_burst(MAIL_BURST), &clock),
            mail_to_account: keyed(
                one_in(MAIL_TO_ACCOUNT_INTERVAL).allow_burst(MAIL_TO_ACCOUNT_BURST),
                &clock,
            ),
            clock,
        }
    }

    /// Counts by these limits from now on. Where they differ, the use of the old ones by networks
    /// is forgotten; the use by accounts and mailboxes is not.
    pub(in crate::flows) fn exchange(&self, limits: RateLimits) {
        if self.around.load().limits != limits {
            self.around.store(Arc::new(NetworkLimits::new(limits, &self.clock)));
        }
    }

    /// Forgets the clients that have been away long enough to have their whole share back.
    fn forget_recovered(&self) {
        let around = self.around.load();
        around.networks.retain_recent();
        around.sites.retain_recent();
        around.regions.retain_recent();
        self.accounts.retain_recent();
        self.mail.retain_recent();
        self.mail_to_account.retain_recent();
        self.own_mail.retain_recent();
        self.reader.retain_recent();
    }
}

fn one_in(interval: Duration) -> Quota {
    Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
}

fn keyed<K: Hash + Eq + Clone>(quota: Quota, clock: &LimiterClock) -> Keyed<K> {
    RateLimiter::new(quota, DashMapStateStore::default(), clock.clone())
}

fn network(client: Option<IpAddr>) -> Origin {
    client.map(Network::of)
}

impl Attempts {
    /// Counts one request that tries or makes credentials. Requests of a banned network cost their
    /// neighbours nothing.
    pub(in crate::flows) fn spend(&self, visit: &Visit) -> Result<(), FlowError> {
        self.must_not_be_banned(visit)?;
        self.count(visit)
    }

    /// Counts work that is no attempt, but costs as much.
    pub(in crate::flows) fn count(&self, visit: &Visit) -> Result<(), FlowError> {
        let limiters = self.limiters.around.load();
        if limiters.networks.len() > REMEMBERED_MAX {
            self.limiters.forget_recovered();
        }
        if visit.client.is_none() {
            self.allowed(limiters.networks.check_key(&None), Limited::Network, visit)?;
        }
        for (reach, network) in visit.client.into_iter().flat_map(Network::around) {
            let checked = match reach {
                Reach::Network => limiters.networks.check_key(&Some(network)),
                Reach::Site => limiters.sites.check_key(&network),
                Reach::Region => limiters.regions.check_key(&network),
            };
            self.allowed(checked, Limited::Network, visit)?;
        }
        match limiters.everybody.check() {
            Err(_) if self.standing(visit.client) == Standing::Known => {
                self.allowed(limiters.reserve.check(), Limited::Everybody, visit)
            }
            checked => self.allowed(checked, Limited::Everybody, visit),
        }
    }

    /// Whether a user is signed in from the network of `client`. A part of every limit is kept for
    /// such networks.
    pub fn standing(&self, client: Option<IpAddr>) -> Standing {
        if client.is_some_and(|client| self.index.has_session_from(&Network::of(client))) {
            Standing::Known
        } else {
            Standing::Unknown
        }
    }

    /// A client, as pending entries are counted for it.
    pub(in crate::flows) fn begun_by(&self, client: Option<IpAddr>) -> (Option<IpAddr>, Standing) {
        (client, self.standing(client))
    }

    /// Counts one attempt with the credentials of `account`.
    pub(in crate::flows) fn spend_on(&self, account: &UserId, visit: &Visit) -> Result<(), FlowError> {
        let key = (*account, network(visit.client));
        self.allowed(self.limiters.accounts.check_key(&key), Limited::Account, visit)
    }

    /// Whether `account` may be sent another message because of `visit`. The answer is for us
    /// alone: it would tell who has an account.
    ///
    /// All networks together have a limit, so that no client fills a mailbox from many; it is not
    /// for a network in which the account has a session, or had a sign-in in the last 30 days, nor
    /// for a browser that the owner has signed in with, or anonymous clients could keep its owner
    /// from mail.
    pub(in crate::flows) fn may_mail(&self, account: &UserId, visit: &Visit) -> bool {
        let from = network(visit.client);
        let now = self.ground.clock.now();
        let signed_in =
            self.index.user(account).is_some_and(|user| from.is_some_and(|it| user.is_seen_from(&it, now)));
        let is_known =
            signed_in || self.index.sessions_of(account).iter().any(|it| network(it.record().client) == from);
        let has_mark =
            visit.device.is_some() && self.device_mark(account).map(|mark| mark.hashed()) == visit.device;
        let is_known = is_known || has_mark;
        self.limiters.mail.check_key(&(*account, from)).is_ok()
            && (is_known || self.limiters.mail_to_account.check_key(account).is_ok())
    }

    /// The mark that a browser keeps once `user` has signed in with it; `None` where no code is
    /// ever sent.
    pub fn device_mark(&self, user: &UserId) -> Option<Secret> {
        if self.ground.rules().email_code == EmailCode::Off {
            return None;
        }
        self.ground.open_keys.load().codes.device_mark(user)
    }

    /// Counts a message that the owner of `account` asks for, who may know when the limit is
    /// reached.
    pub(in crate::flows) fn spend_on_mail(&self, account: &UserId, visit: &Visit) -> Result<(), FlowError> {
        self.allowed(self.limiters.own_mail.check_key(account), Limited::Account, visit)
    }

    /// Counts a message to an address that may be any person's, from any client.
    pub(in crate::flows) fn spend_on_recipient(&self, email: &Email, visit: &Visit) -> Result<(), FlowError> {
        self.allowed(self.limiters.reader.check_key(email), Limited::Account, visit)
    }

    /// Forgets counts that limits no longer need.
    pub(in crate::flows) fn sweep_limits(&self) {
        self.limiters.forget_recovered();
    }

    fn allowed(
        &self,
        checked: Result<(), governor::NotUntil<Nanos>>,
        whose: Limited,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        checked.map_err(|not_until| {
            self.ground.report(visit.origin(), Kind::RateLimited { whose });
            let retry_after = not_until.wait_time_from(self.limiters.clock.now());
            FlowError::RateLimited { retry_after }
        })
    }
}
