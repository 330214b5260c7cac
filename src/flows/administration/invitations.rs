//! Invitations that an operator has made: looked at, taken back, and replaced.
//!
//! What always holds: an address has one live link of an operator's at most, because the commit
//! that makes a link ends those before; and a link that was taken back is refused like an unknown
//! one.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::domain::event::Kind;
use crate::domain::id::InvitationId;
use crate::domain::invitation::{AccountTerms, INVITATION_LIFETIME_MAX, Invitation, Invited, LinkDelivery};
use crate::domain::message::Content;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::user::{DisplayName, Email, Group, Role, Username};
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::links::Links;
use crate::flows::administration::paging::{Page, Pager, Part};
use crate::flows::authority::Authority;
use crate::flows::commit::{ATTEMPTS_MAX, Parts};
use crate::flows::sessions::Ended;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// A person to invite, and the terms of their account.
#[derive(Debug, Clone)]
pub struct Guest {
    pub email: Email,
    pub display_name: Option<DisplayName>,
    pub username: Option<Username>,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub lifetime: Duration,
    pub invited_by: String,
}

/// How many people are invited at a time.
pub const GUESTS_MAX: usize = 150;

/// Why none of several guests was invited.
#[derive(Debug)]
pub enum NobodyInvited {
    /// These guests cannot be invited, by their places.
    Guests(Vec<(usize, FlowError)>),
    Failed(FlowError),
}

impl From<FlowError> for NobodyInvited {
    fn from(error: FlowError) -> Self {
        Self::Failed(error)
    }
}

impl Administration {
    /// Invites a person. For an address that has an account already, the link adds a passkey to
    /// that account: the way back in for a user who has lost theirs.
    pub async fn invite(
        &self,
        authority: &Authority,
        guest: Guest,
        go: LinkDelivery,
    ) -> Result<Invited, FlowError> {
        self.invite_on(authority, guest, AccountTerms::default(), None, go).await
    }

    /// The same for an account on `terms`, where the links that there are may have been read
    /// already.
    pub(in crate::flows) async fn invite_on(
        &self,
        authority: &Authority,
        guest: Guest,
        terms: AccountTerms,
        links: Option<&Links>,
        go: LinkDelivery,
    ) -> Result<Invited, FlowError> {
        self.must_be_free(&guest).await?;
        let mut invited = self.promise(guest).await?;
        invited.invitation.terms = terms;
        let message = self.message_with(&invited, go)?;
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_of(authority, &Ended::new()).await?;
            let inviting = self.inviting(&invited.invitation, links).await?;
            if self.ground.is_committed(inviting.and(message.clone()).and(spent)).await? {
                self.messages.wake_delivery();
                self.report_invited(authority, &invited.invitation);
                return Ok(invited);
            }
        }
        Err(FlowError::Busy)
    }

    /// Invites all guests, at most [`GUESTS_MAX`], or none where one of them cannot be invited.
    /// Their addresses differ. Guests beyond the limit of one commit are invited in further
    /// commits. Where the store fails between two of them, the caller invites all once more, and
    /// each new link replaces the link before it. Only an operator may do so.
    pub async fn invite_all(
        &self,
        authority: &Authority,
        guests: Vec<Guest>,
        links: LinkDelivery,
    ) -> Result<Vec<Invited>, NobodyInvited> {
        // An administrator's freshness would be spent by the last commit, after the first links.
        if !authority.is_operator() {
            return Err(FlowError::NotPermitted.into());
        }
        let mut refused = Vec::new();
        for (at, guest) in guests.iter().enumerate() {
            match self.must_be_free(guest).await {
                Err(why @ (FlowError::HasAccount | FlowError::Taken(_))) => refused.push((at, why)),
                other => other?,
            }
        }
        if !refused.is_empty() {
            return Err(NobodyInvited::Guests(refused));
        }
        let mut promised = Parts::with_capacity(guests.len());
        for guest in guests {
            let one = self.promise(guest).await?;
            let message = self.message_with(&one, links)?;
            promised.push((one, message));
        }
        let mut invited = HashSet::new();
        for _ in 0..ATTEMPTS_MAX {
            let links = self.links().await?;
            let mut parts = Parts::new();
            for (one, message) in promised.iter().filter(|(one, _)| !invited.contains(&one.invitation.id)) {
                let inviting = self.inviting(&one.invitation, Some(&links)).await?;
                parts.push((&one.invitation, inviting.and(message.clone())));
            }
            let done = |one: &Invitation| {
                self.report_invited(authority, one);
                invited.insert(one.id);
            };
            let is_committed = self.ground.is_committed_after(parts, Batch::default(), done).await;
            self.messages.wake_delivery();
            if is_committed? {
                return Ok(promised.into_iter().map(|(one, _)| one).collect());
            }
        }
        Err(FlowError::Busy.into())
    }

    /// The batch that enqueues the link, if it goes by mail.
    pub(in crate::flows) fn message_with(
        &self,
        invited: &Invited,
        go: LinkDelivery,
    ) -> Result<Batch, FlowError> {
        match go {
            LinkDelivery::ByHand => Ok(Batch::default()),
            LinkDelivery::ByMail => self.messages.enqueue_link(invited),
        }
    }

    /// The invitation for a guest, which is not committed yet.
    pub(in crate::flows) async fn promise(&self, guest: Guest) -> Result<Invited, FlowError> {
        let account = self.ground.records.user_by_email(&guest.email).await?.map(|user| user.id);
        let secret = Secret::from_random(entropy::bytes(&*self.ground.entropy));
        let now = self.ground.clock.now();
        let invitation = Invitation {
            id: InvitationId(entropy::bytes(&*self.ground.entropy)),
            secret: secret.hashed(),
            email: guest.email,
            account,
            display_name: guest.display_name,
            username: guest.username,
            groups: guest.groups,
            role: guest.role,
            invited_by: guest.invited_by,
            terms: AccountTerms::default(),
            created_at: now,
            expires_at: now.plus(guest.lifetime.min(INVITATION_LIFETIME_MAX)),
        };
        Ok(Invited { invitation, secret })
    }

    /// The batch that tells the owner of an account that a way into it was made.
    pub(in crate::flows) async fn telling_of_link(
        &self,
        invitation: &Invitation,
    ) -> Result<Batch, FlowError> {
        let Some(account) = &invitation.account else { return Ok(Batch::default()) };
        let Some(user) = self.ground.records.user(account).await? else { return Ok(Batch::default()) };
        let hours = invitation.expires_at.since(invitation.created_at).as_secs().div_ceil(3_600);
        self.messages.notice(&user, Content::ResetLinkMade { hours })
    }

    pub(in crate::flows) fn report_invited(&self, authority: &Authority, invitation: &Invitation) {
        let kind = Kind::Invited { invitation: invitation.id, user: invitation.account };
        self.ground.report(authority.origin(), kind);
    }

    /// A new link for the same promise, in place of the one before.
    pub async fn renew_invitation(
        &self,
        authority: &Authority,
        id: &InvitationId,
        go: LinkDelivery,
    ) -> Result<Invited, FlowError> {
        let before = self.live_invitation(id).await?;
        let guest = Guest {
            lifetime: before.expires_at.since(before.created_at),
            email: before.email,
            display_name: before.display_name,
            username: before.username,
            groups: before.groups,
            role: before.role,
            invited_by: before.invited_by,
        };
        self.invite_on(authority, guest, before.terms, None, go).await
    }

    /// The username that redeeming `invitation` will give, as things are; `None` if it adds a
    /// passkey to an account that has one.
    pub async fn username_to_be(&self, invitation: &Invitation) -> Result<Option<Username>, FlowError> {
        match (&invitation.username, invitation.account) {
            (_, Some(_)) => Ok(None),
            (Some(username), None) => Ok(Some(username.clone())),
            (None, None) => self.accounts.free_username(&invitation.email).await.map(Some),
        }
    }

    /// A page of the invitations that can still be redeemed, in no particular order, the
    /// oldest of the page first.
    pub async fn list_invitations(&self, part: &Part) -> Result<Page<Invitation>, FlowError> {
        let now = self.ground.clock.now();
        let mut pager = Pager::of(&self.ground.records, keys::INVITATIONS, part);
        while let Some((_, value)) = pager.next().await? {
            let invitation: Invitation = records::decode(&value)?;
            if invitation.is_live(now) {
                pager.take(invitation);
            }
        }
        let mut page = pager.page();
        page.items.sort_by_key(|it| (it.created_at, it.id.0));
        Ok(page)
    }

    /// How many invitations can still be redeemed, counted up to `most`.
    pub async fn count_invitations(&self, most: usize) -> Result<usize, FlowError> {
        let (now, mut count) = (self.ground.clock.now(), 0);
        let mut walk = self.ground.records.walk(keys::INVITATIONS);
        while count < most && walk.next_where(|it: &Invitation| it.is_live(now)).await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// A redeemable invitation by its id. The search reads all of them, because their keys are the
    /// hashes of their secrets; they live for [`INVITATION_LIFETIME_MAX`] at most.
    async fn live_invitation(&self, id: &InvitationId) -> Result<Invitation, FlowError> {
        let now = self.ground.clock.now();
        let mut walk = self.ground.records.walk(keys::INVITATIONS);
        let found = walk.next_where(|it: &Invitation| it.is_live(now) && it.id == *id).await?;
        found.map(|(_, invitation)| invitation).ok_or(FlowError::NoSuchInvitation)
    }

    /// Makes the link of an invitation void.
    pub async fn revoke_invitation(&self, authority: &Authority, id: &InvitationId) -> Result<(), FlowError> {
        self.revoke(authority, &self.live_invitation(id).await?).await
    }

    pub(in crate::flows) async fn revoke(
        &self,
        authority: &Authority,
        invitation: &Invitation,
    ) -> Result<(), FlowError> {
        let key = keys::invitation(&invitation.secret);
        let batch = Batch::default().expect(key.clone(), records::encode(invitation)?).delete(key);
        let batch = batch.and(self.sessions.spend_freshness_of(authority, &Ended::new()).await?);
        // Another caller was faster and has redeemed it, replaced it or taken it back.
        if !self.ground.is_committed(batch).await? {
            return Err(FlowError::NoSuchInvitation);
        }
        self.ground.report(authority.origin(), Kind::InvitationRevoked { invitation: invitation.id });
        Ok(())
    }

    /// Removes invitations that can no longer be used, and the rest of those that were used.
    pub(in crate::flows) async fn forget_expired_invitations(&self) -> Result<(), FlowError> {
        let (now, mut walk) = (self.ground.clock.now(), self.ground.records.walk(keys::INVITATIONS));
        while let Some((key, _)) = walk.next_where(|it: &Invitation| !it.is_live(now)).await? {
            self.ground.records.commit(Batch::default().delete(key)).await?;
        }
        let mut walk = self.ground.records.walk(keys::INVITATIONS_FOR);
        while let Some((key, secret)) = walk.next_record::<SecretHash>().await? {
            if self.ground.records.invitation(&secret).await?.is_none() {
                let stored = records::encode(&secret)?;
                // A link that has been replaced meanwhile stays.
                self.ground.is_committed(Batch::default().expect(key.clone(), stored).delete(key)).await?;
            }
        }
        Ok(())
    }

    /// An invitation's terms count only if it makes the account.
    async fn must_be_free(&self, guest: &Guest) -> Result<(), FlowError> {
        let says_more = guest.role != Role::Member || !guest.groups.is_empty() || guest.username.is_some();
        if says_more && self.ground.records.user_by_email(&guest.email).await?.is_some() {
            return Err(FlowError::HasAccount);
        }
        match &guest.username {
            Some(username) if self.ground.records.username_owner(username).await?.is_some() => {
                Err(FlowError::Taken("username"))
            }
            _ => Ok(()),
        }
    }
}
