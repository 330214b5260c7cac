//! The sign-out page: it asks first, because a GET changes nothing, and then confirms.

use askama::Template;

use super::Site;

/// How far a sign-out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A user is signed in; a form that posts to `{prefix}/logout` asks whether to sign out.
    Ask,
    /// No user is signed in any more.
    Done,
}

/// The page at `{prefix}/logout`.
#[derive(Debug, Template)]
#[template(path = "sign_out.html")]
pub struct SignOut<'a> {
    pub site: &'a Site,
    pub stage: Stage,
    /// The sign-out addresses of the user's applications, separated by spaces.
    pub applications: String,
}

impl SignOut<'_> {
    fn title(&self) -> &'static str {
        match self.stage {
            Stage::Ask => self.site.t.sign_out_ask,
            Stage::Done => self.site.t.signed_out,
        }
    }
}
