//! The variables of the environment that concern us: those that begin with `VESTIBULE_`.

use std::collections::BTreeMap;

use super::credentials::Credentials;

const PREFIX: &str = "VESTIBULE_";

/// A copy of the variables, taken once.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The directories of a stopped service's credentials: the path that the service will see, and
    /// ours.
    credentials: Credentials,
}

impl Environment {
    /// Copies our variables from the environment of this process. A variable that is not UTF-8 is
    /// taken with replacement characters, so that it is refused with its name rather than
    /// overlooked.
    pub fn of_process() -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self::from_pairs(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Takes the variables from elsewhere; those without our prefix are left out.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = pairs.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Self { variables, credentials: Credentials::default() }
    }

    /// The same for a service whose unit hands these credentials over when it starts.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The path at which the file can be read that the configuration calls `path`.
    pub(super) fn on_disk<'a>(&'a self, path: &'a str) -> &'a str {
        self.credentials.source_of(path).unwrap_or(path)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }
}

/// The variable that overrides a dotted key: `server.listen` is `VESTIBULE_SERVER_LISTEN`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}
