//! The certificates that browsers will get: whether each host is covered, and for how long.

use std::fs;
use std::path::Path;

use super::{Finding, hosts};
use crate::app::proxy_settings;
use crate::config::{Credentials, Settings};
use crate::domain::policy::route::HostPattern;
use crate::domain::time::Timestamp;
use crate::proxy::{Inspected, inspect_certificates};

const ABOUT: &str = "certificate";
/// The directory of an operator's units.
const UNITS: &str = "/etc/systemd/system";
/// The least share of a certificate's life. An ACME client renews with a third left, so with less
/// it has failed for a while.
const SHARE_LEFT_MIN: f64 = 0.25;

pub(super) fn examine(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let Some(tls) = proxy_settings(settings).tls else { return Vec::new() };
    let read = match inspect_certificates(&tls.certificates) {
        Ok(read) => read,
        Err(error) => {
            let remedy = "give the gateway's user a chain and a key that belong together, in PEM";
            return vec![Finding::problem(ABOUT, error.to_string(), remedy)];
        }
    };
    let mut findings: Vec<_> = read.iter().map(|certificate| life(certificate, now)).collect();
    let stale = read.iter().filter_map(|certificate| renewed(&certificate.chain, Path::new(UNITS)));
    findings.extend(stale);
    let is_obtained = settings.server.tls.as_ref().is_some_and(|tls| tls.acme.is_some());
    let uncovered = hosts(settings).into_iter().map(example);
    let uncovered = uncovered.filter(|host| !read.iter().any(|certificate| certificate.covers(host)));
    findings.extend(uncovered.map(|host| {
        Finding::problem(
            ABOUT,
            format!("no certificate covers {host}"),
            if is_obtained {
                "see what the gateway's log says about it: the authority must reach this host from the internet"
            } else {
                "get a certificate for it, and name its files in [[server.tls.certificate]]"
            },
        )
    }));
    findings
}

/// Whether a credential of a systemd service is older than the file that it was copied from: it is
/// copied when the service starts, and a renewal since then is not seen.
fn renewed(copy: &Path, units: &Path) -> Option<Finding> {
    overtaken(copy, &Credentials::original_of(copy, units)?)
}

fn overtaken(copy: &Path, original: &Path) -> Option<Finding> {
    let (used, there) = (fs::read(copy).ok()?, fs::read(original).ok()?);
    let (used_at, there_at) = (copy.display(), original.display());
    let what = format!("{there_at} has changed since the service was started, which still uses {used_at}");
    let remedy = "restart the service, and let your ACME client restart it after each renewal";
    (used != there).then(|| Finding::problem(ABOUT, what, remedy))
}

/// A host of the pattern; one of those below a wildcard stands for all of them.
fn example(host: HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => host,
        HostPattern::Wildcard(suffix) => format!("any{suffix}"),
    }
}

fn life(certificate: &Inspected, now: Timestamp) -> Finding {
    let file = certificate.chain.display();
    let day = |at: Timestamp| at.to_rfc3339();
    let (from, until) = (certificate.not_before, certificate.not_after);
    if now >= until {
        let remedy = "renew it: browsers refuse it";
        return Finding::problem(ABOUT, format!("{file} has expired on {}", day(until)), remedy);
    }
    if now < from {
        let remedy = "correct the clock of this machine, or wait: browsers refuse it until then";
        return Finding::problem(ABOUT, format!("{file} is not valid before {}", day(from)), remedy);
    }
    let whole = until.since(from).as_secs_f64();
    let left = until.since(now).as_secs_f64() / whole;
    if left < SHARE_LEFT_MIN {
        let what = format!("{file} ends on {}, with {:.0} % of its life left", day(until), left * 100.0);
        return Finding::warning(
            ABOUT,
            what,
            "see why it has not been renewed: in the gateway's log, or that of your ACME client",
        );
    }
    Finding::fine(ABOUT, format!("{file} is valid until {}", day(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_a_copy_that_was_not_renewed_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let (copy, original) = (folder.path().join("copy.pem"), folder.path().join("original.pem"));
        fs::write(&copy, "one").unwrap();
        fs::write(&original, "one").unwrap();
        assert!(overtaken(&copy, &original).is_none());
        fs::write(&original, "two").unwrap();
        let found = overtaken(&copy, &original).unwrap();
        assert!(found.what.contains("has changed since the service was started"), "{found:?}");
        fs::remove_file(&original).unwrap();
        assert!(overtaken(&copy, &original).is_none(), "a file that cannot be read says nothing");
    }
}
