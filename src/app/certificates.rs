//! Certificates that the gateway obtains itself: which, where they lie, and how they come into
//! force.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::acme::{self, CertificateStore, Name, Plan, Ports, Proof, Responder, check_roots};
use crate::config::Settings;
use crate::domain::policy::route::HostPattern;
use crate::domain::time::Timestamp;
use crate::flows::administration::upkeep::CertificateEnd;
use crate::proxy::{self, CertificateFiles, Challenges, ProxyControl};
use crate::store::private_file;
use crate::system::{SystemClock, SystemEntropy};
use crate::telemetry::metrics::CertificateLife;

/// The directory of certificates and of the account with the authority, in the data directory.
const DIRECTORY: &str = "acme";

/// The certificates to obtain; `None` where the operator has certificates from elsewhere. Reads the
/// files of given certificates: a host that one of them covers needs no other.
pub(super) fn plan(settings: &Settings) -> Option<Plan> {
    let tls = settings.server.tls.as_ref()?;
    let authority = tls.acme.clone()?;
    let given = proxy::inspect_certificates(&tls.certificates).unwrap_or_default();
    let exact = settings.routes.all().filter_map(|route| match &route.host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) => None,
    });
    let mut hosts: Vec<String> = std::iter::once(settings.public_url.host.clone()).chain(exact).collect();
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts.retain(|host| !given.iter().any(|certificate| certificate.covers(host)));
    Some(Plan { authority, names: hosts.iter().map(|host| Name::of_host(host)).collect() })
}

/// Whether the files that are needed to speak with the authority can be read.
pub(super) fn check_authority(settings: &Settings) -> Result<(), String> {
    let acme = settings.server.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    acme.map_or(Ok(()), check_roots)
}

/// Every certificate that is to be served: those that are given, then those that are obtained.
pub(super) fn files(settings: &Settings) -> Vec<CertificateFiles> {
    let directory = directory(settings);
    let names = plan(settings).map_or_else(Vec::new, |plan| plan.names);
    let obtained = names
        .iter()
        .map(|name| CertificateFiles::obtained(name.to_string(), directory.join(acme::file_of(name))));
    let given = settings.server.tls.iter().flat_map(|tls| &tls.certificates);
    given.cloned().chain(obtained).collect()
}

fn directory(settings: &Settings) -> PathBuf {
    settings.store.path.join(DIRECTORY)
}

/// Until when each certificate is good.
pub(super) fn ends(control: &ProxyControl) -> Vec<CertificateEnd> {
    let all = control.certificates().into_iter();
    all.map(|status| CertificateEnd {
        certificate: status.certificate,
        good_until: status.validity.map(|(_, until)| until),
    })
    .collect()
}

/// The remaining life of each certificate at `now`.
pub(super) fn remaining_lifetimes(control: &ProxyControl, now: Timestamp) -> Vec<CertificateLife> {
    let all = control.certificates().into_iter();
    all.map(|status| {
        let lengths = status.validity.map(|(from, until)| (until.since(now), until.since(from)));
        let (left, whole) = lengths.unwrap_or((Duration::ZERO, Duration::ZERO));
        CertificateLife { certificate: status.certificate, left, whole }
    })
    .collect()
}

/// Puts away obtained certificates that cannot be served, so that the gateway starts and gets new
/// ones.
pub(super) fn set_aside_unusable<'a>(files: impl Iterator<Item = &'a CertificateFiles>) -> io::Result<()> {
    for pair in files.filter(|pair| pair.is_obtained()) {
        let unusable = proxy::unusable_certificates(std::slice::from_ref(pair));
        let Some(error) = unusable.first() else { continue };
        let mut aside = pair.chain.as_os_str().to_owned();
        aside.push(".unusable");
        std::fs::rename(&pair.chain, &aside)?;
        tracing::warn!(%error, moved_to = %PathBuf::from(aside).display(), "an obtained certificate cannot be served");
    }
    Ok(())
}

/// The ports of the keeper of certificates for `settings`, which serves them through `control`.
pub(super) fn ports(settings: &Settings, control: &Arc<ProxyControl>, challenges: &Arc<Challenges>) -> Ports {
    Ports {
        responder: Arc::new(ChallengeResponder(Arc::clone(challenges))),
        store: Arc::new(DataDirectory { directory: directory(settings), control: Arc::clone(control) }),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
    }
}

struct ChallengeResponder(Arc<Challenges>);

impl Responder for ChallengeResponder {
    fn publish(&self, proof: &Proof) {
        match proof {
            Proof::Text { token, text } => self.0.publish_text(token, text),
            Proof::Certificate { server_name, certificate, key } => {
                self.0.publish_certificate(server_name, certificate, key);
            }
        }
    }

    fn withdraw(&self, proof: &Proof) {
        match proof {
            Proof::Text { token, .. } => self.0.withdraw_text(token),
            Proof::Certificate { server_name, .. } => self.0.withdraw_certificate(server_name),
        }
    }
}

struct DataDirectory {
    directory: PathBuf,
    control: Arc<ProxyControl>,
}

impl CertificateStore for DataDirectory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        private_file::read(&self.directory.join(name))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        private_file::write(&self.directory.join(name), content)
    }

    fn put_in_force(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.directory.join(name);
        proxy::check_certificate(&path, content).map_err(io::Error::other)?;
        self.write(name, content)?;
        self.control.reread_certificates().map_err(io::Error::other)
    }
}
