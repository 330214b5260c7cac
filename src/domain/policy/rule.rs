//! Rules: which users may send which requests on a route, from where, and when.
//!
//! A rule is about some people and, if it says so, about some requests. What always holds: a
//! condition that cannot be looked at (a client without an address) keeps a rule that allows from
//! matching, and lets a rule that denies match.
//!
//! What does not live here: which of several rules decides (`decide.rs`).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;

use super::path::{self, Reading};
use super::times::Times;
use super::who::Who;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// One rule of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name for people: in the audit trail, on pages, in explanations.
    pub name: String,
    pub effect: Effect,
    pub who: Who,
    pub when: Conditions,
    /// How long ago the user may have shown a passkey. Only for a rule that lets people in.
    pub max_auth_age: Option<Duration>,
}

/// The effect of a rule on the people it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// The requests that a rule is about. An empty list means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub methods: Vec<Method>,
    pub paths: Vec<RulePath>,
    pub networks: Vec<IpNet>,
    pub times: Option<Times>,
}

/// The facts about a request that rules look at.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    pub method: &'a Method,
    /// Lower case, no port.
    pub host: &'a str,
    /// As it stands in the request line, without a query. It has one reading where a rule names
    /// paths.
    pub raw_path: &'a [u8],
    /// The socket's address, or what a trusted proxy says. `None`: there is none, or that proxy
    /// says nothing.
    pub client: Option<IpAddr>,
    pub now: Timestamp,
}

/// The first condition that keeps a rule from being about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    Who,
    Method,
    Path,
    Network,
    Time,
}

/// A path that a rule names, compared segment by segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePath {
    /// The path without a slash at its end; `""` is the front page.
    literal: String,
    reach: PathReach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathReach {
    /// This path, with or without a slash at its end.
    Itself,
    /// This path and everything below it.
    Below,
}

impl Effect {
    /// As the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Rule {
    /// Whether it is about this request.
    pub fn is_about(&self, asking: &RequestFacts<'_>) -> bool {
        self.when.mismatch(asking, self.effect).is_none()
    }

    /// The condition that keeps it from being about this request of `user`, or of an anonymous
    /// client.
    pub fn mismatch(&self, user: Option<&User>, asking: &RequestFacts<'_>) -> Option<Mismatch> {
        let named = user.map_or(self.who == Who::Anyone, |user| self.who.matches(user));
        if named { self.when.mismatch(asking, self.effect) } else { Some(Mismatch::Who) }
    }
}

impl Conditions {
    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn mismatch(&self, asking: &RequestFacts<'_>, effect: Effect) -> Option<Mismatch> {
        let from = |client: IpAddr| {
            let client = client.to_canonical();
            self.networks.iter().any(|network| network.contains(&client))
        };
        if !self.methods.is_empty() && !self.methods.contains(asking.method) {
            Some(Mismatch::Method)
        } else if !self.paths.is_empty() && !self.paths.iter().any(|path| path.matches(asking.raw_path)) {
            Some(Mismatch::Path)
        } else if !self.networks.is_empty() && !asking.client.map_or(effect == Effect::Deny, from) {
            Some(Mismatch::Network)
        } else if self.times.as_ref().is_some_and(|times| !times.contain(asking.now)) {
            Some(Mismatch::Time)
        } else {
            None
        }
    }
}

impl fmt::Display for Conditions {
    /// As the configuration writes each, separated by semicolons; nothing where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(values: &[T]) -> Option<String> {
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        let times = self.times.as_ref().map(ToString::to_string);
        let parts = [list(&self.methods), list(&self.paths), list(&self.networks), times];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

impl RulePath {
    /// Reads `/reports`, or `/reports/*` for it and everything below.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (literal, reach) = match text.strip_suffix("/*") {
            Some(literal) => (literal, PathReach::Below),
            None => (text.strip_suffix('/').unwrap_or(text), PathReach::Itself),
        };
        if !text.starts_with('/') || literal.contains('*') {
            return Err(format!("{text:?} is not a path such as \"/reports\" or \"/reports/*\""));
        }
        if let Some(odd) = path::unfit_for_prefix(literal) {
            return Err(format!(
                "{text:?} has {odd:?}: only A-Z, a-z, 0-9 and - . _ ~ may stand between its slashes, for any other character has a second spelling that would pass the rule by"
            ));
        }
        if !literal.is_empty() && path::read(literal.as_bytes()) != Reading::Plain {
            return Err(format!("{text:?} has \"//\" or dot segments, so no request has such a path"));
        }
        Ok(Self { literal: literal.to_owned(), reach })
    }

    /// Whether everything below is meant as well.
    pub fn goes_below(&self) -> bool {
        self.reach == PathReach::Below
    }

    /// The path without the star.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    /// Whether `path`, which has one reading, is meant.
    pub fn matches(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.literal.as_bytes()).is_some_and(|rest| self.takes(rest))
    }

    /// Whether `path` would be meant if letter case made no difference.
    pub fn matches_in_any_case(&self, path: &[u8]) -> bool {
        path.split_at_checked(self.literal.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(self.literal.as_bytes()) && self.takes(rest)
        })
    }

    fn takes(&self, rest: &[u8]) -> bool {
        match self.reach {
            PathReach::Itself => matches!(rest, b"" | b"/"),
            PathReach::Below => rest.is_empty() || rest.starts_with(b"/"),
        }
    }
}

impl fmt::Display for RulePath {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reach {
            PathReach::Below => write!(f, "{}/*", self.literal),
            PathReach::Itself if self.literal.is_empty() => f.write_str("/"),
            PathReach::Itself => f.write_str(&self.literal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let parsed = RulePath::parse(pattern).unwrap();
        for path in matching {
            assert!(parsed.matches(path.as_bytes()), "{pattern} {path}");
        }
        for path in others {
            assert!(!parsed.matches(path.as_bytes()), "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_is_compared_segment_by_segment() {
        check("/a", &["/a", "/a/"], &["/", "/ab", "/a/b", "/A", "/b/a"]);
        check("/a/", &["/a", "/a/"], &["/a/b"]);
        check("/a/*", &["/a", "/a/", "/a/b", "/a/b/c"], &["/ab", "/", "/A/b"]);
        check("/", &["/"], &["/a"]);
        check("/*", &["/", "/a", "/a/b"], &[]);
        for wrong in ["", "a", "*", "/a*", "/*/b", "/a/../b", "/a//b", "/a;b", "/é", "/a%20b", "/@x", "/a?b"]
        {
            assert!(RulePath::parse(wrong).is_err(), "{wrong}");
        }
        for written in ["/", "/*", "/a", "/a/*"] {
            assert_eq!(RulePath::parse(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn detects_rule_paths_that_depend_on_letter_case() {
        let path = RulePath::parse("/Admin/*").unwrap();
        assert!(path.matches_in_any_case(b"/aDMIN/x") && !path.matches(b"/aDMIN/x"));
        assert!(!path.matches_in_any_case(b"/administrator") && !path.matches_in_any_case(b"/a"));
    }

    #[test]
    fn a_client_without_an_address_fails_closed() {
        let when = Conditions { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Conditions::default() };
        let asking = |client: Option<&str>| RequestFacts {
            method: &Method::GET,
            host: "app.example.com",
            raw_path: b"/",
            client: client.map(|text| text.parse().unwrap()),
            now: Timestamp::from_millis(0),
        };
        for (client, allows, denies) in [
            (None, false, true),
            (Some("10.1.2.3"), true, true),
            (Some("::ffff:10.1.2.3"), true, true),
            (Some("11.1.2.3"), false, false),
            (Some("::1"), false, false),
        ] {
            assert_eq!(when.mismatch(&asking(client), Effect::Allow).is_none(), allows, "{client:?}");
            assert_eq!(when.mismatch(&asking(client), Effect::Deny).is_none(), denies, "{client:?}");
        }
    }
}
