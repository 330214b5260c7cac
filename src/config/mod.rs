//! Configuration: a file and the environment in, validated [`Settings`] out.
//!
//! `section` reads TOML and the environment, `reader` collects mistakes with their lines; `server`,
//! `acme`, `attributes`, `backup`, `relying_party`, `dialects`, `mail`, `webhook`, `routes`,
//! `rules`, `told`, `route_files`, `limits` and `sections` know what the keys mean; `declared`
//! reads another file, users as an operator declares them, and `expectations` reads files of tests
//! for rules; `settings` is what the rest of the program sees, and `written` what people are shown.
//! The manual is `config.toml` at the root of the repository, and a test keeps it and the defaults
//! the same. What always holds: there are settings only when there is no mistake, and mistakes are
//! reported all at once.

mod acme;
mod attributes;
mod backup;
mod credentials;
mod declared;
mod dialects;
mod environment;
pub(crate) mod expectations;
mod lengths;
mod limits;
mod mail;
mod mistake;
mod reader;
mod relying_party;
mod route_files;
mod routes;
mod rules;
mod section;
mod sections;
mod server;
mod settings;
mod upstream_request;
mod value;
mod webhook;
mod written;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderName;
use toml::de::DeTable;

use crate::domain::attribute::Definition;
use crate::domain::place::Scheme;
use crate::domain::policy::defined::Defined;
use crate::domain::policy::review;
use crate::domain::policy::route::HostPattern;

pub use backup::{BackupPlan, Recipient, recipient};
pub use credentials::Credentials;
pub use declared::{Declared, declared};
pub use environment::Environment;
pub use mistake::{Mistake, Mistakes};
use reader::Reader;
pub(crate) use relying_party::is_localhost;
use section::Section;
pub use settings::{Branding, Engine, Log, PublicUrl, RelyingParty, Server, Settings, Store, Tls, Webhook};
pub(crate) use value::duration;

/// The paths of the configuration, tried in this order when no file is named.
pub const SEARCH_PATH: [&str; 2] = ["config.toml", "/etc/vestibule/config.toml"];
/// Beginnings of keys whose files only a running gateway loads, and of keys that depend on them.
const NOT_FOR_COMMANDS: [&str; 8] = [
    "server.tls",
    "mail",
    "webhook",
    "signin",
    "signup",
    "branding",
    "backup.recipient_file",
    "route.credentials",
];
/// A configuration is written by hand; anything longer is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads `path`, or the first file of [`SEARCH_PATH`] that exists, or nothing but the defaults.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Settings, Mistakes> {
    let file = path.map(Path::to_path_buf).or_else(found);
    let text = match &file {
        Some(file) => content(file)?,
        None => String::new(),
    };
    match parse(&text, environment) {
        Ok(settings) => Ok(Settings { file, ..settings }),
        Err(list) => Err(Mistakes { file, list }),
    }
}

/// The file that [`load`] reads when none is named.
pub fn found() -> Option<PathBuf> {
    SEARCH_PATH.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The path of the gateway's socket, which is all that operator commands need of the file [`load`]
/// reads. Mistakes elsewhere in it, such as a certificate that only the gateway may read, do not
/// stop them.
pub fn admin_socket(path: Option<&Path>, environment: &Environment) -> Result<PathBuf, Mistakes> {
    let file = path.map(Path::to_path_buf).or_else(found);
    let text = match &file {
        Some(file) => content(file)?,
        None => String::new(),
    };
    let read =
        |reader: &Reader<'_>, table: &DeTable<'_>| server::admin_socket_only(&Section::root(reader, table));
    let only = |mistake: &Mistake| mistake.key == "server.admin_socket" || mistake.key == "server";
    parsed(&text, environment, read, only).map_err(|list| Mistakes { file, list })
}

/// The same for a command that works on the store while no gateway runs. Files that only the
/// gateway loads may be out of its reach, so mistakes about them are not counted, and it does
/// without them.
pub fn load_for_commands(path: Option<&Path>, environment: &Environment) -> Result<Settings, Mistakes> {
    let file = path.map(Path::to_path_buf).or_else(found);
    let text = match &file {
        Some(file) => content(file)?,
        None => String::new(),
    };
    let needed = |mistake: &Mistake| !NOT_FOR_COMMANDS.iter().any(|start| mistake.key.starts_with(start));
    parsed(&text, environment, read, needed).map_err(|list| Mistakes { file, list })
}

/// Reads settings from the text of a file.
pub fn parse(text: &str, environment: &Environment) -> Result<Settings, Vec<Mistake>> {
    parsed(text, environment, read, |_| true)
}

/// The result of `read`, unless there are mistakes for which `counts` says yes.
fn parsed<T>(
    text: &str,
    environment: &Environment,
    read: impl Fn(&Reader<'_>, &DeTable<'_>) -> T,
    counts: impl Fn(&Mistake) -> bool,
) -> Result<T, Vec<Mistake>> {
    let reader = Reader::new(text, environment);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            reader.syntax(error.span(), error.message());
        }
        return Err(reader.finish_syntax());
    }
    reader.note(text, table.get_ref());
    let found = read(&reader, table.get_ref());
    let mut mistakes = reader.finish();
    mistakes.retain(counts);
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

fn read(reader: &Reader<'_>, table: &DeTable<'_>) -> Settings {
    let root = Section::root(reader, table);
    let public_url = relying_party::public_url(&root, reader);
    let server = server::server(&root, reader);
    let store = sections::store(&root, reader);
    let session = sections::session(&root, reader);
    let branding = sections::branding(&root, reader);
    let relying_party = relying_party::relying_party(&root, &public_url, &branding.name, reader);
    let log = sections::log(&root);
    let mail = mail::mail(&root, reader);
    let sign_up = sections::signup(&root, mail.as_ref(), reader);
    let webhooks = webhook::webhooks(&root, reader);
    let email_code = mail::email_code(&root, mail.as_ref(), reader);
    let username_change = sections::account(&root);
    let audit = sections::audit(&root, reader);
    let backup = backup::backup(&root, reader);
    let recovery_delay = sections::recovery(&root, reader);
    let (limits, traffic) = limits::limits(&root, reader);
    let automatic_bans = limits::bans(&root, reader);
    let access_tokens = limits::tokens(&root, reader);
    let forward_auth = sections::forward_auth(&root, &server, reader);
    let mounts = dialects::dialects(&root, &server, reader);
    let networks = rules::named_networks(&root, reader);
    let attributes = attributes::attributes(&root, reader);
    let defined = Defined { networks, attributes: Arc::clone(&attributes) };
    let routes = routes::routes(&root, &public_url, &server, &defined, reader);
    dialects::check_routes(&root, &mounts, &routes, &public_url, reader);
    root.close();
    let mut settings = Settings {
        public_url,
        server,
        relying_party,
        store,
        session,
        branding,
        log,
        limits,
        automatic_bans,
        access_tokens,
        traffic,
        mail,
        webhooks,
        email_code,
        username_change,
        sign_up,
        audit,
        backup,
        recovery_delay,
        mounts,
        forward_auth,
        attributes,
        routes,
        remarks: Vec::new(),
        written: Vec::new(),
        file: None,
    };
    settings.remarks = remarks(&settings);
    let party = &settings.relying_party;
    settings.written =
        reader.written(&[("relying_party.id", &party.id), ("relying_party.name", &party.name)]);
    settings
}

fn remarks(settings: &Settings) -> Vec<String> {
    let mut remarks = Vec::new();
    if settings.routes.all().next().is_none() {
        remarks.push("no application is protected yet: add a [[route]]".to_owned());
    }
    remarks.extend(about_acme(settings));
    remarks.extend(webhook::remarks(settings));
    let wildcards =
        settings.routes.all().filter(|route| matches!(route.host, HostPattern::Wildcard(_))).map(|route| {
            format!(
                "route {:?} answers {}: a wildcard trusts every name below it: a person who controls the DNS of \
                 such a name can receive sign-ins for it",
                route.name, route.host
            )
        });
    remarks.extend(wildcards);
    let shared = settings.routes.all().filter(|route| {
        settings.public_url.scheme == Scheme::Https && route.host.matches(&settings.public_url.host)
    });
    let shared = shared.map(|route| {
        format!(
            "route {:?} shares {} with the sign-in pages: its scripts can open them, read what they show, and \
             ask for passkeys there; give it a host of its own if you do not trust it as much",
            route.name, settings.public_url.host
        )
    });
    remarks.extend(shared);
    remarks.extend(settings.routes.all().flat_map(|route| {
        let about = |remark| format!("route {:?}: {remark}", route.name);
        review::remarks(&route.policy, &route.path).into_iter().map(about)
    }));
    remarks.extend(settings.routes.all().flat_map(|route| {
        let said = |(header, definition): (&HeaderName, &Definition)| {
            format!(
                "route {:?} tells {} in {header}, which users may change themselves: make sure that the application \
                 does not identify users by it",
                route.name,
                definition.title()
            )
        };
        route.identity.said_by_owners().map(said).collect::<Vec<_>>()
    }));
    let server = &settings.server;
    if settings.public_url.scheme == Scheme::Https
        && server.tls.is_none()
        && server.trusted_proxies.is_empty()
    {
        remarks.push(
            "public_url is https, but there is neither [server.tls] nor a trusted proxy: every request will look \
             like plain http. Set trusted_proxies to the address of your TLS terminator"
                .to_owned(),
        );
    }
    if settings.store.engine == Engine::Memory {
        remarks
            .push("the store engine is \"memory\": accounts and passkeys are forgotten at exit".to_owned());
    }
    remarks
}

/// Remarks on certificates that are not obtained, or are of no use.
fn about_acme(settings: &Settings) -> Vec<String> {
    let Some(tls) = settings.server.tls.as_ref().filter(|tls| tls.acme.is_some()) else { return Vec::new() };
    let mut remarks = Vec::new();
    if settings.public_url.scheme == Scheme::Http {
        remarks.push(
            "public_url is http: the certificates that [server.tls.acme] obtains are not used. Write \
             public_url = \"https://...\""
                .to_owned(),
        );
    }
    let uncovered = settings
        .routes
        .all()
        .filter(|route| matches!(route.host, HostPattern::Wildcard(_)) && tls.certificates.is_empty());
    remarks.extend(uncovered.map(|route| {
        format!(
            "route {:?} answers {}, for which [server.tls.acme] obtains no certificate: name one of your own in \
             [[server.tls.certificate]], or the hosts one by one",
            route.name, route.host
        )
    }));
    remarks
}

fn content(file: &Path) -> Result<String, Mistakes> {
    read_bounded(file).map_err(|error| {
        let mistake = Mistake {
            file: None,
            key: file.display().to_string(),
            line: None,
            problem: format!("the configuration cannot be read: {error}"),
            remedy: "name a file that exists and that this user may read, with --config FILE".to_owned(),
        };
        Mistakes { file: Some(file.to_path_buf()), list: vec![mistake] }
    })
}

/// The text of a file that is not longer than a configuration can be.
fn read_bounded(file: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let length = std::fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}
