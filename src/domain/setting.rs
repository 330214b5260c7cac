//! What the configuration says, key by key, for administrators who look at it.
//!
//! What does not live here: reading it (`config/written.rs`). What always holds: a secret is never
//! among it, only that there is one.

use std::path::PathBuf;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Dotted; members of a list of tables are counted from 1: `route[2].allow`.
    pub key: String,
    /// As it is written; `None` for a secret.
    pub value: Option<String>,
    pub origin: Origin,
    /// Whether it was written after the start and counts after the next one only.
    pub waits: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `None`: the configuration itself.
    File { file: Option<PathBuf>, line: usize },
    /// The variable of this name.
    Environment(String),
    /// The manual: nothing is written.
    Default,
}
