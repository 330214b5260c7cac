//! Messages to people and other programs: by mail, and by webhook.
//!
//! `outbox` keeps messages until they are delivered, `dispatches` does the same for webhooks,
//! `notices` says what users are told, and `links` how the link of an invitation reads and is
//! posted. What does not live here: words (`mail/`, `webhook/`) and the way to a server. What
//! always holds: a message is kept in the commit of the change that it tells of, and sealed.

pub mod dispatches;
mod links;
pub(in crate::flows) mod notices;
pub mod outbox;

use std::sync::Arc;

use super::ground::Ground;
use super::index::SessionIndex;

/// The messages and dispatches that wait.
pub struct Messages {
    ground: Arc<Ground>,
    /// It knows the devices that a user has signed in on.
    index: Arc<SessionIndex>,
    outbox: outbox::Outbox,
    dispatches: dispatches::Dispatches,
}

impl Messages {
    pub(in crate::flows) fn new(ground: Arc<Ground>, index: Arc<SessionIndex>) -> Self {
        let (outbox, dispatches) = (outbox::Outbox::new(), dispatches::Dispatches::default());
        Self { ground, index, outbox, dispatches }
    }
}
