//! The smaller tables: `[store]`, `[session]`, `[signup]`, `[account]`, `[recovery]`, `[audit]`,
//! `[forward_auth]`, `[branding]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use super::lengths::{Limits, duration};
use super::reader::Reader;
use super::relying_party::short_text;
use super::section::Section;
use super::settings::{Branding, Engine, Log, Server, Store};
use super::value;
use super::value::file;
use crate::domain::aliases::Aliases;
use crate::domain::audit::Retention;
use crate::domain::colour::Colour;
use crate::domain::identifier::UsernameChange;
use crate::domain::place::ForwardAuth;
use crate::domain::session::{Lifetimes, SESSIONS_PER_USER};
use crate::domain::signup::{Approval, SignUp, SignUpMode};
use crate::domain::user::{Email, Group};
use crate::mail::smtp::MailServer;
use crate::telemetry::access::AccessFormat;
use crate::telemetry::logging::Format;

const CACHE_BYTES_MIN: u64 = 1 << 20;
const CACHE_BYTES_MAX: u64 = 1 << 40;
/// A logo is on every page, so it has to be small.
const LOGO_BYTES_MAX: u64 = 256 * 1024;
const LOGO_EXTENSIONS: [&str; 3] = ["svg", "png", "webp"];
const CONTACT_CHARS_MAX: usize = 200;
/// More than people read at the foot of a page.
const LINKS_MAX: usize = 6;
const LINK_REMEDY: &str = "write a text and a URL, such as \"Imprint <https://example.com/imprint>\"";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Browsers keep no cookie for longer (RFC 6265bis, section 5.5).
const SESSION_LIMITS: Limits = Limits { min: Duration::from_secs(1), max: Duration::from_hours(400 * 24) };
const AUDIT_LIMITS: Limits = Limits { min: DAY, max: Duration::from_hours(10 * 366 * 24) };
/// A store of this size is still walked through in a moment.
const AUDIT_ENTRIES_MAX: usize = 10_000_000;
/// The limit is low because one commit ends all of them.
const SESSIONS_PER_USER_LIMIT: usize = 100;
const RECOVERY_LIMITS: Limits = Limits { min: Duration::ZERO, max: Duration::from_hours(30 * 24) };
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

/// Reads `[recovery]`.
pub(super) fn recovery(root: &Section<'_>, reader: &Reader<'_>) -> Duration {
    let section = root.table("recovery");
    let delay = duration(&section, reader, "delay", Duration::ZERO, RECOVERY_LIMITS);
    section.close();
    delay
}

/// Reads `[forward_auth]`.
pub(super) fn forward_auth(root: &Section<'_>, server: &Server, reader: &Reader<'_>) -> ForwardAuth {
    let section = root.table("forward_auth");
    let is_on = section.flag("enabled", false);
    if is_on && server.trusted_proxies.is_empty() {
        let remedy = "set server.trusted_proxies to the address of the proxy that asks";
        reader.mistake(
            &section.at("enabled"),
            "no proxy is trusted, so the gateway would answer none",
            remedy,
        );
    }
    let aliases = Aliases {
        oauth2_proxy: section.flag("oauth2_proxy", false),
        webauthn_proxy: section.flag("webauthn_proxy", false),
    };
    for (key, is_asked_for) in
        [("oauth2_proxy", aliases.oauth2_proxy), ("webauthn_proxy", aliases.webauthn_proxy)]
    {
        if is_asked_for && !is_on {
            let remedy = "write enabled = true beside it";
            reader.mistake(&section.at(key), "forward-auth is off, so this has no effect", remedy);
        }
    }
    section.close();
    if is_on { ForwardAuth::On(aliases) } else { ForwardAuth::Off }
}

/// Reads `[audit]`.
pub(super) fn audit(root: &Section<'_>, reader: &Reader<'_>) -> Retention {
    let section = root.table("audit");
    let usual = Retention::default();
    let keep = duration(&section, reader, "keep", usual.keep, AUDIT_LIMITS);
    let entries_max = section.number("entries_max", usual.entries_max, AUDIT_ENTRIES_MAX);
    section.close();
    Retention { keep, entries_max }
}

/// Reads `[session]`.
pub(super) fn session(root: &Section<'_>, reader: &Reader<'_>) -> Lifetimes {
    let section = root.table("session");
    let lifetimes = Lifetimes {
        idle: duration(&section, reader, "idle_timeout", 12 * HOUR, SESSION_LIMITS),
        absolute: duration(&section, reader, "absolute_timeout", 7 * DAY, SESSION_LIMITS),
        short: duration(&section, reader, "short", 8 * HOUR, SESSION_LIMITS),
        sessions_max: section.number("max_sessions", SESSIONS_PER_USER, SESSIONS_PER_USER_LIMIT).max(1),
        fresh: duration(&section, reader, "fresh_for", Duration::from_mins(5), FRESH_LIMITS),
    };
    for (key, length) in
        [("idle_timeout", lifetimes.idle), ("short", lifetimes.short), ("fresh_for", lifetimes.fresh)]
    {
        if length > lifetimes.absolute {
            let problem = "it is longer than absolute_timeout, so it would never take effect";
            reader.mistake(&section.at(key), problem, "write a shorter one, or a longer absolute_timeout");
        }
    }
    section.close();
    lifetimes
}

/// Reads `[signup]`.
pub(super) fn signup(root: &Section<'_>, mail: Option<&MailServer>, reader: &Reader<'_>) -> SignUp {
    let section = root.table("signup");
    let remedy = "write mode = \"invite\", \"domain\" or \"open\"";
    let mode = section.parsed("mode", remedy, |text| match text {
        "invite" => Ok(SignUpMode::Invite),
        "domain" => Ok(SignUpMode::Domain(Vec::new())),
        "open" => Ok(SignUpMode::Open),
        _ => Err(format!("unknown value {text:?} for mode")),
    });
    let domains = section.parsed_list("domains", "write domains such as [\"example.com\"]", |text| {
        // A domain is read as the domain of an address.
        Email::parse(&format!("a@{text}"))
            .map(|email| email.domain().to_owned())
            .map_err(|_| format!("{text:?} is not a domain"))
    });
    let groups = section.parsed_list("groups", "write groups such as [\"staff\"]", |text| {
        Group::parse(text).map_err(|error| error.to_string())
    });
    let approval = if section.flag("approval", false) { Approval::Needed } else { Approval::NotNeeded };
    let at = section.at("mode");
    let domains: Vec<String> = domains.unwrap_or_default().into_iter().map(|found| found.value).collect();
    let groups = groups.unwrap_or_default().into_iter().map(|found| found.value).collect();
    let mode = match mode.map_or(SignUpMode::Invite, |found| found.value) {
        SignUpMode::Domain(_) if domains.is_empty() => {
            reader.mistake(
                &at,
                "no domain is named, so no one could sign up",
                "add domains = [\"example.com\"]",
            );
            SignUpMode::Invite
        }
        SignUpMode::Domain(_) => SignUpMode::Domain(domains),
        other => other,
    };
    if mode != SignUpMode::Invite && mail.is_none() {
        let problem = "an address is confirmed by mail, and there is no [mail]";
        reader.mistake(&at, problem, "add [mail], or write mode = \"invite\"");
    }
    section.close();
    SignUp { mode, approval, groups }
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
    let accent = section.parsed("accent", "write a colour such as \"#0f62fe\"", |text| {
        Colour::parse(text).map_err(|error| error.to_string())
    });
    let explain_refusals = section.flag("explain_refusals", false);
    section.close();
    Branding {
        name: name.map_or_else(|| "Vestibule".to_owned(), |found| found.value),
        logo: logo.map(|found| found.value),
        favicon: favicon.map(|found| found.value),
        contact: contact.map(|found| found.value),
        links: links.into_iter().map(|found| found.value).collect(),
        explain_refusals,
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

/// A picture that pages show.
pub(super) fn picture(text: &str) -> Result<PathBuf, String> {
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
    let remedy = "write \"off\", \"common\" or \"json\"";
    let access = section.parsed("access", remedy, |text| match text {
        "off" => Ok(None),
        "common" => Ok(Some(AccessFormat::Common)),
        "json" => Ok(Some(AccessFormat::Json)),
        _ => Err(format!("unknown value {text:?} for access")),
    });
    let access_query = section.flag("access_query", false);
    section.close();
    Log {
        access: access.and_then(|found| found.value),
        access_query,
        level: level.map_or_else(|| "info".to_owned(), |found| found.value),
        format: format.map_or(Format::Auto, |found| found.value),
    }
}
