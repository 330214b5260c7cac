//! The way of messages to a mail server.

use async_trait::async_trait;

use crate::domain::message::Message;

/// Sends messages.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands `message` to a mail server, and returns when that server has taken it on. Takes a
    /// bounded time.
    async fn send(&self, message: &Message) -> Result<(), MailError>;
}

/// Why a message was not taken on. The text is for the log and names no person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Worth another try: the server cannot be reached, is not who it should be, or asks for
    /// patience.
    #[error("{0}")]
    Temporary(String),
    /// The server will never take this message.
    #[error("{0}")]
    Permanent(String),
}
