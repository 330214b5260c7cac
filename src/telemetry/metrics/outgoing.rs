//! Metrics of messages by mail and dispatches to webhooks.
//!
//! What does not live here: the sending.
//!
//! What always holds: every result has a series from the start.

use prometheus::{IntCounterVec, Registry};

use super::register::counter_vec;
use crate::domain::event::Delivery;

/// The outcomes of messages that were to be sent.
pub(super) struct Outgoing {
    mail: IntCounterVec,
    webhooks: IntCounterVec,
}

impl Outgoing {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            mail: counter_vec(
                registry,
                "vestibule_mail_total",
                "Messages handed to the mail server, and attempts that failed, by result.",
                &["result"],
            )?,
            webhooks: counter_vec(
                registry,
                "vestibule_webhooks_total",
                "Messages handed to webhooks, and attempts that failed, by result.",
                &["result"],
            )?,
        })
    }

    /// Lets every series exist.
    pub(super) fn initialise(&self) {
        for delivery in Delivery::ALL {
            self.mail.with_label_values(&[delivery.label()]);
            self.webhooks.with_label_values(&[delivery.label()]);
        }
    }

    pub(super) fn mailed(&self, delivery: Delivery) {
        self.mail.with_label_values(&[delivery.label()]).inc();
    }

    pub(super) fn called(&self, delivery: Delivery) {
        self.webhooks.with_label_values(&[delivery.label()]).inc();
    }
}
