//! Links that people make for their own account, to add a passkey on another device.
//!
//! What always holds: making a link needs the same freshness as adding a passkey, and uses it up; a
//! person has one at most, because the commit that makes a new link ends the one before; and a
//! link that is mailed is known to the reader of that mail alone.

use crate::domain::event::Kind;
use crate::domain::id::InvitationId;
use crate::domain::invitation::Invited;
use crate::domain::invitation::{AccountTerms, Invitation, OWN_LINK_LIFETIME};
use crate::domain::message::Content;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::session::Session;
use crate::domain::user::{Role, User};
use crate::flows::FlowError;
use crate::flows::account::Accounts;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

impl Accounts {
    /// A link with which the owner of `session` adds a passkey to their own account.
    pub async fn make_own_link(&self, session: &Session, visit: &Visit) -> Result<Invited, FlowError> {
        self.attempts.spend(visit)?;
        let owner = self.sessions.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let invited = self.own_link(&owner);
        let notice = self.messages.notice(&owner, Content::LinkMade)?;
        self.keep_own_link(session, &invited.invitation, &notice, visit).await?;
        Ok(invited)
    }

    /// Posts such a link to its owner. Returns when the message is in the outbox.
    pub async fn mail_own_link(&self, session: &Session, visit: &Visit) -> Result<Invitation, FlowError> {
        self.attempts.spend(visit)?;
        let owner = self.sessions.active_user(&session.user).ok_or(FlowError::NotPermitted)?;
        let invited = self.own_link(&owner);
        let enqueued = self.messages.enqueue_link(&invited)?;
        // Only a message that could be sent is counted.
        self.sessions.must_be_fresh(session, visit)?;
        self.attempts.spend_on_mail(&owner.id, visit)?;
        self.keep_own_link(session, &invited.invitation, &enqueued, visit).await?;
        Ok(invited.invitation)
    }

    fn own_link(&self, owner: &User) -> Invited {
        let secret = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let now = self.ground.clock.now();
        let invitation = Invitation {
            id: InvitationId(entropy::bytes(&*self.ground.entropy)),
            secret: secret.hashed(),
            email: owner.email.clone(),
            account: Some(owner.id),
            display_name: None,
            username: None,
            groups: [].into(),
            role: Role::Member,
            invited_by: owner.display_name.to_string(),
            terms: AccountTerms::default(),
            created_at: now,
            expires_at: now.plus(OWN_LINK_LIFETIME),
        };
        Invited { invitation, secret }
    }

    /// Keeps the invitation, in place of the one before, and commits the batch `with` it.
    async fn keep_own_link(
        &self,
        session: &Session,
        invitation: &Invitation,
        with: &Batch,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        let key = keys::own_link(&session.user);
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (_, unchanged) = self.ground.owner_of(session).await?;
            let replacing = match self.ground.records.get_exact::<SecretHash>(&key).await? {
                Some((before, stored)) => {
                    Batch::default().expect(key.clone(), stored).delete(keys::invitation(&before))
                }
                None => Batch::default().expect_absent(key.clone()),
            };
            let batch = replacing
                .put(key.clone(), records::encode(&invitation.secret)?)
                .and(records::create_invitation(invitation)?)
                .and(with.clone())
                .and(unchanged)
                .and(spent);
            if self.ground.is_committed(batch).await? {
                self.messages.wake_delivery();
                let kind = Kind::Invited { invitation: invitation.id, user: Some(session.user) };
                self.ground.report(visit.origin(), kind);
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }
}
