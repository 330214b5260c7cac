//! The sender and the origin of a request, as the proxy found them, and the program that sent it.
//!
//! What does not live here: whose session it is (`sessions/caller.rs`).

use std::net::IpAddr;

use crate::domain::dialect::Dialect;
use crate::domain::event::{Actor, Origin};
use crate::domain::place::Scheme;
use crate::domain::secret::SecretHash;
use crate::domain::session::step_up::Change;

/// The circumstances of a request, as the proxy found them. Nothing in it is believed from a header
/// unless the peer is a trusted proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Lower case, no port, no trailing dot.
    pub host: String,
    /// The scheme that the person's browser used.
    pub scheme: Scheme,
    pub client: Option<IpAddr>,
    pub request_id: String,
    /// The API that is asked; native unless a dialect's router says otherwise.
    pub dialect: Dialect,
    /// Whether the caller shows a session that lives: bans are for anonymous clients.
    pub shows_live_session: bool,
    /// Whether the caller shows an access token, which others may have seen: it pays for no change.
    pub by_access_token: bool,
    /// The change that the request would make; `None` where that does not matter.
    pub change: Option<Change>,
    /// The hash of the nonce that the caller sends to show that a step-up was for this change.
    pub step_up: Option<SecretHash>,
    /// The hash of the mark that a browser keeps in which a user has signed in.
    pub device: Option<SecretHash>,
}

impl Visit {
    /// For the audit log: the origin of a client that has shown no credential of the user whom an
    /// event is about.
    pub fn anonymous_origin(&self) -> Origin {
        Origin { actor: Actor::Anonymous, ..self.origin() }
    }

    /// For the audit log.
    pub fn origin(&self) -> Origin {
        Origin {
            actor: Actor::Client,
            client: self.client,
            request: self.request_id.clone(),
            dialect: Some(self.dialect),
        }
    }
}

/// The program at the other end, as far as it says.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    /// Whether the user does not want to stay signed in on it.
    pub is_shared: bool,
}
