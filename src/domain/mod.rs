//! Ring 0: the domain.
//!
//! People, credentials, ceremonies, sessions, invitations, policies and events, as values and
//! pure functions. No async, no I/O, no clock (`now` is an argument) and no randomness of its own
//! (bytes are an argument). webauthn-rs is named only in `ceremony/`, biscuit only where
//! tokens are made and read: `keyring.rs`, `session/token.rs` and `access_token/`.

pub mod access_token;
pub mod aliases;
pub mod assertion;
pub mod attribute;
pub mod audit;
pub mod ban;
pub mod ceremony;
pub mod code;
pub mod colour;
pub mod cookie;
pub mod credential;
mod crockford;
pub mod declared;
pub mod device_link;
pub mod dialect;
pub mod dispatch;
pub mod event;
pub mod foreign;
pub mod forward_auth;
pub mod id;
pub mod identifier;
pub mod invitation;
pub mod keyring;
pub mod ledger;
pub mod limits;
pub mod message;
pub mod mounts;
pub mod names;
pub mod network;
pub mod place;
pub mod policy;
pub mod process;
pub mod recovery;
pub mod recovery_code;
pub mod return_target;
pub mod sealed;
pub mod secret;
pub mod served;
pub mod session;
pub mod setting;
pub mod signup;
pub mod time;
pub mod topic;
pub mod user;
pub mod user_agent;

#[cfg(test)]
mod tests;
