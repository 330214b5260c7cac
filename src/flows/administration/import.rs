//! Users and passkeys that are taken over from another program.
//!
//! What does not live here: checking a key (`domain/ceremony/import.rs`).
//!
//! What always holds: a user comes in one commit with as many of their passkeys as fit, and another
//! import of the same file adds the rest; a credential id stays one person's; and an unusable
//! passkey is told with the reason, while the rest goes on.

use std::collections::HashSet;

use futures_util::future::join_all;

use crate::domain::ceremony::ImportError;
use crate::domain::ceremony::aaguid::name_of;
use crate::domain::credential::{CREDENTIALS_PER_USER_MAX, Credential};
use crate::domain::event::{Kind, Model, UserChange};
use crate::domain::foreign::{FOREIGN_USERS_MAX, ForeignPasskey, ForeignUser};
use crate::domain::message::Content;
use crate::domain::user::{Role, User};
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::authority::Authority;
use crate::flows::commit::{ATTEMPTS_MAX, Parts, packed};
use crate::flows::sessions::Ended;
use crate::ports::Batch;
use crate::records;

/// Users who are taken over at a time: their commits share what makes them durable.
const AT_ONCE: usize = 16;

/// Why a user was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    #[error("there would be more than {CREDENTIALS_PER_USER_MAX} passkeys")]
    TooMany,
    #[error("there are too many users in one file: divide it")]
    TooManyUsers,
    /// With the reason for each.
    #[error("no passkey of theirs can be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoPasskey(Vec<PasskeyLeft>),
    #[error("an attempt to take them over failed")]
    Failed(#[from] FlowError),
}

/// Why a passkey was left where it was, and its place among the user's, from 1.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyLeft {
    #[error("passkey {0} is known here already")]
    Known(usize),
    #[error("passkey {0}: {1}")]
    Unusable(usize, ImportError),
}

/// The account and the passkeys that would be made for a user.
struct Import {
    user: User,
    account: Batch,
    passkeys: Parts<Credential>,
    left: Vec<PasskeyLeft>,
}

/// The outcome for a user: taken over, with the passkeys that were left, or not.
type Outcome = Result<Vec<PasskeyLeft>, NotImported>;

/// Whether a passkey is named twice.
fn share_a_passkey(users: &[ForeignUser]) -> bool {
    let mut seen = HashSet::new();
    users.iter().flat_map(|user| &user.passkeys).any(|passkey| !seen.insert(&passkey.id))
}

impl Administration {
    /// Takes users over, each in commits of their own. Returns the outcomes in their order.
    pub async fn import(
        &self,
        authority: &Authority,
        users: Vec<ForeignUser>,
    ) -> Result<Vec<Outcome>, FlowError> {
        let mut outcomes = Vec::with_capacity(users.len());
        for some in users.chunks(AT_ONCE) {
            if outcomes.len() >= FOREIGN_USERS_MAX {
                outcomes.extend(some.iter().map(|_| Err(NotImported::TooManyUsers)));
                continue;
            }
            if share_a_passkey(some) {
                // One after the other, so that the first user in the file gets the passkey.
                for user in some {
                    outcomes.push(self.import_one(authority, user).await);
                }
            } else {
                outcomes.extend(join_all(some.iter().map(|user| self.import_one(authority, user))).await);
            }
            self.write_trail().await?;
        }
        Ok(outcomes)
    }

    async fn import_one(&self, authority: &Authority, foreign: &ForeignUser) -> Outcome {
        if foreign.has_too_many() {
            return Err(NotImported::TooMany);
        }
        for _ in 0..ATTEMPTS_MAX {
            let Import { user, account, passkeys, left } = self.importing(foreign).await?;
            let account = account.and(self.sessions.spend_freshness_of(authority, &Ended::new()).await?);
            let mut packs = packed(passkeys, account.operations()).into_iter();
            let (first, adding) = packs.next().unwrap_or_default();
            if self.ground.is_committed(account.and(adding)).await? {
                self.messages.wake_delivery();
                let kind = Kind::UserChanged { user: user.id, what: UserChange::Imported };
                self.ground.report(authority.origin(), kind);
                self.report_taken_over(authority, first);
                for (more, adding) in packs {
                    let (_, unchanged) = self.exactly(&user.id).await?;
                    if !self.ground.is_committed(unchanged.and(adding)).await? {
                        return Err(FlowError::Busy.into());
                    }
                    self.report_taken_over(authority, more);
                }
                return Ok(left);
            }
        }
        Err(FlowError::Busy.into())
    }

    fn report_taken_over(&self, authority: &Authority, credentials: Vec<Credential>) {
        for Credential { id: credential, user, aaguid, .. } in credentials {
            let kind = Kind::CredentialAdded { user, credential, model: Model(name_of(aaguid)) };
            self.ground.report(authority.origin(), kind);
        }
    }

    /// The changes for a user: to the account with their address, or to a new one.
    async fn importing(&self, foreign: &ForeignUser) -> Result<Import, NotImported> {
        let known = self.ground.records.user_by_email(&foreign.email).await.map_err(FlowError::from)?;
        let (user, mut account) = if let Some(user) = &known {
            self.exactly(&user.id).await?
        } else {
            let username = self.accounts.free_username(&foreign.email).await?;
            let user = User {
                username,
                ..self.accounts.new_user(&foreign.email, foreign.name.clone(), Role::Member)
            };
            let batch = records::create_user(&user).map_err(FlowError::from)?;
            (user, batch)
        };
        let existing = self.ground.records.credentials_of(&user.id).await.map_err(FlowError::from)?;
        let (credentials, left) = self.taken_over(&foreign.passkeys, &user).await?;
        if credentials.is_empty() {
            return Err(NotImported::NoPasskey(left));
        }
        if existing.len() + credentials.len() > CREDENTIALS_PER_USER_MAX {
            return Err(NotImported::TooMany);
        }
        if let (Some(credential), false) = (credentials.first(), existing.is_empty()) {
            let passkey = credential.name.as_str().to_owned();
            let content = Content::PasskeyAdded { passkey, about: None };
            account = account.and(self.messages.notice(&user, content)?);
        }
        let mut passkeys = Parts::new();
        for credential in credentials {
            let batch = records::create_credential(&credential).map_err(FlowError::from)?;
            passkeys.push((credential, batch));
        }
        Ok(Import { user, account, passkeys, left })
    }

    async fn taken_over(
        &self,
        passkeys: &[ForeignPasskey],
        owner: &User,
    ) -> Result<(Vec<Credential>, Vec<PasskeyLeft>), FlowError> {
        let (mut taken, mut left, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (at, foreign) in (1..).zip(passkeys) {
            let is_known =
                !seen.insert(&foreign.id) || self.ground.records.credential(&foreign.id).await?.is_some();
            if is_known {
                left.push(PasskeyLeft::Known(at));
                continue;
            }
            match self.ground.relying_party.import_credential(foreign.clone(), owner, self.ground.clock.now())
            {
                Ok(credential) => taken.push(credential),
                Err(why) => left.push(PasskeyLeft::Unusable(at, why)),
            }
        }
        Ok((taken, left))
    }
}
