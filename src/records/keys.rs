//! Where each record lives. Keys order bytewise; ids are stored as raw bytes.
//!
//! Every key begins with a word and a slash, so that one prefix scan finds one kind of record.

use crate::domain::id::{CeremonyId, CodeId, CredentialId, LetterId, SessionId, UserId, WayBackId};
use crate::domain::secret::SecretHash;
use crate::domain::user::{Email, Username};

pub const USERS: &[u8] = b"user/";
pub const SESSIONS: &[u8] = b"session/";
pub const CEREMONIES: &[u8] = b"ceremony/";
pub const INVITATIONS: &[u8] = b"invitation/";
pub const INVITATIONS_FOR: &[u8] = b"invitation-for/";
pub const WAYS_BACK: &[u8] = b"way-back/";
pub const HAND_OFFS: &[u8] = b"hand-off/";
pub const CODES: &[u8] = b"code/";
pub const OUTBOX: &[u8] = b"outbox/";
/// Letters that could not be read, as they were found.
pub const SET_ASIDE: &[u8] = b"set-aside/";
pub const PROCESSES: &[u8] = b"process/";
pub const PENDING_ADDRESSES: &[u8] = b"pending-address/";
const CREDENTIALS: &[u8] = b"credential/";
const USER_CREDENTIALS: &[u8] = b"user-credential/";
const EMAILS: &[u8] = b"email/";
const OWN_LINKS: &[u8] = b"own-link/";
pub const USERNAMES: &[u8] = b"username/";
const SETUP: &[u8] = b"setup/state";

fn key(prefix: &[u8], id: &[u8]) -> Vec<u8> {
    [prefix, id].concat()
}

pub fn user(id: &UserId) -> Vec<u8> {
    key(USERS, id.as_handle())
}

pub fn email(email: &Email) -> Vec<u8> {
    key(EMAILS, email.as_str().as_bytes())
}

/// Which invitation is the operator's for an address.
pub fn invitation_for(email: &Email) -> Vec<u8> {
    key(INVITATIONS_FOR, email.as_str().as_bytes())
}

pub fn username(username: &Username) -> Vec<u8> {
    key(USERNAMES, username.as_str().as_bytes())
}

pub fn credential(id: &CredentialId) -> Vec<u8> {
    key(CREDENTIALS, id.as_bytes())
}

/// The index of a person's credentials.
pub fn credentials_of(user: &UserId) -> Vec<u8> {
    key(USER_CREDENTIALS, user.as_handle())
}

pub fn user_credential(user: &UserId, id: &CredentialId) -> Vec<u8> {
    key(&credentials_of(user), id.as_bytes())
}

pub fn session(id: &SessionId) -> Vec<u8> {
    key(SESSIONS, &id.0)
}

pub fn ceremony(id: &CeremonyId) -> Vec<u8> {
    key(CEREMONIES, &id.0)
}

pub fn invitation(secret: &SecretHash) -> Vec<u8> {
    key(INVITATIONS, secret.as_bytes())
}

/// Which invitation is the one that a person made for themselves.
pub fn own_link(user: &UserId) -> Vec<u8> {
    key(OWN_LINKS, user.as_handle())
}

pub fn way_back(id: &WayBackId) -> Vec<u8> {
    key(WAYS_BACK, &id.0)
}

pub fn hand_off(code: &SecretHash) -> Vec<u8> {
    key(HAND_OFFS, code.as_bytes())
}

pub fn code(id: &CodeId) -> Vec<u8> {
    key(CODES, &id.0)
}

pub fn letter(id: &LetterId) -> Vec<u8> {
    key(OUTBOX, &id.0)
}

/// Where the entry `found` of the outbox is kept when it cannot be read.
pub fn set_aside(found: &[u8]) -> Vec<u8> {
    key(SET_ASIDE, found)
}

pub fn process(id: &SecretHash) -> Vec<u8> {
    key(PROCESSES, id.as_bytes())
}

/// One at most for each person.
pub fn pending_address(user: &UserId) -> Vec<u8> {
    key(PENDING_ADDRESSES, user.as_handle())
}

pub fn setup() -> Vec<u8> {
    SETUP.to_vec()
}

/// The session id in a key below [`SESSIONS`].
pub fn session_id(key: &[u8]) -> Option<SessionId> {
    key.strip_prefix(SESSIONS)?.try_into().ok().map(SessionId)
}

/// The user id in a key below [`USERS`].
pub fn user_id(key: &[u8]) -> Option<UserId> {
    UserId::from_handle(key.strip_prefix(USERS)?).ok()
}
