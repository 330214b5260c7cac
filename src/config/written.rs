//! The configuration key by key, for administrators who look at it: each value as it is written,
//! where it is written, and the defaults of the other keys.
//!
//! What does not live here: the meaning of the keys, which the other modules of this folder know.
//!
//! What always holds: a secret is never shown, only that there is one. Defaults are those of the
//! manual, which a test keeps true.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::setting::{Origin, Setting};

const MANUAL: &str = include_str!("../../config.toml");
/// Keys whose values are as good as a password. A test asks about every key that sounds like one.
const SECRETS: [&str; 2] = ["mail.password", "webhook.url"];

/// A key whose value is `text`.
fn setting(key: String, text: &str, origin: Origin) -> Setting {
    // A list may go over several lines.
    let value = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let value = (!is_secret(&key)).then_some(value);
    Setting { key, value, origin, waits: false }
}

/// The keys and values in a table of `text`, which was read from `file`.
pub(super) fn in_table(
    text: &str,
    table: &DeTable<'_>,
    file: Option<Arc<Path>>,
    line: &dyn Fn(usize) -> usize,
) -> Vec<Setting> {
    let mut walk = Walk { text, line, file, found: Vec::new() };
    walk.table("", table);
    let line = |written: &Setting| match written.origin {
        Origin::File { line, .. } => line,
        Origin::Environment(_) | Origin::Default => 0,
    };
    walk.found.sort_by_key(line);
    walk.found
}

struct Walk<'a> {
    text: &'a str,
    /// The line of an offset.
    line: &'a dyn Fn(usize) -> usize,
    file: Option<Arc<Path>>,
    found: Vec<Setting>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let dotted = if path.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{path}.{}", name.get_ref())
            };
            self.value(dotted, value);
        }
    }

    fn value(&mut self, key: String, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(&key, table),
            DeValue::Array(items) if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) => {
                for (number, item) in (1..).zip(items.iter()) {
                    self.value(format!("{key}[{number}]"), item);
                }
            }
            _ => {
                let span = value.span();
                let line = (self.line)(span.start);
                let origin = Origin::File { file: self.file.as_deref().map(Path::to_path_buf), line };
                self.found.push(setting(key, self.text.get(span).unwrap_or_default(), origin));
            }
        }
    }
}

/// Every key, in the order of the files: values from the environment take the place of the file's,
/// and the defaults of unwritten keys follow. Defaults that are `derived` from other values are not
/// those of the manual.
pub(super) fn complete(
    mut written: Vec<Setting>,
    environment: Vec<(String, String, String)>,
    derived: &[(&str, &str)],
) -> Vec<Setting> {
    for (key, variable, value) in environment {
        written.retain(|line| line.key != key);
        written.push(setting(key, &value, Origin::Environment(variable)));
    }
    let manual = defaults_of_manual();
    let Ok(table) = DeTable::parse(&manual) else { return written };
    // Only the order of the defaults counts.
    let defaults = in_table(&manual, table.get_ref(), None, &|offset| offset);
    for line in defaults {
        if written.iter().any(|known| known.key == line.key) {
            continue;
        }
        let value = match derived.iter().find(|(key, _)| *key == line.key) {
            Some((_, value)) => Some(format!("{value:?}")),
            None => line.value,
        };
        written.push(Setting { value, origin: Origin::Default, ..line });
    }
    written
}

/// The manual with the settings that have a default made active.
pub(super) fn defaults_of_manual() -> String {
    MANUAL.lines().fold(String::new(), |mut text, line| {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", setting.unwrap_or_default());
        text
    })
}

/// Whether a key holds a secret, in whichever member of a list.
fn is_secret(key: &str) -> bool {
    let plain: String =
        key.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    SECRETS.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    fn written(text: &str, variables: &[(&str, &str)]) -> Vec<Setting> {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse(text, &Environment::from_pairs(pairs)).unwrap().written
    }

    fn line<'a>(written: &'a [Setting], key: &str) -> &'a Setting {
        written.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("{key} is not in {written:#?}"))
    }

    #[test]
    fn shows_values_as_written_with_line() {
        let text = "public_url = \"http://localhost:8080\"\n\n[session]\nidle_timeout = \"2h\"\n\n\
                    [[route]]\nname = \"wiki\"\nhost = \"wiki.localhost\"\nupstream = [\"http://127.0.0.1:9\"]\n\
                    allow = [\n  \"user\",\n  \"group:x\",\n]\n";
        let written = written(text, &[("VESTIBULE_SESSION_FRESH_FOR", "3m")]);
        for (key, value, at) in [
            ("public_url", "\"http://localhost:8080\"", 1),
            ("session.idle_timeout", "\"2h\"", 4),
            ("route[1].name", "\"wiki\"", 7),
            ("route[1].allow", "[ \"user\", \"group:x\", ]", 10),
        ] {
            let found = line(&written, key);
            assert_eq!(found.value.as_deref(), Some(value));
            assert_eq!(found.origin, Origin::File { file: None, line: at }, "{key}");
        }
        let overridden = line(&written, "session.fresh_for");
        assert_eq!(overridden.value.as_deref(), Some("3m"));
        assert_eq!(overridden.origin, Origin::Environment("VESTIBULE_SESSION_FRESH_FOR".to_owned()));
        assert_eq!(line(&written, "relying_party.id").value.as_deref(), Some("\"localhost\""));
        let default = line(&written, "server.prefix");
        assert_eq!((default.value.as_deref(), &default.origin), (Some("\"/auth\""), &Origin::Default));
    }

    #[test]
    fn shows_effective_derived_defaults() {
        let proxied = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[branding]\nname = \"Example Works\"\n";
        let told = written(&format!("public_url = \"https://auth.example.com\"\n{proxied}"), &[]);
        assert_eq!(line(&told, "relying_party.id").value.as_deref(), Some("\"auth.example.com\""));
        assert_eq!(line(&told, "relying_party.name").value.as_deref(), Some("\"Example Works\""));
    }

    #[test]
    fn never_shows_secrets() {
        let text = "[mail]\nurl = \"smtp://me@localhost\"\nfrom = \"a@example.com\"\npassword = \"hunter2\"\n\
                    [[webhook]]\nurl = \"http://127.0.0.1/hunter2\"\nevents = [\"notices\"]\n";
        let told = written(text, &[]);
        assert_eq!(line(&told, "mail.password").value, None);
        assert_eq!(line(&told, "webhook[1].url").value, None);
        assert!(line(&told, "mail.url").value.is_some());
        assert!(!format!("{told:?}").contains("hunter2"));
        let text = "[mail]\nurl = \"smtp://me@localhost\"\nfrom = \"a@example.com\"\n";
        let told = written(text, &[("VESTIBULE_MAIL_PASSWORD", "hunter2")]);
        assert_eq!(line(&told, "mail.password").value, None);
        assert!(!format!("{told:?}").contains("hunter2"));
    }

    /// A developer who adds a key that sounds like a secret classifies it here.
    #[test]
    fn classifies_every_secret_like_key() {
        let harmless = [
            "public_url",
            "mail.url",
            "mail.password_file",
            "webhook.secret_file",
            "server.tls.key",
            "server.tls.certificate.key",
            "server.tls.acme.account_key_id",
            "server.tls.acme.account_hmac_key_file",
            // The paths of files.
            "route.credentials",
            "route.logout_url",
        ];
        let text: String =
            MANUAL.lines().map(|line| line.trim_start_matches(['#', ' ']).to_owned() + "\n").collect();
        let mut table = String::new();
        let mut judged = 0;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[').filter(|name| name.ends_with(']')) {
                table = name.trim_matches(['[', ']']).to_owned();
            }
            let Some((word, _)) = line.split_once(" = ") else { continue };
            let sounds = ["password", "secret", "token", "key", "url", "passphrase", "credential"];
            let is_key = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let is_prose = table.is_empty() && word != "public_url";
            if is_prose || !is_key || !sounds.iter().any(|sound| word.contains(sound)) {
                continue;
            }
            let key = if word == "public_url" { word.to_owned() } else { format!("{table}.{word}") };
            assert!(
                harmless.contains(&key.as_str()) != is_secret(&key),
                "is {key} a secret? say so in SECRETS or here"
            );
            judged += 1;
        }
        assert!(judged > 8, "{judged}");
    }
}
