//! Ring 2: typed records over the key-value seam.
//!
//! What lives here: where a record is kept (`keys`), how it is written (a version byte and JSON),
//! how many of them are gone over (`walk`), and the questions asked of more than one record. What
//! does not: decisions (`flows/`) and engines (`store/`). Records sit inside `flows/` rather than
//! beside the engines because the flows compose batches out of them: a flow saves once, atomically,
//! at its end.
//!
//! What always holds: an unknown version or unreadable value is an error, never "absent"; and
//! expired records are not returned, swept or not (the flows check, with their own `now`).

pub mod archive;
pub mod keys;
mod people;
pub mod walk;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::access_token::AccessToken;
use crate::domain::credential::Credential;
use crate::domain::id::{AccessTokenId, CredentialId, SessionId, UserId};
use crate::domain::invitation::{Invitation, Setup};
use crate::domain::secret::SecretHash;
use crate::domain::session::Session;
use crate::domain::user::{Email, User, Username};
use crate::ports::store::Entry;
use crate::ports::{Batch, Change, CommitError, KeyValue, StoreError};
use walk::Walk;

pub use people::{create_user, delete_user, retire_user, terms_of, update_user};

/// The version byte this program writes. Others are refused.
const VERSION: u8 = 1;
/// Entries that are read from the store at a time.
const STEP_ENTRIES: usize = 512;

/// A record as it is written.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    Ok(bytes)
}

/// A record as it was written.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, json)) => {
            serde_json::from_slice(json).map_err(|e| StoreError::Corrupt(e.to_string()))
        }
        Some((version, _)) => Err(StoreError::Corrupt(format!(
            "written by another version (format {version}, this program knows {VERSION})"
        ))),
        None => Err(StoreError::Corrupt("an empty value".to_owned())),
    }
}

/// The records of this installation.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn KeyValue>,
}

impl Records {
    /// The records in this store.
    pub fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store }
    }

    /// The store itself, for watching and for health.
    pub fn store(&self) -> &Arc<dyn KeyValue> {
        &self.store
    }

    /// Applies a batch; see [`KeyValue::commit`].
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.store.commit(batch).await
    }

    /// Makes changes that may be lost; see [`KeyValue::write_behind`].
    pub async fn write_behind(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.store.write_behind(changes).await
    }

    /// Reads one record.
    pub async fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.store.get(key).await?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Reads one record together with the bytes it was read from, to expect them in a commit.
    pub async fn get_exact<T: DeserializeOwned>(
        &self,
        key: &[u8],
    ) -> Result<Option<(T, Vec<u8>)>, StoreError> {
        let Some(bytes) = self.store.get(key).await? else { return Ok(None) };
        Ok(Some((decode(&bytes)?, bytes)))
    }

    /// Removes one record and returns it; at most one of several callers gets it.
    pub async fn take<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.store.take(key).await?.map(|bytes| decode(&bytes)).transpose()
    }

    /// All entries below `prefix`, one after the other: there may be a million.
    pub fn walk(&self, prefix: &[u8]) -> Walk<'_> {
        self.walk_on(prefix, None, STEP_ENTRIES)
    }

    /// The same for those that come after the key `after`, `step` of them at a time.
    pub fn walk_on(&self, prefix: &[u8], after: Option<&[u8]>, step: usize) -> Walk<'_> {
        Walk::new(&*self.store, prefix, after, step)
    }

    /// Every record below `prefix`, where a limit keeps their number small.
    pub async fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let entries = self.entries(prefix).await?;
        entries.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes)?))).collect()
    }

    /// Every record below `prefix` that can be read, with the entry it was read from, and every
    /// entry there that cannot. A limit keeps their number small.
    pub async fn readable<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
    ) -> Result<(Vec<(T, Entry)>, Vec<Entry>), StoreError> {
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for (key, bytes) in self.entries(prefix).await? {
            match decode(&bytes) {
                Ok(record) => records.push((record, (key, bytes))),
                Err(_) => unreadable.push((key, bytes)),
            }
        }
        Ok((records, unreadable))
    }

    /// The batch that removes the link of `user`, if there is one.
    pub async fn forgetting_own_link(&self, user: &UserId) -> Result<Batch, StoreError> {
        let key = keys::own_link(user);
        let known = self.get_exact::<SecretHash>(&key).await?;
        Ok(known.map_or_else(Batch::default, |(secret, _)| {
            Batch::default().delete(keys::invitation(&secret)).delete(key)
        }))
    }

    async fn entries(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let (mut walk, mut entries) = (self.walk(prefix), Vec::new());
        while let Some(entry) = walk.next().await? {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// A person by id.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.get(&keys::user(id)).await
    }

    /// A person by address.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        match self.holder_of(email).await? {
            Some(id) => self.user(&id).await,
            None => Ok(None),
        }
    }

    /// The user who has this address. As much work for an address that no user has.
    pub async fn holder_of(&self, email: &Email) -> Result<Option<UserId>, StoreError> {
        self.get(&keys::email(email)).await
    }

    /// A person by the username they have now.
    pub async fn user_by_username(&self, username: &Username) -> Result<Option<User>, StoreError> {
        match self.username_owner(username).await? {
            Some(id) => Ok(self.user(&id).await?.filter(|user| user.username == *username)),
            None => Ok(None),
        }
    }

    /// The user who has, or had, this username: a user who was renamed or deleted keeps it.
    pub async fn username_owner(&self, username: &Username) -> Result<Option<UserId>, StoreError> {
        self.get(&keys::username(username)).await
    }

    /// Whether a user has, or had, `most` usernames. This reads all usernames, a step at a time,
    /// and no record keeps the count: a user chooses another username a few times in their life.
    pub async fn has_usernames(&self, owner: &UserId, most: usize) -> Result<bool, StoreError> {
        let (mut walk, mut count) = (self.walk(keys::USERNAMES), 0);
        while count < most
            && let Some((_, id)) = walk.next_record::<UserId>().await?
        {
            count += usize::from(id == *owner);
        }
        Ok(count == most)
    }

    /// Whether there is any account.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(!self.store.scan(keys::USERS, None, 1).await?.is_empty())
    }

    /// The ids of a user's access tokens.
    pub async fn access_token_ids_of(&self, user: &UserId) -> Result<Vec<AccessTokenId>, StoreError> {
        let entries = self.entries(&keys::access_tokens_of(user)).await?;
        Ok(entries.iter().filter_map(|(key, _)| keys::access_token_of_id(key)).collect())
    }

    /// The ids of a user's sessions.
    pub async fn session_ids_of(&self, user: &UserId) -> Result<Vec<SessionId>, StoreError> {
        let entries = self.entries(&keys::sessions_of(user)).await?;
        Ok(entries.iter().filter_map(|(key, _)| keys::session_of_id(key)).collect())
    }

    /// A credential by its id, of any user.
    pub async fn credential(&self, id: &CredentialId) -> Result<Option<Credential>, StoreError> {
        self.get(&keys::credential(id)).await
    }

    /// A person's credentials, oldest first.
    pub async fn credentials_of(&self, user: &UserId) -> Result<Vec<Credential>, StoreError> {
        let prefix = keys::credentials_of(user);
        let index: Vec<(Vec<u8>, ())> = self.all(&prefix).await?;
        let mut credentials = Vec::with_capacity(index.len());
        for (key, ()) in index {
            let id = key.strip_prefix(prefix.as_slice()).unwrap_or_default().to_vec();
            let id = CredentialId::new(id).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            credentials.extend(self.credential(&id).await?);
        }
        credentials.sort_by_key(|credential| credential.created_at);
        Ok(credentials)
    }

    /// Whether a person has a credential. As much work for a user who has none, or does not exist.
    pub async fn has_credentials(&self, user: &UserId) -> Result<bool, StoreError> {
        Ok(!self.store.scan(&keys::credentials_of(user), None, 1).await?.is_empty())
    }

    /// An invitation by its secret.
    pub async fn invitation(&self, secret: &SecretHash) -> Result<Option<Invitation>, StoreError> {
        self.get(&keys::invitation(secret)).await
    }

    /// Whether the first administrator has been made.
    pub async fn setup(&self) -> Result<Option<Setup>, StoreError> {
        self.get(&keys::setup()).await
    }
}

/// Writes a new credential, if no user has its id yet (WebAuthn Level 3, section 7.1, "not yet
/// registered for any user").
pub fn create_credential(credential: &Credential) -> Result<Batch, StoreError> {
    let key = keys::credential(&credential.id);
    Ok(Batch::default()
        .expect_absent(key.clone())
        .put(key, encode(credential)?)
        .put(keys::user_credential(&credential.user, &credential.id), encode(&())?))
}

/// Overwrites a credential.
pub fn update_credential(credential: &Credential) -> Result<Batch, StoreError> {
    Ok(Batch::default().put(keys::credential(&credential.id), encode(credential)?))
}

/// Removes a credential.
pub fn delete_credential(credential: &Credential) -> Batch {
    Batch::default()
        .delete(keys::credential(&credential.id))
        .delete(keys::user_credential(&credential.user, &credential.id))
}

/// Removes an access token.
pub fn delete_access_token(token: &AccessToken) -> Batch {
    Batch::default()
        .delete(keys::access_token(&token.id))
        .delete(keys::access_token_of(&token.user, &token.id))
}

/// Writes a new invitation.
pub fn create_invitation(invitation: &Invitation) -> Result<Batch, StoreError> {
    let key = keys::invitation(&invitation.secret);
    Ok(Batch::default().expect_absent(key.clone()).put(key, encode(invitation)?))
}

/// Writes a new session, and the index from its user to it.
pub fn create_session(session: &Session) -> Result<Batch, StoreError> {
    Ok(put_session(session)?.put(keys::session_of(&session.user, &session.id), encode(&())?))
}

/// Removes a session.
pub fn delete_session(session: &Session) -> Batch {
    Batch::default().delete(keys::session(&session.id)).delete(keys::session_of(&session.user, &session.id))
}

/// Writes a session.
pub fn put_session(session: &Session) -> Result<Batch, StoreError> {
    Ok(Batch::default().put(keys::session(&session.id), encode(session)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_10_values_of_another_version_are_refused() {
        assert_eq!(encode(&7).unwrap(), b"\x017");
        assert_eq!(decode::<u8>(b"\x017").unwrap(), 7);
        assert!(decode::<u8>(b"\x027").unwrap_err().to_string().contains("another version"));
        assert!(decode::<u8>(b"").is_err());
        assert!(decode::<u8>(b"\x01x").is_err());
    }
}
