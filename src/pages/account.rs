//! The account page: profile, passkeys and sessions of one person, rendered whole, so that it can
//! be read without a script. Changing anything needs one.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Site;
use crate::domain::credential::Backup;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// The page at `{prefix}/account`.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    pub site: &'a Site,
    pub user: UserId,
    pub name: &'a str,
    pub email: &'a str,
    pub greeting: Greeting,
    pub passkeys: Vec<PasskeyRow>,
    pub sessions: Vec<SessionRow>,
}

/// Whether the page suggests a second passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Straight from enrolment, with one passkey.
    Welcome,
    Plain,
}

/// Whether a row is the one that this very request came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    ThisOne,
    Another,
}

/// One passkey.
#[derive(Debug, Clone)]
pub struct PasskeyRow {
    /// The credential id in base64url, as the native API spells it.
    pub id: String,
    pub name: String,
    /// What the authenticator calls itself.
    pub authenticator: String,
    pub backup: Backup,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub here: Here,
}

/// One session.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The public id, which opens nothing.
    pub id: String,
    /// Browser and system in words.
    pub browser: String,
    /// Where from, as a network prefix.
    pub network: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub here: Here,
}

impl PasskeyRow {
    /// The authenticator's first letter, which stands for its icon.
    fn letter(&self) -> String {
        self.authenticator.chars().find(|c| c.is_alphanumeric()).map_or_else(
            // A name without a letter still gets a mark of the same size.
            || String::from("•"),
            |c| c.to_uppercase().collect(),
        )
    }

    fn created_day(&self) -> String {
        day(self.created_at)
    }

    fn last_used_day(&self) -> String {
        self.last_used_at.map(day).unwrap_or_default()
    }

    fn is_this_one(&self) -> bool {
        self.here == Here::ThisOne
    }
}

impl SessionRow {
    fn created_day(&self) -> String {
        day(self.created_at)
    }

    fn last_seen_day(&self) -> String {
        day(self.last_seen_at)
    }

    fn is_this_one(&self) -> bool {
        self.here == Here::ThisOne
    }
}

impl Account<'_> {
    /// The WebAuthn user handle in base64url, for the browser's passkey store.
    fn user_handle(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.user.as_handle())
    }

    fn backup_words(&self, row: &PasskeyRow) -> &'static str {
        match row.backup {
            Backup::DeviceBound => self.site.t.device_bound,
            Backup::Eligible => self.site.t.may_sync,
            Backup::BackedUp => self.site.t.synced,
        }
    }

    /// The row that the script clones for a new passkey.
    #[expect(clippy::unused_self, reason = "templates call methods of their view")]
    fn blank_passkey(&self) -> PasskeyRow {
        PasskeyRow {
            id: String::new(),
            name: String::new(),
            authenticator: String::new(),
            backup: Backup::DeviceBound,
            created_at: Timestamp::from_millis(0),
            last_used_at: None,
            here: Here::Another,
        }
    }
}

/// A day in words, in UTC; the script replaces it by the reader's own time.
fn day(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |moment| moment.strftime("%-d %B %Y").to_string())
}
