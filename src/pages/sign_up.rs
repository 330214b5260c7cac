//! The page on which people make an account for themselves, where the operator lets them.

use askama::Template;

use super::Site;

/// The page at `{prefix}/signup`.
#[derive(Debug, Template)]
#[template(path = "sign_up.html")]
pub struct SignUp<'a> {
    pub site: &'a Site,
    /// Domains whose addresses may sign up; none named: any.
    pub domains: &'a [String],
}
