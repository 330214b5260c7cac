//! Notices: errors and information for people. A status in words, the event, and the advice.
//!
//! The constructors know the sentences; the caller knows which of them is true.

use askama::Template;

use super::{Contact, Site};
use crate::domain::place::Scheme;
use crate::domain::time::Timestamp;

/// The refused route, the user, and the rule.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    pub host: &'a str,
    pub route: &'a str,
    /// `None`: an anonymous client.
    pub email: Option<&'a str>,
    /// The name of a rule; `None`: no rule lets in.
    pub rule: Option<&'a str>,
}

/// One notice.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    pub site: &'a Site,
    /// The HTTP status it is sent with.
    pub status: u16,
    pub title: String,
    /// The event, in one sentence.
    pub happened: String,
    /// The advice; may be empty.
    pub advice: String,
    pub facts: Vec<Fact>,
    /// With facts: lets the page show how far the device's clock is from ours.
    pub server_time: Option<Timestamp>,
    /// The first one is the likely choice.
    pub actions: Vec<Action>,
    pub request_id: Option<&'a str>,
}

/// A fact that the gateway saw.
#[derive(Debug, Clone)]
pub struct Fact {
    pub label: &'static str,
    pub value: String,
}

/// A button or link.
#[derive(Debug, Clone)]
pub struct Action {
    pub label: &'static str,
    pub does: Does,
}

/// The effect of an action. Addresses are ours, never a caller's.
#[derive(Debug, Clone)]
pub enum Does {
    /// Follows a link.
    Go(String),
    /// Posts an empty form.
    Send(String),
}

/// What the gateway saw when a browser came back from signing in and still had no session.
#[derive(Debug, Clone)]
pub struct LoopSeen<'a> {
    pub cookie: CookieSeen,
    pub host: &'a str,
    /// How the gateway understands the connection.
    pub scheme: Scheme,
    /// The scheme by which people should have come.
    pub expected: Scheme,
    pub now: Timestamp,
}

/// How the session cookie came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSeen {
    Missing,
    /// It was not accepted: expired, ended, or from another installation.
    Refused,
}

impl<'a> Notice<'a> {
    /// A notice with text alone.
    pub fn plain(site: &'a Site, status: u16, title: &str, happened: &str, advice: &str) -> Self {
        Self {
            site,
            status,
            title: title.to_owned(),
            happened: happened.to_owned(),
            advice: advice.to_owned(),
            facts: Vec::new(),
            server_time: None,
            actions: Vec::new(),
            request_id: None,
        }
    }

    /// 403: not allowed here.
    pub fn refused(site: &'a Site, refusal: &Refusal<'_>) -> Self {
        let t = site.t;
        let Refusal { host, route, email, rule } = refusal;
        let mut facts = vec![Fact { label: t.application, value: format!("{host} ({route})") }];
        facts.extend(email.map(|email| Fact { label: t.your_account, value: email.to_owned() }));
        if site.explains_refusals {
            facts.push(Fact { label: t.why, value: rule.unwrap_or(t.no_rule_lets_in).to_owned() });
        }
        if email.is_none() {
            let (title, happened) = (t.refused_anonymous_title, t.refused_anonymous_happened);
            return Self { facts, ..Self::plain(site, 403, title, happened, t.refused_anonymous_advice) };
        }
        Self {
            facts,
            actions: vec![
                Action { label: t.another_account, does: Does::Send(format!("{}/logout", site.prefix)) },
                Action { label: t.your_account, does: Does::Go(format!("{}/account", site.prefix)) },
            ],
            ..Self::plain(site, 403, t.refused_title, t.refused_happened, t.refused_advice)
        }
    }

    /// 200: a link leads to a host that only a wildcard route names.
    pub fn ask_to_continue(site: &'a Site, host: &str, confirm: String) -> Self {
        let t = site.t;
        Self {
            facts: vec![Fact { label: t.application, value: host.to_owned() }],
            actions: vec![
                Action { label: t.continue_button, does: Does::Send(confirm) },
                Action { label: t.your_account, does: Does::Go(format!("{}/account", site.prefix)) },
            ],
            ..Self::plain(site, 200, t.continue_title, t.continue_happened, t.continue_advice)
        }
    }

    /// 404: nothing of ours at this address.
    pub fn not_found(site: &'a Site) -> Self {
        let t = site.t;
        Self {
            actions: vec![Action {
                label: t.your_account,
                does: Does::Go(format!("{}/account", site.prefix)),
            }],
            ..Self::plain(site, 404, t.not_found_title, t.not_found_happened, t.not_found_advice)
        }
    }

    /// 421: a host that no route names.
    pub fn unknown_host(site: &'a Site, host: &str) -> Self {
        let t = site.t;
        Self {
            facts: vec![Fact { label: t.host, value: host.to_owned() }],
            ..Self::plain(site, 421, t.unknown_host_title, t.unknown_host_happened, t.unknown_host_advice)
        }
    }

    /// 502: the application did not answer, or not in HTTP.
    pub fn upstream_unreachable(site: &'a Site, route: &str) -> Self {
        let t = site.t;
        Self {
            facts: vec![Fact { label: t.route, value: route.to_owned() }],
            ..Self::plain(site, 502, t.unreachable_title, t.unreachable_happened, t.upstream_advice)
        }
    }

    /// 504: the application took too long.
    pub fn upstream_slow(site: &'a Site, route: &str) -> Self {
        let t = site.t;
        Self {
            facts: vec![Fact { label: t.route, value: route.to_owned() }],
            ..Self::plain(site, 504, t.slow_title, t.slow_happened, t.upstream_advice)
        }
    }

    /// 500 and 503: the gateway failed.
    pub fn our_fault(site: &'a Site, status: u16) -> Self {
        let t = site.t;
        Self::plain(site, status, t.our_fault_title, t.our_fault_happened, t.our_fault_advice)
    }

    /// The browser goes round in circles: signed in, sent back, and unknown again.
    pub fn redirect_loop(site: &'a Site, seen: &LoopSeen<'_>) -> Self {
        let t = site.t;
        let (cookie, advice) = match (seen.cookie, seen.scheme) {
            // Only if https is expected do browsers refuse our cookie over plain HTTP.
            (CookieSeen::Missing, Scheme::Http) if seen.expected == Scheme::Https => {
                (t.cookie_missing, t.loop_plain_http)
            }
            (CookieSeen::Missing, _) => (t.cookie_missing, t.loop_cookie_missing),
            (CookieSeen::Refused, _) => (t.cookie_refused, t.loop_cookie_refused),
        };
        Self {
            facts: vec![
                Fact { label: t.cookie, value: cookie.to_owned() },
                Fact { label: t.host, value: seen.host.to_owned() },
                Fact { label: t.scheme, value: seen.scheme.as_str().to_owned() },
            ],
            server_time: Some(seen.now),
            actions: vec![Action {
                label: t.sign_in_again,
                does: Does::Go(format!("{}/login", site.prefix)),
            }],
            ..Self::plain(site, 400, t.loop_title, t.loop_happened, advice)
        }
    }

    /// Adds the id that support can look up.
    #[must_use]
    pub fn with_request_id(mut self, id: &'a str) -> Self {
        self.request_id = Some(id);
        self
    }
}
