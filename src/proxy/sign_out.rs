//! Requests that sign a user out of their application, and with it here.
//!
//! What does not live here: the address (`domain/policy/logout.rs`), and ending the session
//! (`flows/`).
//!
//! What always holds: no user is signed out because a page of another origin, or a browser that
//! looks ahead, asked for the address; and not before the application has taken the request.

use http::{HeaderMap, Method, StatusCode};
use pingora::http::RequestHeader;

use super::request;
use crate::flows::admission::Permit;

/// Whether `request`, which the application has answered with `status`, signs its user out.
pub(super) fn signs_out(permit: &Permit, request: &RequestHeader, status: StatusCode) -> bool {
    let Some(logout) = &permit.route().logout else { return false };
    let (path, query) = (request::path_of(request), request::query_of(request));
    logout.is_asked(path, query)
        && (status.is_success() || status.is_redirection())
        && is_meant(&request.method, &request.headers)
}

/// Whether a user means it, as far as their browser says: a page of the same origin has led there,
/// or they have typed the address. A browser that says nothing is believed.
fn is_meant(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let is_look_ahead = says("sec-purpose").is_some() || says("purpose").is_some();
    let is_from_here = matches!(says("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    *method != Method::HEAD && *method != Method::OPTIONS && is_from_here && !is_look_ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intended_requests_sign_out() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        for (method, sent, is) in [
            (Method::GET, &[][..], true),
            (Method::POST, &[("sec-fetch-site", "same-origin")], true),
            (Method::GET, &[("sec-fetch-site", "none")], true),
            (Method::HEAD, &[("sec-fetch-site", "none")], false),
            (Method::OPTIONS, &[], false),
            (Method::GET, &[("sec-fetch-site", "same-site")], false),
            (Method::GET, &[("sec-fetch-site", "cross-site")], false),
            (Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-purpose", "prefetch")], false),
            (Method::GET, &[("purpose", "prefetch")], false),
        ] {
            assert_eq!(is_meant(&method, &headers(sent)), is, "{method} {sent:?}");
        }
    }
}
