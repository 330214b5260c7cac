//! Names and values of the identity headers that tell an application who the user is.
//!
//! Values are ASCII. A character outside printable ASCII, and `%` itself, is written as the
//! percent-encoded bytes of its UTF-8 form, so that nothing can split a header and nothing is
//! lost. A person who lacks what a template names yields no header, never one with a gap.
//!
//! What does not live here: the `Authorization` header (`credentials.rs`), and the signed assertion
//! (`domain/assertion.rs`), of which this module knows only the further header that carries it.

use http::{HeaderName, HeaderValue};

use crate::domain::attribute::{AttributeValue, Attributes, Definition, Editor};
use crate::domain::user::{Group, User};

/// Pomerium's name for a signed statement about a user, which applications know how to check.
const POMERIUM_ASSERTION: HeaderName = HeaderName::from_static("x-pomerium-jwt-assertion");

/// The headers that a route writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    fields: Vec<(HeaderName, Template)>,
    /// The header for an assertion in another program's form.
    assertion: Option<HeaderName>,
}

/// A header value with placeholders in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Attribute(Attribute),
}

/// The facts that can be told about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attribute {
    Id,
    Username,
    Email,
    Name,
    /// Comma-separated.
    Groups,
    /// Separated by `|`.
    GroupsPiped,
    /// An attribute that the installation defines itself.
    Own(Definition),
}

/// The beginning of a placeholder for an attribute of the installation.
const OWN: &str = "attr.";

impl Attribute {
    fn parse(text: &str, defined: &Attributes) -> Option<Self> {
        if let Some(name) = text.strip_prefix(OWN) {
            return defined.find(name).cloned().map(Self::Own);
        }
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

    /// The text of the attribute; empty where there is none.
    fn of(&self, user: &User) -> String {
        let joined =
            |separator: &str| user.groups.iter().map(Group::as_str).collect::<Vec<_>>().join(separator);
        match self {
            Self::Id => user.id.to_string(),
            Self::Username => user.username.to_string(),
            Self::Email => user.email.to_string(),
            Self::Name => user.display_name.to_string(),
            Self::Groups => joined(","),
            Self::GroupsPiped => joined("|"),
            Self::Own(definition) => definition.value_of(user).map_or("", AttributeValue::as_str).to_owned(),
        }
    }
}

impl Template {
    /// Reads text with `{id}`, `{username}`, `{email}`, `{name}`, `{groups}`, `{groups|}`, or
    /// `{attr.NAME}` for an attribute that is `defined`.
    pub fn parse(text: &str, defined: &Attributes) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once('{') {
            let (name, after) =
                tail.split_once('}').ok_or_else(|| format!("\"{{\" is not closed in {text:?}"))?;
            let attribute = Attribute::parse(name, defined).ok_or_else(|| unknown(name, defined))?;
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

    /// The text for `user`, with what it names written by `write`; `None` where something that it
    /// names is not there.
    fn filled(&self, user: &User, write: impl Fn(&str) -> String) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Attribute(attribute) => {
                    let value = Some(attribute.of(user)).filter(|value| !value.is_empty())?;
                    text.push_str(&write(&value));
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// The text for `user`, in whichever script; `None` where something that it names is not there.
    pub fn text(&self, user: &User) -> Option<String> {
        self.filled(user, str::to_owned)
    }

    /// The header's value for `user`; `None` where something that it names is not there.
    fn value(&self, user: &User) -> Option<HeaderValue> {
        self.filled(user, header_text).and_then(|text| HeaderValue::from_str(&text).ok())
    }

    /// The attributes of the installation that it names.
    fn own_attributes(&self) -> impl Iterator<Item = &Definition> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Attribute(Attribute::Own(definition)) => Some(definition),
            Piece::Attribute(_) | Piece::Literal(_) => None,
        })
    }
}

fn unknown(name: &str, defined: &Attributes) -> String {
    let mut known = "{id}, {username}, {email}, {name}, {groups}, {groups|}".to_owned();
    for definition in &defined.0 {
        known.push_str(", {attr.");
        known.push_str(definition.name.as_str());
        known.push('}');
    }
    format!("unknown placeholder {{{name}}}: there are {known}")
}

impl IdentityHeaders {
    /// The set with this name: `remote`, `oauth2-proxy`, `authelia`, `authentik` or `pomerium`.
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
            "pomerium" => &[
                ("x-pomerium-claim-user", Attribute::Id),
                ("x-pomerium-claim-email", Attribute::Email),
                ("x-pomerium-claim-name", Attribute::Name),
                ("x-pomerium-claim-groups", Attribute::Groups),
            ],
            _ => return None,
        };
        let assertion = (name == "pomerium").then_some(POMERIUM_ASSERTION);
        Some(Self { assertion, ..Self::telling(fields) })
    }

    fn telling(fields: &[(&'static str, Attribute)]) -> Self {
        let field = |(name, attribute): &(&'static str, Attribute)| {
            (HeaderName::from_static(name), Template(vec![Piece::Attribute(attribute.clone())]))
        };
        Self { fields: fields.iter().map(field).collect(), assertion: None }
    }

    /// The headers that oauth2-proxy answers to a proxy that asks.
    pub fn auth_request() -> Self {
        Self::telling(&[
            ("x-auth-request-user", Attribute::Username),
            ("x-auth-request-email", Attribute::Email),
            ("x-auth-request-groups", Attribute::Groups),
            ("x-auth-request-preferred-username", Attribute::Username),
        ])
    }

    /// A set of an operator's own making.
    pub fn custom(fields: Vec<(HeaderName, Template)>) -> Self {
        Self { fields, assertion: None }
    }

    /// The names it may write; all of them are removed from clients' requests.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|(name, _)| name).chain(&self.assertion)
    }

    /// The header for an assertion in Pomerium's form, about the host of the route, if there is
    /// one.
    pub fn pomerium_assertion(&self) -> Option<&HeaderName> {
        self.assertion.as_ref()
    }

    /// The attributes that users set themselves and an application is told, with their headers.
    pub fn said_by_owners(&self) -> impl Iterator<Item = (&HeaderName, &Definition)> {
        let told = self
            .fields
            .iter()
            .flat_map(|(name, template)| template.own_attributes().map(move |definition| (name, definition)));
        told.filter(|(_, definition)| definition.editor == Editor::Owner)
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
    use crate::domain::attribute::AttributeName;
    use crate::domain::user::{DisplayName, Email, Username};

    fn defined() -> Attributes {
        let name = AttributeName::parse("employee_id").unwrap();
        Attributes(vec![Definition { name, title: None, pattern: None, editor: Editor::Administrator }])
    }

    fn zoe() -> User {
        let (username, email) = (Username::parse("zoe").unwrap(), Email::parse("zoe@example.com").unwrap());
        let display_name = DisplayName::parse("Zoë 100%").unwrap();
        User { display_name, ..User::hypothetical(username, email, [].into()).unwrap() }
    }

    #[test]
    fn p_21_encodes_header_separators() {
        assert_eq!(header_text("Zoë"), "Zo%C3%AB");
        assert_eq!(header_text("100%"), "100%25");
        assert_eq!(header_text("a\r\nX-Admin: 1"), "a%0D%0AX-Admin: 1");
    }

    #[test]
    fn reports_mistakes_in_header_templates() {
        let parse = |text| Template::parse(text, &defined());
        for right in ["{username}", "Bearer {id}", "{attr.employee_id}"] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["{user}", "{attr.shoe_size}", "{attr.}", "{employee_id}"] {
            let told = parse(wrong).unwrap_err();
            assert!(told.contains("{username}") && told.contains("{attr.employee_id}"), "{told}");
        }
        for wrong in ["{user", "a\nb", "é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn omits_headers_with_a_missing_value() {
        let template = |text| Template::parse(text, &defined()).unwrap();
        let mut user = zoe();
        for (text, value) in [
            ("{username}", Some("zoe")),
            ("{name}", Some("Zo%C3%AB 100%25")),
            ("plain", Some("plain")),
            ("{groups}", None),
            ("in {groups}", None),
            ("{username}/{attr.employee_id}", None),
        ] {
            let written = template(text).value(&user);
            assert_eq!(written.as_ref().map(|it| it.to_str().unwrap()), value, "{text}");
        }
        assert_eq!(template("{name}").text(&user).as_deref(), Some("Zoë 100%"));
        let value = AttributeValue::parse("AB1").unwrap();
        user.attributes.insert(AttributeName::parse("employee_id").unwrap(), value);
        let written = template("{username}/{attr.employee_id}").value(&user).unwrap();
        assert_eq!(written, "zoe/AB1");
    }

    #[test]
    fn what_users_say_of_themselves_is_known_with_its_header() {
        let definition = |name, editor| {
            let name = AttributeName::parse(name).unwrap();
            Definition { name, title: None, pattern: None, editor }
        };
        let defined =
            Attributes(vec![definition("site", Editor::Administrator), definition("locale", Editor::Owner)]);
        let field = |name, text| (HeaderName::from_static(name), Template::parse(text, &defined).unwrap());
        let headers = IdentityHeaders::custom(vec![
            field("x-user", "{username}"),
            field("x-site", "{attr.site}"),
            field("x-both", "{attr.site} {attr.locale}"),
            field("x-locale", "{attr.locale}"),
        ]);
        let said: Vec<_> =
            headers.said_by_owners().map(|(name, it)| (name.as_str(), it.name.as_str())).collect();
        assert_eq!(said, [("x-both", "locale"), ("x-locale", "locale")]);
    }

    #[test]
    fn pomerium_preset_includes_its_assertion_header() {
        let names = |preset| {
            let headers = IdentityHeaders::preset(preset).unwrap();
            headers.names().map(HeaderName::to_string).collect::<Vec<_>>()
        };
        assert!(names("pomerium").contains(&POMERIUM_ASSERTION.to_string()));
        for other in ["remote", "authelia", "authentik", "oauth2-proxy"] {
            assert!(names(other).iter().all(|name| !name.contains("pomerium")), "{other}");
        }
        assert!(IdentityHeaders::preset("Pomerium").is_none());
    }
}
