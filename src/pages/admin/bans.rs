//! The page that bans networks, and lists banned ones.
//!
//! What does not live here: what a ban does (`flows/attempts/bans.rs`).
//!
//! What always holds: the page shows bans in force and no others.

use askama::Template;

use super::text::AdminText;
use super::views::Frame;
use crate::domain::ban::{Ban, Reason};
use crate::domain::time::Timestamp;
use crate::pages::Site;

/// `{prefix}/admin/bans`
#[derive(Template)]
#[template(path = "admin/bans.html")]
pub(super) struct Bans<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) rows: Vec<BanRow>,
}

/// A ban in the list.
pub(super) struct BanRow {
    /// The id in the API.
    id: String,
    network: String,
    reason: Option<String>,
    by: String,
    at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl From<&Ban> for BanRow {
    fn from(ban: &Ban) -> Self {
        let network = ban.network.to_string();
        Self {
            id: network.replace('/', "-"),
            network,
            reason: ban.reason.as_ref().map(Reason::as_str).map(str::to_owned),
            by: ban.by.clone(),
            at: ban.at,
            expires_at: ban.expires_at,
        }
    }
}
