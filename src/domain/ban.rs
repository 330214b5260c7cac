//! Bans: networks from which no client may try a credential.
//!
//! What lives here: what a ban is, which networks can have one, and when a ban is made
//! automatically. What does not: where bans are enforced (`flows/attempts/bans.rs`), and who makes
//! them (`flows/administration/bans.rs`). What always holds: a ban that has expired is not in
//! force, swept or not; and no [`Bannable`] has an address of this machine's loopback or of a
//! trusted proxy, with which every client behind it would be banned.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::time::Timestamp;
use super::user::{MalformedName, is_seen_as_written};

/// The most bans at a time. Each is in memory, and looked up by its network.
pub const BANS_MAX: usize = 10_000;
/// The most bans at which the gateway still makes one: the rest is kept for people.
pub const AUTOMATIC_BANS_MAX: usize = 9_000;
/// The longest ban that has an end.
pub const BAN_LENGTH_MAX: Duration = Duration::from_hours(10 * 366 * 24);
/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;
/// The widest networks that can be banned: what one provider may have.
const IPV4_LENGTH_MIN: u8 = 8;
const IPV6_LENGTH_MIN: u8 = 16;
/// A client that has one IPv6 address has the /64 around it.
const IPV6_BAN_LENGTH: u8 = 64;

/// No client may try a credential from this network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    pub network: Network,
    /// The author, in words.
    pub by: String,
    pub reason: Option<Reason>,
    pub at: Timestamp,
    /// `None`: until an administrator removes it.
    pub expires_at: Option<Timestamp>,
}

impl Ban {
    /// Whether it is in force at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// When the gateway makes a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutomaticBans {
    /// So many refused credentials of one address (of IPv6: of one /64) ...
    pub after: NonZeroUsize,
    /// ... within this time ...
    pub within: Duration,
    /// ... ban it for so long.
    pub duration: Duration,
}

/// Why a network cannot be banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotBan {
    #[error(
        "{0} is too wide: ban a /{IPV4_LENGTH_MIN} of IPv4 or a /{IPV6_LENGTH_MIN} of IPv6 at most, and \
             keep larger parts of the internet out with a firewall"
    )]
    TooWide(Network),
    #[error(
        "{0} has addresses of this machine itself (127.0.0.0/8 or ::1): every client of a proxy on this machine \
             would be banned"
    )]
    Loopback(Network),
    #[error(
        "{0} has addresses of {1}, which server.trusted_proxies names: all clients of that proxy would be \
             banned. Ban the address that the proxy reports"
    )]
    TrustedProxy(Network, Network),
    #[error(
        "{0} has your own address, {1}: you could not sign in from there again. `vestibule ban add` on the \
             gateway's machine bans it nevertheless"
    )]
    Own(Network, IpAddr),
    #[error("there are {BANS_MAX} bans already: remove some, or ban the networks around them instead")]
    TooMany,
    #[error(
        "a ban lasts longer than zero and at most ten years; leave its length out for a ban without an end"
    )]
    Length,
}

/// A network that may be banned. Made only by [`Bannable::check`].
#[derive(Debug, Clone, Copy)]
pub struct Bannable(Network);

impl Bannable {
    /// Whether `network` may be banned where these proxies are trusted.
    pub fn check(network: Network, proxies: &[Network]) -> Result<Self, CannotBan> {
        if network.length() < length_min(network.first()) {
            return Err(CannotBan::TooWide(network));
        }
        if loopback().iter().any(|it| it.overlaps(&network)) {
            return Err(CannotBan::Loopback(network));
        }
        match proxies.iter().find(|proxy| proxy.overlaps(&network)) {
            Some(proxy) => Err(CannotBan::TrustedProxy(network, *proxy)),
            None => Ok(Self(network)),
        }
    }

    /// The network.
    pub const fn network(self) -> Network {
        self.0
    }
}

/// The network that is banned for an anonymous client with this address.
pub fn network_to_ban(address: IpAddr) -> Network {
    Network::around_within(address, IPV6_BAN_LENGTH)
}

/// Every network with a ban of which `address` could be banned, the widest first.
pub fn networks_around(address: IpAddr) -> impl Iterator<Item = Network> {
    let address = address.to_canonical();
    let lengths = length_min(address)..=if address.is_ipv4() { 32 } else { 128 };
    lengths.map(move |length| Network::around_within(address, length))
}

const fn length_min(address: IpAddr) -> u8 {
    if address.is_ipv4() { IPV4_LENGTH_MIN } else { IPV6_LENGTH_MIN }
}

fn loopback() -> [Network; 2] {
    [
        Network::around_within(IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
        Network::only(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ]
}

/// Why a network was banned, for people who look at the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

impl Reason {
    /// Accepts 1 to [`REASON_CHARS_MAX`] characters on one line, each of which is seen as it is
    /// written.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        let text = text.trim();
        let ok = (1..=REASON_CHARS_MAX).contains(&text.chars().count()) && is_seen_as_written(text);
        if ok { Ok(Self(text.to_owned())) } else { Err(MalformedName::Reason) }
    }

    /// The reason of a ban that the gateway made.
    pub fn of(rule: &AutomaticBans) -> Self {
        Self(format!("{} refused credentials within {}", rule.after, spelled(rule.within)))
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = MalformedName;

    fn try_from(text: String) -> Result<Self, MalformedName> {
        Self::parse(&text)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

/// A length of time as the configuration writes it, in the largest unit that has no rest.
fn spelled(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_and_reasons_are_written_as_they_are_read() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (5_400, "90m"), (7_200, "2h"), (86_400, "1d")]
        {
            assert_eq!(spelled(Duration::from_secs(seconds)), text);
        }
        let reason = Reason::parse("a scanner").unwrap();
        assert_eq!(serde_json::to_string(&reason).unwrap(), "\"a scanner\"");
    }

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn refuses_bans_of_shared_or_wide_networks() {
        let proxies = [network("10.1.2.3"), network("172.17.0.0/16"), network("2001:db8:1::1")];
        let refused =
            |text: &str| Bannable::check(network(text), &proxies).map(Bannable::network).unwrap_err();
        for wide in ["0.0.0.0/0", "::/0", "192.0.0.0/7", "2000::/15", "::ffff:0:0/96"] {
            assert_eq!(refused(wide), CannotBan::TooWide(network(wide)), "{wide}");
        }
        for ours in ["127.0.0.1", "127.0.0.0/8", "127.8.0.0/16", "::1", "::/64", "::ffff:127.0.0.1"] {
            assert_eq!(refused(ours), CannotBan::Loopback(network(ours)), "{ours}");
        }
        for (trusted, proxy) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("172.17.3.0/24", "172.17.0.0/16"),
            ("::ffff:172.17.0.9", "172.17.0.0/16"),
            ("2001:db8::/32", "2001:db8:1::1"),
        ] {
            assert_eq!(
                refused(trusted),
                CannotBan::TrustedProxy(network(trusted), network(proxy)),
                "{trusted}"
            );
        }
        for fine in ["10.1.2.4", "192.0.0.0/8", "2001:db8:2::/48", "2002::/16", "10.1.3.0/24"] {
            assert_eq!(Bannable::check(network(fine), &proxies).unwrap().network(), network(fine));
        }
    }

    #[test]
    fn ban_expires() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let length = Duration::from_mins(1);
        let ban = Ban {
            network: network("192.0.2.7"),
            by: "a test".to_owned(),
            reason: None,
            at,
            expires_at: Some(at.plus(length)),
        };
        assert!(ban.is_live(at) && ban.is_live(at.plus(length).minus(Duration::from_millis(1))));
        assert!(!ban.is_live(at.plus(length)));
        assert!(Ban { expires_at: None, ..ban }.is_live(at.plus(BAN_LENGTH_MAX)));
    }

    #[test]
    fn automatic_ban_covers_an_ipv4_address_or_an_ipv6_64() {
        for (address, banned) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(network_to_ban(address.parse().unwrap()).to_string(), banned);
        }
    }

    #[test]
    fn refuses_multiline_or_invisible_reasons() {
        let rule = |within| AutomaticBans { after: NonZeroUsize::MIN, within, duration: Duration::ZERO };
        for (within, said) in [
            (Duration::from_mins(10), "1 refused credentials within 10m"),
            (Duration::from_hours(48), "1 refused credentials within 2d"),
            (Duration::from_secs(90), "1 refused credentials within 90s"),
        ] {
            let reason = Reason::of(&rule(within));
            assert_eq!(reason.as_str(), said);
            assert_eq!(Reason::parse(said), Ok(reason));
        }
        for wrong in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(REASON_CHARS_MAX + 1)] {
            assert_eq!(Reason::parse(wrong), Err(MalformedName::Reason), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn checks_every_enclosing_network(
            address: [u8; 16],
            is_v4: bool,
            length in 0u8..=128,
        ) {
            let [a, b, c, d, ..] = address;
            let address = if is_v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(address) };
            let network = Network::around_within(address, length);
            if Bannable::check(network, &[]).is_ok() {
                prop_assert!(networks_around(address).any(|it| it == network), "{}", network);
            }
            prop_assert!(networks_around(address).all(|it| it.contains(address)));
        }
    }
}
