//! The address at which users sign out of an application, so that signing out on one side can sign
//! out on the other.
//!
//! What does not live here: ending sessions (`flows/`), and which requests are meant
//! (`proxy/sign_out.rs`).
//!
//! What always holds: only the exact address is a sign-out address; another spelling of it signs no
//! user out.

use super::path::{self, Reading};

/// An address of an application at which it ends its own session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutUrl {
    path: String,
    query: Option<String>,
}

impl LogoutUrl {
    /// Reads `/logout`, or `/index.php?action=logout`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let is_plain =
            path::unfit_for_public(path).is_none() && path::read(path.as_bytes()) == Reading::Plain;
        let is_sendable = |query: &str| {
            !query.is_empty() && query.bytes().all(|b| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b))
        };
        if !is_plain || !query.is_none_or(is_sendable) {
            return Err(format!("{text:?} is not a path as browsers send it, with or without a query"));
        }
        Ok(Self { path: path.to_owned(), query: query.map(str::to_owned) })
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Path and query.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether a request for `path` with `query` asks for it. A request may say more in its query,
    /// such as a number that proves that the application's own page made it.
    pub fn is_asked(&self, path: &[u8], query: Option<&[u8]>) -> bool {
        let said = |part: &str| {
            query.is_some_and(|query| query.split(|byte| *byte == b'&').any(|it| it == part.as_bytes()))
        };
        path == self.path.as_bytes() && self.query.as_deref().is_none_or(|wanted| wanted.split('&').all(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_in_one_spelling() {
        let plain = LogoutUrl::parse("/logout").unwrap();
        let asked = |url: &LogoutUrl, target: &str| {
            let (path, query) = target.split_once('?').map_or((target, None), |(path, it)| (path, Some(it)));
            url.is_asked(path.as_bytes(), query.map(str::as_bytes))
        };
        for (target, is) in [
            ("/logout", true),
            ("/logout?token=1", true),
            ("/Logout", false),
            ("/logout/", false),
            ("/%6cogout", false),
            ("/", false),
        ] {
            assert_eq!(asked(&plain, target), is, "{target}");
        }
        let php = LogoutUrl::parse("/index.php?action=logout&all=1").unwrap();
        assert_eq!(php.path_and_query(), "/index.php?action=logout&all=1");
        for (target, is) in [
            ("/index.php?action=logout&all=1", true),
            ("/index.php?sid=7&all=1&action=logout", true),
            ("/index.php?action=logout", false),
            ("/index.php?action=logouts&all=1", false),
            ("/index.php", false),
        ] {
            assert_eq!(asked(&php, target), is, "{target}");
        }
    }

    #[test]
    fn refuses_logout_paths_browsers_cannot_send() {
        for wrong in [
            "",
            "logout",
            "https://app.example.com/logout",
            "/a//b",
            "/a/../b",
            "/log out",
            "/x?",
            "/x?a b",
            "/x?a#b",
            "/%2e",
        ] {
            assert!(LogoutUrl::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
