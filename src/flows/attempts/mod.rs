//! How often clients may try or make credentials, and from where they may try none.
//!
//! What does not live here: making and removing bans by hand (`administration/bans.rs`).

mod bans;
mod limits;

use std::sync::Arc;

pub(in crate::flows) use bans::{BanList, Bans, GATEWAY_IN_WORDS};
pub(in crate::flows) use limits::Limiters;

use super::ground::Ground;
use super::index::SessionIndex;
use crate::domain::limits::RateLimits;

/// The attempts that clients have made, and may still make.
pub struct Attempts {
    ground: Arc<Ground>,
    /// The networks of live sessions, which have a reserve.
    index: Arc<SessionIndex>,
    limiters: Limiters,
    pub(in crate::flows) bans: Bans,
}

impl Attempts {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        index: Arc<SessionIndex>,
        limiters: Limiters,
        bans: Bans,
    ) -> Self {
        Self { ground, index, limiters, bans }
    }

    /// Puts `limits` in force.
    pub(in crate::flows) fn adopt_limits(&self, limits: RateLimits) {
        self.limiters.exchange(limits);
    }
}
