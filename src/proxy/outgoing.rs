//! The request that an upstream gets: the client's, cleaned, with what we say of its sender.
//!
//! What does not live here: which headers are taken off (`headers.rs`). What always holds: after
//! [`Outgoing::write_identity_headers`] every header of the families that only we may write is ours.
//! pingora removes hop-by-hop headers, and whatever `Connection` nominates, before that, so a
//! nomination cannot remove what is written here.

use std::mem;
use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use pingora::http::RequestHeader;

use super::headers::{Reserved, clean_cookies, remove_tokens};
use crate::domain::place::Place;
use crate::flows::admission::Permit;
use crate::flows::visit::Visit;

/// Carries our id of a request, to upstreams and on our own answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// How many headers say where a request came in: the four above, and `Host`.
const FORWARDED_HEADERS: usize = 5;

/// Makes the upstream's request out of the client's.
pub(super) struct Outgoing<'a> {
    pub(super) permit: &'a Permit,
    pub(super) visit: &'a Visit,
    pub(super) reserved: &'a Reserved,
    /// The scheme and port under which browsers reach every host.
    pub(super) place: &'a Place,
    /// The HTTP version that the client spoke.
    pub(super) version: Version,
}

impl Outgoing<'_> {
    /// Strips, then writes.
    pub(super) fn write_identity_headers(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        change_headers(request, |headers| self.rewrite(headers))
    }

    fn rewrite(&self, headers: &mut HeaderMap) -> pingora::Result<()> {
        let route = self.permit.route();
        self.reserved.strip(headers, &route.headers);
        let told = self.permit.identity_headers();
        // While rules are exchanged, the reserved headers can be those of other rules than the
        // route. The identity headers replace any that the client sent.
        for name in route.identity.names().filter(|name| told.iter().all(|(told, _)| told != *name)) {
            headers.remove(name);
        }
        remove_tokens(headers);
        if route.credentials.is_some() {
            // No client shows the application a password of its own choice where the gateway shows
            // one.
            headers.remove(header::AUTHORIZATION);
        }
        clean_cookies(headers, self.version);
        // One allocation for all that follow.
        headers.reserve(told.len() + FORWARDED_HEADERS + 1);
        for (name, value) in told {
            headers.insert(name, value.clone());
        }
        if let Some(value) = self.permit.authorization() {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        self.write_forwarded_headers(headers)
    }

    /// Writes where the request came in; only our own values remain.
    fn write_forwarded_headers(&self, headers: &mut HeaderMap) -> pingora::Result<()> {
        if let Some(client) = self.visit.client {
            headers.insert(FORWARDED_FOR, value_of(address_text(client))?);
        }
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(self.visit.scheme.as_str()));
        let host = self.host(headers)?;
        headers.insert(header::HOST, host.clone());
        headers.insert(FORWARDED_HOST, host);
        headers.insert(REQUEST_ID, value_of(self.visit.request_id.clone())?);
        Ok(())
    }

    /// The host as the operator knows it: applications make links of it, so a client's own
    /// spelling, a final dot or a port of its choice must not get into them.
    fn host(&self, headers: &HeaderMap) -> pingora::Result<HeaderValue> {
        let written = headers.get(header::HOST);
        match written.filter(|value| self.place.is_authority_of(&self.visit.host, value.as_bytes())) {
            Some(written) => Ok(written.clone()),
            None => value_of(self.place.authority_of(&self.visit.host)),
        }
    }
}

/// Has the headers of `request` changed as a plain map. pingora would keep the spelling of each name
/// in a second map, and change both with each header. So an application gets names in lower case,
/// as it does from clients that speak HTTP/2 (RFC 9113, section 8.2).
fn change_headers(
    request: &mut RequestHeader,
    change: impl FnOnce(&mut HeaderMap) -> pingora::Result<()>,
) -> pingora::Result<()> {
    // The URI does not say an absolute target as it was sent, nor bytes that are not UTF-8.
    let in_uri = request.uri.path_and_query().map(|target| target.as_str().as_bytes());
    let target = (in_uri != Some(request.raw_path())).then(|| request.raw_path().to_vec());
    let (empty, ()) = http::Request::new(()).into_parts();
    let mut parts = Parts::from(mem::replace(request, RequestHeader::from(empty)));
    let changed = change(&mut parts.headers);
    *request = RequestHeader::from(parts);
    match target {
        Some(target) => changed.and_then(|()| request.set_raw_path(&target)),
        None => changed,
    }
}

fn value_of(text: String) -> pingora::Result<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .map_err(|e| pingora::Error::because(pingora::ErrorType::InternalError, "a header of ours", e))
}

/// An address as text. Formatting takes several times as long for IPv4, and each request has one.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    let mut digits = itoa::Buffer::new();
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(digits.format(octet));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_formatted() {
        for address in ["0.0.0.0", "192.0.2.10", "255.255.255.255", "::1", "2001:db8::7", "::ffff:192.0.2.1"]
        {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(address_text(address), address.to_string());
        }
    }

    #[test]
    fn names_are_written_in_lower_case_or_as_usual() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in ["hOST", "Sec-WebSocket-Key", "COOKIE"] {
            request.append_header(name, "x").unwrap();
        }
        change_headers(&mut request, |_| Ok(())).unwrap();
        let mut wire = Vec::new();
        request.header_to_h1_wire(&mut wire);
        assert_eq!(String::from_utf8(wire).unwrap(), "Host: x\r\nsec-websocket-key: x\r\ncookie: x\r\n");
    }

    #[test]
    fn p_14_the_target_stays_as_it_was_sent() {
        for target in
            [&b"/"[..], b"/a?b=c%20d", b"*", b"http://other.example/a", b"/\xff?\xfe", b"/\xc3\xa9", b"?a"]
        {
            let mut request = RequestHeader::build("OPTIONS", target, None).unwrap();
            let (sent, version) = (request.raw_path().to_vec(), request.version);
            change_headers(&mut request, |headers| {
                headers.insert(REQUEST_ID, HeaderValue::from_static("1"));
                Ok(())
            })
            .unwrap();
            assert_eq!(request.raw_path(), sent, "{}", target.escape_ascii());
            assert_eq!((request.method.as_str(), request.version), ("OPTIONS", version));
            assert!(request.headers.contains_key(REQUEST_ID));
        }
    }
}
