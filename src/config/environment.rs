//! The variables of the environment that concern us: those that begin with `VESTIBULE_`.

use std::collections::BTreeMap;

const PREFIX: &str = "VESTIBULE_";

/// A copy of the variables, taken once.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Copies what concerns us from the environment of this process. What is not UTF-8 is taken
    /// with replacement characters, so that it is refused with its name rather than overlooked.
    pub fn of_process() -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self::from_pairs(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Takes the variables from elsewhere; those without our prefix are left out.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The variable that overrides a dotted key: `server.listen` is `VESTIBULE_SERVER_LISTEN`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}
