//! Why a request is let in or refused, without the request.
//!
//! What does not live here: the decision itself (`domain/policy/decide.rs`).
//!
//! What always holds: the same look-up of the route and the same rules answer as for requests;
//! nothing is changed, counted or written down.

use std::fmt::Write as _;

use crate::domain::policy::decide::{By, Decision, Verdict};
use crate::domain::policy::explain::{Asker, Explanation, Question};
use crate::domain::policy::route::Route;
use crate::domain::policy::rule::{Effect, RequestFacts};
use crate::domain::user::{Standing, User};
use crate::flows::admission::Doorkeeper;
use crate::flows::admission::{Destination, Outcome};

/// How many rules a sentence names that are not about a request.
const MISMATCHES_MAX: usize = 5;

impl Doorkeeper {
    /// Says what would become of the request in `question`.
    pub fn explain(&self, question: &Question) -> Explanation {
        match self.locate(&self.ground.rules(), &question.target.host, &question.target.raw_path) {
            Destination::Unroutable(outcome) => unroutable(question, &outcome),
            Destination::Ours => Explanation {
                decision: Decision::Public,
                route: None,
                rule: None,
                because: "It is one of the gateway's own addresses.".to_owned(),
            },
            Destination::At(route) => {
                let client = self.attempts.bans.beyond_proxies(question.client);
                at(&route, &Question { client, ..question.clone() })
            }
        }
    }
}

fn unroutable(question: &Question, outcome: &Outcome) -> Explanation {
    let host = &question.target.host;
    let because = match outcome {
        Outcome::NoRoute => format!("No route of {host} covers this path."),
        Outcome::AmbiguousPath => {
            "The path can be read in more than one way, and on this host decisions depend on the path."
                .to_owned()
        }
        Outcome::MalformedRequest => "The path must not be shown to any server.".to_owned(),
        _ => format!("No route names the host {host}."),
    };
    Explanation { decision: Decision::Refused, route: None, rule: None, because }
}

fn at(route: &Route, question: &Question) -> Explanation {
    let asking = RequestFacts {
        method: &question.method,
        host: &question.target.host,
        raw_path: &question.target.raw_path,
        client: question.client,
        now: question.at,
    };
    let verdict = match &question.who {
        Asker::Anonymous => route.policy.decide_for_anonymous(&asking),
        Asker::User(user) => {
            let shown_at = question.at.minus(question.auth_age);
            match closed(user, question) {
                Some(why) => return refused(route, why.to_owned()),
                None => route.policy.decide(&route.policy.about(user), Some(shown_at), &asking),
            }
        }
    };
    let is_open = route.opens(asking.raw_path) && verdict.decision != Decision::Allowed;
    if is_open {
        return Explanation {
            decision: Decision::Public,
            route: Some(route.name.clone()),
            rule: None,
            because: "The path is public, and the application is not told who it is.".to_owned(),
        };
    }
    Explanation {
        decision: verdict.decision,
        route: Some(route.name.clone()),
        rule: verdict.by.name().map(str::to_owned),
        because: reason(route, &verdict, question, &asking),
    }
}

/// Why an account may enter no route.
fn closed(user: &User, question: &Question) -> Option<&'static str> {
    match user.standing {
        Standing::Disabled => Some("The account is disabled."),
        Standing::Pending => Some("The account waits for an administrator."),
        Standing::Active if !user.is_active(question.at) => Some("The account has expired."),
        Standing::Active => None,
    }
}

fn refused(route: &Route, because: String) -> Explanation {
    Explanation { decision: Decision::Refused, route: Some(route.name.clone()), rule: None, because }
}

fn reason(route: &Route, verdict: &Verdict<'_>, question: &Question, asking: &RequestFacts<'_>) -> String {
    let rule = match verdict.by {
        By::Rule(rule) => rule,
        By::Clause(clause) => return format!("The policy says: {clause}."),
        By::Nothing => return mismatches(route, question, asking),
    };
    let said = match (verdict.decision, rule.effect) {
        (Decision::StepUp, _) => "asks for a passkey that was shown a shorter time ago",
        (Decision::SignIn, _) => "is about people, so anonymous clients sign in first",
        (_, Effect::Allow) => "lets the request in",
        (_, Effect::Deny) => "refuses the request",
    };
    format!("The rule {:?} ({}) {said}.", rule.name, rule.who)
}

fn mismatches(route: &Route, question: &Question, asking: &RequestFacts<'_>) -> String {
    let user = match &question.who {
        Asker::Anonymous => None,
        Asker::User(user) => Some(&**user),
    };
    if !route.policy.clauses().is_empty() {
        return "No clause of the policy lets the request in.".to_owned();
    }
    let mut text = "No rule is about the request.".to_owned();
    let missed = route.policy.rules().iter().filter_map(|rule| Some((rule, rule.mismatch(user, asking)?)));
    for (rule, miss) in missed.take(MISMATCHES_MAX) {
        let _ = write!(text, " {:?} ({}) {}.", rule.name, rule.who, miss.in_words());
    }
    text
}
