//! The page that shows the mistakes of a proxy that asks about requests: which header it forgets,
//! and which it lets clients write.

use askama::Template;

use super::text::AdminText;
use super::views::Frame;
use crate::domain::policy::route::{HostPattern, RouteTable};
use crate::flows::admission::questions::Question;
use crate::pages::Site;

/// The page at `{prefix}/forward/test`.
#[derive(Debug, Template)]
#[template(path = "admin/forward_test.html")]
pub(super) struct ForwardTest<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) rows: Vec<Line>,
}

/// The last question about one host.
#[derive(Debug)]
pub(super) struct Line {
    host: String,
    asked: Option<Question>,
    findings: Vec<String>,
    is_well: bool,
    /// A command that sends a forged header, to test the proxy.
    command: String,
}

impl Line {
    /// A line for every host: those of routes, and those below a wildcard that were asked about.
    pub(super) fn all(
        routes: &RouteTable,
        questions: &[(String, Question)],
        t: &AdminText,
        origin_of: impl Fn(&str) -> String,
    ) -> Vec<Self> {
        let exact = routes.all().filter_map(|route| match &route.host {
            HostPattern::Exact(host) => Some(host.clone()),
            HostPattern::Wildcard(_) => None,
        });
        let mut hosts: Vec<String> = exact.chain(questions.iter().map(|(host, _)| host.clone())).collect();
        hosts.sort();
        hosts.dedup();
        let row = |host: String| {
            let asked = questions.iter().find(|(known, _)| *known == host).map(|(_, asked)| asked.clone());
            let command = command(&origin_of(&host));
            Self::of(host, asked, command, t)
        };
        hosts.into_iter().map(row).collect()
    }

    fn of(host: String, asked: Option<Question>, command: String, t: &AdminText) -> Self {
        let Some(question) = &asked else {
            return Self { host, asked, findings: Vec::new(), is_well: true, command };
        };
        let mut findings: Vec<String> =
            question.unclear.iter().map(|unclear| format!("{unclear}.")).collect();
        findings.extend(question.passed_on.iter().map(|name| format!("{name}: {}", t.forward_passed_on)));
        let is_well = findings.is_empty();
        if is_well {
            findings.push(t.forward_well.to_owned());
        }
        Self { host, asked, findings, is_well, command }
    }
}

fn command(origin: &str) -> String {
    let forged = [
        "X-Original-URL: https://elsewhere.invalid/",
        "X-Original-URI: /elsewhere",
        "X-Original-Method: DELETE",
        "X-Forwarded-Uri: /elsewhere",
        "X-Forwarded-Host: elsewhere.invalid",
        "X-Forwarded-Method: DELETE",
    ];
    let headers: Vec<_> = forged.iter().map(|header| format!("-H '{header}'")).collect();
    format!("curl -s -o /dev/null {} {origin}/", headers.join(" "))
}
