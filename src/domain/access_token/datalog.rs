//! A grant in Datalog, as our own block and the blocks of `vestibule token attenuate` say it.
//!
//! The facts about a request are those of `policy/facts.rs`, whose names are a promise to holders
//! who narrow tokens.
//!
//! What does not live here: running it (`narrowing.rs`), and signing it (`sealed.rs`).
//!
//! What always holds: an empty list yields no check, and every other list is checked, so a grant in
//! Datalog is no wider than the grant.

use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, Op, Predicate, Rule, Term, constrained_rule, pred, string, var,
};

use super::grant::{Grant, PathPrefix};
use crate::domain::policy::facts::{METHOD, NETWORK, PATH, ROUTE, TIME, date};
use crate::domain::time::Timestamp;

/// The one fact about the token itself: its id, its user and who made it.
pub(super) const TOKEN: &str = "token";

/// The checks that every request has to pass.
pub(super) fn checks_of(grant: &Grant, expires_at: Option<Timestamp>) -> Vec<Check> {
    let named = |name: &str, values: Vec<String>| {
        let queries: Vec<_> = values.iter().map(|value| query(&pred(name, &[string(value)]), &[])).collect();
        (!queries.is_empty()).then_some(queries)
    };
    let paths: Vec<_> = grant.paths.iter().flat_map(below).collect();
    let networks = grant.networks.iter().map(ToString::to_string).collect();
    let lists = [
        named(ROUTE, grant.routes.clone()),
        named(METHOD, grant.methods.clone()),
        (!paths.is_empty()).then_some(paths),
        named(NETWORK, networks),
        expires_at.map(|end| vec![before(end)]),
    ];
    lists.into_iter().flatten().map(|queries| Check { queries, kind: CheckKind::One }).collect()
}

fn query(fact: &Predicate, expressions: &[Expression]) -> Rule {
    let nothing: [Term; 0] = [];
    constrained_rule("query", &nothing, std::slice::from_ref(fact), expressions)
}

/// The path itself, or a path that begins with it and a slash.
fn below(path: &PathPrefix) -> Vec<Rule> {
    let (fact, literal) = (pred(PATH, &[var("p")]), path.literal());
    let start = Term::Str(format!("{literal}/"));
    let longer = Expression { ops: vec![Op::Value(var("p")), Op::Value(start), Op::Binary(Binary::Prefix)] };
    let itself = (!literal.is_empty()).then(|| query(&pred(PATH, &[string(literal)]), &[]));
    itself.into_iter().chain([query(&fact, &[longer])]).collect()
}

fn before(end: Timestamp) -> Rule {
    let ops = vec![Op::Value(var("t")), Op::Value(date(end)), Op::Binary(Binary::LessThan)];
    query(&pred(TIME, &[var("t")]), &[Expression { ops }])
}
