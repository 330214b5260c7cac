//! Reading a request and a response, for admission and streams.
//!
//! Everything here is a plain function of headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};

use super::streams::StreamKind;
use crate::domain::place::host_of;

/// A response up to this length is over before it matters whether its session lives.
pub(super) const SHORT_BYTES_MAX: usize = 64 * 1024;

/// The target of a request up to its query, as it goes upstream.
pub(super) fn path_of(request: &RequestHeader) -> &[u8] {
    let target = request.raw_path();
    target.iter().position(|byte| *byte == b'?').and_then(|end| target.get(..end)).unwrap_or(target)
}

/// The query, if there is a `?`.
pub(super) fn query_of(request: &RequestHeader) -> Option<&[u8]> {
    let target = request.raw_path();
    let at = target.iter().position(|byte| *byte == b'?')?;
    target.get(at + 1..)
}

/// The host a request names: once, or twice the same.
pub(super) fn host(request: &RequestHeader) -> Option<String> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let header = hosts.next().map(|value| value.to_str().ok().and_then(host_of));
    if hosts.next().is_some() {
        return None;
    }
    let authority = request.uri.authority().map(|authority| host_of(authority.as_str()));
    match (header, authority) {
        (Some(header), Some(authority)) if header != authority => None,
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => None,
    }
}

/// Whether a host is an address, which TLS clients do not name in their handshake.
pub(super) fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok()
}

/// `CONNECT` would make a tunnel, `TRACE` would show our cookie to scripts.
pub(super) fn is_method_served(method: &Method) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    !matches!(*method, Method::CONNECT | Method::TRACE) && method.as_str().bytes().all(plain)
}

/// Whether the end of the body has one reading (RFC 9112, section 6.3): one length in digits, or
/// `chunked`, and not both. An upstream that read it otherwise would be out of step, and take the
/// rest of one request for the beginning of the next. Where there is a transfer coding, pingora
/// takes the length out of the headers, so it is looked for in `sent`, the head of an HTTP/1
/// request as its bytes came.
pub(super) fn has_one_framing(headers: &HeaderMap, sent: impl FnOnce() -> Bytes) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => true,
        (Some(length), None) => {
            !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit) && lengths.next().is_none()
        }
        (None, Some(coding)) => {
            let is_plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            is_plain && !has_field(&sent(), b"content-length")
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether a head has a field of this name.
fn has_field(head: &[u8], name: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.any(|line| {
        line.split(|byte| *byte == b':').next().is_some_and(|found| found.eq_ignore_ascii_case(name))
    })
}

/// Whether a browser says that a page of another origin than `here` sent the request. A form of a
/// page with `Referrer-Policy: no-referrer` has `Origin: null`, so Fetch Metadata speaks first. A
/// request that says nothing comes from a program, or from a browser too old to say.
pub(super) fn is_from_another_origin(headers: &HeaderMap, here: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter().map(HeaderValue::as_bytes);
    let mut sites = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes).peekable();
    let is_told = sites.peek().is_some();
    let is_foreign = |origin: &[u8]| origin != here.as_bytes() && !(is_told && origin == b"null");
    origins.any(is_foreign) || sites.any(|site| site != b"same-origin" && site != b"none")
}

pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    let mut tokens = headers
        .get_all(header::UPGRADE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether a response may still be flowing when its session ends.
pub(super) fn is_long(response: &ResponseHeader) -> bool {
    let length = response.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let short =
        length.and_then(|length| length.trim().parse::<usize>().ok()).is_some_and(|n| n <= SHORT_BYTES_MAX);
    let bodiless = matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !short && !bodiless
}

/// Whether a long response comes to an end by itself.
pub(super) fn stream_kind(response: &ResponseHeader) -> StreamKind {
    let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/event-stream") { StreamKind::Endless } else { StreamKind::Finite }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn a_query_is_what_stands_behind_the_first_question_mark() {
        for (target, query) in
            [("/", None), ("/a", None), ("/a?b", Some("b")), ("/a?b?c", Some("b?c")), ("/?", Some(""))]
        {
            let found = request(target, &[]);
            assert_eq!(query_of(&found), query.map(str::as_bytes), "{target}");
        }
    }

    #[test]
    fn p_14_the_path_is_the_bytes_that_go_upstream() {
        for (target, path) in [("/", "/"), ("/a?b", "/a"), ("/a?b?c", "/a"), ("/?", "/"), ("/%2e?x", "/%2e")]
        {
            assert_eq!(path_of(&request(target, &[])), path.as_bytes(), "{target}");
        }
        assert_eq!(path_of(&RequestHeader::build("GET", b"/\xff?\xfe", None).unwrap()), b"/\xff");
    }

    #[test]
    fn p_11_a_request_names_one_host() {
        let of = |headers: &[(&'static str, &'static str)]| host(&request("/", headers));
        assert_eq!(of(&[("Host", "A.example:80")]).as_deref(), Some("a.example"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("Host", "")]), None);
        assert_eq!(of(&[("Host", "a"), ("Host", "a")]), None);
        let mut by_authority = request("/", &[]);
        by_authority.set_uri("https://a.example/x".parse().unwrap());
        assert_eq!(host(&by_authority).as_deref(), Some("a.example"));
        let mut twice = by_authority.clone();
        twice.append_header("Host", "A.example:443").unwrap();
        assert_eq!(host(&twice).as_deref(), Some("a.example"));
        by_authority.append_header("Host", "b.example").unwrap();
        assert_eq!(host(&by_authority), None);
    }

    #[test]
    fn only_ordinary_methods_are_served() {
        for (method, served) in [
            ("GET", true),
            ("M-SEARCH", true),
            ("get", false),
            ("TRACE", false),
            ("CONNECT", false),
            ("G{", false),
        ] {
            let method = Method::from_bytes(method.as_bytes());
            assert_eq!(method.is_ok_and(|method| is_method_served(&method)), served);
        }
    }

    #[test]
    fn f_13_detects_cross_origin_requests() {
        let foreign = |headers: &[(&'static str, &'static str)]| {
            is_from_another_origin(&request("/", headers).headers, "https://a.example")
        };
        let (site, origin) = ("Sec-Fetch-Site", "Origin");
        for ours in [
            &[][..],
            &[(origin, "https://a.example")],
            &[(site, "same-origin")],
            &[(site, "none")],
            &[(site, "same-origin"), (origin, "null")],
            &[(site, "same-origin"), (origin, "https://a.example")],
        ] {
            assert!(!foreign(ours), "{ours:?}");
        }
        for theirs in [
            &[(origin, "null")][..],
            &[(origin, "https://b.example")],
            &[(origin, "http://a.example")],
            &[(site, "same-site")],
            &[(site, "cross-site")],
            &[(site, "same-site"), (origin, "null")],
            &[(site, "same-origin"), (origin, "https://b.example")],
            &[(site, "same-origin"), (site, "cross-site")],
            &[(origin, "https://a.example"), (origin, "https://b.example")],
        ] {
            assert!(foreign(theirs), "{theirs:?}");
        }
    }

    #[test]
    fn f_27_refuses_ambiguous_framing() {
        let clear_as_sent = |headers: &[(&'static str, &'static str)], sent: &'static str| {
            has_one_framing(&request("/", headers).headers, || Bytes::from_static(sent.as_bytes()))
        };
        let clear = |headers: &[(&'static str, &'static str)]| clear_as_sent(headers, "");
        assert!(clear(&[]));
        assert!(clear(&[("Content-Length", "30")]));
        assert!(clear(&[("Transfer-Encoding", "chunked")]));
        for unclear in ["3, 3", "+3", "-3", "0x3", "3 ", "", "3;"] {
            assert!(!clear(&[("Content-Length", unclear)]), "{unclear:?}");
        }
        assert!(!clear(&[("Content-Length", "3"), ("Content-Length", "3")]));
        assert!(!clear(&[("Content-Length", "3"), ("Transfer-Encoding", "chunked")]));
        assert!(clear(&[("Transfer-Encoding", "Chunked")]));
        for unclear in ["chunked, chunked", "gzip, chunked", "identity", "xchunked", ""] {
            assert!(!clear(&[("Transfer-Encoding", unclear)]), "{unclear:?}");
        }
        assert!(!clear(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]));
        let chunked = [("Transfer-Encoding", "chunked")];
        assert!(clear_as_sent(&chunked, "POST /content-length: HTTP/1.1\r\nX: content-length:\r\n\r\n"));
        assert!(!clear_as_sent(&chunked, "POST / HTTP/1.1\r\nX: y\r\ncontent-Length: 3\r\n\r\n"));
    }

    #[test]
    fn p_27_an_upgrade_is_found_among_others() {
        let wants = |value| wants_websocket(&request("/", &[("Upgrade", value)]).headers);
        assert!(wants("websocket"));
        assert!(wants("h2c, WebSocket"));
        assert!(!wants("h2c"));
        assert!(!wants("websockets"));
    }

    #[test]
    fn p_31_responses_without_a_short_length_are_long() {
        let long = |status: u16, length: Option<&str>| {
            let mut response = ResponseHeader::build(status, None).unwrap();
            if let Some(length) = length {
                response.append_header("Content-Length", length).unwrap();
            }
            is_long(&response)
        };
        assert!(long(200, None));
        assert!(long(200, Some("65537")));
        assert!(long(200, Some("junk")));
        assert!(!long(200, Some("65536")));
        assert!(!long(204, None));
        assert!(!long(304, Some("1000000")));
    }

    #[test]
    fn event_streams_are_endless_and_downloads_finite() {
        let of = |kind: Option<&str>| {
            let mut response = ResponseHeader::build(200, None).unwrap();
            if let Some(kind) = kind {
                response.append_header("Content-Type", kind).unwrap();
            }
            stream_kind(&response)
        };
        assert_eq!(of(Some("text/event-stream")), StreamKind::Endless);
        assert_eq!(of(Some("Text/Event-Stream; charset=utf-8")), StreamKind::Endless);
        assert_eq!(of(Some("text/event-streams")), StreamKind::Finite);
        assert_eq!(of(Some("video/mp4")), StreamKind::Finite);
        assert_eq!(of(None), StreamKind::Finite);
    }
}
