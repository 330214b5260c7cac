//! The operator's door: a Unix socket that only the gateway's user can open.
//!
//! `server` listens, `client` calls, `protocol` has the requests and answers, `lines` the members
//! of lists, `explain` questions about decisions, and `declared` is `operator`'s part about a file:
//! one line of JSON there, one line back (after which a backup follows), and the connection ends.
//! What does not live here: carrying commands out, which an [`Operator`] does. What always holds:
//! the socket has mode 0600 from the moment it has a name, a line has a bounded length, and a
//! socket that a gateway answers on is never taken away.

pub mod client;
mod declared;
pub mod explain;
pub mod lines;
pub mod operator;
pub mod protocol;
pub mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;

use crate::domain::time::Timestamp;
use crate::flows::administration::backup::BackupError;

pub use explain::{AskerLine, ExplanationLine, QuestionLine};
pub use lines::{BanLine, InvitationLine, SessionLine, TokenLine, TrailLine, UserDetails, UserLine};
pub use protocol::{Answer, DifferenceLine, GuestLine, InvitedLine, Link, Request, Run};

/// Exchanges the configuration of a running gateway.
#[async_trait]
pub trait Reload: Send + Sync {
    /// Takes the configuration in again. Returns the keys that count after a restart only, or the
    /// mistakes.
    async fn reload(&self) -> Result<Vec<String>, String>;
}

/// Replaces the program of a running gateway.
#[async_trait]
pub trait Upgrade: Send + Sync {
    /// Asks the program that now lies where this one was started from whether it accepts the
    /// configuration. Returns how long requests under way may take, or why this program goes on.
    async fn prepare(&self) -> Result<Duration, String>;

    /// Gives way to the new program.
    fn give_way(&self);
}

/// The parts of a serving process that operators can ask for.
pub struct Process {
    pub reload: Arc<dyn Reload>,
    pub upgrade: Arc<dyn Upgrade>,
    /// The remarks of the process, in sentences.
    pub remarks: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Tells this process from the one before and the one after.
    pub started_at: Timestamp,
}

/// Carries out what operators ask for.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Does what `request` says. A failure is an [`Answer::Refused`] that says what to do.
    async fn handle(&self, request: Request) -> Answer;

    /// Is told once an answer has been sent, because a command that ends the process waits for
    /// that.
    fn answered(&self, answer: &Answer);

    /// Writes a backup. After a failure, the written bytes are no backup: their end is missing.
    async fn back_up(&self, into: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), BackupError>;
}
