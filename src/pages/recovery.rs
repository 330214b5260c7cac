//! The page that takes a recovery back. It is the same for every link: the secret is in the
//! fragment, which no server sees, and a button posts it. Opening the link changes nothing, because
//! mail programs open links to look at them.

use askama::Template;

use super::{Contact, Site};

/// The page at `{prefix}/recovery`.
#[derive(Debug, Template)]
#[template(path = "recovery.html")]
pub struct Recovery<'a> {
    pub site: &'a Site,
}
