//! A front end's sign-in process: the state between its steps, for APIs that have one.
//!
//! A process decides nothing. The ceremony that a step begins is the proof.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::SecretHash;
use super::time::Timestamp;
use super::user::EMAIL_BYTES_MAX;

/// How long a process can be continued.
pub const PROCESS_LIFETIME: Duration = Duration::from_mins(15);
/// The longest name that a user can sign in by.
pub const IDENTIFIER_BYTES_MAX: usize = EMAIL_BYTES_MAX;

/// A process, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub id: SecretHash,
    /// The identifier that the user typed; `None` until they have.
    pub identifier: Option<String>,
    pub expires_at: Timestamp,
}

impl Process {
    /// Whether the process can still be continued.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}
