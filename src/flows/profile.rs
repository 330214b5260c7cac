//! What people are called, and what they do about it themselves.

use super::{FlowError, Gateway};
use crate::domain::identifier::{Identifier, PendingAddress};
use crate::domain::user::User;
use crate::records::keys;

impl Gateway {
    /// What a person is known by, and the address they are about to be known by.
    pub async fn identifiers_of(&self, user: &User) -> Result<Vec<Identifier>, FlowError> {
        let pending: Option<PendingAddress> = self.records.get(&keys::pending_address(&user.id)).await?;
        let pending = pending.filter(|pending| pending.is_live(self.clock.now()));
        let pending = pending.map(|pending| Identifier::PendingEmail(pending.email));
        let known = [Identifier::Email(user.email.clone()), Identifier::Username(user.username.clone())];
        Ok(known.into_iter().chain(pending).collect())
    }
}
