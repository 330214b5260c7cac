//! The headers that are taken off a request before it goes to an upstream, and those that are taken
//! off the response.
//!
//! Removal is by family and by configuration, whatever the spelling. A name with anything but
//! letters, digits and hyphens is always dropped: CGI-like applications turn every other character
//! into the same one, so that `Remote_User` and `Remote.User` read like `Remote-User`, and nothing
//! current needs one (nginx drops them by default, too).
//!
//! What does not live here: what is written instead (`outgoing.rs`). What always holds: after
//! [`Reserved::strip`] no header of these families is left.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::domain::access_token::carrier::{self, TOKEN_HEADER};
use crate::domain::cookie;
use crate::domain::policy::headers::{HeaderRules, folded};
use crate::domain::policy::route::RouteTable;

/// Families whose members are only ever ours, and the program that writes each of them: an
/// application that was behind another gate may still believe what that gate used to say.
const PREFIXES: [&str; 26] = [
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    "remote-",
    "x-remote-",
    "x-auth-", // oauth2-proxy
    "x-vestibule-",
    "x-authentik-",
    "x-webauth-", // webauthn_proxy
    "x-user",
    "x-email",                    // oauth2-proxy's sample for nginx
    "x-groups",                   // oauth2-proxy's sample for nginx
    "x-access-token",             // oauth2-proxy's sample for nginx
    "x-token-",                   // caddy-security
    "x-pomerium-",                // Pomerium
    "cf-access-",                 // Cloudflare Access
    "tailscale-",                 // Tailscale Serve
    "x-goog-authenticated-user-", // Google's Identity-Aware Proxy
    "x-goog-iap-",                // Google's Identity-Aware Proxy
    "x-amzn-oidc-",               // AWS's load balancer
    "x-ms-client-principal",      // Azure App Service
    "x-ms-token-",                // Azure App Service
    "ssl-client-",                // client certificates, as nginx and Traefik are set up to tell them
    "x-ssl-",                     // client certificates, as Apache and HAProxy are set up to tell them
    "x-client-cert",              // client certificates
    "x-envoy-",                   // Envoy
];
/// Single names: the request's id, what proxies call the client's address, and where it came in.
const NAMES: [&str; 12] = [
    "forwarded",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "client-ip",
    "fastly-client-ip",
    "x-host",
    "x-scheme",
    // CGI makes `HTTP_PROXY` of it, which libraries take for their own proxy (CVE-2016-5385).
    "proxy",
];

/// The configured identity headers of all routes: none of them is believed on any route.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    names: HashSet<String>,
    first: FirstBytes,
}

/// The first bytes of removed names: most headers that browsers send begin with other bytes, and
/// need no closer look.
#[derive(Debug)]
struct FirstBytes([bool; 256]);

impl Default for FirstBytes {
    fn default() -> Self {
        Self::of(PREFIXES.iter().chain(&NAMES).copied())
    }
}

impl FirstBytes {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut first = [false; 256];
        for byte in names.filter_map(|name| name.bytes().next()) {
            if let Some(is_one) = first.get_mut(usize::from(byte)) {
                *is_one = true;
            }
        }
        Self(first)
    }

    fn has(&self, name: &str) -> bool {
        let first = name.bytes().next().map(usize::from);
        first.and_then(|byte| self.0.get(byte)).copied().unwrap_or(true)
    }
}

/// Whether something was taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleaned {
    Untouched,
    Dropped,
}

impl Reserved {
    pub(super) fn of(routes: &RouteTable) -> Self {
        Self::with(routes.all().flat_map(|route| route.identity.names()).map(|name| name.as_str().to_owned()))
    }

    fn with(names: impl Iterator<Item = String>) -> Self {
        let names: HashSet<_> = names.collect();
        let built_in = PREFIXES.iter().chain(&NAMES).copied();
        let first = FirstBytes::of(built_in.chain(names.iter().map(String::as_str)));
        Self { names, first }
    }

    /// Whether a header with this name (lower case) is never taken from outside.
    fn covers(&self, name: &str) -> bool {
        let is_listed = || {
            NAMES.contains(&name)
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || self.names.contains(name)
        };
        name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
            || (self.first.has(name) && is_listed())
    }

    /// Whether a header with this name is taken off on a route with these rules. A header that
    /// carries an identity on some route is let through on none.
    fn unwanted(&self, name: &str, rules: &HeaderRules) -> bool {
        let is_let_through = || rules.passes(name) && !self.names.contains(&folded(name));
        rules.strips(name) || (self.covers(name) && !is_let_through())
    }

    /// Removes the headers that only we may write, and those that the route does not want.
    pub(super) fn strip(&self, headers: &mut HeaderMap, rules: &HeaderRules) {
        let unwanted: Vec<HeaderName> =
            headers.keys().filter(|name| self.unwanted(name.as_str(), rules)).cloned().collect();
        for name in unwanted {
            headers.remove(name);
        }
    }
}

/// Removes access tokens, good or not. An `Authorization` for the application itself stays byte for
/// byte, and so do other headers.
pub(super) fn remove_tokens(headers: &mut HeaderMap) {
    headers.remove(TOKEN_HEADER);
    let is_ours = |value: &HeaderValue| carrier::is_ours(value.as_bytes());
    let values = headers.get_all(header::AUTHORIZATION);
    if values.iter().any(is_ours) {
        let kept: Vec<_> = values.iter().filter(|value| !is_ours(value)).cloned().collect();
        replace(headers, &header::AUTHORIZATION, kept);
    }
}

/// Takes our cookies out; every other byte stays. HTTP/2 clients may send one header per cookie,
/// which HTTP/1.1 upstreams get as one (RFC 9113, section 8.2.3).
pub(super) fn clean_cookies(headers: &mut HeaderMap, version: Version) {
    let Some((cleaned, kept)) = cookies_without_ours(headers) else { return };
    let merge = version == Version::HTTP_2 && kept.len() > 1;
    if cleaned == Cleaned::Untouched && !merge {
        return;
    }
    let values = if merge { vec![kept.join(&b"; "[..])] } else { kept };
    let values = values.into_iter().map(pingora::http::header_value_from_raw);
    replace(headers, &header::COOKIE, values);
}

/// Leaves these values of a header.
fn replace(headers: &mut HeaderMap, name: &HeaderName, values: impl IntoIterator<Item = HeaderValue>) {
    headers.remove(name);
    for value in values {
        headers.append(name, value);
    }
}

/// The values that go to the upstream, and whether they differ from those that came. `None` when
/// there is nothing to look at.
fn cookies_without_ours(headers: &HeaderMap) -> Option<(Cleaned, Vec<Vec<u8>>)> {
    let mut cleaned = Cleaned::Untouched;
    let mut kept = Vec::new();
    let mut seen = false;
    for value in headers.get_all(header::COOKIE) {
        seen = true;
        match cookie::without_ours(value.as_bytes()) {
            None => kept.push(value.as_bytes().to_vec()),
            Some(rest) => {
                cleaned = Cleaned::Dropped;
                if !rest.is_empty() {
                    kept.push(rest);
                }
            }
        }
    }
    seen.then_some((cleaned, kept))
}

/// Takes `Set-Cookie` with our names off an upstream's response.
pub(super) fn clean_response(response: &mut ResponseHeader) -> pingora::Result<Cleaned> {
    let ours = |value: &HeaderValue| cookie::sets_ours(value.as_bytes());
    if !response.headers.get_all(header::SET_COOKIE).iter().any(ours) {
        return Ok(Cleaned::Untouched);
    }
    let kept: Vec<_> =
        response.headers.get_all(header::SET_COOKIE).iter().filter(|value| !ours(value)).cloned().collect();
    response.remove_header(&header::SET_COOKIE);
    for value in kept {
        response.append_header(header::SET_COOKIE, value)?;
    }
    Ok(Cleaned::Dropped)
}

/// The size of a request's line and headers as sent.
pub(super) fn size_of(request: &RequestHeader) -> usize {
    let line = request.method.as_str().len() + request.raw_path().len();
    // ": " and CR LF around every header.
    request.headers.iter().fold(line, |size, (name, value)| size + name.as_str().len() + value.len() + 4)
}

#[cfg(test)]
mod tests;
