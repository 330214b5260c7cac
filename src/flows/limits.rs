//! Rate limits for everything that tries or makes credentials.
//!
//! What always holds: what is counted is a resolved account and a network (a /24, or a /64 for IPv6),
//! never a text that somebody typed; and whether an address has an account never decides about the
//! answer. A stranger's attempts count against the stranger's own network: they never keep an
//! account's owner, who comes from elsewhere, from signing in.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::admit::Visit;
use super::{FlowError, Gateway};
use crate::domain::event::{Kind, Limited};
use crate::domain::id::UserId;
use crate::domain::limits::{
    ACCOUNT_BURST, ACCOUNT_PER_SECOND, GLOBAL_FACTOR, MAIL_BURST, MAIL_INTERVAL, MAIL_TO_ACCOUNT_BURST,
    MAIL_TO_ACCOUNT_INTERVAL, RateLimits,
};
use crate::domain::session::network_of;
use crate::domain::user::Email;
use crate::ports::Clock;

/// How many networks or accounts are remembered before those that have recovered are forgotten.
const REMEMBERED_MAX: usize = 100_000;

/// The port's clock, as the limiter reads it.
#[derive(Clone)]
struct Ticking(Arc<dyn Clock>);

impl GovernorClock for Ticking {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap_or(0);
        Nanos::from(Duration::from_millis(millis))
    }
}

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, Ticking, NoOpMiddleware<Nanos>>;
type Single = RateLimiter<NotKeyed, InMemoryState, Ticking, NoOpMiddleware<Nanos>>;

/// A network, as limits count it; `None` when there is no address to count.
type Network = Option<String>;

/// All limiters of one gateway.
pub(super) struct Limiters {
    clock: Ticking,
    everybody: Single,
    networks: Keyed<Network>,
    accounts: Keyed<(UserId, Network)>,
    /// Messages that a stranger from this network can have sent to an account.
    mail: Keyed<(UserId, Network)>,
    mail_to_account: Keyed<UserId>,
    /// Messages that people have sent to themselves.
    own_mail: Keyed<UserId>,
    /// Messages to an address that is nobody's yet, whoever asks for them.
    reader: Keyed<Email>,
}

impl Limiters {
    pub(super) fn new(limits: RateLimits, clock: &Arc<dyn Clock>) -> Self {
        let clock = Ticking(Arc::clone(clock));
        let network = Quota::per_second(limits.network_per_second).allow_burst(limits.network_burst);
        let factor = NonZeroU32::new(GLOBAL_FACTOR).unwrap_or(NonZeroU32::MIN);
        let everybody = Quota::per_second(limits.network_per_second.saturating_mul(factor))
            .allow_burst(limits.network_burst.saturating_mul(factor));
        let account = Quota::per_second(ACCOUNT_PER_SECOND).allow_burst(ACCOUNT_BURST);
        Self {
            everybody: RateLimiter::direct_with_clock(everybody, clock.clone()),
            networks: keyed(network, &clock),
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

    /// Forgets whoever has not been seen for so long that they have everything back.
    fn tidy(&self) {
        self.networks.retain_recent();
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

fn keyed<K: Hash + Eq + Clone>(quota: Quota, clock: &Ticking) -> Keyed<K> {
    RateLimiter::new(quota, DashMapStateStore::default(), clock.clone())
}

fn network(client: Option<IpAddr>) -> Network {
    client.map(network_of)
}

impl Gateway {
    /// Counts one request that tries or makes credentials.
    pub(super) fn spend(&self, visit: &Visit) -> Result<(), FlowError> {
        let limiters = &self.limiters;
        if limiters.networks.len() > REMEMBERED_MAX {
            limiters.tidy();
        }
        self.allowed(limiters.networks.check_key(&network(visit.client)), Limited::Network, visit)?;
        self.allowed(limiters.everybody.check(), Limited::Everybody, visit)
    }

    /// Counts one attempt with the credentials of `account`.
    pub(super) fn spend_on(&self, account: &UserId, visit: &Visit) -> Result<(), FlowError> {
        let key = (*account, network(visit.client));
        self.allowed(self.limiters.accounts.check_key(&key), Limited::Account, visit)
    }

    /// Whether `account` may be sent another message because of `visit`. The answer is for us alone:
    /// it would tell who has an account.
    ///
    /// All networks together have a limit, so that nobody fills a mailbox from many; it is not for a
    /// network in which the account has a session, or strangers could keep its owner from mail.
    pub(super) fn may_mail(&self, account: &UserId, visit: &Visit) -> bool {
        let from = network(visit.client);
        let is_known = self.index.sessions_of(account).iter().any(|it| network(it.record().client) == from);
        self.limiters.mail.check_key(&(*account, from)).is_ok()
            && (is_known || self.limiters.mail_to_account.check_key(account).is_ok())
    }

    /// Counts a message that the owner of `account` asks for, who may know when the limit is reached.
    pub(super) fn spend_on_mail(&self, account: &UserId, visit: &Visit) -> Result<(), FlowError> {
        self.allowed(self.limiters.own_mail.check_key(account), Limited::Account, visit)
    }

    /// Counts a message to an address that may be anybody's, whoever asks for it.
    pub(super) fn spend_on_reader(&self, email: &Email, visit: &Visit) -> Result<(), FlowError> {
        self.allowed(self.limiters.reader.check_key(email), Limited::Account, visit)
    }

    /// Forgets what limits need not remember any more.
    pub(super) fn tidy_limits(&self) {
        self.limiters.tidy();
    }

    fn allowed(
        &self,
        checked: Result<(), governor::NotUntil<Nanos>>,
        whose: Limited,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        checked.map_err(|not_until| {
            self.report(visit.origin(), Kind::RateLimited { whose });
            let retry_after = not_until.wait_time_from(self.limiters.clock.now());
            FlowError::RateLimited { retry_after }
        })
    }
}
