//! The sign-in page: one button, autofill, and quiet ways around it.

use askama::Template;

use super::{Contact, Site};
use crate::domain::code::EmailCode;
use crate::domain::return_target::ReturnTargetName;

/// The sign-in page for one anonymous client.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    pub site: &'a Site,
    /// The host that the anonymous client wants to enter; none when they came to sign in as such.
    pub host: Option<&'a str>,
    /// What a code by mail is good for.
    pub codes: EmailCode,
    /// Whether people may make an account for themselves.
    pub signs_up: bool,
    /// Whether they are signed in, and are to show their passkey once more.
    pub again: bool,
    /// Where they were heading.
    pub return_target: Option<ReturnTargetName>,
}

impl SignIn<'_> {
    /// Where the script goes when a passkey was accepted: this page again, and the server sends
    /// a signed-in browser on. Made here so that the script reads nothing from its own address.
    fn done_url(&self) -> String {
        let prefix = &self.site.prefix;
        match &self.return_target {
            Some(id) => format!("{prefix}/login?to={id}&done=1"),
            None => format!("{prefix}/login?done=1"),
        }
    }
}
