//! The links of invitations: as text, and by mail.
//!
//! What does not live here: making and ending invitations.

use crate::domain::invitation::{Invitation, Invited};
use crate::domain::message::{Content, Message};
use crate::flows::FlowError;
use crate::flows::messages::Messages;
use crate::ports::Batch;

impl Messages {
    /// The link that `invited` gives. It is made of our public address alone, and of no part of a
    /// request.
    pub fn link_of(&self, invited: &Invited) -> String {
        self.ground.place.url(&format!("/enroll#{}", invited.secret.reveal()))
    }

    /// The batch that enqueues the link. The caller waits for it, so a full outbox is told.
    pub(in crate::flows) fn enqueue_link(&self, invited: &Invited) -> Result<Batch, FlowError> {
        if !self.ground.rules().has_mail {
            return Err(FlowError::NoMail);
        }
        let Invitation { email, display_name, expires_at, .. } = &invited.invitation;
        let hours = expires_at.since(self.ground.clock.now()).as_secs().div_ceil(3_600);
        let content = Content::Link { url: self.link_of(invited), name: display_name.clone(), hours };
        let enqueued = self.enqueue(&Message { to: email.clone(), content })?;
        if enqueued.changes.is_empty() { Err(FlowError::OutboxFull) } else { Ok(enqueued) }
    }
}
