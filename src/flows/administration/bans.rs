//! Making, listing and removing bans.
//!
//! What always holds: a network has one ban at most, because a new one takes the place of the one before; what
//! everybody may be behind is not banned ([`Bannable`]); their number has a limit, of which the gateway itself takes
//! a part only; and one that the gateway makes never takes the place of a person's.
//!
//! What does not live here: where a ban counts, which is in `flows/bans.rs`.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Authority;
use crate::domain::ban::{
    AUTOMATIC_BANS_MAX, AutomaticBans, BAN_LENGTH_MAX, BANS_MAX, Ban, Bannable, CannotBan, Reason,
    network_of_stranger, networks_around,
};
use crate::domain::event::Kind;
use crate::domain::network::Network;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::sessions::Ended;
use crate::flows::{FlowError, Gateway};
use crate::ports::Batch;
use crate::records::{self, keys};

/// What to ban.
#[derive(Debug, Clone)]
pub struct NewBan {
    pub network: Network,
    /// `None`: until somebody removes it.
    pub length: Option<Duration>,
    pub reason: Option<Reason>,
}

impl Gateway {
    /// Every ban in force, the newest first.
    pub fn list_bans(&self) -> Vec<Arc<Ban>> {
        let now = self.clock.now();
        let mut bans = self.bans.list().all();
        bans.retain(|ban| ban.is_live(now));
        bans.sort_by_key(|ban| Reverse((ban.at, ban.network)));
        bans
    }

    /// Bans a network, in place of the ban that it had.
    pub async fn add_ban(&self, authority: &Authority, asked: NewBan) -> Result<Ban, FlowError> {
        let bannable = Bannable::check(asked.network, self.bans.proxies())?;
        if let Some(own) = authority.client().filter(|client| asked.network.contains(*client)) {
            return Err(CannotBan::Own(asked.network, own).into());
        }
        if asked.length.is_some_and(|length| length.is_zero() || length > BAN_LENGTH_MAX) {
            return Err(CannotBan::Length.into());
        }
        let _turn = self.bans.making.lock().await;
        self.put_ban(authority, bannable, asked, BANS_MAX).await
    }

    /// Bans the stranger with this address, unless that would ban others with them, or a person has decided
    /// already.
    pub(in crate::flows) async fn ban_stranger(
        &self,
        client: IpAddr,
        rule: &AutomaticBans,
    ) -> Result<(), FlowError> {
        let network = network_of_stranger(client);
        let Ok(bannable) = Bannable::check(network, self.bans.proxies()) else { return Ok(()) };
        let _turn = self.bans.making.lock().await;
        if self.bans.of(Some(client), self.clock.now()).is_some() {
            return Ok(());
        }
        let asked = NewBan { network, length: Some(rule.duration), reason: Some(Reason::of(rule)) };
        self.put_ban(&Authority::of_gateway(), bannable, asked, AUTOMATIC_BANS_MAX).await.map(drop)
    }

    /// Writes a ban down, if there are fewer than `most`.
    async fn put_ban(
        &self,
        authority: &Authority,
        bannable: Bannable,
        asked: NewBan,
        most: usize,
    ) -> Result<Ban, FlowError> {
        let (network, now) = (bannable.network(), self.clock.now());
        let key = keys::ban(&network);
        let expires_at = asked.length.map(|length| now.plus(length));
        let ban = Ban { network, by: self.name_of(authority), reason: asked.reason, at: now, expires_at };
        for _ in 0..ATTEMPTS_MAX {
            let batch = if let Some((_, stored)) = self.records.get_exact::<Ban>(&key).await? {
                Batch::default().expect(key.clone(), stored)
            } else {
                self.must_have_room(most).await?;
                Batch::default().expect_absent(key.clone())
            };
            let paid = self.paying_with(authority, &Ended::new()).await?;
            if self.is_committed(batch.put(key.clone(), records::encode(&ban)?).and(paid)).await? {
                self.report(authority.origin(), Kind::BanAdded { network });
                return Ok(ban);
            }
        }
        Err(FlowError::Busy)
    }

    async fn must_have_room(&self, most: usize) -> Result<(), FlowError> {
        if self.bans.list().len() >= most {
            self.forget_expired_bans().await?;
        }
        if self.bans.list().len() >= most { Err(CannotBan::TooMany.into()) } else { Ok(()) }
    }

    /// Removes the ban of exactly this network.
    pub async fn remove_ban(&self, authority: &Authority, network: &Network) -> Result<(), FlowError> {
        let key = keys::ban(network);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.records.get_exact::<Ban>(&key).await?;
            let found = found.filter(|(ban, _)| ban.is_live(self.clock.now()));
            let (_, stored) = found.ok_or_else(|| self.no_such_ban(network))?;
            let batch = Batch::default().expect(key.clone(), stored).delete(key.clone());
            if self.is_committed(batch.and(self.paying_with(authority, &Ended::new()).await?)).await? {
                self.report(authority.origin(), Kind::BanRemoved { network: *network });
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Whoever looks for a ban of one address may mean that of a network around it.
    fn no_such_ban(&self, network: &Network) -> FlowError {
        let now = self.clock.now();
        let around = networks_around(network.first()).filter(|it| it.length() < network.length());
        let wider = around.filter_map(|it| self.bans.list().get(&it)).find(|ban| ban.is_live(now));
        FlowError::NoSuchBan { wider: wider.map(|ban| ban.network) }
    }

    /// Removes bans that are over. One that has been made anew meanwhile stays.
    pub(in crate::flows) async fn forget_expired_bans(&self) -> Result<(), FlowError> {
        let now = self.clock.now();
        for ban in self.bans.list().all().iter().filter(|ban| !ban.is_live(now)) {
            let key = keys::ban(&ban.network);
            let batch = Batch::default().expect(key.clone(), records::encode(&**ban)?).delete(key);
            self.is_committed(batch).await?;
        }
        Ok(())
    }
}
