//! Whether a request path has exactly one reading.
//!
//! We decide on the bytes that the upstream gets. An application may decode or normalise those
//! bytes further, and then see another path than we did. So a path that some common server would
//! read differently is refused wherever a decision depends on the path.

/// How a request path can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every server reads the same path.
    Plain,
    /// Servers differ: dot segments, `//`, `;`, a segment that ends with a dot or a space, or an
    /// escape that hides a character which could stand for itself.
    Ambiguous,
    /// No server should be shown this: not UTF-8, control bytes, backslash, `%00`, `%5c`, a bad escape.
    Malformed,
}

/// Reads `path` (no query), as it stands in the request line.
pub fn read(path: &[u8]) -> Reading {
    if !path.starts_with(b"/") || std::str::from_utf8(path).is_err() {
        return Reading::Malformed;
    }
    let mut reading = Reading::Plain;
    let mut rest = path.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => match escape(rest.next(), rest.next()) {
                None | Some(b'\\' | 0..=0x1f | 0x7f) => return Reading::Malformed,
                Some(hidden) if is_structural(hidden) => reading = Reading::Ambiguous,
                Some(_) => {}
            },
            0..=0x20 | 0x7f | b'\\' | b'#' | b'?' => return Reading::Malformed,
            b';' => reading = Reading::Ambiguous,
            _ => {}
        }
    }
    if has_odd_segments(path) { Reading::Ambiguous } else { reading }
}

fn escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high?)? * 16 + digit(low?)?)
}

/// Characters that never need an escape (RFC 3986, section 2.3), and those whose escape changes
/// what a path means when it is undone too early or twice. Escapes of other punctuation are what
/// honest clients write (`%40` in a room's name), and no route's path can contain it.
fn is_structural(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'/' | b'%' | b'?' | b'#' | b';')
}

/// RFC 3986, section 3.3, less what is structural.
fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b'=')
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The first character of a path in the configuration that cannot be part of a route's path or
/// our prefix. What passes has no second spelling that [`read`] would take for plain.
pub fn unfit_for_prefix(literal: &str) -> Option<char> {
    literal.chars().find(|c| *c != '/' && !u8::try_from(*c).is_ok_and(is_unreserved))
}

/// The same for a public path. Punctuation is fine there: another spelling of a public path is
/// simply not public.
pub fn unfit_for_public(literal: &str) -> Option<char> {
    let fit = |byte: u8| byte == b'/' || is_unreserved(byte) || is_punctuation(byte);
    literal.chars().find(|c| !u8::try_from(*c).is_ok_and(fit))
}

fn has_odd_segments(path: &[u8]) -> bool {
    let mut segments = path.split(|b| *b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // Windows, and applications that trim, drop both.
        let trailing = segment.ends_with(b".") || segment.ends_with(b"%20");
        if trailing || (segment.is_empty() && !last) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_plain() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/.well-known/x",
            "/a%20b",
            "/%C3%A9",
            "/a:b@c",
            "/é",
            "/a+b",
            "/a%5Bb",
            "/_matrix/%21room%3Aexample.com",
            "/%40scope%2Bname",
        ] {
            assert_eq!(read(path.as_bytes()), Reading::Plain, "{path}");
        }
    }

    #[test]
    fn paths_with_two_readings_are_ambiguous() {
        for path in [
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/%2e%2e/b",
            "/a%2fb",
            "/a;b",
            "/a%3bb",
            "/%61dmin",
            "/a%252fb",
            "/a%3fb",
            "/a%23b",
            "/a./b",
            "/...",
            "/admin%20",
            "/admin%20/x",
            "/admin%2e",
        ] {
            assert_eq!(read(path.as_bytes()), Reading::Ambiguous, "{path}");
        }
    }

    #[test]
    fn every_character_of_a_routes_path_has_one_plain_spelling() {
        for byte in 0x21..0x7f {
            let literal = char::from(byte).to_string();
            let escaped = format!("/x%{byte:02X}y");
            let one_spelling = read(escaped.as_bytes()) != Reading::Plain;
            assert!(one_spelling || unfit_for_prefix(&literal).is_some(), "{literal}");
        }
        assert_eq!(unfit_for_public("/a/é"), Some('é'));
        assert_eq!(unfit_for_prefix("/a/b@c"), Some('@'));
    }

    #[test]
    fn nonsense_is_malformed() {
        for path in [
            &b""[..],
            b"a",
            b"*",
            b"/a\\b",
            b"/a%5cb",
            b"/a%00",
            b"/%",
            b"/%4",
            b"/%zz",
            b"/\xff",
            b"/a b",
            b"/a#b",
            b"/a\x01",
        ] {
            assert_eq!(read(path), Reading::Malformed, "{path:?}");
        }
    }
}
