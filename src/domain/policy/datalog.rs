//! Policies in biscuit's Datalog, for conditions that lists cannot express.
//!
//! A policy reads facts about the user and the request ([`FACTS`]) and says `allow if` or
//! `deny if`; the first clause that holds decides, and where none holds, the request is refused.
//! What always holds: evaluation is bounded in facts, iterations and time, and an evaluation that
//! runs out of them decides nothing; a result is kept for exactly the facts that the policy reads,
//! so that a policy which reads no clock is worked out once per user and kind of request.
//!
//! What does not live here: anonymous clients, who sign in first; and acting on a result
//! (`decide.rs`).

use std::net::IpAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use biscuit_auth::builder::{Fact, Op, Rule, Term, fact, int, string};
use biscuit_auth::error::{Logic, MatchedPolicy, Token as BiscuitError};
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits};
use http::Method;
use jiff::tz::TimeZone;

use super::defined::Defined;
use super::facts::{self, CLIENT, HOST, METHOD, NETWORK, PATH, ROUTE, TIME};
use super::rule::RequestFacts;
use super::times::{local_of, weekday_name};
use crate::domain::attribute::{Definition, Editor};
use crate::domain::time::Timestamp;
use crate::domain::user::{Group, User};

/// An attribute that administrators alone edit: its name and its value.
const ATTRIBUTE: &str = "attribute";
/// An attribute that its owner edits, named apart from those that administrators set.
const OWN_ATTRIBUTE: &str = "own_attribute";

/// The facts that a policy may read, and how many values each has.
pub const FACTS: [(&str, usize); 16] = [
    ("user", 1),
    ("email", 1),
    ("group", 1),
    (ATTRIBUTE, 2),
    (OWN_ATTRIBUTE, 2),
    (ROUTE, 1),
    (HOST, 1),
    (PATH, 1),
    ("path_segment", 2),
    (METHOD, 1),
    (CLIENT, 1),
    (NETWORK, 1),
    (TIME, 1),
    ("weekday", 1),
    ("minute_of_day", 1),
    ("auth_age", 1),
];

/// The limits of one evaluation. The time is a last resort: the engine's own default of 1 ms fails
/// at random on a busy machine.
const LIMITS: AuthorizerLimits =
    AuthorizerLimits { max_facts: 1_000, max_iterations: 100, max_time: Duration::from_millis(20) };
/// How many results are kept for one user and route.
const KEPT_MAX: usize = 64;
/// The longest policy, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A policy that can be read.
#[derive(Debug, Clone)]
pub struct Datalog {
    base: AuthorizerBuilder,
    /// The clauses as people read them.
    clauses: Vec<String>,
    reads: Vec<&'static str>,
    /// Every text in it: users must not be able to choose a name that is among them.
    texts: Vec<String>,
    route: String,
    defined: Defined,
    zone: TimeZone,
}

/// A mistake in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyMistake {
    /// The line within the policy, from 1.
    pub line: usize,
    pub problem: String,
}

/// A user as policies see them, and the results that are kept for them.
#[derive(Debug)]
pub struct Subject {
    facts: Vec<Fact>,
    kept: ArcSwap<Vec<(Seen, Judgement)>>,
}

/// The result of an evaluation, with the number of the clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Allowed(usize),
    /// `None`: no clause holds, or a check fails.
    Refused(Option<usize>),
    /// It exceeded a limit of evaluations.
    TooCostly,
}

/// The facts about a request that a policy reads; the others are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    method: Option<Method>,
    path: Option<Box<[u8]>>,
    host: Option<Box<str>>,
    client: Option<IpAddr>,
    second: Option<i64>,
    minute: Option<i64>,
    auth_age: Option<i64>,
}

impl Datalog {
    /// Reads a policy for the route with this name.
    pub fn read(
        text: &str,
        route: &str,
        defined: Defined,
        zone: TimeZone,
    ) -> Result<Self, Vec<PolicyMistake>> {
        if text.len() > TEXT_BYTES_MAX {
            let problem = format!("a policy has at most {TEXT_BYTES_MAX} bytes");
            return Err(vec![PolicyMistake { line: 1, problem }]);
        }
        let mistakes = ungrammatical(text);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let base = AuthorizerBuilder::new().code(text).map_err(|error| unreadable(&error))?;
        let built = base.clone().build_unauthenticated().map_err(|error| unreadable(&error))?;
        let (facts, rules, checks, policies) = built.dump();
        if policies.is_empty() {
            let problem = "no user could enter: write \"allow if ...;\"".to_owned();
            return Err(vec![PolicyMistake { line: 1, problem }]);
        }
        let own: Vec<_> =
            rules.iter().map(|rule| &rule.head).chain(facts.iter().map(|it| &it.predicate)).collect();
        let queries = policies.iter().flat_map(|policy| &policy.queries);
        let queries = queries.chain(checks.iter().flat_map(|check| &check.queries)).chain(&rules);
        let (mut reads, mut mistakes) = (Vec::new(), Vec::new());
        for predicate in queries.clone().flat_map(|query| &query.body) {
            let known = FACTS.iter().find(|(name, _)| *name == predicate.name);
            match known {
                Some((name, values)) if *values == predicate.terms.len() => reads.push(*name),
                _ if own.iter().any(|it| it.name == predicate.name) => {}
                _ => mistakes.push(unknown(text, &predicate.name, predicate.terms.len())),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let texts = texts_of(queries.clone());
        reads.sort_unstable();
        reads.dedup();
        let clauses = policies.iter().map(ToString::to_string).collect();
        Ok(Self { base, clauses, reads, texts, route: route.to_owned(), defined, zone })
    }

    /// The facts about `user`.
    pub fn subject(&self, user: &User) -> Subject {
        let mut facts =
            vec![facts::text("user", user.username.as_str()), facts::text("email", user.email.as_str())];
        facts.extend(user.groups.iter().map(Group::as_str).map(|group| facts::text("group", group)));
        let said = |definition: &Definition| {
            let name = match definition.editor {
                Editor::Administrator => ATTRIBUTE,
                Editor::Owner => OWN_ATTRIBUTE,
            };
            let value = string(definition.value_of(user)?.as_str());
            Some(fact(name, &[string(definition.name.as_str()), value]))
        };
        facts.extend(self.defined.attributes.0.iter().filter_map(said));
        Subject { facts, kept: ArcSwap::default() }
    }

    /// The clauses, as people read them.
    pub fn clauses(&self) -> &[String] {
        &self.clauses
    }

    /// Whether the policy reads the path.
    pub fn reads_path(&self) -> bool {
        self.does_read(PATH) || self.does_read("path_segment")
    }

    /// Whether a result may change with time.
    pub fn reads_clock(&self) -> bool {
        [TIME, "weekday", "minute_of_day", "auth_age"].into_iter().any(|name| self.does_read(name))
    }

    /// Whether the policy has the text `text`.
    pub fn mentions(&self, text: &str) -> bool {
        self.texts.iter().any(|known| known == text)
    }

    fn does_read(&self, name: &str) -> bool {
        self.reads.contains(&name)
    }

    /// Judges a request of `subject`, who showed a passkey last at `shown_at`.
    pub fn judge(
        &self,
        subject: &Subject,
        shown_at: Option<Timestamp>,
        asking: &RequestFacts<'_>,
    ) -> Judgement {
        let seen = self.seen(shown_at, asking);
        let kept = subject.kept.load();
        if let Some((_, judgement)) = kept.iter().find(|(known, _)| *known == seen) {
            return *judgement;
        }
        let judgement = self.evaluate(subject, shown_at, asking);
        if judgement != Judgement::TooCostly {
            subject.keep(&seen, judgement);
        }
        judgement
    }

    fn seen(&self, shown_at: Option<Timestamp>, asking: &RequestFacts<'_>) -> Seen {
        let by_minute = self.does_read("weekday") || self.does_read("minute_of_day");
        let by_client = self.does_read(CLIENT) || self.does_read(NETWORK);
        Seen {
            method: self.does_read(METHOD).then(|| asking.method.clone()),
            path: self.reads_path().then(|| asking.raw_path.into()),
            host: self.does_read(HOST).then(|| asking.host.into()),
            client: asking.client.filter(|_| by_client),
            second: self.does_read(TIME).then(|| asking.now.as_seconds()),
            minute: by_minute.then(|| asking.now.as_seconds().div_euclid(60)),
            auth_age: self.does_read("auth_age").then(|| age(shown_at, asking.now)).flatten(),
        }
    }

    fn evaluate(
        &self,
        subject: &Subject,
        shown_at: Option<Timestamp>,
        asking: &RequestFacts<'_>,
    ) -> Judgement {
        let facts = subject.facts.iter().cloned().chain(self.facts_about(shown_at, asking));
        let told = facts.into_iter().try_fold(self.base.clone(), AuthorizerBuilder::fact);
        let authorizer = told.and_then(|builder| builder.set_limits(LIMITS).build_unauthenticated());
        match authorizer.and_then(|mut authorizer| authorizer.authorize_with_limits(LIMITS)) {
            Ok(clause) => Judgement::Allowed(clause),
            Err(BiscuitError::RunLimit(_)) => Judgement::TooCostly,
            Err(BiscuitError::FailedLogic(Logic::Unauthorized {
                policy: MatchedPolicy::Deny(clause),
                ..
            })) => Judgement::Refused(Some(clause)),
            Err(_) => Judgement::Refused(None),
        }
    }

    fn facts_about(&self, shown_at: Option<Timestamp>, asking: &RequestFacts<'_>) -> Vec<Fact> {
        let mut facts = facts::of_request(&self.route, asking);
        if let Some((weekday, minute)) = local_of(&self.zone, asking.now) {
            facts.push(facts::text("weekday", weekday_name(weekday)));
            facts.push(fact("minute_of_day", &[int(i64::from(minute))]));
        }
        let path = String::from_utf8_lossy(asking.raw_path);
        let segments = path.split('/').filter(|segment| !segment.is_empty()).zip(0..);
        facts.extend(segments.map(|(segment, at)| fact("path_segment", &[int(at), string(segment)])));
        facts.extend(age(shown_at, asking.now).map(|age| fact("auth_age", &[int(age)])));
        let around = asking.client.into_iter().flat_map(|client| self.defined.networks.around(client));
        facts.extend(around.map(|name| facts::text(NETWORK, name)));
        facts
    }
}

impl Subject {
    fn keep(&self, seen: &Seen, judgement: Judgement) {
        self.kept.rcu(|kept| {
            let oldest = (kept.len() + 1).saturating_sub(KEPT_MAX);
            let rest = kept.iter().skip(oldest).cloned();
            rest.chain([(seen.clone(), judgement)]).collect::<Vec<_>>()
        });
    }
}

fn texts_of<'r>(queries: impl Iterator<Item = &'r Rule>) -> Vec<String> {
    let mut texts = Vec::new();
    for query in queries {
        let values = query.expressions.iter().flat_map(|expression| &expression.ops);
        let values = values.filter_map(|op| if let Op::Value(term) = op { Some(term) } else { None });
        query.body.iter().flat_map(|it| &it.terms).chain(values).for_each(|term| collect(term, &mut texts));
    }
    texts
}

fn collect(term: &Term, texts: &mut Vec<String>) {
    match term {
        Term::Str(text) => texts.push(text.clone()),
        Term::Set(terms) => terms.iter().for_each(|term| collect(term, texts)),
        Term::Array(terms) => terms.iter().for_each(|term| collect(term, texts)),
        _ => {}
    }
}

/// Whole seconds since a passkey was shown.
fn age(shown_at: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    shown_at.and_then(|at| i64::try_from(now.since(at).as_secs()).ok())
}

/// The grammar's errors about `text`, with the lines, which the engine's own errors do not have.
fn ungrammatical(text: &str) -> Vec<PolicyMistake> {
    let mistake = |error: &biscuit_parser::parser::Error<'_>| {
        let at = error.input.as_ptr().addr().saturating_sub(text.as_ptr().addr()).min(text.len());
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
        let said = error.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
        PolicyMistake { line, problem: format!("{shown:?} cannot be read{said}") }
    };
    match biscuit_parser::parser::parse_source(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(mistake).collect(),
    }
}

fn unreadable(error: &BiscuitError) -> Vec<PolicyMistake> {
    vec![PolicyMistake { line: 1, problem: error.to_string() }]
}

fn unknown(text: &str, name: &str, values: usize) -> PolicyMistake {
    let known: Vec<_> = FACTS.iter().map(|(name, values)| format!("{name}/{values}")).collect();
    let problem = format!("there is no fact {name}/{values}: there are {}", known.join(", "));
    PolicyMistake { line: line_of(text, &format!("{name}(")), problem }
}

fn line_of(text: &str, part: &str) -> usize {
    let at = text.find(part).unwrap_or(0);
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
