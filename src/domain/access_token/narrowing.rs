//! The blocks that holders have added to a token, and whether they let a request through.
//!
//! A block that is not ours may have checks over the facts about a request, and nothing else. The
//! engine looks at its clock between checks and not within one, so the cost of a check is bounded
//! by its form: there is one fact of each name, hence one combination to look at; and no regular
//! expression, no closure over a list and no `network($any)` is allowed. What always holds: a token
//! with more in it is refused as a whole.
//!
//! What does not live here: our own block, which `sealed.rs` reads.

use std::time::Duration;

use biscuit_auth::builder::{Binary, Check, Fact, Op, Policy, PolicyKind, Predicate, Rule, Term, pred};
use biscuit_auth::error::{RunLimit, Token as BiscuitError};
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, Biscuit};

use super::TokenRefusal;
use super::grant::Usage;
use crate::domain::network::Network;
use crate::domain::policy::facts::{self, NETWORK, PATH};

/// Limits of the engine. The library's default of 1 ms refuses good tokens on a busy machine.
const LIMITS: AuthorizerLimits =
    AuthorizerLimits { max_facts: 200, max_iterations: 50, max_time: Duration::from_millis(20) };
/// The most facts that one query may ask for.
const FACTS_ASKED_MAX: usize = 16;

/// The blocks that were added to a token.
pub struct Narrowing {
    token: Biscuit,
    /// The engine with the rules that are the same for every request.
    engine: AuthorizerBuilder,
    /// The networks that some check names.
    networks: Vec<(String, Network)>,
    names_path: bool,
}

/// Why a request does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    Refused(TokenRefusal),
    /// The engine ran out of its time; says nothing about the token.
    OutOfTime,
}

/// The content of a token, from the gateway or from a holder.
pub(super) struct Contents {
    pub(super) facts: Vec<Fact>,
    checks: Vec<Check>,
}

impl Contents {
    /// Reads a token whose signatures hold.
    pub(super) fn of(token: &Biscuit) -> Result<Self, TokenRefusal> {
        let engine = AuthorizerBuilder::new().build(token).map_err(|_| TokenRefusal::Malformed)?;
        let (facts, rules, checks, _) = engine.dump();
        if rules.is_empty() { Ok(Self { facts, checks }) } else { Err(TokenRefusal::Unfit) }
    }

    fn queries(&self) -> impl Iterator<Item = &Rule> {
        self.checks.iter().flat_map(|check| &check.queries)
    }

    fn predicates(&self) -> impl Iterator<Item = &Predicate> {
        self.queries().flat_map(|query| &query.body)
    }
}

impl Narrowing {
    /// The narrowing of `token`, which has `contents`.
    pub(super) fn of(token: Biscuit, contents: &Contents) -> Result<Self, TokenRefusal> {
        if !contents.queries().all(is_cheap) {
            return Err(TokenRefusal::Unfit);
        }
        let networks = contents.predicates().filter(|it| it.name == NETWORK);
        let networks = networks.filter_map(named_network).collect();
        let names_path = contents.predicates().any(|it| it.name == PATH);
        let nothing: [Term; 0] = [];
        let always = Rule::new(pred("query", &nothing), Vec::new(), vec![is_true()], Vec::new());
        let policy = Policy { queries: vec![always], kind: PolicyKind::Allow };
        let engine = AuthorizerBuilder::new().set_limits(LIMITS);
        let engine = engine.policy(policy).map_err(|_| TokenRefusal::Malformed)?;
        Ok(Self { token, engine, networks, names_path })
    }

    /// Whether some check looks at the path.
    pub fn names_path(&self) -> bool {
        self.names_path
    }

    /// Whether every check lets a request through.
    pub fn passes(&self, usage: &Usage<'_>) -> Result<(), CheckFailure> {
        let malformed = |_| CheckFailure::Refused(TokenRefusal::Malformed);
        let engine =
            self.facts_about(usage).into_iter().try_fold(self.engine.clone(), AuthorizerBuilder::fact);
        let mut engine = engine.and_then(|engine| engine.build(&self.token)).map_err(malformed)?;
        match engine.authorize_with_limits(LIMITS) {
            Ok(_) => Ok(()),
            Err(BiscuitError::RunLimit(RunLimit::Timeout)) => Err(CheckFailure::OutOfTime),
            Err(_) => Err(CheckFailure::Refused(TokenRefusal::Narrowed)),
        }
    }

    fn facts_about(&self, usage: &Usage<'_>) -> Vec<Fact> {
        let mut facts = facts::of_request(usage.route, &usage.asking);
        if let Some(client) = usage.asking.client {
            let around = self.networks.iter().filter(|(_, network)| network.contains(client));
            facts.extend(around.map(|(written, _)| facts::text(NETWORK, written)));
        }
        facts
    }
}

fn is_true() -> biscuit_auth::builder::Expression {
    biscuit_auth::builder::Expression { ops: vec![Op::Value(Term::Bool(true))] }
}

/// Whether looking at a query costs little, whatever the request.
fn is_cheap(query: &Rule) -> bool {
    let facts = query.body.iter().all(|it| it.name != NETWORK || names_one(it));
    facts
        && query.body.len() <= FACTS_ASKED_MAX
        && query.expressions.iter().all(|expression| are_cheap(&expression.ops))
}

fn are_cheap(ops: &[Op]) -> bool {
    ops.iter().all(|op| match op {
        Op::Value(_) | Op::Unary(_) => true,
        Op::Binary(binary) => !matches!(binary, Binary::Regex | Binary::All | Binary::Any),
        // `&&` and `||` are written with closures without parameters, which are evaluated once at
        // most.
        Op::Closure(parameters, ops) => parameters.is_empty() && are_cheap(ops),
    })
}

fn names_one(predicate: &Predicate) -> bool {
    matches!(predicate.terms.as_slice(), [Term::Str(_)])
}

/// A text that is not a network has no client in it.
fn named_network(predicate: &Predicate) -> Option<(String, Network)> {
    let [Term::Str(text)] = predicate.terms.as_slice() else { return None };
    Network::parse(text).ok().map(|network| (text.clone(), network))
}
