//! The names of people and groups, and how each is read.
//!
//! Each type is parsed once and valid from then on. Letter case never makes two accounts: e-mail
//! addresses and usernames are compared, and stored, in lower case.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// RFC 5321, section 4.5.3.1.3, less the angle brackets.
pub const EMAIL_BYTES_MAX: usize = 254;
/// RFC 5321, section 4.5.3.1.1.
pub const EMAIL_LOCAL_BYTES_MAX: usize = 64;
pub const USERNAME_BYTES_MAX: usize = 64;
/// Display names are shown and sent to authenticators, which may cut at 64 bytes.
pub const DISPLAY_NAME_CHARS_MAX: usize = 200;
/// Usernames that only an operator gives, in lower case.
const RESERVED_USERNAMES: [&str; 12] = [
    "admin",
    "administrator",
    "anonymous",
    "guest",
    "nobody",
    "operator",
    "owner",
    "root",
    "superuser",
    "support",
    "sysadmin",
    "system",
];
pub const GROUP_BYTES_MAX: usize = 64;
pub const GROUPS_MAX: usize = 64;

/// Why a name was not accepted; the text says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedName {
    #[error("an e-mail address has one @, a name before it and a domain after it, in plain ASCII")]
    Email,
    #[error(
        "a username has 1 to 64 characters from a-z, 0-9, '.', '_' and '-', and begins with a letter or digit"
    )]
    Username,
    #[error("a name has 1 to 200 characters, none of them a control character or an invisible one")]
    DisplayName,
    #[error("a user is in at most {GROUPS_MAX} groups")]
    TooManyGroups,
    #[error("a note has at most 1,000 characters, none of them a control character or an invisible one")]
    Note,
    #[error(
        "a reason has 1 to 200 characters on one line, none of them a control character or an invisible one"
    )]
    Reason,
    #[error("a group has 1 to 64 characters from a-z, 0-9, '.', '_', '-' and ':'")]
    Group,
}

/// Implements what every name type has: display, `as_str`, and serde through `parse`.
macro_rules! parsed_name {
    ($name:ident) => {
        impl $name {
            /// The accepted text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedName;

            fn try_from(text: String) -> Result<Self, MalformedName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// An e-mail address in lower case, plain ASCII, with exactly one `@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);
parsed_name!(Email);

impl Email {
    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Accepts `local@domain` where the local part is an RFC 5322 dot-atom and the domain a host
    /// name. Quoted local parts, several `@`, control bytes and non-ASCII are refused: each has
    /// been a way around a domain check somewhere. Plain spaces around it, which people leave, are
    /// taken off; line ends and other blanks are control bytes and non-ASCII like any other.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        let text = text.trim_matches(' ');
        let (local, domain) = text.split_once('@').ok_or(MalformedName::Email)?;
        let ok = text.len() <= EMAIL_BYTES_MAX
            && local.len() <= EMAIL_LOCAL_BYTES_MAX
            && is_dot_atom(local)
            && is_host_name(domain);
        if ok { Ok(Self(text.to_ascii_lowercase())) } else { Err(MalformedName::Email) }
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

fn is_dot_atom(text: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.split('.').all(label)
}

/// A unique short name, as applications see it in `Remote-User`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);
parsed_name!(Username);

impl Username {
    /// Accepts 1 to 64 characters from `a-z 0-9 . _ -`, beginning with a letter or digit; upper
    /// case is folded.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        let lower = text.trim().to_ascii_lowercase();
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        let ok = (1..=USERNAME_BYTES_MAX).contains(&lower.len())
            && lower.bytes().all(allowed)
            && lower.starts_with(|c: char| c.is_ascii_alphanumeric());
        if ok { Ok(Self(lower)) } else { Err(MalformedName::Username) }
    }

    /// Whether applications are known to take it for an account of their own, mostly an
    /// all-powerful one.
    pub fn is_reserved(&self) -> bool {
        RESERVED_USERNAMES.contains(&self.as_str())
    }

    /// The `attempt`-th proposal for the owner of `email`: the local part, then with a number.
    pub fn proposal(email: &Email, attempt: u32) -> Self {
        let mut base: String = email
            .local_part()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
            .take(USERNAME_BYTES_MAX - 8)
            .collect();
        if !base.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            base.insert(0, 'u');
        }
        if attempt > 1 {
            base.push_str(&attempt.to_string());
        }
        Self(base)
    }
}

/// The display name of a person. Any script, no control characters, nothing invisible that changes
/// how the rest is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeptDisplayName", into = "String")]
pub struct DisplayName(String);
parsed_name!(DisplayName);

impl DisplayName {
    /// Accepts 1 to 200 characters after trimming, none of them a control or a format character.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        if is_seen_as_written(text.trim()) {
            KeptDisplayName(text.to_owned()).try_into()
        } else {
            Err(MalformedName::DisplayName)
        }
    }
}

/// A display name as a record has it. Format characters were accepted once, and an account whose name
/// has some must still be readable.
#[derive(Deserialize)]
#[serde(transparent)]
struct KeptDisplayName(String);

impl TryFrom<KeptDisplayName> for DisplayName {
    type Error = MalformedName;

    fn try_from(KeptDisplayName(text): KeptDisplayName) -> Result<Self, MalformedName> {
        let text = text.trim();
        let ok = (1..=DISPLAY_NAME_CHARS_MAX).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        if ok { Ok(Self(text.to_owned())) } else { Err(MalformedName::DisplayName) }
    }
}

/// Whether people see `text` as it is: no control characters, and no format characters, which are
/// not seen and can turn the text around them or make two names look like one. The two joiners are
/// part of emoji and of Persian and Indic names, so each is allowed between two other characters.
pub(super) fn is_seen_as_written(text: &str) -> bool {
    let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let ok = if is_joiner(c) {
            let beside = [before, rest.peek().copied()];
            beside.into_iter().all(|it| it.is_some_and(|it| !is_joiner(it)))
        } else {
            !c.is_control() && !is_format(c)
        };
        if !ok {
            return false;
        }
        before = Some(c);
    }
    true
}

/// Whether `c` is in Unicode's general category Cf, as of Unicode 16.
const fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

impl From<Username> for DisplayName {
    /// A username is always a possible display name.
    fn from(username: Username) -> Self {
        Self(username.0)
    }
}

/// A group that routes can ask for with `group:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Group(String);
parsed_name!(Group);

impl Group {
    /// Accepts 1 to 64 characters from `a-z 0-9 . _ - :`; upper case is folded. A comma would
    /// make two groups of one in `Remote-Groups`, so it is not among them.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        let lower = text.trim().to_ascii_lowercase();
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-' | b':');
        let ok = (1..=GROUP_BYTES_MAX).contains(&lower.len()) && lower.bytes().all(allowed);
        if ok { Ok(Self(lower)) } else { Err(MalformedName::Group) }
    }
}

/// The groups of one person, if there are not too many: all of them go into one header.
pub fn groups_of_one(groups: impl IntoIterator<Item = Group>) -> Result<BTreeSet<Group>, MalformedName> {
    let groups: BTreeSet<_> = groups.into_iter().collect();
    if groups.len() <= GROUPS_MAX { Ok(groups) } else { Err(MalformedName::TooManyGroups) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_lengths() {
        let local = "l".repeat(EMAIL_LOCAL_BYTES_MAX);
        let longest = format!("a@{0}.{0}.{0}.{1}", "d".repeat(63), "d".repeat(60));
        assert_eq!(longest.len(), EMAIL_BYTES_MAX);
        for (text, fits) in [
            (format!("{local}@example.com"), true),
            (format!("{local}l@example.com"), false),
            (longest.clone(), true),
            (format!("{longest}d"), false),
        ] {
            assert_eq!(Email::parse(&text).is_ok(), fits, "{text}");
        }
        let email = Email::parse(&format!("{local}@example.com")).unwrap();
        assert_eq!(Username::proposal(&email, 1).as_str(), "l".repeat(56), "with room for a number");
        let is_reserved = |name| Username::parse(name).unwrap().is_reserved();
        assert!(is_reserved("root") && is_reserved("admin") && !is_reserved("rooted"));
    }

    #[test]
    fn refuses_ambiguous_email_addresses() {
        assert_eq!(Email::parse(" Alice@Example.COM ").unwrap().as_str(), "alice@example.com");
        for wrong in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "a@b@c",
            "\"a@b\"@example.com",
            "a b@example.com",
            "a@exa mple.com",
            "a..b@example.com",
            "a@-example.com",
            "a@example..com",
            "é@example.com",
            "a\r\n@example.com",
            "a@example.com\0",
            "a@example.com\r\n",
            "\ta@example.com",
            "a@example.com\u{a0}",
        ] {
            assert_eq!(Email::parse(wrong), Err(MalformedName::Email), "{wrong:?}");
        }
    }

    #[test]
    fn usernames_are_proposed_from_addresses() {
        let email = Email::parse("+alice+test@example.com").unwrap();
        assert_eq!(Username::proposal(&email, 1).as_str(), "u-alice-test");
        assert_eq!(Username::proposal(&email, 3).as_str(), "u-alice-test3");
        assert!(Username::parse(Username::proposal(&email, 3).as_str()).is_ok());
    }

    #[test]
    fn f_22_refuses_invisible_characters_in_names() {
        let hidden = [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ];
        for wrong in hidden {
            let name = format!("a{wrong}b");
            assert_eq!(DisplayName::parse(&name), Err(MalformedName::DisplayName), "{name:?}");
        }
        for wrong in ["\u{200d}a", "a\u{200d}", "a\u{200c}\u{200d}b", "a\u{200d}\u{200d}b", "\u{200c}"] {
            assert_eq!(DisplayName::parse(wrong), Err(MalformedName::DisplayName), "{wrong:?}");
        }
        // A Persian name, a Sinhala one, a family, and plain ones.
        for right in [
            "\u{645}\u{647}\u{62f}\u{6cc}\u{200c}\u{646}\u{698}\u{627}\u{62f}",
            "\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}",
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "Zo\u{eb} O'Neil",
            "\u{5d3}\u{5e0}\u{5d4}",
        ] {
            assert_eq!(DisplayName::parse(right).unwrap().as_str(), right);
        }
    }

    #[test]
    fn f_22_old_records_stay_readable() {
        let kept = r#""a\u202eb""#;
        let name: DisplayName = serde_json::from_str(kept).unwrap();
        assert_eq!(name.as_str(), "a\u{202e}b");
        assert!(serde_json::from_str::<DisplayName>(r#""a\u0000b""#).is_err());
    }

    #[test]
    fn refuses_separators_in_group_names() {
        assert!(Group::parse("staff,admin").is_err());
        assert_eq!(Group::parse("Staff").unwrap().as_str(), "staff");
    }

    #[test]
    fn limits_groups_per_user() {
        let groups = |count: usize| (0..count).map(|n| Group::parse(&format!("g{n}")).unwrap());
        assert_eq!(groups_of_one(groups(GROUPS_MAX)).unwrap().len(), GROUPS_MAX);
        assert_eq!(groups_of_one(groups(GROUPS_MAX + 1)), Err(MalformedName::TooManyGroups));
    }
}
