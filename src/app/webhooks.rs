//! Hands dispatches from the store to their webhooks, when one is enqueued and when one is due.
//!
//! What does not live here: how a dispatch reaches a webhook (`webhook/http.rs`), and which one is
//! due (`flows/messages/dispatches.rs`).
//!
//! What always holds: a failure of the store or of a receiver ends no loop; waiting dispatches are
//! tried later. A test does not use the store.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::StartError;
use crate::config::{Settings, Webhook};
use crate::domain::dispatch::Subscription;
use crate::domain::id::MessageId;
use crate::flows::Gateway;
use crate::ports::{Clock as _, WebhookSender, entropy};
use crate::system::{SystemClock, SystemEntropy};
use crate::webhook::Sender;
use crate::webhook::http::HttpWebhookSender;

/// How long delivery waits after the store failed.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// The longest wait, so that a dispatch that was enqueued unnoticed waits no longer.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(5);

/// The result of a test of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// In the order of the configuration, from 1.
    pub webhook: usize,
    /// Scheme, host and port of its URL.
    pub to: String,
    pub outcome: TriedOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The receiver's answer, or why there is none.
    pub said: String,
}

impl Tried {
    /// Whether the receiver took it.
    pub fn is_taken(&self) -> bool {
        self.outcome == TriedOutcome::Ok
    }
}

/// Whether a webhook took a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TriedOutcome {
    Ok,
    Failed,
}

/// The webhooks, and the events that each subscribes to.
pub(super) fn subscriptions(settings: &Settings) -> Vec<Subscription> {
    settings.webhooks.iter().map(|webhook| webhook.told.clone()).collect()
}

/// The sender for the webhooks that the settings name, which may be none.
pub(super) fn webhook_sender(settings: &Settings) -> Result<Arc<dyn WebhookSender>, StartError> {
    Ok(Arc::new(over_http(settings)?))
}

fn over_http(settings: &Settings) -> Result<HttpWebhookSender, StartError> {
    let origin = settings.origin();
    let sender = Sender {
        name: settings.branding.name.clone(),
        users: format!("{origin}{}/admin/users/", settings.server.prefix),
        origin,
    };
    let receivers = settings.webhooks.iter().map(|webhook| webhook.receiver.clone());
    HttpWebhookSender::new(receivers, sender).map_err(StartError::because)
}

/// Tells every webhook, or the one with this number or URL, that this is a test: at once and past
/// the store.
pub fn try_webhooks(settings: &Settings, which: Option<&str>) -> Result<Vec<Tried>, StartError> {
    if settings.webhooks.is_empty() {
        let none = "the configuration names no webhook: add [[webhook]] (docs/webhooks.md)";
        return Err(StartError(none.to_owned()));
    }
    let numbered = settings.webhooks.iter().enumerate().map(|(at, webhook)| (at + 1, webhook));
    let is_meant = |number: usize, webhook: &Webhook| {
        which.is_none_or(|which| {
            which == number.to_string() || which == webhook.receiver.url || which == webhook.told.origin
        })
    };
    let meant: Vec<_> = numbered.filter(|(number, webhook)| is_meant(*number, webhook)).collect();
    if meant.is_empty() {
        let count = settings.webhooks.len();
        return Err(StartError(format!("no webhook has this number or URL: there are {count}, from 1 on")));
    }
    let webhook_sender = over_http(settings)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::because)?;
    let mut tried = Vec::new();
    for (number, webhook) in meant {
        let (id, told) = (MessageId(entropy::bytes(&SystemEntropy)), &webhook.told);
        let answer =
            runtime.block_on(webhook_sender.send_test(&told.webhook, id, SystemClock::default().now()));
        let (status, said) = match answer {
            Ok(answer) => (Some(answer.status), answer.said),
            Err(why) => (None, why),
        };
        let is_taken = status.is_some_and(|status| (200..300).contains(&status));
        let outcome = if is_taken { TriedOutcome::Ok } else { TriedOutcome::Failed };
        tried.push(Tried { webhook: number, to: told.origin.clone(), outcome, status, said });
    }
    Ok(tried)
}

/// Delivers waiting and newly enqueued dispatches to the webhooks in force at the time, until told
/// to stop.
pub(super) async fn deliver(
    gateway: Arc<Gateway>,
    mut webhook_senders: watch::Receiver<Arc<dyn WebhookSender>>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let webhook_sender = Arc::clone(&webhook_senders.borrow_and_update());
        let wait = tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            delivered = gateway.messages.deliver_dispatches(&*webhook_sender) => match delivered {
                Ok(next) => next.unwrap_or(RETRY_DELAY_MAX).min(RETRY_DELAY_MAX),
                Err(error) => {
                    tracing::warn!(%error, "messages for webhooks cannot be read or written; they wait");
                    RETRY_DELAY
                }
            },
        };
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            () = gateway.messages.dispatch_is_enqueued() => {}
            Ok(()) = webhook_senders.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
