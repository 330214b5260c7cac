//! The networks that a client address belongs to.
//!
//! Who has one IPv6 address has at least the /64 around it, a household often a /56, an organisation
//! a /48, so limits count all three. For IPv4 they count the /24 and the /16.
//!
//! What does not live here: how much a network may take, which is in `ledger.rs` and `limits.rs`. What always
//! holds: a mapped address (`::ffff:192.0.2.1`) is the IPv4 address that it maps.

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

/// One network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(IpNet);

impl Network {
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

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
