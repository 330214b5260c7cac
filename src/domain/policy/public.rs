//! Public paths: literals, compared segment by segment on the bytes of the request.
//!
//! `"/health"` opens exactly that path, `"/static/*"` everything below `/static/`. There are no
//! patterns, no decoding and no query; a route that has public paths refuses ambiguous ones first.

use std::fmt;

use super::path::{self, Reading};

/// A literal path that anonymous clients may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicPath {
    /// This path alone.
    Exact(String),
    /// All paths below this path, which ends with a slash.
    Below(String),
}

impl fmt::Display for PublicPath {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(literal) => f.write_str(literal),
            Self::Below(literal) => write!(f, "{literal}*"),
        }
    }
}

impl PublicPath {
    /// Reads a line of the configuration.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (literal, below) = match text.strip_suffix('*') {
            Some(start) if start.ends_with('/') => (start, true),
            Some(_) => return Err("\"*\" may only stand for everything below a slash, as in \"/static/*\""),
            None => (text, false),
        };
        if path::unfit_for_public(literal).is_some() || path::read(literal.as_bytes()) != Reading::Plain {
            return Err(
                "a public path is a literal that begins with \"/\", in plain ASCII as browsers send it, without escapes, \"//\", \";\" or dot segments",
            );
        }
        let literal = literal.to_owned();
        Ok(if below { Self::Below(literal) } else { Self::Exact(literal) })
    }

    /// Whether `path` is open to anonymous clients. `path` has one reading.
    pub fn opens(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(literal) => path == literal.as_bytes(),
            Self::Below(literal) => path.starts_with(literal.as_bytes()),
        }
    }

    /// Whether `path` would be open to anonymous clients if letter case made no difference.
    pub fn opens_in_any_case(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(literal) => path.eq_ignore_ascii_case(literal.as_bytes()),
            Self::Below(literal) => begins_in_any_case(path, literal.as_bytes()),
        }
    }
}

fn begins_in_any_case(path: &[u8], start: &[u8]) -> bool {
    path.get(..start.len()).is_some_and(|begun| begun.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_literal_matches_only_itself() {
        let health = PublicPath::parse("/health").unwrap();
        assert!(health.opens(b"/health"));
        for path in [&b"/health/"[..], b"/healthy", b"/Health", b"/health/x", b"/", b"/x/health"] {
            assert!(!health.opens(path), "{path:?}");
        }
    }

    #[test]
    fn punctuation_that_browsers_send_as_it_is_may_stand_in_a_literal() {
        assert!(PublicPath::parse("/@vite/client:1,2").unwrap().opens(b"/@vite/client:1,2"));
    }

    #[test]
    fn a_path_is_shown_as_it_was_written() {
        for written in ["/", "/health", "/static/*"] {
            assert_eq!(PublicPath::parse(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn public_star_matches_below_a_slash() {
        let files = PublicPath::parse("/static/*").unwrap();
        assert!(files.opens(b"/static/a/b"));
        assert!(!files.opens(b"/static"));
        assert!(!files.opens(b"/statics/a"));
        for wrong in ["/static*", "static/*", "/a/*/b", "/a/../b", "/a;b", "", "*", "/a%20b", "/é", "/a|b"] {
            assert!(PublicPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
