//! People's records: the batches that write one together with the indexes that lead to it.
//!
//! What always holds: a user who has a record is found by every term of theirs, and by no other,
//! because each batch here writes or removes both.

use std::collections::BTreeSet;

use super::{encode, keys};
use crate::domain::user::User;
use crate::ports::{Batch, StoreError};

/// How many words of a name lead to its owner: each is an entry of the commit that changes the name.
const NAME_WORDS_MAX: usize = 8;

/// The terms that find a person: username, address, name, and each of the first words of the name,
/// in lower case.
pub fn terms_of(user: &User) -> BTreeSet<String> {
    let name = user.display_name.as_str().to_lowercase();
    let words = name.split_whitespace().take(NAME_WORDS_MAX).map(str::to_owned).collect::<Vec<_>>();
    let whole = [user.username.to_string(), user.email.to_string(), name];
    whole.into_iter().chain(words).collect()
}

/// Writes a person and the indexes that lead to them, if neither name is taken.
pub fn create_user(user: &User) -> Result<Batch, StoreError> {
    let id = encode(&user.id)?;
    let (email, username) = (keys::email(&user.email), keys::username(&user.username));
    let batch = Batch::default()
        .expect_absent(email.clone())
        .expect_absent(username.clone())
        .put(email, id.clone())
        .put(username, id)
        .put(keys::user(&user.id), encode(user)?);
    put_terms(batch, user, &BTreeSet::new())
}

/// Overwrites a person. If the address or the username changes, the caller moves the index entries
/// for it.
pub fn update_user(before: &User, after: &User) -> Result<Batch, StoreError> {
    let (old, new) = (terms_of(before), terms_of(after));
    let gone = old.difference(&new);
    let batch = gone.fold(Batch::default(), |batch, term| batch.delete(keys::term(term, &before.id)));
    put_terms(batch.put(keys::user(&after.id), encode(after)?), after, &old)
}

/// Removes a person who never had a passkey, and the indexes that lead to them.
pub fn delete_user(user: &User) -> Batch {
    retire_user(user).delete(keys::username(&user.username))
}

/// Removes a person whom applications may know. Their usernames stay theirs. The caller removes
/// credentials and sessions in the same batch.
pub fn retire_user(user: &User) -> Batch {
    let batch = Batch::default()
        .delete(keys::user(&user.id))
        .delete(keys::email(&user.email))
        .delete(keys::recovery_codes(&user.id));
    terms_of(user).iter().fold(batch, |batch, term| batch.delete(keys::term(term, &user.id)))
}

fn put_terms(batch: Batch, user: &User, known: &BTreeSet<String>) -> Result<Batch, StoreError> {
    let mark = encode(&())?;
    let terms = terms_of(user);
    let new = terms.difference(known);
    Ok(new.fold(batch, |batch, term| batch.put(keys::term(term, &user.id), mark.clone())))
}
