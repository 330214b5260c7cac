//! Metrics of access tokens.
//!
//! What does not live here: requests that a token let in, which count as any others.
//!
//! What always holds: every reason has a series from the start, and none names a token or a user.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::register::{counter, counter_vec};
use crate::domain::access_token::TokenRefusal;
use crate::domain::event::TokenEvent;

/// Refusals, and checks that ran out of time.
pub(super) struct Tokens {
    refused: IntCounterVec,
    timed_out: IntCounter,
}

impl Tokens {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = counter_vec(
            registry,
            "vestibule_access_tokens_refused_total",
            "Requests that were refused for the access token that they showed, by reason.",
            &["reason"],
        )?;
        for why in TokenRefusal::ALL {
            refused.with_label_values(&[why.label()]);
        }
        let timed_out = counter(
            registry,
            "vestibule_access_token_checks_timed_out_total",
            "Requests whose access token could not be looked at in time: the machine is too busy.",
        )?;
        Ok(Self { refused, timed_out })
    }

    pub(super) fn note(&self, event: &TokenEvent) {
        match event {
            TokenEvent::Refused { why, .. } => self.refused.with_label_values(&[why.label()]).inc(),
            TokenEvent::CheckTimedOut { .. } => self.timed_out.inc(),
            TokenEvent::Created { .. } | TokenEvent::Revoked { .. } => {}
        }
    }
}
