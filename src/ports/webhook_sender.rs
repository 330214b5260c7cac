//! The way of dispatches to webhooks.
//!
//! What does not live here: how it is done over HTTP (`webhook/http.rs`).
//!
//! What always holds: a dispatch has one id at all its tries, and no error shows the path of a
//! webhook.

use async_trait::async_trait;

use crate::domain::dispatch::{Dispatch, WebhookId};
use crate::domain::id::MessageId;
use crate::domain::time::Timestamp;

/// A dispatch, as it is handed over.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub to: WebhookId,
    /// The same at every try, so that a receiver can recognise a repeated dispatch.
    pub id: MessageId,
    pub dispatch: &'a Dispatch,
    /// When this try is made.
    pub now: Timestamp,
}

/// Sends dispatches to webhooks.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Whether there is such a webhook.
    fn has_webhook(&self, to: &WebhookId) -> bool;

    /// Hands `attempt` to its webhook, and returns when that has said that it took it. Asks once,
    /// and takes a bounded time.
    async fn send(&self, attempt: Attempt<'_>) -> Result<(), WebhookError>;
}

/// Why a dispatch was not taken. The text is for the log, and holds nothing of the webhook's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Worth another try: the receiver cannot be reached, fails, or asks for patience.
    #[error("{0}")]
    Temporary(String),
    /// The receiver will never take this one.
    #[error("{0}")]
    Permanent(String),
}
