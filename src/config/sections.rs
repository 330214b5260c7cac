//! The smaller tables: `[store]`, `[session]`, `[signup]`, `[account]`, `[branding]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::relying_party::short_text;
use super::section::Section;
use super::server::{Limits, duration, file};
use super::settings::{Branding, Engine, Log, Store};
use super::value;
use crate::domain::identifier::UsernameChange;
use crate::domain::session::Lifetimes;
use crate::telemetry::logging::Format;

const CACHE_BYTES_MIN: u64 = 1 << 20;
const CACHE_BYTES_MAX: u64 = 1 << 40;
/// What we show on every page has to be small.
const LOGO_BYTES_MAX: u64 = 256 * 1024;
const LOGO_EXTENSIONS: [&str; 3] = ["svg", "png", "webp"];
const CONTACT_CHARS_MAX: usize = 200;
/// More than anybody reads at the foot of a page.
const LINKS_MAX: usize = 6;
const LINK_REMEDY: &str = "write a text and a URL, such as \"Imprint <https://example.com/imprint>\"";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Browsers keep no cookie for longer (RFC 6265bis, section 5.5).
const SESSION_LIMITS: Limits = Limits { min: Duration::from_secs(1), max: Duration::from_hours(400 * 24) };
const FRESH_LIMITS: Limits = Limits { min: Duration::from_secs(1), max: DAY };

/// Reads `[store]`.
pub(super) fn store(root: &Section<'_>, reader: &Reader<'_>) -> Store {
    let section = root.table("store");
    section.not_built_yet("endpoints", "remove it, and use engine = \"sled\"");
    let engine = section.parsed("engine", "write engine = \"sled\"", |text| match text {
        "sled" => Ok(Engine::Sled),
        "memory" => Ok(Engine::Memory),
        "etcd" => Err("the etcd engine is not built yet".to_owned()),
        _ => Err(format!("there is no engine called {text:?}")),
    });
    let path = section.parsed("path", "write the path of a directory, such as \"data\"", |text| {
        if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
    });
    let cache = section.parsed("cache", "write a size such as \"64MiB\"", value::size);
    if let Some(cache) = cache.as_ref().filter(|c| !(CACHE_BYTES_MIN..=CACHE_BYTES_MAX).contains(&c.value)) {
        reader.mistake(&cache.at, "the size is out of range", "write a size from \"1MiB\" to \"1024GiB\"");
    }
    section.close();
    Store {
        engine: engine.map_or(Engine::Sled, |found| found.value),
        path: path.map_or_else(|| PathBuf::from("data"), |found| found.value),
        cache_bytes: cache.map_or(64 << 20, |found| found.value),
    }
}

/// Reads `[account]`.
pub(super) fn account(root: &Section<'_>) -> UsernameChange {
    let section = root.table("account");
    let allowed = section.flag("change_username", false);
    section.close();
    if allowed { UsernameChange::Allowed } else { UsernameChange::Forbidden }
}

/// Reads `[session]`.
pub(super) fn session(root: &Section<'_>, reader: &Reader<'_>) -> Lifetimes {
    let section = root.table("session");
    let lifetimes = Lifetimes {
        idle: duration(&section, reader, "idle_timeout", 12 * HOUR, SESSION_LIMITS),
        absolute: duration(&section, reader, "absolute_timeout", 7 * DAY, SESSION_LIMITS),
        fresh: duration(&section, reader, "fresh_for", Duration::from_mins(5), FRESH_LIMITS),
    };
    for (key, length) in [("idle_timeout", lifetimes.idle), ("fresh_for", lifetimes.fresh)] {
        if length > lifetimes.absolute {
            let problem = "it is longer than absolute_timeout, so it would never take effect";
            reader.mistake(&section.at(key), problem, "write a shorter one, or a longer absolute_timeout");
        }
    }
    section.close();
    lifetimes
}

/// Reads `[signup]`: for now there is one mode.
pub(super) fn signup(root: &Section<'_>) {
    let section = root.table("signup");
    let _only_mode = section.parsed("mode", "write mode = \"invite\"", |text| match text {
        "invite" => Ok(()),
        "domain" | "open" => Err(format!("the mode {text:?} is not built yet")),
        _ => Err(format!("there is no mode called {text:?}")),
    });
    section.close();
}

/// Reads `[branding]`.
pub(super) fn branding(root: &Section<'_>, reader: &Reader<'_>) -> Branding {
    let section = root.table("branding");
    let name = section.parsed("name", "write a short name without control characters", short_text);
    let picture_remedy = "write the path of an .svg, .png or .webp file up to 256 KiB";
    let logo = section.parsed("logo", picture_remedy, picture);
    let favicon = section.parsed("favicon", picture_remedy, picture);
    let contact_remedy = "write an e-mail address, or a few words such as \"the help desk\"";
    let contact = section.parsed("contact", contact_remedy, contact);
    let links = section.parsed_list("links", LINK_REMEDY, footer_link).unwrap_or_default();
    if let Some(beyond) = links.get(LINKS_MAX) {
        reader.mistake(&beyond.at, format!("there are more than {LINKS_MAX} links"), "keep the first ones");
    }
    let accent = section.parsed("accent", "write a colour such as \"#0f62fe\"", value::colour);
    section.close();
    Branding {
        name: name.map_or_else(|| "Vestibule".to_owned(), |found| found.value),
        logo: logo.map(|found| found.value),
        favicon: favicon.map(|found| found.value),
        contact: contact.map(|found| found.value),
        links: links.into_iter().map(|found| found.value).collect(),
        accent: accent.map(|found| found.value),
    }
}

fn contact(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > CONTACT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "the contact is empty, longer than {CONTACT_CHARS_MAX} characters, or has a control character"
        ));
    }
    Ok(text.to_owned())
}

fn footer_link(text: &str) -> Result<(String, String), String> {
    let parts = text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<'));
    let (shown, url) = parts.ok_or_else(|| format!("{text:?} has no URL between < and >"))?;
    let url = url::Url::parse(url).map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme is {:?}, not https", url.scheme()));
    }
    Ok((short_text(shown)?, url.into()))
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = file(text)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !LOGO_EXTENSIONS.contains(&extension.as_str()) {
        return Err(format!("{text:?} is not an .svg, .png or .webp file"));
    }
    let size = std::fs::metadata(&path).map_err(|e| format!("{text:?} cannot be read: {e}"))?.len();
    if size > LOGO_BYTES_MAX { Err(format!("{text:?} has {size} bytes")) } else { Ok(path) }
}

/// Reads `[log]`.
pub(super) fn log(root: &Section<'_>) -> Log {
    let section = root.table("log");
    let remedy =
        "write off, error, warn, info, debug or trace, or a list such as \"info,vestibule::proxy=debug\"";
    let level = section.parsed("level", remedy, value::log_level);
    let format = section.parsed("format", "write \"auto\", \"text\" or \"json\"", |text| match text {
        "auto" => Ok(Format::Auto),
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!("there is no format called {text:?}")),
    });
    section.close();
    Log {
        level: level.map_or_else(|| "info".to_owned(), |found| found.value),
        format: format.map_or(Format::Auto, |found| found.value),
    }
}
