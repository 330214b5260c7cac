//! The enrolment page. It is the same for every invitation: the secret is in the fragment, which
//! no server sees, so the script asks for its purpose (`POST {prefix}/invitations/preview`).
//!
//! A link works once. A person who used theirs and went away before the passkey was made still has
//! a session that may only add it, and goes on from there.

use askama::Template;

use super::{Contact, Site};

/// The page at `{prefix}/enroll`.
#[derive(Debug, Template)]
#[template(path = "enroll.html")]
pub struct Enroll<'a> {
    pub site: &'a Site,
    /// The address of a person who has used their link and has no passkey yet.
    pub unfinished: Option<&'a str>,
}

impl Enroll<'_> {
    /// The page that follows the first passkey.
    fn done_url(&self) -> String {
        format!("{}/account?welcome", self.site.prefix)
    }
}
