//! Notices: what people are told of their own accounts, by mail, or by webhooks where there is no
//! mail.
//!
//! What does not live here: the words (`mail/notices.rs`, `webhook/words.rs`).
//!
//! What always holds: a notice is in the commit of what it tells, and says with what, from where
//! and when something happened, in our words only.

use crate::domain::ceremony::aaguid::name_of;
use crate::domain::credential::{Credential, Program};
use crate::domain::message::{About, Content, Message};
use crate::domain::network::Network;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::domain::user_agent;
use crate::flows::FlowError;
use crate::flows::messages::Messages;
use crate::flows::visit::Visit;
use crate::ports::Batch;
use crate::records::{self, keys};

impl Messages {
    /// The batch that tells `user` what has happened to their account; nothing where neither mail
    /// nor a webhook could.
    pub(in crate::flows) fn notice(&self, user: &User, content: Content) -> Result<Batch, FlowError> {
        if !self.ground.rules().has_mail {
            return self.dispatching_notice(user, &content);
        }
        self.enqueue(&Message { to: user.email.clone(), content })
    }

    /// The circumstances in a notice of a change to `credential`.
    pub(in crate::flows) fn about(&self, credential: &Credential, visit: &Visit) -> About {
        About { model: name_of(credential.aaguid).map(str::to_owned), ..self.circumstances(visit) }
    }

    /// The circumstances in a notice of an event without an authenticator.
    pub(in crate::flows) fn circumstances(&self, visit: &Visit) -> About {
        About { model: None, network: visit.client.map(Network::of), at: self.ground.clock.now() }
    }

    /// The batch that remembers where and with what `user` has signed in, and tells them if that is
    /// new. It is news only to a user who has signed in with something else before.
    pub(in crate::flows) fn recognise(
        &self,
        user: &User,
        session: &Session,
        visit: &Visit,
    ) -> Result<Recognised, FlowError> {
        let program = program_of(session);
        let met = user.with_program(&program);
        let novelty = if met.is_some() && !user.programs.is_empty() { Novelty::Yes } else { Novelty::No };
        let known = met.as_ref().unwrap_or(user);
        let seen = visit
            .client
            .and_then(|client| known.with_network_seen(Network::of(client), self.ground.clock.now()));
        let mut batch = Batch::default();
        if let Some(after) = seen.or(met) {
            batch = batch.put(keys::user(&after.id), records::encode(&after)?);
        }
        if novelty == Novelty::Yes {
            let about = self.circumstances(visit);
            batch = batch.and(self.notice(user, Content::NewDevice { program, about })?);
        }
        Ok(Recognised { batch, novelty })
    }

    /// Tells every user whose account ends soon, once for each end.
    pub(in crate::flows) async fn announce_ends(&self) -> Result<(), FlowError> {
        for id in self.index.users_with_end_to_announce(self.ground.clock.now()) {
            let key = keys::user(&id);
            let Some((user, stored)) = self.ground.records.get_exact::<User>(&key).await? else { continue };
            let Some(at) = user.end_to_announce(self.ground.clock.now()) else { continue };
            let notice = self.notice(&user, Content::AccountEnds { at })?;
            // A user who cannot be told, or not while the outbox is full, stays untold.
            if notice.changes.is_empty() {
                continue;
            }
            let told = records::encode(&User { told_of_end: Some(at), ..user })?;
            // A user who was changed meanwhile is looked at again at the next run.
            if self.ground.is_committed(notice.expect(key.clone(), stored).put(key, told)).await? {
                self.wake_delivery();
            }
        }
        Ok(())
    }
}

/// The result of recognising a sign-in.
pub(in crate::flows) struct Recognised {
    pub(in crate::flows) batch: Batch,
    pub(in crate::flows) novelty: Novelty,
}

/// Whether a user has signed in with something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum Novelty {
    Yes,
    No,
}

/// The batch that remembers what `user` has come in with; a user who comes by a link or a code is
/// told of that.
pub(in crate::flows) fn remembering_program(user: &User, session: &Session) -> Result<Batch, FlowError> {
    let Some(met) = user.with_program(&program_of(session)) else { return Ok(Batch::default()) };
    Ok(Batch::default().put(keys::user(&met.id), records::encode(&met)?))
}

/// Browser and system, as far as they are known by name.
fn program_of(session: &Session) -> Program {
    user_agent::program(session.user_agent.as_deref())
}
