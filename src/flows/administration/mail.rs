//! Whether mail arrives: a message to the administrator who asks.
//!
//! What does not live here: handing it to a server (`mail/smtp.rs`).
//!
//! What always holds: the message goes to the administrator's own address, within the limits of
//! every other message.

use crate::domain::event::Kind;
use crate::domain::message::{Content, Message};
use crate::domain::session::Session;
use crate::domain::user::Email;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::authority::Authority;
use crate::flows::visit::Visit;

impl Administration {
    /// Posts a message that says nothing but that it has arrived to the owner of `session`, who has
    /// `authority`. Returns the address. Like every other message, it goes through the outbox.
    pub async fn post_test(
        &self,
        authority: &Authority,
        session: &Session,
        visit: &Visit,
    ) -> Result<Email, FlowError> {
        if !self.ground.has_mail() {
            return Err(FlowError::NoMail);
        }
        let to = self.sessions.active_user(&session.user).ok_or(FlowError::NotPermitted)?.email.clone();
        self.attempts.spend_on_mail(&session.user, visit)?;
        let enqueued = self.messages.enqueue(&Message { to: to.clone(), content: Content::Test })?;
        if enqueued.changes.is_empty() {
            return Err(FlowError::OutboxFull);
        }
        let spent = self.sessions.spend_freshness_of(authority, &Vec::new()).await?;
        self.ground.records.commit(enqueued.and(spent)).await?;
        self.messages.wake_delivery();
        self.ground.report(authority.origin(), Kind::MailTested { user: session.user });
        Ok(to)
    }
}
