//! The networks that a client address belongs to.
//!
//! A client that has one IPv6 address has at least the /64 around it, a household often a /56, an
//! organisation a /48, so limits count all three. For IPv4 they count the /24 and the /16.
//!
//! What does not live here: how much a network may take, which is in `ledger.rs` and `limits.rs`,
//! and which may be banned (`ban.rs`). What always holds: a mapped address (`::ffff:192.0.2.1`) is
//! the IPv4 address that it maps, and one network has one value, however it was written.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// How wide a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// A /64 of IPv6, or a /24 of IPv4: what people recognise as their network.
    Network,
    /// A /56 of IPv6.
    Site,
    /// A /48 of IPv6, or a /16 of IPv4.
    Region,
}

/// A text that names no network, or might name two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedNetwork {
    #[error("{0:?} is not an address or a network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48")]
    Unreadable(String),
    #[error("{0} is an address within {1}: write {1} for the whole network, or {2} for this one address")]
    Ambiguous(IpNet, Network, Network),
}

/// Whether an address is of this machine or of a private network, and cannot be reached from
/// elsewhere.
pub fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            // RFC 6598: shared by the customers of a carrier, and by overlay networks.
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// One network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(IpNet);

impl Network {
    /// Reads an address, or a network in CIDR notation whose address is its first.
    pub fn parse(text: &str) -> Result<Self, MalformedNetwork> {
        let text = text.trim();
        let read = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let read = read.map_err(|_| MalformedNetwork::Unreadable(text.to_owned()))?;
        if read.addr() != read.network() {
            return Err(MalformedNetwork::Ambiguous(read, read.into(), Self::only(read.addr())));
        }
        Ok(read.into())
    }

    /// The network that `address` has to itself.
    pub fn only(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// The network of this length around `address`, or around the address alone if there is no such
    /// length.
    pub fn around_within(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        IpNet::new(address, length).map_or_else(|_| Self::only(address), |network| Self(network.trunc()))
    }

    /// The first address of the network.
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }

    /// How many bits all of its addresses have in common.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }

    /// The /64 or /24 of `address`.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::wide(address, if address.is_ipv4() { 24 } else { 64 })
    }

    /// Every network of `address` that limits count, the narrowest first.
    pub fn around(address: IpAddr) -> impl Iterator<Item = (Reach, Self)> {
        let address = address.to_canonical();
        let lengths: &[(Reach, u8)] = match address {
            IpAddr::V4(_) => &[(Reach::Network, 24), (Reach::Region, 16)],
            IpAddr::V6(_) => &[(Reach::Network, 64), (Reach::Site, 56), (Reach::Region, 48)],
        };
        lengths.iter().map(move |(reach, length)| (*reach, Self::wide(address, *length)))
    }

    /// The /48 or /16 of `address`.
    pub fn region(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::wide(address, if address.is_ipv4() { 16 } else { 48 })
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    fn wide(address: IpAddr, length: u8) -> Self {
        Self(IpNet::new_assert(address, length).trunc())
    }
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        // The mapped addresses are the last 32 bits of ::ffff:0:0/96.
        let mapped = match network {
            IpNet::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
            IpNet::V4(_) => None,
        };
        match mapped {
            Some((v4, length)) => Self::around_within(IpAddr::V4(v4), length),
            None => Self(network.trunc()),
        }
    }
}

/// In CIDR notation; an address alone has no length.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_and_loopback_addresses_are_near() {
        for near in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_near(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn normalises_network_spellings() {
        for (written, network) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7/32 ", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("2001:DB8:0:0::/48", "2001:db8::/48"),
            ("2001:db8::7", "2001:db8::7"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Network::parse(written).unwrap().to_string(), network, "{written}");
        }
    }

    #[test]
    fn refuses_networks_with_host_bits() {
        for (written, whole, alone) in [
            ("10.0.0.1/8", "10.0.0.0/8", "10.0.0.1"),
            ("2001:db8::7/64", "2001:db8::/64", "2001:db8::7"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8", "10.0.0.1"),
        ] {
            let sentence = Network::parse(written).unwrap_err().to_string();
            let told = format!("write {whole} for the whole network, or {alone} for this one address");
            assert!(sentence.ends_with(&told), "{sentence}");
        }
        for wrong in [
            "",
            "example.com",
            "192.0.2",
            "192.0.2.7:443",
            "192.0.02.7",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/255.255.255.0",
            "192.0.2.0/24/24",
            "[2001:db8::7]",
            "fe80::1%eth0",
            "2001:db8::/129",
        ] {
            let refused = Network::parse(wrong);
            assert_eq!(refused, Err(MalformedNetwork::Unreadable(wrong.to_owned())), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_is_read_again(text in "[0-9a-f:./]{0,48}|\\PC{0,20}") {
            if let Ok(network) = Network::parse(&text) {
                prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
                prop_assert!(network.contains(network.first()));
            }
        }

        #[test]
        fn network_contains_addresses_with_its_prefix(a: [u8; 16], b: [u8; 16], length in 0u8..=128) {
            let network = Network::around_within(IpAddr::from(a), length);
            // A mapped address is one of IPv4 and has no such network.
            prop_assume!(network.first().is_ipv6() && IpAddr::from(b).to_canonical().is_ipv6());
            let common = (u128::from_be_bytes(a) ^ u128::from_be_bytes(b)).leading_zeros();
            prop_assert_eq!(network.contains(IpAddr::from(b)), common >= u32::from(length));
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
        }

        #[test]
        fn normalises_ipv4_mapped_networks(address: [u8; 4], length in 0u8..=32) {
            let v4 = Network::around_within(IpAddr::from(address), length);
            let IpAddr::V4(first) = v4.first() else { panic!("{v4}") };
            let mapped = format!("{}/{}", first.to_ipv6_mapped(), 96 + length);
            prop_assert_eq!(Network::parse(&mapped), Ok(v4));
        }
    }

    #[test]
    fn f_06_an_address_is_in_two_or_three_networks() {
        let around = |address: &str| {
            let networks = Network::around(address.parse().unwrap());
            networks.map(|(_, network)| network.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(around("192.0.2.7"), ["192.0.2.0/24", "192.0.0.0/16"]);
        assert_eq!(around("::ffff:192.0.2.7"), ["192.0.2.0/24", "192.0.0.0/16"]);
        assert_eq!(
            around("2001:db8:12:3456::1"),
            ["2001:db8:12:3456::/64", "2001:db8:12:3400::/56", "2001:db8:12::/48"]
        );
    }
}
