//! Ring 0: what is true.
//!
//! People, credentials, ceremonies, sessions, invitations, policies and events, as values and
//! pure functions. No async, no I/O, no clock (`now` is an argument) and no randomness of its own
//! (bytes are an argument). webauthn-rs is named only in `ceremony/`, biscuit only in
//! `session/token.rs`.

pub mod assertion;
pub mod ceremony;
pub mod code;
pub mod cookie;
pub mod credential;
pub mod dialect;
pub mod event;
pub mod id;
pub mod identifier;
pub mod invitation;
pub mod ledger;
pub mod letter;
pub mod limits;
pub mod mounts;
pub mod network;
pub mod place;
pub mod policy;
pub mod process;
pub mod sealed;
pub mod secret;
pub mod session;
pub mod time;
pub mod user;
pub mod way_back;
