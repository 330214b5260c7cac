//! The account page: profile, passkeys, access tokens and sessions of one person, rendered whole,
//! so that it can be read without a script. Every change needs one.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Site;
use super::access_tokens::TokenRow;
use super::attributes::AttributeField;
use super::text::Text;
use crate::domain::audit::Entry;
use crate::domain::ceremony::aaguid;
use crate::domain::credential::Backup;
use crate::domain::credential::Credential;
use crate::domain::id::UserId;
use crate::domain::identifier::UsernameChange;
use crate::domain::network::Network;
use crate::domain::policy::route::{Icon, Tile};
use crate::domain::recovery::{By, Recovery};
use crate::domain::recovery_code::RecoveryCodes;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user_agent;
use crate::flows::account::passkeys::Application;
use crate::flows::index::LiveSession;

/// How many days a new token lives unless its owner says otherwise.
const TOKEN_DAYS: u64 = 30;

/// The page at `{prefix}/account`.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    pub site: &'a Site,
    pub user: UserId,
    pub name: &'a str,
    pub email: &'a str,
    /// Whether the page leads to the administrator's pages.
    pub is_administrator: bool,
    /// Whether the account waits for an administrator.
    pub waits: bool,
    pub suggestion: Suggestion,
    pub applications: Vec<Doorway>,
    /// The applications' sign-out addresses, separated by spaces.
    pub logouts: String,
    pub passkeys: Vec<PasskeyRow>,
    pub sessions: Vec<SessionRow>,
    pub codes: CodesLeft,
    pub tokens: Vec<TokenRow>,
    /// The routes that a new token can be for.
    pub token_routes: Vec<String>,
    /// How long it may live at most.
    pub token_days_max: u64,
    /// Recoveries that can be cancelled.
    pub recoveries: Vec<RecoveryRow>,
    /// Recent events of the account.
    pub events: Vec<EventRow>,
    pub(super) attributes: Vec<AttributeField>,
    pub username: &'a str,
    /// Whether the user may choose another username.
    pub username_change: UsernameChange,
    pub has_mail: bool,
    /// The address where another device enters its code.
    pub device_url: String,
}

/// The printed codes that are left.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodesLeft {
    pub left: usize,
    /// `None` if there are none.
    pub made_at: Option<Timestamp>,
}

impl From<&RecoveryCodes> for CodesLeft {
    fn from(codes: &RecoveryCodes) -> Self {
        Self { left: codes.hashes.len(), made_at: Some(codes.made_at) }
    }
}

impl CodesLeft {
    fn day(&self) -> String {
        self.made_at.map(day).unwrap_or_default()
    }
}

/// A recovery that began with a code or a link.
#[derive(Debug, Clone)]
pub struct RecoveryRow {
    pub id: String,
    pub at: Timestamp,
    pub network: Option<String>,
    pub by: By,
}

impl From<&Recovery> for RecoveryRow {
    fn from(recovery: &Recovery) -> Self {
        let network = recovery.about.network.map(|network| network.to_string());
        Self { id: recovery.session.to_string(), at: recovery.about.at, network, by: recovery.by }
    }
}

impl RecoveryRow {
    /// The event, and the advice.
    const fn words(&self, t: &Text) -> (&'static str, &'static str) {
        match self.by {
            By::MailedCode | By::RecoveryCode => (t.recovery_seen, t.recovery_advice),
            By::Link => (t.recovery_by_link, t.recovery_by_link_advice),
        }
    }

    fn day(&self) -> String {
        day(self.at)
    }
}

/// An event of the account.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub at: Timestamp,
    pub event: String,
    pub details: String,
    pub by: EventBy,
}

/// The actor, as the owner of the account is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventBy {
    Owner,
    /// A client that claimed to be the owner.
    Somebody,
    Administrator,
    Gateway,
}

impl EventRow {
    /// The row of an entry of the trail.
    pub fn of(entry: &Entry) -> Self {
        let by = match (&*entry.actor, entry.user) {
            ("gateway", _) => EventBy::Gateway,
            ("anonymous", _) => EventBy::Somebody,
            (actor, Some(user)) if *actor == user.to_string() => EventBy::Owner,
            _ => EventBy::Administrator,
        };
        let client = entry.client.clone().filter(|_| matches!(by, EventBy::Owner | EventBy::Somebody));
        let details = entry.reason.as_ref().map(|reason| reason.replace('_', " "));
        let details = [details, entry.route.clone(), client].into_iter().flatten();
        Self {
            at: entry.at,
            event: entry.event.replace('_', " "),
            details: details.collect::<Vec<_>>().join(" · "),
            by,
        }
    }

    fn day(&self) -> String {
        day(self.at)
    }
}

/// Whether the page suggests a second passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggestion {
    /// There is one passkey, and a lost phone would lock its owner out.
    SecondPasskey,
    Nothing,
}

/// Whether a row is the session or passkey of this very request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    ThisOne,
    Another,
}

/// An application that this person may enter.
#[derive(Debug, Clone)]
pub struct Doorway {
    pub url: String,
    pub title: String,
    /// Host and path, where the title is another text.
    pub address: Option<String>,
    pub icon: TileIcon,
}

/// The picture of an application.
#[derive(Debug, Clone)]
pub enum TileIcon {
    /// The address of a picture.
    Picture(String),
    Letter(String),
}

/// One passkey.
#[derive(Debug, Clone)]
pub struct PasskeyRow {
    /// The credential id in base64url, as the native API spells it.
    pub id: String,
    pub name: String,
    /// The name of the authenticator's model.
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
    /// The network of the sign-in, as a prefix.
    pub network: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub here: Here,
}

impl Doorway {
    /// The tile of an application.
    pub fn of(application: &Application, site: &Site) -> Self {
        let url = application.target.url();
        let address = url.split_once("://").map_or(url.as_str(), |(_, name)| name);
        let address = address.trim_end_matches('/').to_owned();
        let Tile { title, icon, .. } = &application.tile;
        let icon = match icon {
            Icon::File(_) => TileIcon::Picture(site.icon(&application.name)),
            Icon::Letter(letter) => TileIcon::Letter(letter.clone()),
            Icon::Initial => TileIcon::Letter(initial(title.as_ref().unwrap_or(&address))),
        };
        match title.clone() {
            Some(title) => Self { url, title, address: Some(address), icon },
            None => Self { url, title: address, address: None, icon },
        }
    }
}

/// The first letter of a name, which stands for a picture.
fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map_or_else(
        // A name without a letter still gets a mark of the same size.
        || String::from("•"),
        |c| c.to_uppercase().collect(),
    )
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
        initial(&self.authenticator)
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

    /// The row that the script clones for a new token.
    #[expect(clippy::unused_self, reason = "templates call methods of their view")]
    fn blank_token(&self) -> TokenRow {
        TokenRow::blank()
    }

    /// How long a new token lives unless its owner says otherwise.
    fn token_days(&self) -> u64 {
        self.token_days_max.min(TOKEN_DAYS)
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
pub(super) fn day(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |moment| moment.strftime("%-d %B %Y").to_string())
}
