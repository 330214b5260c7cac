//! Certificates: which one answers a name, and taking in new ones without a restart.
//!
//! The files are read again every few seconds and compared; that works for every way of replacing
//! a file, on every file system. An obtained certificate (`acme`) may not be there yet. What always
//! holds: the served certificates are a complete set in which every key fits its certificate; an
//! unreadable set leaves the old one in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::protocols::tls::TlsRef;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use super::acme::{self, Challenges};
use super::{CertificateFiles, Source};
use crate::domain::time::Timestamp;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a PEM certificate chain: {reason}")]
    Chain { path: PathBuf, reason: String },
    #[error("{path} is not a PEM private key: {reason}")]
    Key { path: PathBuf, reason: String },
    #[error("the key in {key} does not belong to the certificate in {chain}: {reason}")]
    Mismatch { chain: PathBuf, key: PathBuf, reason: String },
}

impl CertificateError {
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// The name a client asked for in its TLS handshake, kept with the connection.
pub(super) struct RequestedServerName(pub(super) String);

/// Notes the name of a handshake.
pub(super) struct ServerNameRecorder;

#[async_trait]
impl TlsAccept for ServerNameRecorder {
    async fn handshake_complete_callback(
        &self,
        tls: &TlsRef,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        let name = tls.server_name()?.trim_end_matches('.').to_ascii_lowercase();
        Some(Arc::new(RequestedServerName(name)))
    }
}

/// The certificates in use.
#[derive(Debug)]
pub(super) struct Certificates {
    files: ArcSwap<Vec<CertificateFiles>>,
    current: ArcSwap<CertificateSet>,
    challenges: Arc<Challenges>,
}

#[derive(Debug)]
pub(super) struct CertificateSet {
    served: Vec<ServedCertificate>,
    /// The names of certificates that are to be obtained, and are not there.
    awaited: Vec<String>,
    /// The digest of all files that were read, to see a change.
    digest: [u8; 32],
}

#[derive(Debug)]
struct ServedCertificate {
    files: CertificateFiles,
    key: Arc<CertifiedKey>,
}

/// A certificate that is served, or that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The host of an obtained certificate, or the file of a given one.
    pub certificate: String,
    /// From when until when it is valid; `None`: it is not there yet.
    pub validity: Option<(Timestamp, Timestamp)>,
}

/// The faults of the pairs that cannot be served.
pub fn unusable(files: &[CertificateFiles]) -> Vec<CertificateError> {
    files.iter().filter_map(|pair| CertificateSet::read(std::slice::from_ref(pair)).err()).collect()
}

/// A certificate and its validity (RFC 5280, section 4.1.2.5).
pub struct Inspected {
    pub chain: PathBuf,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    key: Arc<CertifiedKey>,
}

impl Inspected {
    /// Whether the certificate is for this host.
    pub fn covers(&self, host: &str) -> bool {
        ServerName::try_from(host).is_ok_and(|name| covers(&self.key, &name))
    }
}

/// Reads certificates and says how they are.
pub fn inspect(files: &[CertificateFiles]) -> Result<Vec<Inspected>, CertificateError> {
    CertificateSet::read(files)?
        .served
        .into_iter()
        .map(|ServedCertificate { files, key }| inspected(&files, key))
        .collect()
}

/// Whether a chain and its key, in one PEM file that would lie at `path`, can be served.
pub fn check(path: &Path, pem: &[u8]) -> Result<(), CertificateError> {
    certified_key(&CertificateFiles::given(path.to_path_buf(), path.to_path_buf()), pem, pem).map(drop)
}

fn inspected(pair: &CertificateFiles, key: Arc<CertifiedKey>) -> Result<Inspected, CertificateError> {
    let path = pair.chain.clone();
    let bad = |reason: String| CertificateError::Chain { path: path.clone(), reason };
    let leaf = key.cert.first().ok_or_else(|| bad("it holds no certificate".to_owned()))?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| bad(error.to_string()))?;
    let moment = |time: ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
    let validity = leaf.validity();
    let (not_before, not_after) = (moment(validity.not_before), moment(validity.not_after));
    Ok(Inspected { chain: path.clone(), not_before, not_after, key })
}

impl Certificates {
    /// Reads all certificates.
    pub(super) fn load(
        files: Vec<CertificateFiles>,
        challenges: Arc<Challenges>,
    ) -> Result<Self, CertificateError> {
        let current = ArcSwap::from_pointee(CertificateSet::read(&files)?);
        Ok(Self { files: ArcSwap::from_pointee(files), current, challenges })
    }

    /// Takes in changed files, at once. Blocks.
    pub(super) fn reread(&self) -> Result<(), CertificateError> {
        self.replace(CertificateSet::read(&self.files.load())?);
        Ok(())
    }

    /// Whether a certificate for `host` is to be obtained and is not there yet.
    pub(super) fn is_awaited(&self, host: &str) -> bool {
        self.current.load().awaited.iter().any(|awaited| awaited == host)
    }

    /// All certificates that are served or to be served.
    pub(super) fn statuses(&self) -> Vec<CertificateStatus> {
        let set = self.current.load();
        let served = set.served.iter().filter_map(|served| {
            let read = inspected(&served.files, Arc::clone(&served.key)).ok()?;
            let validity = Some((read.not_before, read.not_after));
            Some(CertificateStatus { certificate: served.files.name(), validity })
        });
        let awaited =
            set.awaited.iter().map(|host| CertificateStatus { certificate: host.clone(), validity: None });
        served.chain(awaited).collect()
    }

    /// Serves the certificates of other files, which have been read as `set`.
    pub(super) fn exchange(&self, files: Vec<CertificateFiles>, set: CertificateSet) {
        self.files.store(Arc::new(files));
        self.replace(set);
    }

    /// Takes in changed files, for as long as the future is polled.
    pub(super) async fn follow_files(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(RELOAD_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_failure = String::new();
        loop {
            ticks.tick().await;
            let files = self.files.load_full();
            let read = Arc::clone(&files);
            let Ok(read) = tokio::task::spawn_blocking(move || CertificateSet::read(&read)).await else {
                continue;
            };
            match read {
                // Other files have been put in their place meanwhile.
                Ok(_) if !Arc::ptr_eq(&files, &self.files.load()) => {}
                Ok(set) => {
                    last_failure.clear();
                    self.replace(set);
                }
                // Half-written files are common during a renewal; say each failure once.
                Err(e) if e.to_string() != last_failure => {
                    last_failure = e.to_string();
                    tracing::warn!(error = %last_failure, "TLS certificates not reloaded; the old ones stay in use");
                }
                Err(_) => {}
            }
        }
    }

    fn replace(&self, set: CertificateSet) {
        if set.digest != self.current.load().digest {
            self.current.store(Arc::new(set));
            tracing::info!("TLS certificates reloaded");
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if acme::is_validation(&hello) {
            return self.challenges.certificate(&hello);
        }
        self.current.load().find(hello.server_name())
    }
}

impl CertificateSet {
    pub(super) fn read(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let mut digest = Sha256::new();
        let (mut served, mut awaited) = (Vec::with_capacity(files.len()), Vec::new());
        for pair in files {
            let chain = match (read(&pair.chain), &pair.source) {
                (Err(error), Source::Obtained(host)) if error.is_not_found() => {
                    awaited.push(host.clone());
                    continue;
                }
                (chain, _) => chain?,
            };
            let key = zeroize::Zeroizing::new(read(&pair.key)?);
            digest.update(Sha256::digest(&chain));
            digest.update(Sha256::digest(&key));
            served.push(ServedCertificate {
                files: pair.clone(),
                key: Arc::new(certified_key(pair, &chain, &key)?),
            });
        }
        Ok(Self { served, awaited, digest: digest.finalize().into() })
    }

    /// The first certificate that covers `name`, or simply the first. A client that names no host
    /// has asked for an address, so a certificate for an address comes before the first one.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let covering = match name {
            Some(name) => ServerName::try_from(name)
                .ok()
                .and_then(|name| self.served.iter().find(|served| covers(&served.key, &name))),
            None => self.served.iter().find(|served| served.files.is_for_an_address()),
        };
        covering.or_else(|| self.served.first()).map(|served| Arc::clone(&served.key))
    }
}

fn covers(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.cert
        .first()
        .and_then(|leaf| ParsedCertificate::try_from(leaf).ok())
        .is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

fn read(path: &PathBuf) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source })
}

fn certified_key(
    pair: &CertificateFiles,
    chain: &[u8],
    key: &[u8],
) -> Result<CertifiedKey, CertificateError> {
    let chain_error = |reason: String| CertificateError::Chain { path: pair.chain.clone(), reason };
    let certificates = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| chain_error(e.to_string()))?;
    let leaf = certificates.first().ok_or_else(|| chain_error("it holds no certificate".to_owned()))?;
    ParsedCertificate::try_from(leaf).map_err(|e| chain_error(e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|e| CertificateError::Key { path: pair.key.clone(), reason: e.to_string() })?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider()).map_err(|e| {
        CertificateError::Mismatch { chain: pair.chain.clone(), key: pair.key.clone(), reason: e.to_string() }
    })
}

#[cfg(test)]
mod tests;
