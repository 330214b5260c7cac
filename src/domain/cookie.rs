//! Our cookies: their names, and how a `Cookie` header is read and cleaned.
//!
//! What always holds: two cookies with one of our names count as none (a sibling host may have
//! tossed one in), and no cookie of ours reaches an upstream, while every other byte does.
//!
//! No library does this. The `cookie` crate would make the 260 lines here and in `web/cookies.rs`
//! three lines shorter: writing takes as many lines with it, and it reads text where browsers send
//! bytes. It cannot take cookies out of a header and leave the rest as it is, and it passes over a
//! cookie without a name, which a browser sends back under a name of ours.

use std::iter::from_fn;

use memchr::memchr;

use super::place::Scheme;

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Points at the session.
    Session,
    /// Points at the pending ceremony of this browser.
    Challenge,
    /// The same, under the name that better-auth's documents give it.
    BetterAuthChallenge,
    /// The same for oCore, whose documents know no cookie.
    OcoreChallenge,
    /// Names the code that was sent by mail for this browser.
    Code,
    /// Binds the return target, and the hand-off, to the browser that asked.
    Nonce,
    /// Binds a link between two devices to the new device.
    NewDevice,
    /// Says that a user has signed in with this browser. It opens nothing: it keeps anonymous
    /// clients from using up what the owner of an account may ask for.
    Device,
}

impl Cookie {
    /// All cookies.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::Challenge,
        Self::BetterAuthChallenge,
        Self::OcoreChallenge,
        Self::Code,
        Self::Nonce,
        Self::NewDevice,
        Self::Device,
    ];

    /// Its name. Over https the `__Host-` prefix makes browsers refuse one set by another host or
    /// over plain http.
    pub const fn name(self, scheme: Scheme) -> &'static str {
        match (self, scheme) {
            (Self::Session, Scheme::Https) => "__Host-vestibule",
            (Self::Session, Scheme::Http) => "vestibule",
            (Self::Challenge, Scheme::Https) => "__Host-challenge",
            (Self::Challenge, Scheme::Http) => "challenge",
            (Self::BetterAuthChallenge, Scheme::Https) => "__Host-better-auth.better-auth-passkey",
            (Self::BetterAuthChallenge, Scheme::Http) => "better-auth.better-auth-passkey",
            (Self::OcoreChallenge, Scheme::Https) => "__Host-vestibule-ceremony",
            (Self::OcoreChallenge, Scheme::Http) => "vestibule-ceremony",
            (Self::Code, Scheme::Https) => "__Host-vestibule-code",
            (Self::Code, Scheme::Http) => "vestibule-code",
            (Self::Nonce, Scheme::Https) => "__Host-vestibule-nonce",
            (Self::Nonce, Scheme::Http) => "vestibule-nonce",
            (Self::NewDevice, Scheme::Https) => "__Host-vestibule-newcomer",
            (Self::NewDevice, Scheme::Http) => "vestibule-newcomer",
            (Self::Device, Scheme::Https) => "__Host-vestibule-device",
            (Self::Device, Scheme::Http) => "vestibule-device",
        }
    }
}

/// The result of looking for one cookie name in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    Nothing,
    One(&'a str),
    /// More than one cookie, or a value that is not plain text: no browser of ours sends these.
    Unclear,
}

/// Looks for `name` in all `Cookie` headers of a request.
pub fn find<'a>(headers: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Found<'a> {
    let mut found = Found::Nothing;
    for pair in headers.into_iter().flat_map(pairs) {
        if name_of(pair) != name.as_bytes() {
            continue;
        }
        let value = memchr(b'=', pair).and_then(|at| pair.get(at + 1..)).unwrap_or(b"");
        found = match (found, std::str::from_utf8(value)) {
            (Found::Nothing, Ok(value)) => Found::One(value.trim_end()),
            _ => Found::Unclear,
        };
    }
    found
}

/// The header without our cookies. `None` when it had none of ours, `Some` with the rest, byte
/// for byte, otherwise; the rest may be empty.
pub fn without_ours(header: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut dropped = false;
    for raw in split(header) {
        if is_our_name(name_of(raw.trim_ascii())) {
            dropped = true;
        } else {
            kept.push(raw);
        }
    }
    dropped.then(|| {
        let joined = kept.join(&b';');
        // The space after a separator belongs to the separator.
        joined.strip_prefix(b" ").map_or(joined.clone(), <[u8]>::to_vec)
    })
}

/// Whether a `Set-Cookie` header of an upstream uses one of our names, or would come back under
/// one: browsers send a cookie without a name as its bare value (RFC 6265bis, "Retrieval
/// Algorithm"), so `=vestibule=x` returns as `vestibule=x`.
pub fn sets_ours(set_cookie: &[u8]) -> bool {
    let mut pair = split(set_cookie).next().unwrap_or(b"").trim_ascii();
    while let Some(value) = pair.strip_prefix(b"=") {
        pair = value.trim_ascii_start();
    }
    is_our_name(name_of(pair))
}

fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(header).map(<[u8]>::trim_ascii)
}

/// The parts of a header between its semicolons, which are searched for many bytes at a time: the
/// cookie of a session has 600 bytes, and each request has it read twice.
fn split(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    from_fn(move || {
        let bytes = rest.take()?;
        match memchr(b';', bytes).and_then(|at| bytes.split_at_checked(at)) {
            None => Some(bytes),
            Some((part, after)) => {
                rest = after.get(1..);
                Some(part)
            }
        }
    })
}

fn name_of(pair: &[u8]) -> &[u8] {
    memchr(b'=', pair).and_then(|at| pair.get(..at)).unwrap_or(pair).trim_ascii_end()
}

/// Both spellings count, whatever the scheme: a cookie of ours is never an application's.
/// `challenge` is too common a name to take from an application over https.
fn is_our_name(name: &[u8]) -> bool {
    // Most cookies are an application's, and few of those begin like ours.
    matches!(name.first(), Some(b'_' | b'b' | b'c' | b'v'))
        && Cookie::ALL.iter().any(|cookie| {
            name == cookie.name(Scheme::Https).as_bytes()
                || (name == cookie.name(Scheme::Http).as_bytes() && *cookie != Cookie::Challenge)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_find(headers: &[&str], expected: Found<'_>) {
        assert_eq!(find(headers.iter().map(|h| h.as_bytes()), "vestibule"), expected, "{headers:?}");
    }

    #[test]
    fn recognises_every_cookie_name() {
        for cookie in Cookie::ALL {
            assert!(is_our_name(cookie.name(Scheme::Https).as_bytes()), "{cookie:?}");
            let is_known = is_our_name(cookie.name(Scheme::Http).as_bytes());
            assert_eq!(is_known, cookie != Cookie::Challenge, "{cookie:?}");
        }
    }

    #[test]
    fn s_27_ignores_duplicate_session_cookies() {
        check_find(&["vestibule=a"], Found::One("a"));
        check_find(&["x=1; vestibule=a; y=2"], Found::One("a"));
        check_find(&["vestibule=a; vestibule=b"], Found::Unclear);
        check_find(&["vestibule=a", "vestibule=a"], Found::Unclear);
        check_find(&["vestibule"], Found::One(""));
        check_find(&["Vestibule=a; xvestibule=b; vestibule2=c"], Found::Nothing);
        check_find(&["x=vestibule=a"], Found::Nothing);
        check_find(&[""], Found::Nothing);
    }

    #[test]
    fn p_16_other_cookies_pass_byte_for_byte() {
        let clean = |header: &str| without_ours(header.as_bytes()).map(|b| String::from_utf8(b).unwrap());
        assert_eq!(clean("a=1; b=2"), None);
        assert_eq!(clean("vestibule=x"), Some(String::new()));
        assert_eq!(clean("a=1; __Host-vestibule=x; b=\"2;\""), Some("a=1; b=\"2;\"".to_owned()));
        assert_eq!(clean("__Host-vestibule=x;b=2 ;  c"), Some("b=2 ;  c".to_owned()));
        assert_eq!(clean("vestibule = x; a=1"), Some("a=1".to_owned()));
        assert_eq!(clean("challenge=app"), None);
    }

    #[test]
    fn s_27_an_upstream_cannot_set_our_cookie() {
        assert!(sets_ours(b"__Host-vestibule=evil; Path=/"));
        assert!(sets_ours(b"vestibule =evil"));
        assert!(!sets_ours(b"sid=__Host-vestibule=evil"));
        assert!(!sets_ours(b"=sid"));
    }

    #[test]
    fn s_27_a_cookie_without_a_name_cannot_come_back_as_ours() {
        for set_cookie in [
            &b"=vestibule=evil"[..],
            b" = vestibule=evil; Path=/",
            b"=\tvestibule\t=evil",
            b"==vestibule=evil",
            b"=vestibule",
            b"vestibule",
            b"=__Host-vestibule=evil",
        ] {
            assert!(sets_ours(set_cookie), "{}", set_cookie.escape_ascii());
        }
    }

    /// One `name=value`, with ours among the names.
    fn pair() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("vestibule".to_owned()),
            Just("__Host-vestibule".to_owned()),
            Just("__Host-vestibule-nonce".to_owned()),
            Just("Vestibule".to_owned()),
            "[a-z_-]{1,6}",
        ];
        (name, "[!-:<-~]{0,6}").prop_map(|(name, value)| format!("{name}={value}"))
    }

    proptest! {
        /// A model of its own: our cookies are gone, and all others are there in their order.
        #[test]
        fn p_16_removes_only_our_cookies(pairs in prop::collection::vec(pair(), 0..8)) {
            let is_ours = |pair: &&String| {
                let name = pair.split('=').next().unwrap_or_default();
                Cookie::ALL.iter().any(|ours| {
                    name == ours.name(Scheme::Http) || name == ours.name(Scheme::Https)
                })
            };
            let header = pairs.join("; ");
            let kept: Vec<_> = pairs.iter().filter(|pair| !is_ours(pair)).cloned().collect();
            match without_ours(header.as_bytes()) {
                None => prop_assert!(!pairs.iter().any(|pair| is_ours(&pair))),
                Some(rest) => prop_assert_eq!(String::from_utf8(rest).unwrap(), kept.join("; ")),
            }
        }

        #[test]
        fn any_header_is_read(header in any::<Vec<u8>>()) {
            let _ = find([header.as_slice()], "vestibule");
            if let Some(rest) = without_ours(&header) {
                prop_assert_eq!(without_ours(&rest), None);
            }
            let _ = sets_ours(&header);
        }
    }
}
