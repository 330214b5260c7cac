//! The facts about a request that Datalog reads: in the policies of routes, and in the blocks that
//! holders add to access tokens.
//!
//! What does not live here: facts about a user, a token, or a route's own networks, which differ
//! between the two. What always holds: the names are a promise (`docs/policy.md`,
//! `docs/tokens.md`), and both read the same facts of the same request.

use biscuit_auth::builder::{Fact, Term, fact, string};

use super::rule::RequestFacts;
use crate::domain::time::Timestamp;

pub const ROUTE: &str = "route";
pub const HOST: &str = "host";
pub const METHOD: &str = "method";
pub const PATH: &str = "path";
pub const CLIENT: &str = "client";
/// Each network that the client is in, by the name that the configuration or the token gives it.
pub const NETWORK: &str = "network";
pub const TIME: &str = "time";

/// The facts about a request for the route with this name.
pub(in crate::domain) fn of_request(route: &str, asking: &RequestFacts<'_>) -> Vec<Fact> {
    let client = asking.client.map(|client| text(CLIENT, &client.to_canonical().to_string()));
    let known = [
        text(ROUTE, route),
        text(HOST, asking.host),
        text(METHOD, asking.method.as_str()),
        text(PATH, &String::from_utf8_lossy(asking.raw_path)),
        fact(TIME, &[date(asking.now)]),
    ];
    known.into_iter().chain(client).collect()
}

/// A fact of one text.
pub(in crate::domain) fn text(name: &str, value: &str) -> Fact {
    fact(name, &[string(value)])
}

/// In whole seconds, as biscuits count.
pub(in crate::domain) fn date(moment: Timestamp) -> Term {
    Term::Date(u64::try_from(moment.as_seconds()).unwrap_or(0))
}
