//! Changes that people make to their own accounts, and the bounds of an account.
//!
//! `passkeys` lists and removes them, `profile` changes names, `address` the mail address,
//! `own_link` makes a link for another device, `departure` ends the account, `endings` ends the
//! passkeys, tokens and sessions with it, and `names` says which username may be given to whom.
//! What does not live here: adding a passkey (`sign_in/registration.rs`).

mod address;
mod departure;
pub(in crate::flows) mod endings;
mod names;
mod own_link;
pub mod passkeys;
mod profile;

use std::sync::Arc;

use super::access_tokens::AccessTokens;
use super::attempts::Attempts;
use super::ground::Ground;
use super::messages::Messages;
use super::one_time_codes::Codes;
use super::sessions::Sessions;

/// Accounts, as their owners change them.
pub struct Accounts {
    ground: Arc<Ground>,
    attempts: Arc<Attempts>,
    messages: Arc<Messages>,
    sessions: Arc<Sessions>,
    pub(in crate::flows) codes: Arc<Codes>,
    access_tokens: Arc<AccessTokens>,
}

impl Accounts {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        messages: Arc<Messages>,
        sessions: Arc<Sessions>,
        codes: Arc<Codes>,
        access_tokens: Arc<AccessTokens>,
    ) -> Self {
        Self { ground, attempts, messages, sessions, codes, access_tokens }
    }
}
