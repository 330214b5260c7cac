//! The proxy: listeners, admission in the request phase, and the way to and from upstreams.
//!
//! This is the only folder that names pingora. Its protocol code parses, frames, pools and
//! streams; our own accept loops feed it, so that addresses in use, connection limits and
//! shutdown are ours. Pages and APIs are tower services handed in as [`Doors`].
//!
//! What always holds: a request reaches an upstream only with a `Permit` in its context; what
//! the client says about identity, address or scheme is removed before ours is written; the end of
//! a session ends its open streams.

mod access;
mod access_line;
mod acme;
mod admission;
mod bridge;
mod chunks;
mod connection_quota;
mod context;
mod control;
mod dns_cache;
mod failure;
mod forward_auth;
mod forwarded;
mod head;
mod headers;
mod outgoing;
mod own_bodies;
mod phases;
mod preface;
mod refusals;
mod request;
mod request_quota;
mod server;
mod sign_out;
mod sockets;
mod streams;
mod supervised;
mod tls;
mod upgrade;
mod upstream;
mod watched;
mod write_buffer;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::event::Answered;
use crate::domain::ledger::Budget;
use crate::domain::limits::Shares;
use crate::domain::policy::decide::Decision;
use crate::domain::served::Served;
use crate::flows::Gateway;
pub use access::AccessDetail;
pub use acme::Challenges;
pub use control::{ProxyControl, ProxyUpdate};
pub use forwarded::ForwardedBy;
pub use server::Proxy;
pub use sockets::Sockets;

/// The most bytes a request's line and headers may have together.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The most bytes a request body for our own endpoints may have.
pub const OWN_BODY_BYTES_MAX: usize = 64 * 1024;

/// The addresses to listen on, and how.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Plain HTTP/1.1 and HTTP/2 without TLS.
    pub listen: Vec<SocketAddr>,
    pub tls: Option<TlsSettings>,
    /// Peers whose word about a request is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub forwarded_by: ForwardedBy,
    pub preface: Preface,
    /// How many threads the runtime has.
    pub workers: usize,
    /// How long requests may take to finish after shutdown began.
    pub grace_period: Duration,
    pub limits: Limits,
}

/// Whether trusted proxies begin a connection with the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preface {
    No,
    /// All trusted proxies do.
    Proxy,
}

/// Listeners that speak TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    pub listen: Vec<SocketAddr>,
    /// Chain and key, in PEM. The first pair answers names that no other covers.
    pub certificates: Vec<CertificateFiles>,
}

/// One certificate on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub source: Source,
}

/// The source of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The operator.
    Given,
    /// An authority, for this host. Until it is issued, there is no file.
    Obtained(String),
}

impl CertificateFiles {
    /// A certificate that the operator has put there.
    pub fn given(chain: PathBuf, key: PathBuf) -> Self {
        Self { chain, key, source: Source::Given }
    }

    /// A certificate and its key in one file, which may not be there yet.
    pub fn obtained(host: String, file: PathBuf) -> Self {
        Self { chain: file.clone(), key: file, source: Source::Obtained(host) }
    }

    /// Whether the gateway obtains it itself.
    pub fn is_obtained(&self) -> bool {
        matches!(self.source, Source::Obtained(_))
    }

    fn is_for_an_address(&self) -> bool {
        matches!(&self.source, Source::Obtained(host) if host.parse::<IpAddr>().is_ok())
    }

    /// Its name in messages for operators.
    fn name(&self) -> String {
        match &self.source {
            Source::Given => self.chain.display().to_string(),
            Source::Obtained(host) => host.clone(),
        }
    }
}

/// How much is served at once. A connection for which there is no room is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Generous by default: whole offices, and port-forwarding daemons, share an address. For
    /// clients behind a trusted proxy, the requests under way are counted instead.
    pub connections: Budget,
    /// Bytes of bodies for our own endpoints that are in memory.
    pub own_bodies: Budget,
    /// How long such a body may take, however short it is.
    pub own_body_timeout: Duration,
    /// The time it may take beyond that: a second for this many bytes that have arrived.
    pub own_body_bytes_per_second: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let shares = Shares::default();
        Self {
            connections: Budget { total: 16_384, per_network: 2_048, shares },
            own_bodies: Budget { total: 64 << 20, per_network: 4 << 20, shares },
            own_body_timeout: Duration::from_secs(5),
            own_body_bytes_per_second: 4 << 10,
        }
    }
}

/// The routers that answer requests which are not forwarded.
///
/// Both find `flows::visit::Visit` in the extensions of a request; `gate` also finds the
/// `flows::admission::Outcome` it has to answer, and an empty body.
#[derive(Clone)]
pub struct Doors {
    /// Our own endpoints.
    pub own: axum::Router,
    /// Answers every request that was refused or failed.
    pub gate: axum::Router,
}

/// The parts of the program that the proxy needs.
pub struct Parts {
    pub gateway: Arc<Gateway>,
    pub doors: Doors,
    pub meter: Arc<dyn Meter>,
    /// The challenges that certificate authorities are shown.
    pub challenges: Arc<Challenges>,
    /// Time since some fixed moment; never goes backwards. For durations only.
    pub elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
}

/// Counts what the proxy does. An implementation is quick and never blocks.
pub trait Meter: Send + Sync {
    /// A request has been answered, whole or in part; `decision` is what the rules of its route
    /// said.
    fn request(&self, route: Option<&str>, outcome: Answered, decision: Option<Decision>, duration: Duration);
    /// The application behind `route` has begun its answer, `duration` after the request came in.
    fn upstream_answered(&self, route: &str, duration: Duration);
    /// A long-lived exchange has begun: an upgrade, or a response that is still flowing.
    fn stream_opened(&self);
    /// A long-lived exchange has ended.
    fn stream_closed(&self);
    /// Another address of the application behind `route` is tried.
    fn upstream_retried(&self, route: &str);
    /// A TLS handshake is over.
    fn handshake(&self, how: Handshake);
    /// How much of a request the access log wants to be told.
    fn access_detail(&self) -> AccessDetail;
    /// A request is over, of which the access log wants to be told.
    fn served(&self, served: &Served);
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    Done,
    Failed,
    /// A certificate authority has validated.
    Validation,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is taken, not ours, or needs a privilege.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS listeners without a certificate.
    #[error("TLS is configured without any certificate")]
    NoCertificate,
}

pub use tls::{
    CertificateError, CertificateStatus, Inspected, check as check_certificate,
    inspect as inspect_certificates, unusable as unusable_certificates,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_called_by_its_file_or_by_its_host() {
        let given = CertificateFiles::given("/etc/chain.pem".into(), "/etc/key.pem".into());
        assert_eq!((given.name().as_str(), given.is_obtained()), ("/etc/chain.pem", false));
        let obtained = CertificateFiles::obtained("a.example".to_owned(), "/var/a.pem".into());
        assert_eq!((obtained.name().as_str(), obtained.is_obtained()), ("a.example", true));
        assert!(!given.is_for_an_address() && !obtained.is_for_an_address());
        assert!(CertificateFiles::obtained("192.0.2.1".to_owned(), "/var/b.pem".into()).is_for_an_address());
    }
}
