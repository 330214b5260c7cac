//! The configuration, key by key, for administrators who look at it.
//!
//! What does not live here: reading it (`config/written.rs`). What always holds: a secret is never
//! among the values, only the fact that there is one.

use std::path::PathBuf;

/// A key and its value.
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

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `None`: the configuration itself.
    File { file: Option<PathBuf>, line: usize },
    /// The variable of this name.
    Environment(String),
    /// Neither the file nor the environment has the key.
    Default,
}
