//! The key of each record. Keys order bytewise; ids are stored as raw bytes.
//!
//! Every key begins with a word and a slash, so that one prefix scan finds one kind of record.

use crate::domain::id::{
    AccessTokenId, CeremonyId, CodeId, CredentialId, MessageId, ReturnTargetId, SessionId, UserId,
};
use crate::domain::network::Network;
use crate::domain::secret::SecretHash;
use crate::domain::user::{Email, Username};

pub const USERS: &[u8] = b"user/";
pub const SESSIONS: &[u8] = b"session/";
/// The access tokens of a user.
pub const ACCESS_TOKENS_OF: &[u8] = b"access-token-of/";
/// The sessions of a user.
pub const SESSIONS_OF: &[u8] = b"session-of/";
/// A number that grows with every decision about all sessions of a user.
pub const SESSIONS_REVISIONS: &[u8] = b"sessions-revision/";
pub const CEREMONIES: &[u8] = b"ceremony/";
pub const INVITATIONS: &[u8] = b"invitation/";
pub const INVITATIONS_FOR: &[u8] = b"invitation-for/";
pub const RETURN_TARGETS: &[u8] = b"way-back/";
pub const HAND_OFFS: &[u8] = b"hand-off/";
pub const CODES: &[u8] = b"code/";
pub const OUTBOX: &[u8] = b"outbox/";
/// Messages for webhooks.
pub const DISPATCHES: &[u8] = b"dispatch/";
/// Messages that could not be read, as they were found.
pub const SET_ASIDE: &[u8] = b"set-aside/";
pub const PROCESSES: &[u8] = b"process/";
pub const PENDING_ADDRESSES: &[u8] = b"pending-address/";
const CREDENTIALS: &[u8] = b"credential/";
pub const USER_CREDENTIALS: &[u8] = b"user-credential/";
pub const RECOVERIES: &[u8] = b"recovery/";
const RECOVERIES_OF: &[u8] = b"recovery-of/";
const RECOVERY_CODES: &[u8] = b"recovery-codes/";
const EMAILS: &[u8] = b"email/";
pub const DEVICE_LINKS: &[u8] = b"device-link/";
pub const DEVICE_LINKS_BY: &[u8] = b"device-link-by/";
const OWN_LINKS: &[u8] = b"own-link/";
pub const USERNAMES: &[u8] = b"username/";
pub const BANS: &[u8] = b"ban/";
pub const ACCESS_TOKENS: &[u8] = b"access-token/";
/// Terms by which people are found.
pub const DIRECTORY: &[u8] = b"directory/";
/// Entries of the audit trail, newest first.
pub const AUDIT: &[u8] = b"audit/";
const AUDIT_OF: &[u8] = b"audit-of/";
const DIRECTORY_MADE: &[u8] = b"directory-made/1";
const SETUP: &[u8] = b"setup/state";
/// When the last backup was made.
pub const LAST_BACKUP: &[u8] = b"last-backup/";
/// The end of a backup among the changes.
pub const BACKUP_MARK: &[u8] = b"backup-mark/";
/// Ends a term, which holds no control character.
const END_OF_TERM: u8 = 0;
/// How an entry of the trail is named: by its moment, so that the newest comes first, and a number.
pub const AUDIT_ID_BYTES: usize = 16;
/// How long the id of a user is.
const USER_ID_BYTES: usize = 16;

fn key(prefix: &[u8], id: &[u8]) -> Vec<u8> {
    [prefix, id].concat()
}

pub fn user(id: &UserId) -> Vec<u8> {
    key(USERS, id.as_handle())
}

pub fn email(email: &Email) -> Vec<u8> {
    key(EMAILS, email.as_str().as_bytes())
}

/// The operator's invitation for an address.
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

pub fn sessions_of(user: &UserId) -> Vec<u8> {
    key(SESSIONS_OF, user.as_handle())
}

pub fn session_of(user: &UserId, id: &SessionId) -> Vec<u8> {
    [sessions_of(user).as_slice(), &id.0].concat()
}

pub fn access_tokens_of(user: &UserId) -> Vec<u8> {
    key(ACCESS_TOKENS_OF, user.as_handle())
}

pub fn access_token_of(user: &UserId, id: &AccessTokenId) -> Vec<u8> {
    [access_tokens_of(user).as_slice(), &id.0].concat()
}

pub fn sessions_revision(user: &UserId) -> Vec<u8> {
    key(SESSIONS_REVISIONS, user.as_handle())
}

pub fn ceremony(id: &CeremonyId) -> Vec<u8> {
    key(CEREMONIES, &id.0)
}

pub fn invitation(secret: &SecretHash) -> Vec<u8> {
    key(INVITATIONS, secret.as_bytes())
}

/// The invitation that a person made for themselves.
pub fn own_link(user: &UserId) -> Vec<u8> {
    key(OWN_LINKS, user.as_handle())
}

/// The link to a new device that a session has made.
pub fn device_link(session: &SessionId) -> Vec<u8> {
    key(DEVICE_LINKS, &session.0)
}

/// The session whose link a device finds by the code, or the nonce, of this hash.
pub fn device_link_by(shown: &SecretHash) -> Vec<u8> {
    key(DEVICE_LINKS_BY, shown.as_bytes())
}

pub fn recovery(secret: &SecretHash) -> Vec<u8> {
    key(RECOVERIES, secret.as_bytes())
}

/// The index of a person's recoveries.
pub fn recoveries_of(user: &UserId) -> Vec<u8> {
    key(RECOVERIES_OF, user.as_handle())
}

pub fn recovery_of(user: &UserId, session: &SessionId) -> Vec<u8> {
    key(&recoveries_of(user), &session.0)
}

/// The unused recovery codes of a user.
pub fn recovery_codes(user: &UserId) -> Vec<u8> {
    key(RECOVERY_CODES, user.as_handle())
}

pub fn return_target(id: &ReturnTargetId) -> Vec<u8> {
    key(RETURN_TARGETS, &id.0)
}

pub fn hand_off(code: &SecretHash) -> Vec<u8> {
    key(HAND_OFFS, code.as_bytes())
}

pub fn code(id: &CodeId) -> Vec<u8> {
    key(CODES, &id.0)
}

pub fn message(id: &MessageId) -> Vec<u8> {
    key(OUTBOX, &id.0)
}

pub fn dispatch(id: &MessageId) -> Vec<u8> {
    key(DISPATCHES, &id.0)
}

/// The key that keeps the entry `found` of the outbox when it cannot be read.
pub fn set_aside(found: &[u8]) -> Vec<u8> {
    key(SET_ASIDE, found)
}

pub fn process(id: &SecretHash) -> Vec<u8> {
    key(PROCESSES, id.as_bytes())
}

/// A person has one at most.
pub fn pending_address(user: &UserId) -> Vec<u8> {
    key(PENDING_ADDRESSES, user.as_handle())
}

/// One term of a person.
pub fn term(term: &str, user: &UserId) -> Vec<u8> {
    [DIRECTORY, term.as_bytes(), &[END_OF_TERM], user.as_handle()].concat()
}

/// Every term that begins like this.
pub fn terms_from(beginning: &str) -> Vec<u8> {
    key(DIRECTORY, beginning.as_bytes())
}

/// The term and the person in a key below [`DIRECTORY`].
pub fn term_and_user(key: &[u8]) -> Option<(&str, UserId)> {
    let (term, end) = key.strip_prefix(DIRECTORY)?.split_last_chunk::<17>()?;
    let (first, handle) = end.split_first()?;
    (*first == END_OF_TERM).then_some(())?;
    Some((std::str::from_utf8(term).ok()?, UserId::from_handle(handle).ok()?))
}

/// Whether the directory has been made for the users who are older than it.
pub fn directory_made() -> Vec<u8> {
    DIRECTORY_MADE.to_vec()
}

pub fn audit(id: &[u8; AUDIT_ID_BYTES]) -> Vec<u8> {
    key(AUDIT, id)
}

/// The index of the entries about a person.
pub fn audit_of(user: &UserId) -> Vec<u8> {
    key(AUDIT_OF, user.as_handle())
}

pub fn audit_of_user(user: &UserId, id: &[u8; AUDIT_ID_BYTES]) -> Vec<u8> {
    key(&audit_of(user), id)
}

/// The id at the end of a key of the trail.
pub fn audit_id(key: &[u8]) -> Option<[u8; AUDIT_ID_BYTES]> {
    key.last_chunk().copied()
}

pub fn access_token(id: &AccessTokenId) -> Vec<u8> {
    key(ACCESS_TOKENS, &id.0)
}

/// A network has one at most.
pub fn ban(network: &Network) -> Vec<u8> {
    key(BANS, network.to_string().as_bytes())
}

pub fn setup() -> Vec<u8> {
    SETUP.to_vec()
}

/// The access token's id in a key below [`ACCESS_TOKENS_OF`].
pub fn access_token_of_id(key: &[u8]) -> Option<AccessTokenId> {
    key.strip_prefix(ACCESS_TOKENS_OF)?.get(USER_ID_BYTES..)?.try_into().ok().map(AccessTokenId)
}

/// The session id in a key below [`SESSIONS_OF`].
pub fn session_of_id(key: &[u8]) -> Option<SessionId> {
    key.strip_prefix(SESSIONS_OF)?.get(USER_ID_BYTES..)?.try_into().ok().map(SessionId)
}

/// The session id in a key below [`SESSIONS`].
pub fn session_id(key: &[u8]) -> Option<SessionId> {
    key.strip_prefix(SESSIONS)?.try_into().ok().map(SessionId)
}

/// The access token's id in a key below [`ACCESS_TOKENS`].
pub fn access_token_id(key: &[u8]) -> Option<AccessTokenId> {
    key.strip_prefix(ACCESS_TOKENS)?.try_into().ok().map(AccessTokenId)
}

/// The network in a key below [`BANS`].
pub fn banned_network(key: &[u8]) -> Option<Network> {
    Network::parse(std::str::from_utf8(key.strip_prefix(BANS)?).ok()?).ok()
}

/// The user id in a key below [`USERS`].
pub fn user_id(key: &[u8]) -> Option<UserId> {
    UserId::from_handle(key.strip_prefix(USERS)?).ok()
}
