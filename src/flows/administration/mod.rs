//! The work of operators and administrators, from a terminal, an API or a page: the same flows.
//!
//! `people` changes accounts, `invitations` promises them, `links` are the links to them,
//! `declared` makes all of them match a file, `import` takes them over from another program,
//! `directory` finds them, `paging` cuts lists into pages, `sessions` lists and ends sessions,
//! `tokens` lists access tokens, `bans` keeps networks out, `trail` reads what happened, `activity`
//! counts it, `keys` replaces the signing keys, `upkeep` is what to watch, `process` what is done
//! to the program itself, and `backup` writes everything down. What does not live here: what users
//! do to their own accounts. What always holds: a flow that changes anything takes an
//! [`Authority`], and the event that it reports names the actor.

pub mod activity;
pub mod backup;
pub mod bans;
pub mod declared;
pub mod directory;
pub mod import;
pub mod invitations;
mod keys;
mod links;
mod mail;
pub mod paging;
pub mod people;
mod process;
mod sessions;
mod tokens;
pub mod trail;
pub mod upkeep;

pub use super::authority::Authority;
pub use keys::Burnt;

use std::sync::Arc;

use tokio::sync::Mutex;

use super::access_tokens::AccessTokens;
use super::account::Accounts;
use super::attempts::Attempts;
use super::ground::Ground;
use super::messages::Messages;
use super::sessions::Sessions;
use crate::ports::{SigningKeys, Vault};
use backup::Tap;

/// The flows of operators and administrators.
pub struct Administration {
    pub(in crate::flows) ground: Arc<Ground>,
    pub(in crate::flows) attempts: Arc<Attempts>,
    pub(in crate::flows) messages: Arc<Messages>,
    pub(in crate::flows) sessions: Arc<Sessions>,
    pub(in crate::flows) access_tokens: Arc<AccessTokens>,
    pub(in crate::flows) accounts: Arc<Accounts>,
    /// Every signing key; the keys that sign now are open in [`Ground`].
    pub(in crate::flows) keys: Mutex<SigningKeys>,
    pub(in crate::flows) vault: Arc<dyn Vault>,
    pub(in crate::flows) tap: Arc<Tap>,
}
