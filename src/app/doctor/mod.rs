//! Finds faults of an installation before a user reports them.
//!
//! `edge` asks the network: names, listeners, applications, the mail server. `machine` looks at
//! files, disks and the clock, `certificates` at what browsers will be shown, `relying_party` at
//! what they ask about passkeys. What always holds: looking changes nothing, every question has a
//! time limit, and every finding that is not fine says what to do.

mod certificates;
mod edge;
mod machine;
mod relying_party;

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::runtime::Builder;

use super::StartError;
use crate::config::Settings;
use crate::domain::policy::route::HostPattern;
use crate::ports::Clock as _;
use crate::system::SystemClock;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Fine,
    /// No failure today.
    Warning,
    /// A user cannot get in, or data that must be kept is not kept.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub weight: Severity,
    /// The subject, in a word or two.
    pub about: &'static str,
    pub what: String,
    /// The advice; `None` where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn fine(about: &'static str, what: impl Into<String>) -> Self {
        Self { weight: Severity::Fine, about, what: what.into(), remedy: None }
    }

    fn warning(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { weight: Severity::Warning, about, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn problem(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { weight: Severity::Problem, about, what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// Whether a gateway with these settings runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// It runs, with these remarks of its own.
    Yes {
        remarks: Vec<String>,
    },
    No,
}

/// Every host that browsers have to reach, once.
fn hosts(settings: &Settings) -> BTreeSet<HostPattern> {
    let auth = HostPattern::Exact(settings.public_url.host.clone());
    settings.routes.all().map(|route| route.host.clone()).chain([auth]).collect()
}

/// Looks at everything that `settings` name. The findings are in the order of a request's way.
pub fn examine(settings: &Settings, running: &Running) -> Result<Vec<Finding>, StartError> {
    let now = SystemClock::default().now();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let mut findings = runtime.map_err(StartError::because)?.block_on(async {
        let mut findings = edge::examine(settings, running).await;
        findings.extend(relying_party::examine(settings).await);
        findings
    });
    findings.extend(certificates::examine(settings, now));
    findings.extend(machine::examine(settings, now));
    if let Running::Yes { remarks } = running {
        let remedy = "name the proxy in server.trusted_proxies, or make it send no such header";
        findings.extend(remarks.iter().map(|remark| Finding::problem("proxy", remark, remedy)));
    }
    let remarks = settings.remarks.iter();
    let remedy = "if you want this, do nothing; if not, change it (config.toml explains each key)";
    findings.extend(remarks.map(|remark| Finding::warning("configuration", remark, remedy)));
    Ok(findings)
}
