//! Invitations that an operator has made: looked at, taken back, and replaced.
//!
//! What always holds: an address has one live link of an operator's at most, because the commit that makes
//! one ends those before; and a link that was taken back is refused like one that never was.

use super::administer::{Guest, Invited};
use super::commit::ATTEMPTS_MAX;
use super::{FlowError, Gateway};
use crate::domain::event::{Kind, Origin};
use crate::domain::id::{InvitationId, UserId};
use crate::domain::invitation::{INVITATION_LIFETIME_MAX, Invitation};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::user::{Email, Username};
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

impl Gateway {
    /// Invites somebody. For an address that has an account already, the link adds a passkey to
    /// that account: the way back in for somebody who has lost theirs.
    pub async fn invite(&self, guest: Guest) -> Result<Invited, FlowError> {
        self.must_be_free(&guest).await?;
        let account = self.records.user_by_email(&guest.email).await?.map(|user| user.id);
        let secret = Secret::from_random(entropy::bytes(&*self.entropy));
        let now = self.clock.now();
        let invitation = Invitation {
            id: InvitationId(entropy::bytes(&*self.entropy)),
            secret: secret.hashed(),
            email: guest.email,
            account,
            display_name: guest.display_name,
            username: guest.username,
            groups: guest.groups,
            role: guest.role,
            invited_by: guest.invited_by,
            created_at: now,
            expires_at: now.plus(guest.lifetime.min(INVITATION_LIFETIME_MAX)),
        };
        for _ in 0..ATTEMPTS_MAX {
            let batch = self
                .replacing_the_link_for(&invitation)
                .await?
                .and(self.voiding_links(&invitation.email, account.as_ref()).await?)
                .and(records::create_invitation(&invitation)?);
            if self.is_committed(batch).await? {
                self.report(Origin::default(), Kind::Invited { invitation: invitation.id, by: None });
                return Ok(Invited { invitation, secret });
            }
        }
        Err(FlowError::Busy)
    }

    /// The username that redeeming `invitation` will give, as things are; `None` if it adds a passkey to an
    /// account that has one.
    pub async fn username_to_be(&self, invitation: &Invitation) -> Result<Option<Username>, FlowError> {
        match (&invitation.username, invitation.account) {
            (_, Some(_)) => Ok(None),
            (Some(username), None) => Ok(Some(username.clone())),
            (None, None) => self.free_username(&invitation.email).await.map(Some),
        }
    }

    /// Every invitation that can still be redeemed, oldest first.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, FlowError> {
        let now = self.clock.now();
        let all = self.records.all::<Invitation>(keys::INVITATIONS).await?;
        let mut live: Vec<_> = all.into_iter().map(|(_, it)| it).filter(|it| it.is_live(now)).collect();
        live.sort_by_key(|it| (it.created_at, it.id.0));
        Ok(live)
    }

    /// Makes the link of an invitation good for nothing.
    pub async fn revoke_invitation(&self, id: &InvitationId) -> Result<(), FlowError> {
        let found = self.invitations().await?.into_iter().find(|it| it.id == *id);
        let invitation = found.ok_or(FlowError::NoSuchInvitation)?;
        let key = keys::invitation(&invitation.secret);
        let batch = Batch::default().expect(key.clone(), records::encode(&invitation)?).delete(key);
        // Whoever was faster has redeemed it, replaced it or taken it back.
        if !self.is_committed(batch).await? {
            return Err(FlowError::NoSuchInvitation);
        }
        self.report(Origin::default(), Kind::InvitationRevoked { invitation: *id });
        Ok(())
    }

    /// The batch that ends every live link for this address, or for this account.
    pub(super) async fn voiding_links(
        &self,
        email: &Email,
        account: Option<&UserId>,
    ) -> Result<Batch, FlowError> {
        let all = self.records.all::<Invitation>(keys::INVITATIONS).await?;
        let is_theirs =
            |it: &Invitation| it.email == *email || (account.is_some() && it.account.as_ref() == account);
        let theirs = all.into_iter().filter(|(_, it)| is_theirs(it));
        Ok(theirs.fold(Batch::default(), |batch, (key, _)| batch.delete(key)))
    }

    /// The batch that makes `invitation` the one for its address, if nobody is doing the same: two who invite
    /// at once do not see one another's.
    async fn replacing_the_link_for(&self, invitation: &Invitation) -> Result<Batch, FlowError> {
        let key = keys::invitation_for(&invitation.email);
        let expected = match self.records.get_exact::<SecretHash>(&key).await? {
            Some((_, stored)) => Batch::default().expect(key.clone(), stored),
            None => Batch::default().expect_absent(key.clone()),
        };
        Ok(expected.put(key, records::encode(&invitation.secret)?))
    }

    /// Removes invitations that nobody can use any more, and what is left of those that were used.
    pub(super) async fn forget_expired_invitations(&self) -> Result<(), FlowError> {
        let now = self.clock.now();
        for (key, invitation) in self.records.all::<Invitation>(keys::INVITATIONS).await? {
            if !invitation.is_live(now) {
                self.records.commit(Batch::default().delete(key)).await?;
            }
        }
        for (key, secret) in self.records.all::<SecretHash>(keys::INVITATIONS_FOR).await? {
            if self.records.invitation(&secret).await?.is_none() {
                let stored = records::encode(&secret)?;
                // One that has been replaced meanwhile stays.
                self.is_committed(Batch::default().expect(key.clone(), stored).delete(key)).await?;
            }
        }
        Ok(())
    }
}
