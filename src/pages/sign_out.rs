//! The sign-out page: asks first, because a GET changes nothing; then says that it is done.

use askama::Template;

use super::Site;

/// How far a sign-out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Somebody is signed in; a form that posts to `{prefix}/logout` asks whether to end that.
    Ask,
    /// Nobody is signed in any more.
    Done,
}

/// The page at `{prefix}/logout`.
#[derive(Debug, Template)]
#[template(path = "sign_out.html")]
pub struct SignOut<'a> {
    pub site: &'a Site,
    pub stage: Stage,
    /// Where the user signs out of their applications, separated by spaces.
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
