//! Whether mail arrives: a message to the administrator who asks.
//!
//! What does not live here: handing it to a server (`mail/smtp.rs`).
//!
//! What always holds: the message goes to the administrator's own address, within the limits of every
//! other message.

use super::Authority;
use crate::domain::letter::{Content, Letter};
use crate::domain::session::Session;
use crate::domain::user::Email;
use crate::flows::admit::Visit;
use crate::flows::{FlowError, Gateway};

impl Gateway {
    /// Posts a message that says nothing but that it has arrived to the owner of `session`, who has
    /// `authority`; where it went. It goes the way of every other message: through the outbox.
    pub async fn post_test(
        &self,
        authority: &Authority,
        session: &Session,
        visit: &Visit,
    ) -> Result<Email, FlowError> {
        if !self.has_mail() {
            return Err(FlowError::NoMail);
        }
        let to = self.active_user(&session.user).ok_or(FlowError::NotPermitted)?.email.clone();
        self.spend_on_mail(&session.user, visit)?;
        let posting = self.enqueue(&Letter { to: to.clone(), content: Content::Test })?;
        if posting.changes.is_empty() {
            return Err(FlowError::OutboxFull);
        }
        let paid = self.paying_with(authority, &Vec::new()).await?;
        self.records.commit(posting.and(paid)).await?;
        self.wake_delivery();
        Ok(to)
    }
}
