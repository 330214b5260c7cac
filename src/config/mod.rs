//! Configuration: a file and the environment in, validated [`Settings`] out.
//!
//! `section` reads TOML and the environment, `reader` collects mistakes with their lines; `server`,
//! `relying_party`, `dialects`, `mail`, `routes` and `sections` know what the keys mean; `settings` is what the rest
//! of the program sees. The manual is `config.toml` at the root of the repository, and a test
//! keeps it and the defaults the same. What always holds: there are settings only when there is no
//! mistake, and mistakes are reported all at once.

mod credentials;
mod dialects;
mod environment;
mod limits;
mod mail;
mod mistake;
mod reader;
mod relying_party;
mod routes;
mod section;
mod sections;
mod server;
mod settings;
mod value;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::domain::place::Scheme;
use crate::domain::policy::route::HostPattern;

pub use credentials::Credentials;
pub use environment::Environment;
pub use mistake::{Mistake, Mistakes};
use reader::Reader;
use section::Section;
pub use settings::{
    Branding, Certificate, EmailCode, Engine, Log, Mail, MailEncryption, PublicUrl, RelyingParty, Sender,
    Server, Settings, Store, Tls,
};
pub use value::Colour;
pub(crate) use value::duration;

/// Where the configuration is looked for, in this order, when no file is named.
pub const SEARCH_PATH: [&str; 2] = ["config.toml", "/etc/vestibule/config.toml"];
/// Where keys begin whose files only a running gateway loads, and those that depend on them.
const NOT_FOR_COMMANDS: [&str; 4] = ["server.tls", "mail", "signin", "branding"];
/// A configuration is written by hand; anything longer is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads `path`, or the first file of [`SEARCH_PATH`] that exists, or nothing but the defaults.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Settings, Mistakes> {
    let file = path.map(Path::to_path_buf).or_else(found);
    let text = match &file {
        Some(file) => content(file)?,
        None => String::new(),
    };
    parse(&text, environment).map_err(|list| Mistakes { file, list })
}

/// The file that [`load`] reads when none is named.
pub fn found() -> Option<PathBuf> {
    SEARCH_PATH.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Where the gateway's socket is: all that operator commands need of the file [`load`] reads. Mistakes
/// elsewhere in it, such as a certificate that only the gateway may read, are none of theirs.
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

/// The same for a command that works on the store while no gateway runs. Files that only the gateway
/// loads may be out of its reach, so mistakes about them are not counted, and it does without them.
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

/// What `read` finds, unless there are mistakes that `counts` says count.
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
    sections::signup(&root);
    let branding = sections::branding(&root, reader);
    let relying_party = relying_party::relying_party(&root, &public_url, &branding.name, reader);
    let log = sections::log(&root);
    let mail = mail::mail(&root, reader);
    let email_code = mail::email_code(&root, mail.as_ref(), reader);
    let username_change = sections::account(&root);
    let (limits, traffic) = limits::limits(&root, reader);
    let mounts = dialects::dialects(&root, &server, reader);
    let routes = routes::routes(&root, &public_url, &server, reader);
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
        traffic,
        mail,
        email_code,
        username_change,
        mounts,
        routes,
        remarks: Vec::new(),
    };
    settings.remarks = remarks(&settings);
    settings
}

fn remarks(settings: &Settings) -> Vec<String> {
    let mut remarks = Vec::new();
    if settings.routes.all().next().is_none() {
        remarks.push("no application is protected yet: add a [[route]]".to_owned());
    }
    let wildcards =
        settings.routes.all().filter(|route| matches!(route.host, HostPattern::Wildcard(_))).map(|route| {
            format!(
                "route {:?} answers {}: a wildcard trusts every name below it: whoever controls the DNS of one \
                 can receive sign-ins for it",
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

fn content(file: &Path) -> Result<String, Mistakes> {
    read_bounded(file).map_err(|error| {
        let mistake = Mistake {
            key: file.display().to_string(),
            line: None,
            problem: format!("the configuration cannot be read: {error}"),
            remedy: "name a file that exists and that this user may read, with --config FILE".to_owned(),
        };
        Mistakes { file: Some(file.to_path_buf()), list: vec![mistake] }
    })
}

fn read_bounded(file: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let length = std::fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}
