//! `[limits]`: how much clients may take before they have shown any credential; and `[bans]`: how
//! many bad credentials they may show; and `[tokens]`: how long access tokens live, and how many a
//! user may have.
//!
//! What does not live here: the defaults of limits, which are beside the code that they limit. What
//! always holds: no limit is 0, for that would lock every user out.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::lengths::{Limits as Lengths, duration};
use super::reader::Reader;
use super::section::Section;
use super::value;
use crate::domain::access_token::{TOKEN_LIFETIME_CEILING, TokenLimits};
use crate::domain::ban::{AutomaticBans, BAN_LENGTH_MAX};
use crate::domain::ledger::Budget;
use crate::domain::limits::{RateLimits, Shares};
use crate::proxy::{Limits, OWN_BODY_BYTES_MAX};

/// More than any machine answers, so it is the same as no limit.
const NUMBER_MAX: usize = 1_000_000;
const BYTES_MAX: u64 = 1 << 40;
/// With all of it in reserve, no user could sign in for the first time.
const RESERVE_PERCENT_MAX: usize = 90;
const BODY_TIMEOUTS: Lengths = Lengths { min: Duration::from_millis(100), max: Duration::from_mins(5) };
/// More refused credentials than a person shows by mistake. Each is remembered for as long as it
/// counts.
const BAN_AFTER_MAX: usize = 1_000;
const BAN_WITHIN: Lengths = Lengths { min: Duration::from_secs(1), max: Duration::from_hours(24) };
const BAN_LENGTHS: Lengths = Lengths { min: Duration::from_secs(1), max: BAN_LENGTH_MAX };
const TOKEN_LIFETIMES: Lengths = Lengths { min: Duration::from_secs(1), max: TOKEN_LIFETIME_CEILING };
/// The limit is low because every token is in memory.
const TOKENS_PER_USER_LIMIT: usize = 1_000;
const SIZE_REMEDY: &str = "write a size such as \"4MiB\"";

/// Reads the limits of sign-ins, and those of connections and bodies.
pub(super) fn limits(root: &Section<'_>, reader: &Reader<'_>) -> (RateLimits, Limits) {
    let section = root.table("limits");
    let rates = RateLimits::default();
    let traffic = Limits::default();
    let shares = shares(&section);
    let rates = RateLimits {
        network_burst: number(&section, "network_burst", rates.network_burst),
        network_per_second: number(&section, "network_per_second", rates.network_per_second),
        total_factor: number(&section, "total_factor", rates.total_factor),
        pending_max: count(&section, "pending", rates.pending_max),
        pending_per_network_max: count(&section, "pending_per_network", rates.pending_per_network_max),
        shares,
    };
    let traffic = Limits {
        connections: Budget {
            total: count(&section, "connections", traffic.connections.total),
            per_network: count(&section, "connections_per_network", traffic.connections.per_network),
            shares,
        },
        own_bodies: Budget {
            total: size(&section, reader, "own_bodies", traffic.own_bodies.total, OWN_BODY_BYTES_MAX),
            per_network: size(
                &section,
                reader,
                "own_bodies_per_network",
                traffic.own_bodies.per_network,
                OWN_BODY_BYTES_MAX,
            ),
            shares,
        },
        own_body_timeout: duration(
            &section,
            reader,
            "own_body_timeout",
            traffic.own_body_timeout,
            BODY_TIMEOUTS,
        ),
        own_body_bytes_per_second: size(
            &section,
            reader,
            "own_body_rate",
            traffic.own_body_bytes_per_second,
            1,
        ),
    };
    section.close();
    (rates, traffic)
}

/// Reads `[bans]`.
pub(super) fn bans(root: &Section<'_>, reader: &Reader<'_>) -> Option<AutomaticBans> {
    let section = root.table("bans");
    let after = section.number("after", 0, BAN_AFTER_MAX);
    let within = duration(&section, reader, "within", Duration::from_mins(10), BAN_WITHIN);
    let length = duration(&section, reader, "duration", Duration::from_hours(1), BAN_LENGTHS);
    section.close();
    NonZeroUsize::new(after).map(|after| AutomaticBans { after, within, duration: length })
}

/// Reads `[tokens]`.
pub(super) fn tokens(root: &Section<'_>, reader: &Reader<'_>) -> TokenLimits {
    let section = root.table("tokens");
    let default = TokenLimits::default();
    let lifetime_max = duration(&section, reader, "lifetime_max", default.lifetime_max, TOKEN_LIFETIMES);
    let most = section.number("max_per_user", default.per_user_max.get(), TOKENS_PER_USER_LIMIT);
    if most == 0 {
        section.refuse(
            "max_per_user",
            "with a limit of 0 no user could have a token",
            "write a whole number above 0",
        );
    }
    section.close();
    TokenLimits { lifetime_max, per_user_max: NonZeroUsize::new(most).unwrap_or(default.per_user_max) }
}

fn shares(section: &Section<'_>) -> Shares {
    let default = Shares::default();
    let reserve = section.number("reserve_percent", default.reserve_percent.into(), RESERVE_PERCENT_MAX);
    Shares {
        site_factor: number(section, "site_factor", default.site_factor),
        region_factor: number(section, "region_factor", default.region_factor),
        reserve_percent: u8::try_from(reserve).unwrap_or(default.reserve_percent),
    }
}

fn number(section: &Section<'_>, key: &'static str, default: NonZeroU32) -> NonZeroU32 {
    let read = count(section, key, default.get() as usize);
    u32::try_from(read).ok().and_then(NonZeroU32::new).unwrap_or(default)
}

fn count(section: &Section<'_>, key: &'static str, default: usize) -> usize {
    let read = section.number(key, default, NUMBER_MAX);
    if read == 0 {
        section.refuse(key, "with a limit of 0 no request would get in", "write a whole number above 0");
    }
    read
}

fn size(section: &Section<'_>, reader: &Reader<'_>, key: &'static str, default: usize, min: usize) -> usize {
    let Some(found) = section.parsed(key, SIZE_REMEDY, value::size) else { return default };
    let read = usize::try_from(found.value).unwrap_or(usize::MAX);
    if read < min || found.value > BYTES_MAX {
        let remedy = format!("write a size of at least {min} bytes, and at most \"1024GiB\"");
        reader.mistake(&found.at, "the size is out of range", remedy);
    }
    read
}
