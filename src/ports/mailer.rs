//! Whoever carries letters away.

use async_trait::async_trait;

use crate::domain::letter::Letter;

/// Sends letters.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands `letter` to a mail server, and returns when that server has taken it on. Takes a bounded
    /// time.
    async fn send(&self, letter: &Letter) -> Result<(), MailError>;
}

/// Why a letter was not taken on. The text is for the log and names no person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Worth another try: the server cannot be reached, is not who it should be, or asks for patience.
    #[error("{0}")]
    Temporary(String),
    /// The server will never take this letter.
    #[error("{0}")]
    Permanent(String),
}
