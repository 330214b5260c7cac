//! The sign-in page: one button, autofill, and less prominent alternatives.

use askama::Template;

use super::{Contact, Site};
use crate::domain::code::EmailCode;
use crate::domain::return_target::ReturnTargetName;

/// The sign-in page for one anonymous client.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    pub site: &'a Site,
    /// The host that the anonymous client wants to enter; `None` when they opened the sign-in page
    /// itself.
    pub host: Option<&'a str>,
    /// The effect of a code by mail.
    pub codes: EmailCode,
    /// Whether people may make an account for themselves.
    pub signs_up: bool,
    /// Whether they are signed in, and are to show their passkey once more.
    pub again: bool,
    /// The target that they were heading for.
    pub return_target: Option<ReturnTargetName>,
}

impl SignIn<'_> {
    /// The address that the script opens when a passkey was accepted: this page again, and the
    /// server sends a signed-in browser on. It is made here so that the script reads nothing from
    /// its own address.
    fn done_url(&self) -> String {
        let prefix = &self.site.prefix;
        match &self.return_target {
            Some(id) => format!("{prefix}/login?to={id}&done=1"),
            None => format!("{prefix}/login?done=1"),
        }
    }
}
