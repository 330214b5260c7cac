//! The links that lead to accounts, and the batches that end them.
//!
//! What does not live here: making links (`invitations.rs`, and `flows/account/own_link.rs`).
//!
//! What always holds: a batch that ends the links of an address reads the operator's link for it
//! anew and ends that too, so [`Links`] may be some moments old: for many people it is read once.

use std::collections::{BTreeSet, HashMap};

use crate::domain::id::UserId;
use crate::domain::invitation::Invitation;
use crate::domain::secret::SecretHash;
use crate::domain::user::Email;
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::ports::Batch;
use crate::records::{self, keys};

/// The keys of the existing invitations.
#[derive(Default)]
pub(in crate::flows) struct Links {
    for_address: HashMap<Email, Vec<Vec<u8>>>,
    for_account: HashMap<UserId, Vec<Vec<u8>>>,
}

impl Links {
    fn add(&mut self, key: Vec<u8>, it: Invitation) {
        if let Some(account) = it.account {
            self.for_account.entry(account).or_default().push(key.clone());
        }
        self.for_address.entry(it.email).or_default().push(key);
    }

    /// The keys of those for this address, or for this account.
    fn theirs(&self, email: &Email, account: Option<&UserId>) -> BTreeSet<Vec<u8>> {
        let for_account = account.and_then(|account| self.for_account.get(account));
        self.for_address.get(email).into_iter().chain(for_account).flatten().cloned().collect()
    }
}

impl Administration {
    /// All links that there are now.
    pub(in crate::flows) async fn links(&self) -> Result<Links, FlowError> {
        let (mut walk, mut links) = (self.ground.records.walk(keys::INVITATIONS), Links::default());
        while let Some((key, invitation)) = walk.next_record().await? {
            links.add(key, invitation);
        }
        Ok(links)
    }

    /// The keys of the links to this address, or to this account: by `links`, if they have been
    /// read already.
    async fn links_to(
        &self,
        email: &Email,
        account: Option<&UserId>,
        links: Option<&Links>,
    ) -> Result<BTreeSet<Vec<u8>>, FlowError> {
        if let Some(links) = links {
            return Ok(links.theirs(email, account));
        }
        let (mut walk, mut theirs) = (self.ground.records.walk(keys::INVITATIONS), BTreeSet::new());
        let is_theirs =
            |it: &Invitation| it.email == *email || account.is_some_and(|id| it.account == Some(*id));
        while let Some((key, _)) = walk.next_where(is_theirs).await? {
            theirs.insert(key);
        }
        Ok(theirs)
    }

    /// The batch that ends every live link for this address, or for this account.
    pub(in crate::flows) async fn voiding_links(
        &self,
        email: &Email,
        account: Option<&UserId>,
        links: Option<&Links>,
    ) -> Result<Batch, FlowError> {
        let mut theirs = self.links_to(email, account, links).await?;
        let newest = self.ground.records.get::<SecretHash>(&keys::invitation_for(email)).await?;
        theirs.extend(newest.map(|secret| keys::invitation(&secret)));
        Ok(theirs.into_iter().fold(Batch::default(), Batch::delete))
    }

    /// The batch that makes an invitation the one for its address and ends those before it, unless
    /// another caller does the same: two who invite at once do not see one another's.
    pub(in crate::flows) async fn inviting(
        &self,
        invitation: &Invitation,
        links: Option<&Links>,
    ) -> Result<Batch, FlowError> {
        let key = keys::invitation_for(&invitation.email);
        let mut ended = self.links_to(&invitation.email, invitation.account.as_ref(), links).await?;
        let expected = match self.ground.records.get_exact::<SecretHash>(&key).await? {
            Some((secret, stored)) => {
                ended.insert(keys::invitation(&secret));
                Batch::default().expect(key.clone(), stored)
            }
            None => Batch::default().expect_absent(key.clone()),
        };
        let replacing = expected.put(key, records::encode(&invitation.secret)?);
        let telling = self.telling_of_link(invitation).await?;
        let made =
            ended.into_iter().fold(replacing, Batch::delete).and(records::create_invitation(invitation)?);
        Ok(made.and(telling))
    }
}
