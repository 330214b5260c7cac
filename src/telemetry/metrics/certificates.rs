//! The remaining life of each certificate.

use std::time::Duration;

use prometheus::{GaugeVec, Registry};

use super::register::share_vec;

const LABEL: &str = "certificate";

/// How long a certificate has to live: zero, for a certificate that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateLife {
    /// The host of a certificate that the gateway obtains, or the file of a given one.
    pub certificate: String,
    pub left: Duration,
    pub whole: Duration,
}

pub(super) struct Certificates {
    ratio: GaugeVec,
    expiry: GaugeVec,
}

impl Certificates {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            ratio: share_vec(
                registry,
                "vestibule_certificate_lifetime_ratio",
                "How much of a certificate's life is left, from 0 to 1; 0 too while there is none yet.",
                LABEL,
            )?,
            expiry: share_vec(
                registry,
                "vestibule_certificate_expiry_seconds",
                "How long until a certificate expires; 0 when it has, or while there is none yet.",
                LABEL,
            )?,
        })
    }

    /// Replaces the earlier certificates.
    pub(super) fn set(&self, all: &[CertificateLife]) {
        self.ratio.reset();
        self.expiry.reset();
        for CertificateLife { certificate, left, whole } in all {
            let left = left.as_secs_f64();
            let ratio = if whole.is_zero() { 0.0 } else { left / whole.as_secs_f64() };
            self.ratio.with_label_values(&[certificate]).set(ratio);
            self.expiry.with_label_values(&[certificate]).set(left);
        }
    }
}
