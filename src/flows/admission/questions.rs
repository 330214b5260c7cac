//! The last questions of other proxies, for the page that tells an operator what is wrong with one
//! of them.
//!
//! What always holds: only hosts of ours are remembered, one question each; a repeated question is
//! not noted every time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::forward_auth::{Contract, Unclear};
use crate::domain::time::Timestamp;
use crate::flows::ground::Ground;

/// How soon the same question is noted again.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// How many hosts are remembered: clients can ask for any number of hosts below a wildcard.
const HOSTS_MAX: usize = 1_024;

/// A question about a request for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub at: Timestamp,
    pub proxy: Option<IpAddr>,
    /// The name of the endpoint.
    pub endpoint: &'static str,
    /// Why it could not be answered.
    pub unclear: Option<Unclear>,
    /// Headers of other contracts that came along: a client may have written them.
    pub passed_on: Vec<&'static str>,
}

/// The last question about each host.
pub struct Questions {
    ground: Arc<Ground>,
    asked: papaya::HashMap<String, Question>,
}

impl Question {
    pub fn new(
        at: Timestamp,
        proxy: Option<IpAddr>,
        contract: Contract<'_>,
        unclear: Option<Unclear>,
        passed_on: Vec<&'static str>,
    ) -> Self {
        Self { at, proxy, endpoint: contract.name(), unclear, passed_on }
    }

    fn is_as(&self, other: &Self) -> bool {
        let Self { at, .. } = other;
        *self == Self { at: self.at, ..other.clone() } && at.since(self.at) < NOTED_EVERY
    }
}

impl Questions {
    pub(in crate::flows) fn new(ground: Arc<Ground>) -> Self {
        Self { ground, asked: papaya::HashMap::new() }
    }

    /// Takes note of a question about `host`.
    pub fn note(&self, host: &str, question: Question) {
        let asked = self.asked.pin();
        let known = asked.get(host);
        let is_ours = || self.ground.routes().host(host).is_some() && asked.len() < HOSTS_MAX;
        if known.is_some_and(|known| !known.is_as(&question)) || known.is_none() && is_ours() {
            asked.insert(host.to_owned(), question);
        }
    }

    /// The last question about each host, by name.
    pub fn all(&self) -> Vec<(String, Question)> {
        let asked = self.asked.pin();
        let mut all: Vec<_> = asked.iter().map(|(host, question)| (host.clone(), question.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}
