//! Certificates from an authority (ACME, RFC 8555): asked for, renewed, and kept.
//!
//! `schedule` says when, `account` is who we are to the authority, `order` gets one certificate,
//! and `keeper` does so for every name for as long as the gateway runs. The proxy answers
//! challenges (a [`Responder`]) and serves what is on the [`CertificateStore`]. What always
//! holds: a failure leaves the certificate in force where it is, is told in one line, and is tried
//! again, later each time; a certificate is in the store whole, or the one before it is.

mod account;
mod keeper;
mod order;
mod schedule;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::domain::user::Email;
use crate::ports::{Clock, Entropy};
pub use account::check_roots;
pub use keeper::{file_of, keep};

/// The certificates to keep, and their authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub authority: Authority,
    /// One certificate each, so that a name that cannot be validated holds up no other.
    pub names: Vec<Name>,
}

/// The authority that issues certificates, and what we tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// The URL of the directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// The address for messages of the authority; optional.
    pub email: Option<Email>,
    /// Trusted for the directory instead of the authorities of this machine.
    pub ca_file: Option<PathBuf>,
    pub challenge: Challenge,
    /// One of the directory's certificate profiles.
    pub profile: Option<String>,
    /// An account that the operator has with the authority (RFC 8555, section 7.3.4).
    pub external_account: Option<ExternalAccount>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, {:?}, {:?})", self.directory, self.challenge, self.profile)
    }
}

/// How the authority is shown that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By a file over plain HTTP on port 80 (RFC 8555, section 8.3).
    Http01,
    /// By a certificate in a handshake on port 443 (RFC 8737).
    TlsAlpn01,
}

/// The key that ties our account to another one of the operator's.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub key_id: String,
    pub hmac_key: Zeroizing<Vec<u8>>,
}

/// The host name or address of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Dns(String),
    /// RFC 8738.
    Ip(IpAddr),
}

impl Name {
    /// Of a host in lower case, without a port.
    pub fn of_host(host: &str) -> Self {
        host.parse().map_or_else(|_| Self::Dns(host.to_owned()), Self::Ip)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(host) => f.write_str(host),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// A proof for the authority that a name is ours.
#[derive(Clone)]
pub enum Proof {
    /// The text at `/.well-known/acme-challenge/{token}`.
    Text { token: String, text: String },
    /// The certificate for `server_name`, in DER, with its key in PKCS#8.
    Certificate { server_name: String, certificate: Vec<u8>, key: Zeroizing<Vec<u8>> },
}

/// Publishes proofs for the authority. Never blocks.
pub trait Responder: Send + Sync {
    fn publish(&self, proof: &Proof);
    fn withdraw(&self, proof: &Proof);
}

/// Where certificates and the account are kept, each under a name of its own. May block.
pub trait CertificateStore: Send + Sync {
    /// `None` if there is nothing of that name.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Replaces what was there, durably and at once; no other user of the machine can read it.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()>;
    /// The same with a certificate and its key, in PEM, which are served from the next handshake
    /// on. Refuses what cannot be served; then nothing has changed.
    fn put_in_force(&self, name: &str, content: &[u8]) -> io::Result<()>;
}

/// The keeper's surroundings.
#[derive(Clone)]
pub struct Ports {
    pub responder: Arc<dyn Responder>,
    pub store: Arc<dyn CertificateStore>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// Runs what may block where it holds up nothing else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
