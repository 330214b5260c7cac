//! The settings, validated: what the rest of the program is given.
//!
//! What always holds: a value of these types is consistent. No reader has to check it again, and no
//! type here knows how it was written.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::backup::BackupPlan;
use crate::acme::Authority;
use crate::domain::access_token::TokenLimits;
use crate::domain::attribute::Attributes;
use crate::domain::audit::Retention;
use crate::domain::ban::AutomaticBans;
use crate::domain::code::EmailCode;
use crate::domain::colour::Colour;
use crate::domain::dispatch::Subscription;
use crate::domain::identifier::UsernameChange;
use crate::domain::limits::RateLimits;
use crate::domain::mounts::Mounts;
use crate::domain::place::{ForwardAuth, Scheme};
use crate::domain::policy::route::RouteTable;
use crate::domain::session::Lifetimes;
use crate::domain::setting::Setting;
use crate::domain::signup::SignUp;
use crate::mail::smtp::MailServer;
use crate::proxy::{CertificateFiles, ForwardedBy, Limits};
use crate::telemetry::access::AccessFormat;
use crate::telemetry::logging::Format;
use crate::webhook::http::WebhookSettings;

/// All settings of an operator.
#[derive(Debug, Clone)]
pub struct Settings {
    pub public_url: PublicUrl,
    pub server: Server,
    pub relying_party: RelyingParty,
    pub store: Store,
    pub session: Lifetimes,
    pub branding: Branding,
    pub log: Log,
    pub limits: RateLimits,
    /// `None`: the gateway makes no bans.
    pub automatic_bans: Option<AutomaticBans>,
    pub access_tokens: TokenLimits,
    /// How much is served at once.
    pub traffic: Limits,
    /// `None`: no mail is sent.
    pub mail: Option<MailServer>,
    /// The webhooks, which are told what happens.
    pub webhooks: Vec<Webhook>,
    pub email_code: EmailCode,
    pub username_change: UsernameChange,
    /// Backups that the gateway makes on schedule.
    pub backup: Option<BackupPlan>,
    /// Whether people may make an account for themselves.
    pub sign_up: SignUp,
    /// How long a passkey sleeps that a code by mail has led to.
    pub recovery_delay: Duration,
    /// How much of the audit trail is kept.
    pub audit: Retention,
    /// The HTTP APIs on the auth host, the native one among them.
    pub mounts: Mounts,
    /// Whether other proxies may ask about requests.
    pub forward_auth: ForwardAuth,
    /// The attributes that people can have besides a name and groups.
    pub attributes: Arc<Attributes>,
    pub routes: RouteTable,
    /// Settings that are allowed but probably not meant, in sentences.
    pub remarks: Vec<String>,
    /// The configuration key by key, for people.
    pub written: Vec<Setting>,
    /// The path that it was read from; `None` where there is no file.
    pub file: Option<PathBuf>,
}

/// The origin where people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    pub scheme: Scheme,
    /// Lower case, never an address.
    pub host: String,
    /// `None` for the scheme's own port.
    pub port: Option<u16>,
}

/// Listeners and what concerns all connections.
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: Vec<SocketAddr>,
    /// `None`: no metrics listener.
    pub metrics_listen: Option<SocketAddr>,
    pub admin_socket: PathBuf,
    /// Begins with a slash and does not end with one.
    pub prefix: String,
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies write about clients.
    pub forwarded_by: ForwardedBy,
    /// Whether trusted proxies begin each connection with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Never 0.
    pub workers: usize,
    pub grace_period: Duration,
    /// The directory of files with further routes.
    pub routes_directory: Option<PathBuf>,
    pub tls: Option<Tls>,
}

impl Server {
    /// Every address this process listens on.
    pub(super) fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        let tls = self.tls.iter().flat_map(|tls| &tls.listen);
        self.listen.iter().chain(tls).chain(&self.metrics_listen).copied()
    }
}

/// TLS listeners, at least one, and their certificates, which are given, obtained or both.
#[derive(Debug, Clone)]
pub struct Tls {
    pub listen: Vec<SocketAddr>,
    /// The first certificate answers clients that ask for none of the names.
    pub certificates: Vec<CertificateFiles>,
    /// For hosts that no certificate of the list covers.
    pub acme: Option<Authority>,
}

/// The relying party, as authenticators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Covers the host of `public_url`.
    pub id: String,
    pub name: String,
    /// Other origins within `id` that may use the same passkeys.
    pub related_origins: Vec<String>,
}

/// The store of the gateway's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub engine: Engine,
    pub path: PathBuf,
    pub cache_bytes: u64,
}

/// The store engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sled,
    /// Forgets everything at exit; for tests and for trying things out.
    Memory,
}

/// A receiver that is told what happens, over HTTP.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The events that it is told.
    pub told: Subscription,
    /// Its address and the form of messages.
    pub receiver: WebhookSettings,
}

/// The look of our pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branding {
    pub name: String,
    pub logo: Option<PathBuf>,
    pub favicon: Option<PathBuf>,
    /// The contact that users are told to ask: an e-mail address, or words.
    pub contact: Option<String>,
    /// Text and URL of each link at the foot of our pages.
    pub links: Vec<(String, String)>,
    /// Whether users who are refused are told by which rule.
    pub explain_refusals: bool,
    /// `None`: the built-in colours.
    pub accent: Option<Colour>,
}

/// The logs and their forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or several with targets, as `tracing` reads them.
    pub level: String,
    pub format: Format,
    /// `None`: requests are not written down.
    pub access: Option<AccessFormat>,
    /// Whether with their queries.
    pub access_query: bool,
}

impl Settings {
    /// The origin of `public_url`, as browsers write it.
    pub fn origin(&self) -> String {
        self.public_url.to_string()
    }

    /// The origin under which browsers reach an application on `host`: the scheme and port of
    /// `public_url`.
    pub fn external_origin(&self, host: &str) -> String {
        PublicUrl { host: host.to_owned(), ..self.public_url.clone() }.to_string()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
