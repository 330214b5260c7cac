//! What people and other programs are told: by mail, and by webhook.
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

/// What waits to be told.
pub struct Messages {
    ground: Arc<Ground>,
    /// Which devices a user has signed in on.
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
