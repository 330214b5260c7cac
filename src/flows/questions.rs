//! What other proxies asked last, for the page that tells an operator what is wrong with one of them.
//!
//! What always holds: only hosts of ours are remembered, one question each; asking again and again writes
//! nothing.

use std::net::IpAddr;
use std::time::Duration;

use super::Gateway;
use crate::domain::forward_auth::{Contract, Unclear};
use crate::domain::time::Timestamp;

/// How soon the same question is noted again.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// How many hosts are remembered: those below a wildcard are as many as somebody asks for.
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
#[derive(Debug, Default)]
pub(super) struct Questions(papaya::HashMap<String, Question>);

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

impl Gateway {
    /// Takes note of a question about `host`.
    pub fn note_question(&self, host: &str, question: Question) {
        let asked = self.questions.0.pin();
        let known = asked.get(host);
        let is_ours = || self.routes().host(host).is_some() && asked.len() < HOSTS_MAX;
        if known.is_some_and(|known| !known.is_as(&question)) || known.is_none() && is_ours() {
            asked.insert(host.to_owned(), question);
        }
    }

    /// The last question about each host, by name.
    pub fn questions(&self) -> Vec<(String, Question)> {
        let asked = self.questions.0.pin();
        let mut all: Vec<_> = asked.iter().map(|(host, question)| (host.clone(), question.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}
