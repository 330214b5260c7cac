//! How TLS handshakes ended.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::register::counter_vec;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsHandshake {
    Done,
    Failed,
    /// For a certificate authority alone.
    Validation,
}

impl TlsHandshake {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Validation];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Validation => "validation",
        }
    }
}

pub(super) struct Handshakes([IntCounter; TlsHandshake::ALL.len()]);

impl Handshakes {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let family: IntCounterVec = counter_vec(
            registry,
            "vestibule_tls_handshakes_total",
            "TLS handshakes with clients, by result.",
            &["result"],
        )?;
        Ok(Self(TlsHandshake::ALL.map(|how| family.with_label_values(&[how.label()]))))
    }

    pub(super) fn ended(&self, how: TlsHandshake) {
        // `ALL` is in the order of declaration, which is what `as` counts.
        if let Some(counter) = self.0.get(how as usize) {
            counter.inc();
        }
    }
}
