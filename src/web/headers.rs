//! Headers of every answer of ours (ASVS 3.4, 14.3). Proxied answers get none of them.

use axum::response::Response;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::domain::place::Scheme;

/// Pages load their own script and style, talk to their own origin, and cannot be framed.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     object-src 'none'";

/// The same for a page with a form whose answer leads on to `origin`: browsers apply `form-action` to
/// redirects as well, and would stop there. `None` if `origin` cannot stand in a header.
pub fn with_form_to(origin: &str) -> Option<HeaderValue> {
    let policy =
        CONTENT_SECURITY_POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    HeaderValue::try_from(policy).ok()
}

/// The same for a page whose script calls `origins` besides its own. `None` if one of them cannot
/// stand in a header.
pub fn with_calls_to<'a>(origins: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let origins = origins.fold(String::new(), |all, origin| format!("{all} {origin}"));
    let policy =
        CONTENT_SECURITY_POLICY.replace("connect-src 'self'", &format!("connect-src 'self'{origins}"));
    HeaderValue::try_from(policy).ok()
}

const ALWAYS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Addresses of ours may hold the name of a return target.
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    ),
];

/// One year; only over https, where browsers heed it.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Adds these headers. No cache stores an answer unless the handler said otherwise.
pub fn protect(scheme: Scheme, mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in ALWAYS {
        // A header that the handler set stays: assets and confirmations have a stricter policy of
        // their own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if scheme == Scheme::Https {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT_SECURITY));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
