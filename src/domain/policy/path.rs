//! Whether a request path has exactly one reading.
//!
//! We decide on the bytes that the upstream gets. An application may decode or normalise those
//! bytes further, and then see another path than we did. So a path that some common server would
//! read differently is refused wherever a decision depends on the path.
//!
//! A suffix is not another reading: `/admin.json` is another path than `/admin` here, also where an
//! application serves both as one page.

use icu_normalizer::ComposingNormalizerBorrowed;

/// How a request path can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every server reads the same path.
    Plain,
    /// Servers differ: dot segments, `//`, `;`, a segment that ends with a dot or a space, an escape
    /// that hides a character which could stand for itself, escapes that are not UTF-8, a character
    /// that some server takes for an ASCII one, or a segment that ASP.NET removes.
    Ambiguous,
    /// No server should be shown this: not UTF-8, control bytes, backslash, `%00`, `%5c`, a bad
    /// escape.
    Malformed,
}

/// Reads `path` (no query), as it stands in the request line.
pub fn read(path: &[u8]) -> Reading {
    if !path.starts_with(b"/") || std::str::from_utf8(path).is_err() {
        return Reading::Malformed;
    }
    let mut reading = Reading::Plain;
    let mut look_closer = false;
    let mut rest = path.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => match escape(rest.next(), rest.next()) {
                None | Some(b'\\' | 0..=0x1f | 0x7f) => return Reading::Malformed,
                Some(hidden) if is_structural(hidden) => reading = Reading::Ambiguous,
                Some(hidden) => look_closer |= !hidden.is_ascii() || hidden == b'(',
            },
            0..=0x20 | 0x7f | b'\\' | b'#' | b'?' => return Reading::Malformed,
            b';' => reading = Reading::Ambiguous,
            _ => look_closer |= !byte.is_ascii() || byte == b'(',
        }
    }
    let ambiguous = has_odd_segments(path) || (look_closer && turns_into_another(path));
    if ambiguous { Reading::Ambiguous } else { reading }
}

/// Whether some server would turn `path`, whose escapes are well formed, into another path: overlong
/// and other broken UTF-8, characters that compatibility normalisation (Unicode Annex 15, NFKC) or a
/// "best fit" code page makes ASCII, and the segments in which ASP.NET kept cookieless sessions.
///
/// Letters that only change case, or fold to other letters outside of ASCII, are left alone: no
/// path in the configuration can contain them. Those that fold to letters of ASCII are [`folded`].
fn turns_into_another(path: &[u8]) -> bool {
    let Ok(decoded) = String::from_utf8(unescaped(path)) else { return true };
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    let mut foreign = decoded.chars().filter(|c| !c.is_ascii());
    let becomes_ascii = foreign.any(|c| normalizer.normalize_iter(std::iter::once(c)).any(|c| c.is_ascii()));
    becomes_ascii || decoded.split('/').any(is_cookieless_session)
}

/// `path` as a server sees it whose file system ignores case by the rules of Unicode (section 3.13,
/// full case folding): `/stra%C3%9Fe` is `/strasse` there. `None` where no letter folds to ASCII.
pub fn folded(path: &[u8]) -> Option<Vec<u8>> {
    if !path.iter().any(|byte| !byte.is_ascii() || *byte == b'%') {
        return None;
    }
    let decoded = String::from_utf8(unescaped(path)).ok()?;
    if !decoded.chars().any(|c| folding(c).is_some()) {
        return None;
    }
    let mut folded = String::with_capacity(decoded.len() + 1);
    for c in decoded.chars() {
        match folding(c) {
            Some(letters) => folded.push_str(&letters),
            None => folded.push(c),
        }
    }
    Some(folded.into_bytes())
}

/// The folded form of `c`, if it has a letter of ASCII in it and `c` has none.
fn folding(c: char) -> Option<String> {
    if c.is_ascii() {
        return None;
    }
    let upper = c.to_uppercase().to_string();
    let lower = c.to_lowercase().to_string();
    // A capital sharp s has a small letter that is two capital ones.
    let both = c.to_lowercase().flat_map(char::to_uppercase).collect();
    [upper, lower, both].into_iter().find(|letters| letters.chars().any(|c| c.is_ascii()))
}

/// `(S(x))`, `(A(x)F(y))`: ASP.NET removes such a segment from the path.
fn is_cookieless_session(segment: &str) -> bool {
    let inner = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.is_some_and(|inner| inner.contains('(') && inner.ends_with(')'))
}

fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter().copied();
    while let Some(byte) = rest.next() {
        let hidden = if byte == b'%' { escape(rest.next(), rest.next()) } else { Some(byte) };
        decoded.extend(hidden);
    }
    decoded
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
/// our prefix. A path without such a character has no second spelling that [`read`] would take for
/// plain.
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
        // Windows, and applications that trim, drop both characters.
        let trailing = segment.ends_with(b".") || segment.ends_with(b"%20");
        if trailing || (segment.is_empty() && !last) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_plain_paths() {
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
            "/f(x)/y",
            "/(x)/y",
            "/(f(x)/y",
            "/(x))/y",
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
    fn f_15_server_specific_readings_are_ambiguous() {
        for path in [
            "/static/%c0%ae%c0%ae/admin",
            "/static/%ef%bc%8e%ef%bc%8e%ef%bc%8fadmin",
            "/static/．．／admin",
            "/%e2%84%aa",
            "/%c5%bf",
            "/\u{212a}",
            "/\u{2024}\u{2024}/admin",
            "/%ff",
            "/(S(x))/admin",
            "/(A(x)F(y))/admin",
            "/%28S%28x%29%29/admin",
            "/%28S%28x))/admin",
        ] {
            assert_eq!(read(path.as_bytes()), Reading::Ambiguous, "{path}");
        }
        for path in
            ["/Österreich", "/Stra%C3%9Fe", "/%E6%97%A5%E6%9C%AC", "/Mercury_(planet)", "/f(x)", "/(x)"]
        {
            assert_eq!(read(path.as_bytes()), Reading::Plain, "{path}");
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
    fn invalid_targets_are_malformed() {
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

    /// A path as clients, attackers and decoders write them.
    fn paths() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/".to_owned()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            "[a-zA-Z0-9_~-]{1,4}",
            "%[0-9a-fA-F]{2}",
            "[ -~]",
            "[À-ӿ．／Ａ-ｚ]",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        /// Against the URL parser that browsers are built after: a plain path stays what it is when
        /// dots are resolved, and when its escapes are undone, once and twice, its segments stay
        /// the same.
        #[test]
        fn plain_path_decodes_alike_in_every_decoder(path in paths()) {
            if read(path.as_bytes()) == Reading::Plain {
                let url = url::Url::parse(&format!("http://host{path}")).unwrap();
                let resolved = unescaped(url.path().as_bytes());
                let once = unescaped(path.as_bytes());
                prop_assert_eq!(&resolved, &once);
                let count = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
                prop_assert_eq!(count(&once), count(path.as_bytes()));
                prop_assert_eq!(unescaped(&once), once.clone());
                let text = String::from_utf8(once).unwrap();
                for segment in text.split('/') {
                    prop_assert!(!matches!(segment, "." | ".."));
                }
            }
        }

        #[test]
        fn any_bytes_are_read(path in any::<Vec<u8>>()) {
            let _ = read(&path);
        }
    }
}
