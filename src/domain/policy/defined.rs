//! The names that the configuration defines for rules, policies and headers: networks, and
//! attributes of people.
//!
//! What does not live here: what attributes are (`domain/attribute.rs`), and decisions that use
//! them.
//!
//! What always holds: a name stands for one thing, in every route of one configuration.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::domain::attribute::Attributes;

/// All networks and attributes with a name.
#[derive(Debug, Clone, Default)]
pub struct Defined {
    pub networks: Arc<NamedNetworks>,
    pub attributes: Arc<Attributes>,
}

/// Networks with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedNetworks(pub Vec<(String, Vec<IpNet>)>);

impl NamedNetworks {
    /// The networks with this name.
    pub fn find(&self, name: &str) -> Option<&[IpNet]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, networks)| networks.as_slice())
    }

    /// The names of the networks that `client` is in.
    pub(super) fn around(&self, client: IpAddr) -> impl Iterator<Item = &str> {
        let client = client.to_canonical();
        let within = move |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        self.0.iter().filter(move |(_, networks)| within(networks)).map(|(name, _)| name.as_str())
    }
}
