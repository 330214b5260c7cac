//! The state that an administrator has to watch, as it was found last: until when certificates are
//! good.
//!
//! What does not live here: the certificates, which the proxy has, and backups, which
//! `administration/backup.rs` makes. What always holds: nothing here decides about a request.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::time::Timestamp;

/// A certificate, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// The host of a certificate that the gateway obtains, or the file of a given one.
    pub certificate: String,
    /// `None`: there is none yet.
    pub good_until: Option<Timestamp>,
}

/// The certificates, as they were last found.
#[derive(Default)]
pub struct Upkeep {
    certificates: ArcSwap<Vec<CertificateEnd>>,
}

impl Upkeep {
    /// Takes note of the certificates that are served.
    pub fn note_certificates(&self, all: Vec<CertificateEnd>) {
        self.certificates.store(Arc::new(all));
    }

    /// The certificates that are served, those that end first before the others.
    pub fn certificate_ends(&self) -> Vec<CertificateEnd> {
        let mut all = self.certificates.load().to_vec();
        all.sort_by_key(|it| it.good_until.map_or(i64::MIN, Timestamp::as_millis));
        all
    }
}
