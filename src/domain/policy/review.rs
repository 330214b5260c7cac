//! Finds probable mistakes in the rules of a route by trying requests.
//!
//! For each rule, requests are made up that it is about: its own people, methods, paths, networks
//! and hours, and some that no list names. A rule that decides about none of them is dead. What
//! always holds: nothing here changes a decision; `check` prints it, and `serve` logs it.
//!
//! What does not live here: mistakes that stop a configuration from being read (`config/rules.rs`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Method;

use super::decide::{By, Policy};
use super::rule::{Effect, RequestFacts, Rule};
use super::who::{Allow, Who};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Group, User, Username};

/// The most requests that are tried for one rule.
const TRIES_MAX: usize = 20_000;
/// A Monday in winter and one in summer, 2026.
const WEEKS: [i64; 2] = [1_768_176_000_000, 1_783_296_000_000];
const QUARTER_HOUR: i64 = 15 * 60 * 1_000;
const QUARTERS_OF_WEEK: i64 = 7 * 24 * 4;
/// No rule names hosts.
const ODD_HOST: &str = "x7q.example";
/// A segment that no list is likely to name.
const ODD_SEGMENT: &str = "x7q";

/// Remarks about the rules of `policy`, whose route begins at `route_path`.
pub fn remarks(policy: &Policy, route_path: &str) -> Vec<String> {
    policy.rules().iter().flat_map(|rule| about(policy, rule, route_path)).collect()
}

fn about(policy: &Policy, rule: &Rule, route_path: &str) -> Vec<String> {
    let mut said = Vec::new();
    if (rule.effect, &rule.who) == (Effect::Allow, &Who::Anyone) {
        let from =
            if rule.when.networks.is_empty() { "every client" } else { "every client in its networks" };
        said.push(format!("the rule {:?} lets {from} in without a sign-in", rule.name));
    }
    if let Some(instead) = shadowing_rules(policy, rule, route_path) {
        let names: Vec<_> = instead.iter().map(|name| format!("{name:?}")).collect();
        said.push(format!(
            "the rule {:?} never decides, because of {} before it",
            rule.name,
            names.join(" and ")
        ));
    }
    said
}

/// The rules that decide instead, if `rule` never does.
fn shadowing_rules<'p>(policy: &'p Policy, rule: &Rule, route_path: &str) -> Option<BTreeSet<&'p str>> {
    let mut instead = BTreeSet::new();
    let facts = Facts::about(policy, rule, route_path);
    let mut tried = 0;
    for person in people(&rule.who) {
        let user_policy = person.as_ref().map(|user| policy.about(user));
        for asking in facts.requests() {
            let verdict = match &user_policy {
                None => policy.decide_for_anonymous(&asking),
                Some(user_policy) => policy.decide(user_policy, Some(asking.now), &asking),
            };
            tried += 1;
            match verdict.by {
                By::Rule(decides) if decides == rule => return None,
                _ if tried == TRIES_MAX => return None,
                by => instead.extend(by.name()),
            }
        }
    }
    Some(instead)
}

/// The facts of which the requests for one rule are combined.
struct Facts {
    host: String,
    methods: Vec<Method>,
    paths: Vec<String>,
    clients: Vec<IpAddr>,
    moments: Vec<Timestamp>,
}

impl Facts {
    fn about(policy: &Policy, rule: &Rule, route_path: &str) -> Self {
        Self {
            host: ODD_HOST.to_owned(),
            methods: methods(rule),
            paths: paths(rule, route_path),
            clients: clients(rule),
            moments: moments(policy, rule),
        }
    }

    /// Every combination.
    fn requests(&self) -> impl Iterator<Item = RequestFacts<'_>> {
        let from = move |method, raw_path, now| {
            self.clients.iter().map(move |client| RequestFacts {
                method,
                host: &self.host,
                raw_path,
                client: Some(*client),
                now,
            })
        };
        let at =
            move |method, now| self.paths.iter().flat_map(move |path| from(method, path.as_bytes(), now));
        self.moments.iter().flat_map(move |now| self.methods.iter().flat_map(move |method| at(method, *now)))
    }
}

/// People whom a rule is about; `None` is an anonymous client.
fn people(who: &Who) -> Vec<Option<User>> {
    match who {
        Who::Anyone => vec![None, sample_user(&Allow::AnyUser)],
        Who::People(lines) => lines.iter().map(sample_user).collect(),
    }
}

fn sample_user(line: &Allow) -> Option<User> {
    let (mut username, mut email, mut groups) = (
        Username::parse("somebody-x7q").ok()?,
        Email::parse("somebody-x7q@x7q.example").ok()?,
        BTreeSet::<Group>::new(),
    );
    match line {
        Allow::AnyUser => {}
        Allow::Group(group) => {
            groups.insert(group.clone());
        }
        Allow::Email(line) => email = line.clone(),
        Allow::Username(line) => username = line.clone(),
    }
    User::hypothetical(username, email, groups).ok()
}

fn methods(rule: &Rule) -> Vec<Method> {
    if rule.when.methods.is_empty() {
        let odd = Method::from_bytes(b"PROPFIND");
        [Method::GET, Method::POST].into_iter().chain(odd).collect()
    } else {
        rule.when.methods.clone()
    }
}

fn paths(rule: &Rule, route_path: &str) -> Vec<String> {
    let start = route_path.trim_end_matches('/');
    if rule.when.paths.is_empty() {
        return vec![format!("{start}/"), format!("{start}/{ODD_SEGMENT}/{ODD_SEGMENT}")];
    }
    let each = rule.when.paths.iter().flat_map(|path| {
        let below = path.goes_below().then(|| format!("{}/{ODD_SEGMENT}/{ODD_SEGMENT}", path.literal()));
        let itself = if path.literal().is_empty() { "/" } else { path.literal() };
        std::iter::once(itself.to_owned()).chain(below)
    });
    each.collect()
}

fn clients(rule: &Rule) -> Vec<IpAddr> {
    if rule.when.networks.is_empty() {
        let odd = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7);
        return vec![Ipv4Addr::new(203, 0, 113, 7).into(), odd.into()];
    }
    rule.when.networks.iter().flat_map(|network| [network.network(), network.broadcast()]).collect()
}

fn moments(policy: &Policy, rule: &Rule) -> Vec<Timestamp> {
    let quarters = |week: &i64| {
        let week = *week;
        (0..QUARTERS_OF_WEEK).map(move |quarter| Timestamp::from_millis(week + quarter * QUARTER_HOUR))
    };
    let all = WEEKS.iter().flat_map(quarters);
    let fits = |now: &Timestamp| rule.when.times.as_ref().is_none_or(|times| times.contain(*now));
    let wanted = if policy.depends_on_time() { usize::MAX } else { 1 };
    all.filter(fits).take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::rule::{Conditions, RulePath};
    use crate::domain::policy::times::{Clock, Days, Times};

    fn rule(name: &str, effect: Effect, who: &str, when: Conditions) -> Rule {
        let who = match who {
            "anyone" => Who::Anyone,
            line => Who::People(vec![Allow::parse(line).unwrap()]),
        };
        Rule { name: name.to_owned(), effect, who, when, max_auth_age: None }
    }

    fn paths(text: &str) -> Conditions {
        Conditions { paths: vec![RulePath::parse(text).unwrap()], ..Conditions::default() }
    }

    fn hours(from: &str, to: &str) -> Conditions {
        let times = Times::new(Days::ALL, Clock::parse(from).unwrap(), Clock::parse(to).unwrap(), "UTC");
        Conditions { times: Some(times.unwrap()), ..Conditions::default() }
    }

    fn from(network: &str) -> Conditions {
        Conditions { networks: vec![network.parse().unwrap()], ..Conditions::default() }
    }

    #[track_caller]
    fn check(rules: Vec<Rule>, expected: &[&str]) {
        assert_eq!(remarks(&Policy::new(rules, None), "/"), expected);
    }

    #[test]
    fn reports_a_shadowed_rule() {
        use Effect::{Allow, Deny};
        let dead = "the rule \"b\" never decides, because of \"a\" before it";
        let all = Conditions::default;
        check(vec![rule("a", Allow, "user", all()), rule("b", Deny, "group:guests", all())], &[dead]);
        check(vec![rule("a", Deny, "group:guests", all()), rule("b", Allow, "user", all())], &[]);
        check(vec![rule("a", Allow, "user", paths("/x/*")), rule("b", Deny, "user", paths("/x"))], &[dead]);
        check(vec![rule("a", Allow, "user", paths("/x")), rule("b", Deny, "user", paths("/x/*"))], &[]);
        check(
            vec![rule("a", Allow, "user", from("10.0.0.0/8")), rule("b", Deny, "user", from("10.1.0.0/16"))],
            &[dead],
        );
        check(
            vec![rule("a", Allow, "user", from("10.1.0.0/16")), rule("b", Deny, "user", from("10.0.0.0/8"))],
            &[],
        );
        check(
            vec![
                rule("a", Allow, "user", hours("08:00", "18:00")),
                rule("b", Deny, "user", hours("09:00", "10:00")),
            ],
            &[dead],
        );
        check(
            vec![
                rule("a", Allow, "user", hours("08:00", "18:00")),
                rule("b", Deny, "user", hours("09:00", "18:15")),
            ],
            &[],
        );
    }

    #[test]
    fn a_rule_is_tried_with_its_methods_and_with_others() {
        use Effect::{Allow, Deny};
        let methods = |methods: &[Method]| Conditions { methods: methods.to_vec(), ..Conditions::default() };
        let dead = "the rule \"b\" never decides, because of \"a\" before it";
        let all = Conditions::default;
        let writes = [Method::POST, Method::PUT];
        check(vec![rule("a", Allow, "user", methods(&[Method::GET])), rule("b", Deny, "user", all())], &[]);
        check(vec![rule("a", Allow, "user", methods(&writes)), rule("b", Deny, "user", all())], &[]);
        check(
            vec![rule("a", Allow, "user", methods(&writes)), rule("b", Deny, "user", methods(&writes[1..]))],
            &[dead],
        );
        check(
            vec![rule("a", Allow, "user", methods(&writes[1..])), rule("b", Deny, "user", methods(&writes))],
            &[],
        );
    }

    #[test]
    fn a_rule_that_would_take_too_long_is_not_called_dead() {
        let named = |names: &[&str]| {
            let who = Who::People(names.iter().map(|name| Allow::parse(name).unwrap()).collect());
            let when = Conditions { times: hours("00:00", "24:00").times, ..Conditions::default() };
            Rule { who, ..rule("b", Effect::Deny, "user", when) }
        };
        let above = || rule("a", Effect::Allow, "user", hours("00:00", "24:00"));
        // A quarter of an hour of two weeks, three methods, two paths, two networks: 16,128 for
        // each name.
        let dead = "the rule \"b\" never decides, because of \"a\" before it";
        check(vec![above(), named(&["user:bob"])], &[dead]);
        check(vec![above(), named(&["user:bob", "user:carol"])], &[]);
    }

    #[test]
    fn reports_a_rule_shadowed_by_two() {
        use Effect::{Allow, Deny};
        let rules = vec![
            rule("day", Allow, "user", hours("06:00", "22:00")),
            rule("night", Allow, "user", hours("22:00", "06:00")),
            rule("c", Deny, "group:guests", Conditions::default()),
        ];
        check(rules, &["the rule \"c\" never decides, because of \"day\" and \"night\" before it"]);
    }

    #[test]
    fn reports_rules_that_allow_anonymous_clients() {
        let open = rule("open", Effect::Allow, "anyone", Conditions::default());
        check(vec![open], &["the rule \"open\" lets every client in without a sign-in"]);
        let home = rule("home", Effect::Allow, "anyone", from("192.168.0.0/16"));
        check(vec![home], &["the rule \"home\" lets every client in its networks in without a sign-in"]);
    }
}
