//! The operator's door: a Unix socket that only the gateway's user can open.
//!
//! `server` listens, `client` calls, `protocol` is what they say: one line of JSON there, one line
//! back, and the connection ends. What lives elsewhere: what the commands do; an [`Operator`] does
//! it. What always holds: the socket has mode 0600 from the moment it has a name, a line has a
//! bounded length, and a socket that somebody answers on is never taken away.

pub mod client;
pub mod operator;
pub mod protocol;
pub mod server;

use async_trait::async_trait;

pub use protocol::{Answer, Delivery, InvitationLine, Link, Request, UserLine};

/// Carries out what operators ask for.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Does what `request` says. A failure is an [`Answer::Refused`] that says what to do.
    async fn handle(&self, request: Request) -> Answer;
}
