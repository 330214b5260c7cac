//! Making, listing and removing bans.
//!
//! What always holds: a network has one ban at most, because a new one takes the place of the one
//! before; a network that all clients may be behind is not banned ([`Bannable`]); their number has
//! a limit, of which the gateway itself takes a part only; and a ban that the gateway makes never
//! takes the place of a person's.
//!
//! What does not live here: where a ban counts, which is in `flows/attempts/bans.rs`.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ban::{BAN_LENGTH_MAX, BANS_MAX, Ban, Bannable, CannotBan, Reason, networks_around};
use crate::domain::event::Kind;
use crate::domain::network::Network;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::authority::Authority;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::sessions::Ended;
use crate::ports::Batch;
use crate::records::keys;

/// A ban to make.
#[derive(Debug, Clone)]
pub struct NewBan {
    pub network: Network,
    /// `None`: until an administrator removes it.
    pub length: Option<Duration>,
    pub reason: Option<Reason>,
}

impl Administration {
    /// Every ban in force, the newest first.
    pub fn list_bans(&self) -> Vec<Arc<Ban>> {
        let now = self.ground.clock.now();
        let mut bans = self.attempts.bans.list().all();
        bans.retain(|ban| ban.is_live(now));
        bans.sort_by_key(|ban| Reverse((ban.at, ban.network)));
        bans
    }

    /// Bans a network, in place of the ban that it had.
    pub async fn add_ban(&self, authority: &Authority, asked: NewBan) -> Result<Ban, FlowError> {
        let bannable = Bannable::check(asked.network, self.attempts.bans.proxies())?;
        if let Some(own) = authority.client().filter(|client| asked.network.contains(*client)) {
            return Err(CannotBan::Own(asked.network, own).into());
        }
        if asked.length.is_some_and(|length| length.is_zero() || length > BAN_LENGTH_MAX) {
            return Err(CannotBan::Length.into());
        }
        let _turn = self.attempts.bans.making.lock().await;
        let (network, now) = (asked.network, self.ground.clock.now());
        let expires_at = asked.length.map(|length| now.plus(length));
        let ban =
            Ban { network, by: self.sessions.name_of(authority), reason: asked.reason, at: now, expires_at };
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_of(authority, &Ended::new()).await?;
            if self.attempts.put_ban(&bannable, &ban, BANS_MAX, spent).await? {
                self.ground.report(authority.origin(), Kind::BanAdded { network });
                return Ok(ban);
            }
        }
        Err(FlowError::Busy)
    }

    /// Removes the ban of exactly this network.
    pub async fn remove_ban(&self, authority: &Authority, network: &Network) -> Result<(), FlowError> {
        let key = keys::ban(network);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.ground.records.get_exact::<Ban>(&key).await?;
            let found = found.filter(|(ban, _)| ban.is_live(self.ground.clock.now()));
            let (_, stored) = found.ok_or_else(|| self.no_such_ban(network))?;
            let batch = Batch::default().expect(key.clone(), stored).delete(key.clone());
            if self
                .ground
                .is_committed(batch.and(self.sessions.spend_freshness_of(authority, &Ended::new()).await?))
                .await?
            {
                self.ground.report(authority.origin(), Kind::BanRemoved { network: *network });
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// An administrator who looks for a ban of one address may mean the ban of a network around it.
    fn no_such_ban(&self, network: &Network) -> FlowError {
        let now = self.ground.clock.now();
        let around = networks_around(network.first()).filter(|it| it.length() < network.length());
        let wider = around.filter_map(|it| self.attempts.bans.list().get(&it)).find(|ban| ban.is_live(now));
        FlowError::NoSuchBan { wider: wider.map(|ban| ban.network) }
    }
}
