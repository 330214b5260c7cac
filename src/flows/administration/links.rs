//! The links that lead to accounts, read once, and the batches that end them.
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
    /// The links of these invitations, each with the key of its record.
    pub(in crate::flows) fn of(all: &[(Vec<u8>, Invitation)]) -> Self {
        let mut links = Self::default();
        for (key, it) in all {
            links.for_address.entry(it.email.clone()).or_default().push(key.clone());
            if let Some(account) = it.account {
                links.for_account.entry(account).or_default().push(key.clone());
            }
        }
        links
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
        Ok(Links::of(&self.ground.records.all(keys::INVITATIONS).await?))
    }

    /// The batch that ends every live link for this address, or for this account.
    pub(in crate::flows) async fn voiding_links(
        &self,
        email: &Email,
        account: Option<&UserId>,
        links: &Links,
    ) -> Result<Batch, FlowError> {
        let mut theirs = links.theirs(email, account);
        let newest = self.ground.records.get::<SecretHash>(&keys::invitation_for(email)).await?;
        theirs.extend(newest.map(|secret| keys::invitation(&secret)));
        Ok(theirs.into_iter().fold(Batch::default(), Batch::delete))
    }

    /// The batch that makes an invitation the one for its address and ends those before it, unless
    /// another caller does the same: two who invite at once do not see one another's.
    pub(in crate::flows) async fn inviting(
        &self,
        invitation: &Invitation,
        links: &Links,
    ) -> Result<Batch, FlowError> {
        let key = keys::invitation_for(&invitation.email);
        let mut ended = links.theirs(&invitation.email, invitation.account.as_ref());
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
