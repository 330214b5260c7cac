//! The way back: where a stranger was heading, and the one-time hand-off that carries a sign-in
//! from the auth host to the host of an application.
//!
//! Both are kept on the server; the browser only holds their names. A target is built from the
//! request that was admitted to a configured route, never from a parameter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{SessionId, WayBackId};
use super::secret::SecretHash;
use super::time::Timestamp;

/// How long a stranger may take to sign in before the way back is forgotten.
pub const WAY_BACK_LIFETIME: Duration = Duration::from_mins(15);
/// How long a hand-off code is good for.
pub const HAND_OFF_LIFETIME: Duration = Duration::from_secs(30);
/// The longest target that is remembered; longer ones lead to the front page of their host.
pub const TARGET_BYTES_MAX: usize = 4_096;

/// An address on one of our protected hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Scheme, host and port as configured, for example `https://grafana.example.com`.
    pub origin: String,
    /// Path and query exactly as requested; begins with one slash.
    pub path_and_query: String,
}

impl Target {
    /// The whole address.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path_and_query)
    }
}

/// A remembered target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    pub id: WayBackId,
    pub target: Target,
    /// Hash of the nonce cookie on the target's host: the browser that asked.
    pub browser: SecretHash,
    pub expires_at: Timestamp,
}

/// A sign-in on its way to another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOff {
    pub session: SessionId,
    pub target: Target,
    /// Hash of the nonce cookie on the target's host; the code is worthless without it.
    pub browser: SecretHash,
    pub expires_at: Timestamp,
}
