//! Questions about decisions: how a request would be decided, and why.
//!
//! What does not live here: the answer, which the gateway works out (`flows/admission/explain.rs`)
//! with the same code that admits requests.
//!
//! What always holds: a question names a whole URL.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;

use super::decide::Decision;
use super::rule::Mismatch;
use crate::domain::place::host_of;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// A request that no client has made.
#[derive(Debug, Clone)]
pub struct Question {
    pub who: Asker,
    pub target: RequestTarget,
    pub method: Method,
    pub client: Option<IpAddr>,
    pub at: Timestamp,
    /// How long before `at` the user has shown a passkey.
    pub auth_age: Duration,
}

/// The sender of the request.
#[derive(Debug, Clone)]
pub enum Asker {
    Anonymous,
    /// Signed in.
    User(Box<User>),
}

/// The address of a request, read as the proxy reads it: nothing in the path is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTarget {
    /// Lower case, no port.
    pub host: String,
    pub raw_path: Vec<u8>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    /// `None`: no route answers this address.
    pub route: Option<String>,
    /// The rule that decides, if one does.
    pub rule: Option<String>,
    /// The reason, in a sentence or two.
    pub because: String,
}

impl Question {
    /// A request for `url` with `method`. The error says what to write instead.
    pub fn about(who: Asker, url: &str, method: &str, at: Timestamp) -> Result<Self, String> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("{method:?} is not a method such as \"GET\""))?;
        let (client, auth_age) = (None, Duration::ZERO);
        Ok(Self { who, target: RequestTarget::parse(url)?, method, client, at, auth_age })
    }
}

impl RequestTarget {
    /// Reads an address such as `https://wiki.example.com/reports?page=2`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is not an address such as \"https://app.example.com/path\"");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") {
            return Err(wrong());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = host_of(authority).filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let raw_path = if path.is_empty() { "/" } else { path };
        Ok(Self { host, raw_path: raw_path.as_bytes().to_vec() })
    }
}

impl Mismatch {
    /// The reason in words why a rule is not about a request.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Who => "is about other people",
            Self::Method => "is about other methods",
            Self::Path => "is about other paths",
            Self::Network => "is about other networks",
            Self::Time => "is about other times",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        for (miss, about) in [
            (Mismatch::Who, "people"),
            (Mismatch::Method, "methods"),
            (Mismatch::Path, "paths"),
            (Mismatch::Network, "networks"),
            (Mismatch::Time, "times"),
        ] {
            assert_eq!(miss.in_words(), format!("is about other {about}"));
        }
    }

    #[test]
    fn question_url_is_not_normalised() {
        let check = |url: &str, host: &str, path: &str| {
            let target = RequestTarget::parse(url).unwrap();
            assert_eq!((target.host.as_str(), target.raw_path.as_slice()), (host, path.as_bytes()), "{url}");
        };
        check("https://A.example.com/b/../c?d#e", "a.example.com", "/b/../c");
        check("http://localhost:8080", "localhost", "/");
        check("https://a.example.com?x", "a.example.com", "/");
        check("https://a.example.com/%2e", "a.example.com", "/%2e");
        for wrong in ["", "a.example.com", "ftp://a", "https://", "https:///x", "//a/b"] {
            assert!(RequestTarget::parse(wrong).is_err(), "{wrong}");
        }
    }
}
