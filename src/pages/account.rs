//! The account page: profile, passkeys and sessions of one person, rendered whole, so that it can
//! be read without a script. Changing anything needs one.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Site;
use crate::domain::ceremony::aaguid;
use crate::domain::credential::Backup;
use crate::domain::credential::Credential;
use crate::domain::id::UserId;
use crate::domain::network::Network;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::way_back::Target;
use crate::flows::index::LiveSession;
use crate::web::user_agent;

/// The page at `{prefix}/account`.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    pub site: &'a Site,
    pub user: UserId,
    pub name: &'a str,
    pub email: &'a str,
    pub suggestion: Suggestion,
    pub applications: Vec<Doorway>,
    pub passkeys: Vec<PasskeyRow>,
    pub sessions: Vec<SessionRow>,
}

/// Whether the page suggests a second passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggestion {
    /// There is one passkey, and a lost phone would lock its owner out.
    SecondPasskey,
    Nothing,
}

/// Whether a row is the one that this very request came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    ThisOne,
    Another,
}

/// An application that this person may enter.
#[derive(Debug, Clone)]
pub struct Doorway {
    pub url: String,
    /// Host and path, as people know it.
    pub name: String,
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

impl From<&Target> for Doorway {
    fn from(target: &Target) -> Self {
        let url = target.url();
        let name = url.split_once("://").map_or(url.as_str(), |(_, name)| name);
        Self { name: name.trim_end_matches('/').to_owned(), url }
    }
}

impl PasskeyRow {
    /// The row of a credential, as the owner of `current` sees it.
    pub fn of(credential: &Credential, current: &Session) -> Self {
        let here = current.credential.as_ref() == Some(&credential.id);
        Self {
            id: credential.id.to_string(),
            name: credential.name.as_str().to_owned(),
            authenticator: aaguid::name_of(credential.aaguid)
                .unwrap_or(aaguid::UNKNOWN_AUTHENTICATOR)
                .to_owned(),
            backup: credential.backup,
            created_at: credential.created_at,
            last_used_at: credential.last_used_at,
            here: if here { Here::ThisOne } else { Here::Another },
        }
    }

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
    /// The row of a session, as the owner of `current` sees it.
    pub fn of(session: &LiveSession, current: &Session) -> Self {
        let record = session.record();
        Self {
            id: record.id.to_string(),
            browser: user_agent::in_words(record.user_agent.as_deref()),
            network: record.client.map(|client| Network::of(client).to_string()),
            created_at: record.created_at,
            last_seen_at: session.last_seen_at(),
            here: if record.id == current.id { Here::ThisOne } else { Here::Another },
        }
    }

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
