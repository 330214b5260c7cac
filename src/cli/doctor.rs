//! `vestibule doctor`.

use super::arguments::Doctor;
use super::{Failure, Outcome, say};
use crate::admin::client;
use crate::admin::{Answer, Request};
use crate::app::doctor::{Finding, Running, Severity, examine};
use crate::config::Settings;

/// Prints the findings. Fails if there is a problem, so that a timer can tell.
pub(super) fn run(settings: &Settings, arguments: &Doctor) -> Outcome {
    let running = match client::call(&settings.server.admin_socket, &Request::Health) {
        Ok(Answer::Health { remarks, .. }) => Running::Yes { remarks },
        Ok(_) => Running::Yes { remarks: Vec::new() },
        Err(_) => Running::No,
    };
    let findings = examine(settings, &running)?;
    if arguments.json {
        say(&serde_json::to_string_pretty(&findings)?);
    } else {
        for finding in &findings {
            say(&line(finding));
        }
    }
    let problems = findings.iter().filter(|finding| finding.weight == Severity::Problem).count();
    match problems {
        0 => Ok(()),
        1 => Err(Failure("one problem was found".to_owned())),
        _ => Err(Failure(format!("{problems} problems were found"))),
    }
}

fn line(finding: &Finding) -> String {
    let severity = match finding.weight {
        Severity::Fine => "ok",
        Severity::Warning => "warning",
        Severity::Problem => "PROBLEM",
    };
    let head = format!("{severity:<8} {:<14} {}", finding.about, finding.what);
    match &finding.remedy {
        Some(remedy) => format!("{head}\n         -> {remedy}"),
        None => head,
    }
}
