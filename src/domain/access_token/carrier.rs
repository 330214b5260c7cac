//! How a token travels: as `Authorization: Bearer`, as the password of `Authorization: Basic`, or in
//! `X-Vestibule-Token`.
//!
//! What does not live here: checking the token (`sealed.rs`, `narrowing.rs`).
//!
//! What always holds: a value is ours if and only if it has our prefix where a token may stand, or
//! where a client may have put one by mistake; a value of ours goes no further than here, good or
//! not; and a value that is not ours is neither read nor touched.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::TOKEN_PREFIX;

/// The header that carries a token and nothing else, for applications that want `Authorization` for
/// themselves.
pub const TOKEN_HEADER: &str = "x-vestibule-token";

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// A token that a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    pub text: Cow<'a, str>,
    pub means: Means,
}

/// Whether the program has decided to send the token with this very request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    Deliberate,
    /// Browsers remember a password of `Basic`, and send it along with requests that other pages
    /// cause.
    Ambient,
}

/// The tokens that a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    Nothing,
    One(Shown<'a>),
    /// More than one token, or a token in the wrong place.
    Unclear,
}

/// Looks for a token in the values of `Authorization` and [`TOKEN_HEADER`].
pub fn find<'a>(
    authorization: impl IntoIterator<Item = &'a [u8]>,
    own_header: impl IntoIterator<Item = &'a [u8]>,
) -> Found<'a> {
    let own = own_header.into_iter().map(<[u8]>::trim_ascii).filter(|value| is_prefixed(value));
    let own = own.map(|value| one(Cow::Borrowed(value), Means::Deliberate));
    let mut found = authorization.into_iter().map(read).chain(own).filter(|it| *it != Found::Nothing);
    match (found.next(), found.next()) {
        (None, _) => Found::Nothing,
        (Some(only), None) => only,
        (Some(_), Some(_)) => Found::Unclear,
    }
}

/// Whether a value of `Authorization` has a token of ours in it.
pub fn is_ours(authorization: &[u8]) -> bool {
    read(authorization) != Found::Nothing
}

/// Reads one value of `Authorization`.
fn read(value: &[u8]) -> Found<'_> {
    let value = value.trim_ascii();
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(0);
    let (scheme, rest) = value.split_at(end);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        return read_basic(rest);
    }
    if scheme.eq_ignore_ascii_case(b"bearer") && is_prefixed(rest) {
        return one(Cow::Borrowed(rest), Means::Deliberate);
    }
    // A token under another scheme, under none, or after other text is there by mistake.
    let has_token = is_prefixed(scheme) || rest.split(|byte| b" \t,=\"".contains(byte)).any(is_prefixed);
    if has_token { Found::Unclear } else { Found::Nothing }
}

fn read_basic(encoded: &[u8]) -> Found<'static> {
    let engines = [GeneralPurpose::new(&STANDARD, LENIENT), GeneralPurpose::new(&URL_SAFE, LENIENT)];
    let Some(pair) = engines.iter().find_map(|engine| engine.decode(encoded).ok()) else {
        return Found::Nothing;
    };
    let colon = pair.iter().position(|byte| *byte == b':').unwrap_or(pair.len());
    let (username, password) = pair.split_at(colon);
    let password = password.get(1..).unwrap_or_default();
    if is_prefixed(username) {
        Found::Unclear
    } else if is_prefixed(password) {
        one(Cow::Owned(password.to_vec()), Means::Ambient)
    } else {
        Found::Nothing
    }
}

fn is_prefixed(value: &[u8]) -> bool {
    value.starts_with(TOKEN_PREFIX.as_bytes())
}

fn one(text: Cow<'_, [u8]>, means: Means) -> Found<'_> {
    let text = match text {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.map_or(Found::Unclear, |text| Found::One(Shown { text, means }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], own: &[&str], expected: Option<(&str, Means)>) {
        let found = find(values.iter().map(|it| it.as_bytes()), own.iter().map(|it| it.as_bytes()));
        let expected = expected.map_or(Found::Nothing, |(text, means)| {
            Found::One(Shown { text: text.to_owned().into(), means })
        });
        assert_eq!(found, expected, "{values:?} {own:?}");
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    #[test]
    fn finds_a_token_in_each_carrier() {
        for bearer in ["Bearer vst_a", "bearer vst_a", " BEARER  vst_a ", "Bearer\tvst_a"] {
            check(&[bearer], &[], Some(("vst_a", Means::Deliberate)));
        }
        for pair in ["alice:vst_a", ":vst_a"] {
            check(&[&basic(pair)], &[], Some(("vst_a", Means::Ambient)));
            check(&[basic(pair).trim_end_matches('=')], &[], Some(("vst_a", Means::Ambient)));
        }
        check(&["Bearer theirs"], &["vst_a"], Some(("vst_a", Means::Deliberate)));
    }

    #[test]
    fn ignores_foreign_authorization() {
        for foreign in ["Bearer abc", "", "Bearer", "Basic !!!", "Digest username=\"x\"", "Bearer VST_a"] {
            check(&[foreign], &[], None);
        }
        check(&[&basic("alice:secret"), &basic("alice:x:vst_a")], &["other"], None);
    }

    #[test]
    fn refuses_two_tokens_or_a_misplaced_one() {
        let user = basic("vst_a:x");
        for odd in ["Token vst_a", "Digest token=\"vst_a\"", "Bearer x vst_a", " vst_a x", &user] {
            assert_eq!(find([odd.as_bytes()], []), Found::Unclear, "{odd}");
            assert!(is_ours(odd.as_bytes()), "{odd}");
        }
        for other in ["Basic eDp5", "Bearer abc", "Digest x", ""] {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
        let two = [&b"Bearer vst_a"[..], b"Bearer vst_a"];
        assert_eq!(find(two, []), Found::Unclear);
        assert_eq!(find([&b"Bearer vst_a"[..]], [&b"vst_b"[..]]), Found::Unclear);
        assert_eq!(find([&b"Bearer vst_\xff"[..]], []), Found::Unclear);
    }
}
