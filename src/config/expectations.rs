//! Files of expectations for `vestibule policy test`: who asks for what, and what should become of
//! it.
//!
//! What does not live here: the comparison. What always holds: an unknown key is an error, with its
//! line.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use crate::domain::attribute::{AttributeName, AttributeValue};
use crate::domain::user::{Email, Group, Username};

/// The content of a file.
pub(crate) struct Expectations {
    /// Users whom the file describes, so that a test needs no accounts.
    pub(crate) people: Vec<Person>,
    /// The expectations, each with the line that it begins in.
    pub(crate) expect: Vec<(usize, Expectation)>,
}

/// A user who needs no account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) username: Username,
    pub(crate) email: Email,
    #[serde(default)]
    pub(crate) groups: BTreeSet<Group>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<AttributeName, AttributeValue>,
}

/// A request, and what should become of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    /// A user whom the file describes, or else an account; `None`: an anonymous client.
    pub(crate) user: Option<String>,
    pub(crate) url: String,
    #[serde(default = "get")]
    pub(crate) method: String,
    pub(crate) client: Option<IpAddr>,
    /// RFC 3339; `None`: now.
    pub(crate) at: Option<String>,
    /// How long before the user has shown a passkey; `None`: just now.
    pub(crate) auth_age: Option<String>,
    pub(crate) decision: String,
    /// `None`: any rule may decide.
    pub(crate) rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    user: Vec<Person>,
    #[serde(default)]
    expect: Vec<toml::Spanned<Expectation>>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Reads a file. The error shows the line.
pub(crate) fn read(text: &str) -> Result<Expectations, String> {
    let File { user: people, expect } = toml::from_str(text).map_err(|error| error.to_string())?;
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let expect = expect.into_iter().map(|it| (line_of(it.span().start), it.into_inner())).collect();
    Ok(Expectations { people, expect })
}
