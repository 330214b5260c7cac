//! A request and what became of it, as the access log tells it.
//!
//! What always holds: no cookie, no header that could hold a credential, and no query of our own
//! endpoints, which may hold a code.

use std::net::IpAddr;
use std::time::Duration;

use super::event::Answered;
use super::time::Timestamp;

/// A request that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// When the request came in.
    pub at: Timestamp,
    pub client: Option<IpAddr>,
    /// The username of the user who was let in.
    pub user: Option<String>,
    pub method: String,
    pub host: String,
    /// The path as it was sent, with its query where the operator wants that.
    pub target: String,
    /// `HTTP/1.1`, say.
    pub version: String,
    /// 0 if there was no answer.
    pub status: u16,
    /// The bytes of the answer's body.
    pub bytes: usize,
    pub took: Duration,
    pub route: Option<String>,
    pub outcome: Answered,
    pub request_id: String,
}
