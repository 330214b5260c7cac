//! The users who may enter a route: `allow`, `[[route.rule]]` or `policy`; and `[[network]]`, which
//! both may name.
//!
//! What does not live here: what a rule decides (`domain/policy/`).
//!
//! What always holds: a rule that could never matter (the same name twice, a deny with an age,
//! `anyone` beside other lines) is a mistake; a route that no user could enter is a mistake too.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::lengths::{Limits, duration};
use super::reader::{Found, Reader};
use super::relying_party::short_text;
use super::section::Section;
use crate::domain::policy::datalog::{Datalog, PolicyMistake};
use crate::domain::policy::decide::Policy;
use crate::domain::policy::defined::{Defined, NamedNetworks};
use crate::domain::policy::public::PublicPath;
use crate::domain::policy::route::covers;
use crate::domain::policy::rule::{Conditions, Effect, Rule, RulePath};
use crate::domain::policy::times::{Clock, Days, Times};
use crate::domain::policy::who::{Allow, Who};

/// Below this, a user who comes back from showing a passkey would be asked again.
const AUTH_AGES: Limits = Limits { min: Duration::from_secs(30), max: Duration::from_hours(24 * 365) };
/// The most rules of one route: every request of a user walks over those that are about them.
const RULES_MAX: usize = 200;

const WHO_REMEDY: &str =
    "write \"user\" for any signed-in user, or \"group:staff\", \"user:alice@example.com\", \"user:alice\"";
const TIMES_REMEDY: &str =
    "write times = { days = \"mon-fri\", from = \"08:00\", to = \"18:00\", zone = \"Europe/Berlin\" }";

/// Reads who may enter the route of `section`.
pub(super) fn policy(
    section: &Section<'_>,
    reader: &Reader<'_>,
    route_path: &str,
    public: &[PublicPath],
    defined: &Defined,
) -> Policy {
    let max_auth_age = auth_age(section, reader);
    let tables = section.tables("rule");
    if let Some(datalog) = datalog(section, reader, defined) {
        for other in ["allow", "rule"] {
            if section.has(other) {
                section.refuse(
                    other,
                    "this route has a policy as well",
                    "write one of allow, rules and policy",
                );
            }
        }
        return Policy::in_datalog(datalog, max_auth_age);
    }
    if section.has("policy") {
        // Its mistakes have been reported.
        return Policy::default();
    }
    if !section.has("rule") {
        return Policy::allowing(allow(section, reader, public), max_auth_age);
    }
    if section.has("allow") {
        section.refuse("allow", "this route has rules as well", "write allow, or [[route.rule]], not both");
    }
    if tables.len() > RULES_MAX {
        let problem = format!("a route has at most {RULES_MAX} rules");
        section.refuse("rule", &problem, "use groups, or split the application into several routes");
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let rule = rule(table, reader, at + 1, route_path, &defined.networks);
        table.close();
        if let Some(rule) = rule {
            if rules.iter().any(|earlier| earlier.name == rule.name) {
                let problem = format!("two rules of this route are called {:?}", rule.name);
                table.refuse("name", &problem, "give each rule a name of its own");
            }
            rules.push(rule);
        }
    }
    let all_read = rules.len() == tables.len();
    if public.is_empty() && all_read && rules.iter().all(|rule| rule.effect == Effect::Deny) {
        section.refuse("rule", "no user could enter this route", "add a rule with effect = \"allow\"");
    }
    Policy::new(rules, max_auth_age)
}

fn allow(section: &Section<'_>, reader: &Reader<'_>, public: &[PublicPath]) -> Vec<Allow> {
    const REMEDY: &str = "write allow = [\"user\"] for any signed-in user, or \"group:staff\", \"user:alice@example.com\", \"user:alice\"";
    let parse = |text: &str| Allow::parse(text).map_err(|problem| format!("{text:?}: {problem}"));
    let found = section.parsed_list("allow", REMEDY, parse);
    if public.is_empty() && (!section.has("allow") || section.is_empty_list("allow")) {
        reader.mistake(&section.at("allow"), "no user could enter this route", REMEDY);
    }
    found.into_iter().flatten().map(|found| found.value).collect()
}

fn rule(
    table: &Section<'_>,
    reader: &Reader<'_>,
    number: usize,
    route_path: &str,
    named: &NamedNetworks,
) -> Option<Rule> {
    let name = table.parsed("name", "write a short name without control characters", short_text);
    let effect = table.parsed("effect", "write \"allow\" or \"deny\"", |text| match text {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        _ => Err(format!("unknown value {text:?} for effect")),
    });
    if !table.has("effect") {
        reader.mistake(&table.at("effect"), "a rule needs an effect", "write effect = \"allow\" or \"deny\"");
    }
    let who = who(table, reader);
    let when = Conditions {
        methods: values(table, "methods", "write methods = [\"GET\", \"HEAD\"]", method),
        paths: paths(table, reader, route_path),
        networks: networks(table, named),
        times: times(table, reader),
    };
    let max_auth_age = auth_age(table, reader);
    let (effect, who) = (effect?.value, who?);
    if max_auth_age.is_some() && (effect == Effect::Deny || who == Who::Anyone) {
        let remedy = "remove max_auth_age, or write effect = \"allow\"";
        table.refuse("max_auth_age", "only an \"allow\" rule can ask for a fresh passkey", remedy);
    }
    let name = name.map_or_else(|| format!("rule {number}"), |found| found.value);
    Some(Rule { name, effect, who, when, max_auth_age })
}

fn who(table: &Section<'_>, reader: &Reader<'_>) -> Option<Who> {
    let remedy = "write who = [\"user\"], [\"group:staff\"], [\"user:alice@example.com\"] or [\"anyone\"]";
    if !table.has("who") || table.is_empty_list("who") {
        reader.mistake(&table.at("who"), "a rule needs to say whom it is about", remedy);
        return None;
    }
    let found = table.parsed_list("who", WHO_REMEDY, |text| match text {
        "anyone" => Ok(None),
        _ => Allow::parse(text).map(Some).map_err(|problem| format!("{text:?}: {problem}")),
    })?;
    let (count, anyone) = (found.len(), found.iter().any(|found| found.value.is_none()));
    if anyone && count > 1 {
        table.refuse("who", "\"anyone\" includes all the others", "write who = [\"anyone\"] alone");
    }
    let lines = found.into_iter().filter_map(|found| found.value).collect();
    Some(if anyone { Who::Anyone } else { Who::People(lines) })
}

fn values<T>(
    table: &Section<'_>,
    key: &'static str,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let found = table.parsed_list(key, remedy, parse);
    if table.is_empty_list(key) {
        table.refuse(
            key,
            "an empty list would be about every request",
            "remove the key, or write at least one",
        );
    }
    found.into_iter().flatten().map(|found| found.value).collect()
}

fn networks(table: &Section<'_>, named: &NamedNetworks) -> Vec<IpNet> {
    let remedy = "write networks = [\"10.0.0.0/8\", \"2001:db8::/32\"], or the name of a [[network]]";
    let read = |text: &str| match named.find(text) {
        Some(networks) => Ok(networks.to_vec()),
        None => network(text).map(|network| vec![network]),
    };
    values(table, "networks", remedy, read).into_iter().flatten().collect()
}

/// Reads `[[network]]`.
pub(super) fn named_networks(root: &Section<'_>, reader: &Reader<'_>) -> Arc<NamedNetworks> {
    let mut named: Vec<(String, Vec<IpNet>)> = Vec::new();
    for table in root.tables("network") {
        let name = table.parsed("name", "write a short name without control characters", short_text);
        let ranges = values(&table, "ranges", "write ranges = [\"10.0.0.0/8\", \"2001:db8::/32\"]", network);
        table.close();
        for key in ["name", "ranges"] {
            if !table.has(key) {
                let problem = format!("a network needs {key}");
                reader.mistake(
                    &table.at(key),
                    problem,
                    "write name = \"office\" and ranges = [\"10.0.0.0/8\"]",
                );
            }
        }
        let Some(name) = name else { continue };
        if named.iter().any(|(known, _)| *known == name.value) {
            reader.mistake(&name.at, "two networks have this name", "give each network a name of its own");
        }
        named.push((name.value, ranges));
    }
    Arc::new(NamedNetworks(named))
}

/// Reads `policy` and `policy_zone`.
fn datalog(section: &Section<'_>, reader: &Reader<'_>, defined: &Defined) -> Option<Datalog> {
    let zone = section.parsed("policy_zone", "write an IANA name such as \"Europe/Berlin\"", |text| {
        TimeZone::get(text).map_err(|_| format!("{text:?} is not a time zone"))
    });
    let zone = zone.map_or(TimeZone::UTC, |found| found.value);
    let text = section.text("policy")?;
    let name = section.text("name").map(|name| name.value).unwrap_or_default();
    let mistakes = match Datalog::read(&text.value, &name, defined.clone(), zone) {
        Ok(datalog) => return Some(datalog),
        Err(mistakes) => mistakes,
    };
    for PolicyMistake { line, problem } in mistakes {
        // The text may begin on the line of its key or on the next one, so only its own lines are
        // counted.
        let problem = format!("in line {line} of the policy: {problem}");
        reader.mistake(
            &text.at,
            problem,
            "write policy = \"allow if group(\\\"staff\\\");\"; docs/policy.md has the facts",
        );
    }
    None
}

fn method(text: &str) -> Result<Method, String> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let read = is_one.then(|| Method::from_bytes(text.as_bytes()).ok()).flatten();
    read.ok_or_else(|| format!("{text:?} is not a method in capital letters"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet =
        text.parse().map_err(|_| format!("{text:?} is not a network with its length, such as 10.0.0.0/8"))?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("{text:?} is an address within a network; write {}", network.trunc()))
    }
}

fn paths(table: &Section<'_>, reader: &Reader<'_>, route_path: &str) -> Vec<RulePath> {
    let found = table.parsed_list("paths", "write paths = [\"/reports\", \"/files/*\"]", RulePath::parse);
    if table.is_empty_list("paths") {
        table.refuse(
            "paths",
            "an empty list would be about every path",
            "remove the key, or write at least one",
        );
    }
    let found = found.unwrap_or_default();
    for Found { value, at } in &found {
        let literal = if value.literal().is_empty() { "/" } else { value.literal() };
        if !covers(route_path, literal.as_bytes()) {
            let problem =
                format!("{value} lies outside the route's path {route_path:?}, so it never matches");
            reader.mistake(at, problem, "write the whole path, beginning with the route's");
        }
    }
    found.into_iter().map(|found| found.value).collect()
}

fn times(table: &Section<'_>, reader: &Reader<'_>) -> Option<Times> {
    if !table.has("times") {
        return None;
    }
    let section = table.table("times");
    let days = section.parsed("days", "write days = \"mon-fri\"", Days::parse);
    let from = section.parsed("from", "write from = \"08:00\"", Clock::parse);
    let to = section.parsed("to", "write to = \"18:00\"", Clock::parse);
    let zone = section.text("zone");
    section.close();
    let Some(zone) = zone else {
        reader.mistake(&section.at("zone"), "hours need a time zone", TIMES_REMEDY);
        return None;
    };
    let value = |found: Option<Found<Clock>>, default| found.map_or(default, |found| found.value);
    let days = days.map_or(Days::ALL, |found| found.value);
    let times = Times::new(days, value(from, Clock::MIDNIGHT), value(to, Clock::END), &zone.value);
    times.map_err(|problem| reader.mistake(&zone.at, problem, TIMES_REMEDY)).ok()
}

fn auth_age(section: &Section<'_>, reader: &Reader<'_>) -> Option<Duration> {
    let key = "max_auth_age";
    section.has(key).then(|| duration(section, reader, key, AUTH_AGES.max, AUTH_AGES))
}
