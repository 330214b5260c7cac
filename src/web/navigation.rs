//! Whether a request is a person's navigation, which may be sent to sign in, or a program's,
//! which gets a plain 401.
//!
//! Fetch Metadata decides (W3C, "Fetch Metadata Request Headers"); where a browser does not send
//! it, a GET that asks for HTML and does not call itself an `XMLHttpRequest` is a navigation.

use http::header::{ACCEPT, ORIGIN, USER_AGENT};
use http::{HeaderMap, Method};

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page load that can be repeated after signing in.
    Navigation,
    /// A form that was sent: a page load that must not be turned into another request.
    Submission,
    /// Everything else: scripts, images, programs, WebSockets.
    Program,
}

/// The kind of this request.
pub fn kind(method: &Method, headers: &HeaderMap) -> Kind {
    if !is_navigation(method, headers) {
        return Kind::Program;
    }
    if *method == Method::GET || *method == Method::HEAD { Kind::Navigation } else { Kind::Submission }
}

fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(mode) = text("sec-fetch-mode") {
        let embedded = matches!(text("sec-fetch-dest"), Some("object" | "embed"));
        return mode == "navigate" && !embedded;
    }
    let wants_html = text(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html"));
    let scripted = headers.contains_key("x-requested-with") || headers.contains_key("upgrade");
    let repeatable = *method == Method::GET || *method == Method::HEAD;
    repeatable && wants_html && !scripted
}

/// Whether a request may come from a page in a browser, which would show its user a dialog for a
/// password. A program that sends no such header is not taken for one.
pub fn is_browser(headers: &HeaderMap) -> bool {
    let says = ["sec-fetch-mode", "sec-fetch-site", "x-requested-with", ORIGIN.as_str()];
    let agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
    says.iter().any(|name| headers.contains_key(*name)) || agent.starts_with(b"Mozilla/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treats_possible_browsers_as_browsers() {
        let headers = |name: &'static str, value: &'static str| -> HeaderMap {
            [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
        };
        for (name, value) in [
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
            ("x-requested-with", "XMLHttpRequest"),
            ("origin", "https://app.example.com"),
            ("user-agent", "Mozilla/5.0 (X11)"),
        ] {
            assert!(is_browser(&headers(name, value)), "{name}");
        }
        for (name, value) in [("user-agent", "git/2.47"), ("accept", "*/*"), ("host", "app.example.com")] {
            assert!(!is_browser(&headers(name, value)), "{name}");
        }
    }

    #[track_caller]
    fn check(method: &Method, headers: &[(&'static str, &'static str)], expected: Kind) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>();
        assert_eq!(kind(method, &headers), expected, "{method} {headers:?}");
    }

    #[test]
    fn fetch_metadata_decides() {
        check(
            &Method::GET,
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            Kind::Navigation,
        );
        check(
            &Method::GET,
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            Kind::Navigation,
        );
        check(&Method::POST, &[("sec-fetch-mode", "navigate")], Kind::Submission);
        check(&Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")], Kind::Program);
        check(&Method::GET, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Kind::Program);
        check(&Method::GET, &[("sec-fetch-mode", "websocket")], Kind::Program);
        check(&Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed")], Kind::Program);
    }

    #[test]
    fn falls_back_to_accept_without_fetch_metadata() {
        check(&Method::GET, &[("accept", "text/html,*/*;q=0.8")], Kind::Navigation);
        check(&Method::GET, &[("accept", "*/*")], Kind::Program);
        check(&Method::GET, &[], Kind::Program);
        check(
            &Method::GET,
            &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")],
            Kind::Program,
        );
        check(&Method::POST, &[("accept", "text/html")], Kind::Program);
        check(&Method::GET, &[("accept", "text/html"), ("upgrade", "websocket")], Kind::Program);
    }
}
