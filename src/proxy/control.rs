//! The state that is exchanged while the proxy serves, and what can be asked about it from outside.
//!
//! What does not live here: what is in the configuration (`config/`), and when it is read
//! (`app/reload.rs`).
//!
//! What always holds: everything that can fail is read before anything is exchanged.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connection_quota::ConnectionQuota;
use super::context::{Front, NamelessTls};
use super::forwarded::UntrustedProxies;
use super::headers::Reserved;
use super::own_bodies::OwnBodies;
use super::request_quota::RequestQuota;
use super::tls::{CertificateError, CertificateSet, CertificateStatus, Certificates};
use super::{CertificateFiles, Doors, Limits, Meter, ProxyError};
use crate::flows::Gateway;
use crate::flows::rules::Rules;

/// The settings that a running proxy takes in when the rules of its gateway change.
pub struct ProxyUpdate {
    pub doors: Doors,
    pub meter: Arc<dyn Meter>,
    /// The certificates of the listeners that speak TLS; ignored where there are none.
    pub certificates: Vec<CertificateFiles>,
    pub limits: Limits,
}

/// Exchanges what a proxy serves while it serves.
pub struct ProxyControl {
    pub(super) gateway: Arc<Gateway>,
    pub(super) front: Arc<ArcSwap<Front>>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) untrusted_proxies: Arc<UntrustedProxies>,
    pub(super) client_limits: ClientLimits,
}

/// The limits that are shared out among clients.
#[derive(Clone)]
pub(super) struct ClientLimits {
    pub(super) connection_quota: Arc<ConnectionQuota>,
    pub(super) request_quota: Arc<RequestQuota>,
    pub(super) own_bodies: Arc<OwnBodies>,
}

impl ClientLimits {
    fn exchange(&self, limits: &Limits) {
        self.connection_quota.exchange(limits.connections);
        self.request_quota.exchange(limits.connections);
        self.own_bodies.exchange(limits);
    }
}

impl ProxyControl {
    /// Adopts `rules` and takes in the state that belongs to them. Reads the certificates first,
    /// blocking: where that fails, nothing has changed.
    pub fn exchange(&self, rules: Rules, update: ProxyUpdate) -> Result<(), ProxyError> {
        let ProxyUpdate { doors, meter, certificates, limits } = update;
        let nameless_tls = NamelessTls::with(certificates.len());
        if let Some(served) = &self.certificates {
            if certificates.is_empty() {
                return Err(ProxyError::NoCertificate);
            }
            let set = CertificateSet::read(&certificates)?;
            served.exchange(certificates, set);
        }
        let reserved = Reserved::of(&rules.routes);
        self.client_limits.exchange(&limits);
        self.gateway.adopt(rules);
        // A request in between is cleaned of the headers that its own route believes, under the old
        // rules or the new.
        self.front.store(Arc::new(Front { doors, meter, reserved, nameless_tls }));
        Ok(())
    }

    /// Takes in changed certificate files, at once. Blocks; where it fails, the old certificates
    /// are served on.
    pub fn reread_certificates(&self) -> Result<(), CertificateError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reread())
    }

    /// The faults that the proxies in front seem to have, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        self.untrusted_proxies.remarks()
    }

    /// All certificates that are served or to be served.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates.as_ref().map_or_else(Vec::new, |certificates| certificates.statuses())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::domain::ledger::{Budget, Standing};
    use crate::domain::limits::Shares;
    use crate::proxy::ForwardedBy;
    use crate::proxy::forwarded::TrustedProxies;

    #[test]
    fn other_limits_are_in_force_at_once() {
        let limits = |per_network| Limits {
            connections: Budget { total: 100, per_network, shares: Shares::default() },
            ..Limits::default()
        };
        let trusted = TrustedProxies::new(Vec::new(), ForwardedBy::XForwarded);
        let standings = Arc::new(|_| Standing::Known);
        let client_limits = ClientLimits {
            connection_quota: Arc::new(ConnectionQuota::new(
                limits(1),
                trusted,
                standings,
                Arc::new(|| Duration::ZERO),
            )),
            request_quota: Arc::new(RequestQuota::new(limits(1).connections)),
            own_bodies: Arc::new(OwnBodies::new(&limits(1))),
        };
        let client = IpAddr::from([203, 0, 113, 1]);
        let _first = client_limits.request_quota.enter(client).unwrap();
        assert!(client_limits.request_quota.enter(client).is_none());
        client_limits.exchange(&limits(2));
        assert!(client_limits.request_quota.enter(client).is_some());
    }
}
