//! What an application is told about the person: names and values of identity headers.
//!
//! Values are ASCII. A character outside printable ASCII, and `%` itself, is written as the
//! percent-encoded bytes of its UTF-8 form, so that nothing can split a header and nothing is
//! lost. A person who lacks an attribute yields no header, never an empty one.

use http::{HeaderName, HeaderValue};

use crate::domain::user::User;

/// Which headers a route writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    fields: Vec<(HeaderName, Template)>,
}

/// A header value with placeholders in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Attribute(Attribute),
}

/// What can be told about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    Id,
    Username,
    Email,
    Name,
    /// Comma-separated.
    Groups,
    /// Separated by `|`.
    GroupsPiped,
}

impl Attribute {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "id" => Self::Id,
            "username" => Self::Username,
            "email" => Self::Email,
            "name" => Self::Name,
            "groups" => Self::Groups,
            "groups|" => Self::GroupsPiped,
            _ => return None,
        })
    }

    fn of(self, user: &User) -> String {
        let joined = |separator: &str| {
            user.groups.iter().map(super::super::user::Group::as_str).collect::<Vec<_>>().join(separator)
        };
        match self {
            Self::Id => user.id.to_string(),
            Self::Username => user.username.to_string(),
            Self::Email => user.email.to_string(),
            Self::Name => user.display_name.to_string(),
            Self::Groups => joined(","),
            Self::GroupsPiped => joined("|"),
        }
    }
}

impl Template {
    /// Reads text with `{id}`, `{username}`, `{email}`, `{name}`, `{groups}` or `{groups|}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once('{') {
            let (name, after) =
                tail.split_once('}').ok_or_else(|| format!("\"{{\" is not closed in {text:?}"))?;
            let attribute = Attribute::parse(name).ok_or_else(|| {
                format!("unknown placeholder {{{name}}}: there are {{id}}, {{username}}, {{email}}, {{name}}, {{groups}}, {{groups|}}")
            })?;
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::Attribute(attribute));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        if text.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
            return Err(format!("{text:?} has a character that a header cannot carry"));
        }
        Ok(Self(pieces))
    }

    /// The value for `user`; `None` when nothing is left to say.
    fn value(&self, user: &User) -> Option<HeaderValue> {
        let text: String = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Attribute(attribute) => header_text(&attribute.of(user)),
            })
            .collect();
        if text.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
    }
}

impl IdentityHeaders {
    /// The set with this name: `remote`, `oauth2-proxy`, `authelia` or `authentik`.
    pub fn preset(name: &str) -> Option<Self> {
        let fields: &[(&'static str, Attribute)] = match name {
            // Authelia's trusted headers are the de-facto default of self-hosted applications.
            "remote" | "authelia" => &[
                ("remote-user", Attribute::Username),
                ("remote-email", Attribute::Email),
                ("remote-name", Attribute::Name),
                ("remote-groups", Attribute::Groups),
            ],
            "oauth2-proxy" => &[
                ("x-forwarded-user", Attribute::Username),
                ("x-forwarded-email", Attribute::Email),
                ("x-forwarded-groups", Attribute::Groups),
                ("x-forwarded-preferred-username", Attribute::Username),
            ],
            "authentik" => &[
                ("x-authentik-username", Attribute::Username),
                ("x-authentik-email", Attribute::Email),
                ("x-authentik-name", Attribute::Name),
                ("x-authentik-groups", Attribute::GroupsPiped),
                ("x-authentik-uid", Attribute::Id),
            ],
            _ => return None,
        };
        let fields = fields
            .iter()
            .map(|(name, attribute)| {
                (HeaderName::from_static(name), Template(vec![Piece::Attribute(*attribute)]))
            })
            .collect();
        Some(Self { fields })
    }

    /// What oauth2-proxy answers a proxy that asks.
    pub fn auth_request() -> Self {
        let fields = [
            ("x-auth-request-user", Attribute::Username),
            ("x-auth-request-email", Attribute::Email),
            ("x-auth-request-groups", Attribute::Groups),
            ("x-auth-request-preferred-username", Attribute::Username),
        ];
        let field =
            |(name, attribute)| (HeaderName::from_static(name), Template(vec![Piece::Attribute(attribute)]));
        Self { fields: fields.map(field).into() }
    }

    /// A set of an operator's own making.
    pub fn custom(fields: Vec<(HeaderName, Template)>) -> Self {
        Self { fields }
    }

    /// The names it may write; all of them are removed from what comes from outside.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|(name, _)| name)
    }

    /// The headers for `user`.
    pub fn of(&self, user: &User) -> Vec<(HeaderName, HeaderValue)> {
        self.fields.iter().filter_map(|(name, t)| Some((name.clone(), t.value(user)?))).collect()
    }
}

/// `text` in printable ASCII, reversibly.
fn header_text(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_21_no_name_can_split_a_header() {
        assert_eq!(header_text("Zoë"), "Zo%C3%AB");
        assert_eq!(header_text("100%"), "100%25");
        assert_eq!(header_text("a\r\nX-Admin: 1"), "a%0D%0AX-Admin: 1");
    }

    #[test]
    fn templates_say_what_is_wrong_with_them() {
        assert!(Template::parse("{username}").is_ok());
        assert!(Template::parse("Bearer {id}").is_ok());
        assert!(Template::parse("{user}").unwrap_err().contains("{username}"));
        assert!(Template::parse("{user").is_err());
        assert!(Template::parse("a\nb").is_err());
    }
}
