//! The one place that says who may enter a route.
//!
//! The first rule that is about the user and the request decides, also if it denies; where no rule
//! is, the request is refused. The part that depends on the user alone is worked out once
//! ([`Policy::about`]); the rest is a walk over a few rules. Requests, explanations, pages and
//! tests of a policy all ask here, so they cannot differ.
//!
//! What does not live here: public paths (`public.rs`), and whether a request has a route at all.
//!
//! What always holds: where nothing decides, the request is refused.

use std::time::Duration;

use super::datalog::{Datalog, Judgement, Subject};
use super::rule::{Conditions, Effect, RequestFacts, Rule};
use super::who::{Allow, Who};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Standing, User, Username};

/// The name of the rule that the short form `allow = [...]` stands for.
pub const SHORT_FORM: &str = "allow";

/// The rules of a route: who may enter it.
#[derive(Debug, Clone)]
pub struct Policy {
    source: PolicySource,
    /// How old a user's last use of a passkey may be, whichever rule lets the user in.
    max_auth_age: Option<Duration>,
}

#[derive(Debug, Clone)]
enum PolicySource {
    Rules(Vec<Rule>),
    Datalog(Box<Datalog>),
}

impl Default for Policy {
    /// Refuses every request.
    fn default() -> Self {
        Self::new(Vec::new(), None)
    }
}

/// The part of a route's policy that is about one user.
#[derive(Debug)]
pub struct UserPolicy(UserPolicyPart);

#[derive(Debug)]
enum UserPolicyPart {
    /// The rules that are about the user, by their place, in order.
    Rules(Box<[usize]>),
    Datalog(Box<Subject>),
    /// The account may enter no route.
    Nothing,
}

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The request goes on, with its user's identity.
    Allowed,
    /// The request goes on, without an identity.
    Public,
    /// The user has to show a passkey again first.
    StepUp,
    /// The anonymous client has to sign in first.
    SignIn,
    Refused,
    /// The policy exceeded its limits, which says nothing about the user.
    Undecided,
}

/// A decision, and the rule or clause behind it.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'p> {
    pub decision: Decision,
    pub by: By<'p>,
}

/// The rule or clause that decides.
#[derive(Debug, Clone, Copy)]
pub enum By<'p> {
    Rule(&'p Rule),
    /// A clause of a policy in Datalog, as people read it.
    Clause(&'p str),
    /// No rule is about the request, or no clause lets it in.
    Nothing,
}

impl<'p> By<'p> {
    /// Its name for people.
    pub fn name(self) -> Option<&'p str> {
        match self {
            Self::Rule(rule) => Some(&rule.name),
            Self::Clause(clause) => Some(clause),
            Self::Nothing => None,
        }
    }
}

impl Decision {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Public, Self::StepUp, Self::SignIn, Self::Refused, Self::Undecided];

    /// Its name in commands, events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Public => "public",
            Self::StepUp => "step_up",
            Self::SignIn => "sign_in",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.name() == text)
    }
}

impl Policy {
    /// A policy of these rules. `max_auth_age` counts for all of them.
    pub fn new(rules: Vec<Rule>, max_auth_age: Option<Duration>) -> Self {
        Self { source: PolicySource::Rules(rules), max_auth_age }
    }

    /// A policy in Datalog, for which anonymous clients sign in first.
    pub fn in_datalog(datalog: Datalog, max_auth_age: Option<Duration>) -> Self {
        Self { source: PolicySource::Datalog(Box::new(datalog)), max_auth_age }
    }

    /// The short form: a user whom one of these lines is about enters.
    pub fn allowing(lines: Vec<Allow>, max_auth_age: Option<Duration>) -> Self {
        let rule = Rule {
            name: SHORT_FORM.to_owned(),
            effect: Effect::Allow,
            who: Who::People(lines),
            when: Conditions::default(),
            max_auth_age: None,
        };
        Self::new(vec![rule], max_auth_age)
    }

    /// The rules, in order; none where the policy is in Datalog.
    pub fn rules(&self) -> &[Rule] {
        match &self.source {
            PolicySource::Rules(rules) => rules,
            PolicySource::Datalog(_) => &[],
        }
    }

    /// The clauses of a policy in Datalog, as people read them.
    pub fn clauses(&self) -> &[String] {
        match &self.source {
            PolicySource::Rules(_) => &[],
            PolicySource::Datalog(datalog) => datalog.clauses(),
        }
    }

    /// How old a user's last use of a passkey may be.
    pub fn max_auth_age(&self) -> Option<Duration> {
        self.max_auth_age
    }

    /// The rules about `user`. No rule is about a disabled account.
    pub fn about(&self, user: &User) -> UserPolicy {
        if user.standing != Standing::Active {
            return UserPolicy(UserPolicyPart::Nothing);
        }
        UserPolicy(match &self.source {
            PolicySource::Rules(rules) => {
                let about_user = |(at, rule): (usize, &Rule)| rule.who.matches(user).then_some(at);
                UserPolicyPart::Rules(rules.iter().enumerate().filter_map(about_user).collect())
            }
            PolicySource::Datalog(datalog) => UserPolicyPart::Datalog(Box::new(datalog.subject(user))),
        })
    }

    /// Whether some request of the user whom `user_policy` is about may go on, as far as can be
    /// told beforehand.
    pub fn lets_in(&self, user_policy: &UserPolicy) -> bool {
        let about_them = match &user_policy.0 {
            UserPolicyPart::Rules(about_them) => about_them,
            UserPolicyPart::Datalog(_) => return true,
            UserPolicyPart::Nothing => return false,
        };
        for rule in about_them.iter().filter_map(|at| self.rules().get(*at)) {
            match rule.effect {
                Effect::Allow => return true,
                Effect::Deny if rule.when.is_empty() => return false,
                Effect::Deny => {}
            }
        }
        false
    }

    /// Decides about a request of the user whom `user_policy` was found for. `shown_at` is when
    /// they showed a passkey last.
    pub fn decide(
        &self,
        user_policy: &UserPolicy,
        shown_at: Option<Timestamp>,
        asking: &RequestFacts<'_>,
    ) -> Verdict<'_> {
        match (&self.source, &user_policy.0) {
            (PolicySource::Rules(rules), UserPolicyPart::Rules(about_them)) => {
                self.by_rules(rules, about_them, shown_at, asking)
            }
            (PolicySource::Datalog(datalog), UserPolicyPart::Datalog(subject)) => {
                self.by_datalog(datalog, subject, shown_at, asking)
            }
            // No rule is about the user, or `user_policy` was found for another policy.
            _ => Verdict { decision: Decision::Refused, by: By::Nothing },
        }
    }

    fn by_rules<'p>(
        &self,
        rules: &'p [Rule],
        about_them: &[usize],
        shown_at: Option<Timestamp>,
        asking: &RequestFacts<'_>,
    ) -> Verdict<'p> {
        let mut rules = about_them.iter().filter_map(|at| rules.get(*at));
        let Some(rule) = rules.find(|rule| rule.is_about(asking)) else {
            return Verdict { decision: Decision::Refused, by: By::Nothing };
        };
        let limits = [rule.max_auth_age, self.max_auth_age];
        let decision = match rule.effect {
            Effect::Deny => Decision::Refused,
            // A rule that lets anonymous clients in does not ask for a fresh passkey.
            Effect::Allow if rule.who == Who::Anyone => Decision::Allowed,
            Effect::Allow if is_too_old(limits, shown_at, asking.now) => Decision::StepUp,
            Effect::Allow => Decision::Allowed,
        };
        Verdict { decision, by: By::Rule(rule) }
    }

    fn by_datalog<'p>(
        &self,
        datalog: &'p Datalog,
        subject: &Subject,
        shown_at: Option<Timestamp>,
        asking: &RequestFacts<'_>,
    ) -> Verdict<'p> {
        let by = |clause: usize| datalog.clauses().get(clause).map_or(By::Nothing, |text| By::Clause(text));
        match datalog.judge(subject, shown_at, asking) {
            Judgement::Allowed(clause) if is_too_old([None, self.max_auth_age], shown_at, asking.now) => {
                Verdict { decision: Decision::StepUp, by: by(clause) }
            }
            Judgement::Allowed(clause) => Verdict { decision: Decision::Allowed, by: by(clause) },
            Judgement::Refused(clause) => {
                Verdict { decision: Decision::Refused, by: clause.map_or(By::Nothing, by) }
            }
            Judgement::TooCostly => Verdict { decision: Decision::Undecided, by: By::Nothing },
        }
    }

    /// Decides about a request of an anonymous client. The first rule about it decides: where that
    /// rule is about people, the client has to sign in.
    pub fn decide_for_anonymous(&self, asking: &RequestFacts<'_>) -> Verdict<'_> {
        let rule = self.rules().iter().find(|rule| rule.is_about(asking));
        let decision = match rule {
            Some(Rule { who: Who::Anyone, effect: Effect::Allow, .. }) => Decision::Public,
            Some(Rule { who: Who::Anyone, effect: Effect::Deny, .. }) => Decision::Refused,
            Some(Rule { who: Who::People(_), .. }) | None => Decision::SignIn,
        };
        Verdict { decision, by: rule.map_or(By::Nothing, By::Rule) }
    }

    /// Whether decisions depend on the path.
    pub fn names_paths(&self) -> bool {
        match &self.source {
            PolicySource::Rules(rules) => rules.iter().any(|rule| !rule.when.paths.is_empty()),
            PolicySource::Datalog(datalog) => datalog.reads_path(),
        }
    }

    /// Whether a decision may change with time alone.
    pub fn depends_on_time(&self) -> bool {
        match &self.source {
            PolicySource::Rules(rules) => rules.iter().any(|rule| rule.when.times.is_some()),
            PolicySource::Datalog(datalog) => datalog.reads_clock(),
        }
    }

    /// Whether some rule would be about another path if letter case made no difference.
    pub fn depends_on_case(&self, path: &[u8]) -> bool {
        let mut paths = self.rules().iter().flat_map(|rule| &rule.when.paths);
        paths.any(|literal| literal.matches(path) != literal.matches_in_any_case(path))
    }

    /// Whether some rule is about one of `path` and `folded`, in any case, and not about the other.
    pub fn folds_to_another(&self, path: &[u8], folded: &[u8]) -> bool {
        let mut paths = self.rules().iter().flat_map(|rule| &rule.when.paths);
        paths.any(|literal| literal.matches(path) != literal.matches_in_any_case(folded))
    }

    /// Whether a line lets in, or keeps out, the user called `username`.
    pub fn is_about_name(&self, username: &Username) -> bool {
        self.lines().any(|line| line.is_about(username)) || self.mentions(username.as_str())
    }

    /// Whether a line lets in, or keeps out, the user who has this address.
    pub fn is_about_address(&self, email: &Email) -> bool {
        self.lines().any(|line| line.is_about_address(email)) || self.mentions(email.as_str())
    }

    fn lines(&self) -> impl Iterator<Item = &Allow> {
        self.rules().iter().flat_map(|rule| rule.who.lines())
    }

    fn mentions(&self, text: &str) -> bool {
        match &self.source {
            PolicySource::Rules(_) => false,
            PolicySource::Datalog(datalog) => datalog.mentions(text),
        }
    }
}

/// Whether a passkey was shown longer ago than the shorter of two limits.
fn is_too_old(limits: [Option<Duration>; 2], shown_at: Option<Timestamp>, now: Timestamp) -> bool {
    let limit = limits.into_iter().flatten().min();
    limit.is_some_and(|limit| shown_at.is_none_or(|at| now.since(at) > limit))
}

#[cfg(test)]
mod tests;
