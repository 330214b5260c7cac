//! The permitted use of a token: routes, methods, paths and networks. An empty list means all of
//! them.
//!
//! What does not live here: how a grant is written into a token (`datalog.rs`).
//!
//! What always holds: a path has one reading where a token names paths (the caller sees to it), and
//! a client without an address is in no network.

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

use super::{MalformedToken, TokenRefusal};
use crate::domain::network::Network;
use crate::domain::policy::rule::{RequestFacts, RulePath};

/// The most entries of each list.
pub const LIST_MAX: usize = 32;

/// The permitted use of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub routes: Vec<String>,
    #[serde(default)]
    pub methods: Vec<String>,
    #[serde(default)]
    pub paths: Vec<PathPrefix>,
    #[serde(default)]
    pub networks: Vec<Network>,
}

/// The same, as a user writes it.
#[derive(Debug, Clone, Default)]
pub struct GrantText {
    pub routes: Vec<String>,
    pub methods: Vec<String>,
    pub paths: Vec<String>,
    pub networks: Vec<String>,
}

/// A request that a token is used for.
#[derive(Debug, Clone, Copy)]
pub struct Usage<'a> {
    pub route: &'a str,
    pub asking: RequestFacts<'a>,
}

impl Grant {
    /// Reads what a user has written. Order and repetition make no difference.
    pub fn parse(text: &GrantText) -> Result<Self, MalformedToken> {
        fn list<T: PartialEq>(
            what: &'static str,
            texts: &[String],
            read: impl Fn(&str) -> Result<T, MalformedToken>,
        ) -> Result<Vec<T>, MalformedToken> {
            let mut values = Vec::new();
            for text in texts {
                let value = read(text.trim())?;
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            if values.len() > LIST_MAX { Err(MalformedToken::TooMany(what)) } else { Ok(values) }
        }
        Ok(Self {
            routes: list("routes", &text.routes, |it| Ok(it.to_owned()))?,
            methods: list("methods", &text.methods, method)?,
            paths: list("paths", &text.paths, PathPrefix::parse)?,
            networks: list("networks", &text.networks, |it| {
                Network::parse(it).map_err(|why| MalformedToken::Network(why.to_string()))
            })?,
        })
    }

    /// Whether it covers a request; else the first condition that the request does not meet.
    pub fn covers(&self, usage: &Usage<'_>) -> Result<(), TokenRefusal> {
        let RequestFacts { method, raw_path, client, .. } = usage.asking;
        if !self.routes.is_empty() && !self.routes.iter().any(|route| route == usage.route) {
            Err(TokenRefusal::Route)
        } else if !self.methods.is_empty() && !self.methods.iter().any(|it| it == method.as_str()) {
            Err(TokenRefusal::Method)
        } else if !self.paths.is_empty() && !self.paths.iter().any(|path| path.covers(raw_path)) {
            Err(TokenRefusal::Path)
        } else if !self.networks.is_empty()
            && !client.is_some_and(|client| self.networks.iter().any(|network| network.contains(client)))
        {
            Err(TokenRefusal::Network)
        } else {
            Ok(())
        }
    }
}

fn method(text: &str) -> Result<String, MalformedToken> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if is_plain => Ok(method.as_str().to_owned()),
        _ => Err(MalformedToken::Method(text.to_owned())),
    }
}

/// A path and everything below it, compared segment by segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(RulePath);

impl PathPrefix {
    /// Reads `/reports`; `/reports/` and `/reports/*` mean the same.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let literal = text.strip_suffix('*').filter(|rest| rest.ends_with('/')).unwrap_or(text);
        let below = format!("{}/*", literal.strip_suffix('/').unwrap_or(literal));
        RulePath::parse(&below).map(Self).map_err(MalformedToken::Path)
    }

    /// The path without a slash at its end; `""` stands for every path.
    pub(super) fn literal(&self) -> &str {
        self.0.literal()
    }

    fn covers(&self, path: &[u8]) -> bool {
        self.0.matches(path)
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.literal().is_empty() { "/" } else { self.literal() })
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = MalformedToken;

    fn try_from(text: String) -> Result<Self, MalformedToken> {
        Self::parse(&text)
    }
}

impl From<PathPrefix> for String {
    fn from(path: PathPrefix) -> Self {
        path.to_string()
    }
}
