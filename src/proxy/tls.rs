//! Certificates: which one answers a name, and taking in new ones without a restart.
//!
//! The files are read again every few seconds and compared; that works for every way of replacing
//! a file, on every file system. What always holds: what is served is a complete set in which
//! every key fits its certificate; a set that cannot be read leaves the old one in place.

use std::path::PathBuf;
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

use super::CertificateFiles;

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

/// The name a client asked for in its TLS handshake, kept with the connection.
pub(super) struct AskedFor(pub(super) String);

/// Notes the name of a handshake.
pub(super) struct NameKeeper;

#[async_trait]
impl TlsAccept for NameKeeper {
    async fn handshake_complete_callback(
        &self,
        tls: &TlsRef,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        let name = tls.server_name()?.trim_end_matches('.').to_ascii_lowercase();
        Some(Arc::new(AskedFor(name)))
    }
}

/// The certificates in use.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Vec<CertificateFiles>,
    current: ArcSwap<Set>,
}

#[derive(Debug)]
struct Set {
    keys: Vec<Arc<CertifiedKey>>,
    /// Of everything that was read, to see a change.
    digest: [u8; 32],
}

/// What is wrong with each pair that cannot be served.
pub fn unusable(files: &[CertificateFiles]) -> Vec<CertificateError> {
    files.iter().filter_map(|pair| Set::read(std::slice::from_ref(pair)).err()).collect()
}

impl Certificates {
    /// Reads them all.
    pub(super) fn load(files: Vec<CertificateFiles>) -> Result<Self, CertificateError> {
        let current = ArcSwap::from_pointee(Set::read(&files)?);
        Ok(Self { files, current })
    }

    /// Takes in what has changed on disk, for as long as the future is polled.
    pub(super) async fn follow_files(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(RELOAD_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_failure = String::new();
        loop {
            ticks.tick().await;
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || Set::read(&files)).await else { continue };
            match read {
                Ok(set) => {
                    last_failure.clear();
                    self.replace(set);
                }
                // Half-written files are common while somebody renews; say each failure once.
                Err(e) if e.to_string() != last_failure => {
                    last_failure = e.to_string();
                    tracing::warn!(error = %last_failure, "TLS certificates not reloaded; the old ones stay in use");
                }
                Err(_) => {}
            }
        }
    }

    fn replace(&self, set: Set) {
        if set.digest != self.current.load().digest {
            self.current.store(Arc::new(set));
            tracing::info!("TLS certificates reloaded");
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().find(hello.server_name())
    }
}

impl Set {
    fn read(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let mut digest = Sha256::new();
        let mut keys = Vec::with_capacity(files.len());
        for pair in files {
            let chain = read(&pair.chain)?;
            let key = zeroize::Zeroizing::new(read(&pair.key)?);
            digest.update(Sha256::digest(&chain));
            digest.update(Sha256::digest(&key));
            keys.push(Arc::new(certified_key(pair, &chain, &key)?));
        }
        Ok(Self { keys, digest: digest.finalize().into() })
    }

    /// The first certificate that covers `name`, or simply the first.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let covering = name
            .and_then(|name| ServerName::try_from(name).ok())
            .and_then(|name| self.keys.iter().find(|key| covers(key, &name)));
        covering.or_else(|| self.keys.first()).cloned()
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
mod tests {
    use std::path::Path;

    use super::*;

    fn write_pair(folder: &Path, file: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pair = CertificateFiles {
            chain: folder.join(format!("{file}.crt")),
            key: folder.join(format!("{file}.key")),
        };
        std::fs::write(&pair.chain, made.cert.pem()).unwrap();
        std::fs::write(&pair.key, made.signing_key.serialize_pem()).unwrap();
        pair
    }

    #[test]
    fn a_name_gets_the_certificate_that_covers_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = vec![
            write_pair(folder.path(), "a", &["a.example"]),
            write_pair(folder.path(), "wild", &["*.b.example"]),
        ];
        let set = Set::read(&files).unwrap();
        let index = |name| {
            let found = set.find(name).unwrap();
            set.keys.iter().position(|key| Arc::ptr_eq(key, &found)).unwrap()
        };
        assert_eq!(index(Some("a.example")), 0);
        assert_eq!(index(Some("x.b.example")), 1);
        assert_eq!(index(Some("b.example")), 0);
        assert_eq!(index(Some("unknown.example")), 0);
        assert_eq!(index(None), 0);
    }

    #[test]
    fn a_set_that_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let a = write_pair(folder.path(), "a", &["a.example"]);
        let b = write_pair(folder.path(), "b", &["b.example"]);
        let mixed = CertificateFiles { chain: a.chain.clone(), key: b.key.clone() };
        assert!(matches!(Set::read(&[mixed]), Err(CertificateError::Mismatch { .. })));
        let swapped = CertificateFiles { chain: a.key.clone(), key: a.key.clone() };
        assert!(matches!(Set::read(&[swapped]), Err(CertificateError::Chain { .. })));
        let no_key = CertificateFiles { chain: a.chain.clone(), key: a.chain.clone() };
        assert!(matches!(Set::read(&[no_key]), Err(CertificateError::Key { .. })));
        let missing = CertificateFiles { chain: folder.path().join("none"), key: a.key };
        assert!(matches!(Set::read(&[missing]), Err(CertificateError::Read { .. })));
    }

    #[test]
    fn only_a_change_replaces_the_set() {
        let folder = tempfile::tempdir().unwrap();
        let files = vec![write_pair(folder.path(), "a", &["a.example"])];
        let certificates = Certificates::load(files.clone()).unwrap();
        let before = certificates.current.load_full();
        certificates.replace(Set::read(&files).unwrap());
        assert!(Arc::ptr_eq(&before, &certificates.current.load_full()));
        write_pair(folder.path(), "a", &["a.example"]);
        certificates.replace(Set::read(&files).unwrap());
        assert!(!Arc::ptr_eq(&before, &certificates.current.load_full()));
    }
}
