//! Attributes of people that an installation defines itself: an employee number, a locale.
//!
//! What does not live here: telling applications (`policy/identity.rs`), rules that read attributes
//! (`policy/datalog.rs`), and changes (`flows/`).
//!
//! What always holds: a value counts only where a definition in force accepts it, so that a
//! stricter pattern holds for older values as well; and an attribute that owners may edit is never
//! taken for an attribute that an administrator has set.

use std::collections::BTreeMap;
use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::names::is_seen_as_written;
use super::user::User;

/// The most definitions of one installation.
pub const ATTRIBUTES_MAX: usize = 16;
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 32;
pub const ATTRIBUTE_CHARS_MAX: usize = 200;
/// The largest pattern, compiled, in bytes.
const PATTERN_SIZE_MAX: usize = 256 * 1024;

/// Why an attribute was not accepted; the text says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeRefusal {
    #[error(
        "an attribute's name has 1 to {ATTRIBUTE_NAME_BYTES_MAX} characters from a-z, 0-9 and '_', and begins with a letter"
    )]
    Name,
    #[error(
        "an attribute has 1 to {ATTRIBUTE_CHARS_MAX} characters, none of them a control character or an invisible one"
    )]
    Value,
    #[error("no attribute is called {0:?} here")]
    Unknown(AttributeName),
    #[error("only administrators can change {0}")]
    NotTheOwners(String),
    #[error("{title} has to match the pattern {pattern}")]
    Unfit { title: String, pattern: String },
}

/// The name of an attribute in the configuration, in records and in APIs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeName(String);

/// The value of an attribute of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeValue(String);

impl AttributeName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, AttributeRefusal> {
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let ok = (1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(rest);
        if ok { Ok(Self(text.to_owned())) } else { Err(AttributeRefusal::Name) }
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AttributeValue {
    /// Reads a value; white space around it is taken off.
    pub fn parse(text: &str) -> Result<Self, AttributeRefusal> {
        let text = text.trim();
        let ok = (1..=ATTRIBUTE_CHARS_MAX).contains(&text.chars().count()) && is_seen_as_written(text);
        if ok { Ok(Self(text.to_owned())) } else { Err(AttributeRefusal::Value) }
    }

    /// The accepted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AttributeName {
    type Error = AttributeRefusal;

    fn try_from(text: String) -> Result<Self, AttributeRefusal> {
        Self::parse(&text)
    }
}

impl From<AttributeName> for String {
    fn from(name: AttributeName) -> Self {
        name.0
    }
}

impl TryFrom<String> for AttributeValue {
    type Error = AttributeRefusal;

    fn try_from(text: String) -> Result<Self, AttributeRefusal> {
        Self::parse(&text)
    }
}

impl From<AttributeValue> for String {
    fn from(value: AttributeValue) -> Self {
        value.0
    }
}

/// Changes of a person's attributes; `None` takes an attribute away.
pub type AttributeEdits = BTreeMap<AttributeName, Option<AttributeValue>>;

/// Makes `edits` in a person's attributes.
pub fn edit(said: &mut BTreeMap<AttributeName, AttributeValue>, edits: &AttributeEdits) {
    for (name, value) in edits {
        match value {
            Some(value) => said.insert(name.clone(), value.clone()),
            None => said.remove(name),
        };
    }
}

/// Reads edits as programs write them: `null` or an empty text takes an attribute away.
pub fn edits_in(written: &BTreeMap<String, Option<String>>) -> Result<AttributeEdits, AttributeRefusal> {
    let read = |(name, value): (&String, &Option<String>)| {
        let value = value.as_deref().filter(|value| !value.trim().is_empty());
        Ok((AttributeName::parse(name)?, value.map(AttributeValue::parse).transpose()?))
    };
    written.iter().map(read).collect()
}

/// The people who may set an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editor {
    Administrator,
    /// The person themselves, and administrators.
    Owner,
}

/// The pattern that a whole value must match.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a regular expression, which has to fit the whole value.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The pattern is read on its own first, because an unbalanced group could close the group
        // around it.
        Regex::new(text).map_err(|error| error.to_string())?;
        let whole = RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(PATTERN_SIZE_MAX).build();
        whole.map(Self).map_err(|error| error.to_string())
    }

    fn fits(&self, value: &AttributeValue) -> bool {
        self.0.is_match(&value.0)
    }

    /// As it was written.
    fn as_written(&self) -> &str {
        let whole = self.0.as_str();
        whole.strip_prefix(r"\A(?:").and_then(|rest| rest.strip_suffix(r")\z")).unwrap_or(whole)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// An attribute that people of this installation can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub name: AttributeName,
    /// The title for people; the name where there is none.
    pub title: Option<String>,
    pub pattern: Option<Pattern>,
    pub editor: Editor,
}

impl Definition {
    /// The title for people.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(self.name.as_str())
    }

    /// The value that `user` has, if the definition accepts it.
    pub fn value_of<'u>(&self, user: &'u User) -> Option<&'u AttributeValue> {
        user.attributes.get(&self.name).filter(|value| self.accepts(value))
    }

    fn accepts(&self, value: &AttributeValue) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.fits(value))
    }
}

/// The attributes that are defined, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(pub Vec<Definition>);

impl Attributes {
    /// The definition with this name.
    pub fn find(&self, name: &str) -> Option<&Definition> {
        self.0.iter().find(|definition| definition.name.as_str() == name)
    }

    /// The attributes that owners may set.
    pub fn of_owners(&self) -> impl Iterator<Item = &Definition> {
        self.0.iter().filter(|definition| definition.editor == Editor::Owner)
    }

    /// Whether `by` may make these changes. An administrator may take away an attribute that is no
    /// longer defined.
    pub fn check(&self, edits: &AttributeEdits, by: Editor) -> Result<(), AttributeRefusal> {
        edits.iter().try_for_each(|(name, value)| self.check_one(name, value.as_ref(), by))
    }

    fn check_one(
        &self,
        name: &AttributeName,
        value: Option<&AttributeValue>,
        by: Editor,
    ) -> Result<(), AttributeRefusal> {
        let Some(definition) = self.find(name.as_str()) else {
            let is_cleared = value.is_none() && by == Editor::Administrator;
            return if is_cleared { Ok(()) } else { Err(AttributeRefusal::Unknown(name.clone())) };
        };
        let title = definition.title().to_owned();
        if by == Editor::Owner && definition.editor == Editor::Administrator {
            return Err(AttributeRefusal::NotTheOwners(title));
        }
        match &definition.pattern {
            Some(pattern) if value.is_some_and(|value| !pattern.fits(value)) => {
                Err(AttributeRefusal::Unfit { title, pattern: pattern.as_written().to_owned() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::{Email, Username};

    fn name(text: &str) -> AttributeName {
        AttributeName::parse(text).unwrap()
    }

    fn value(text: &str) -> AttributeValue {
        AttributeValue::parse(text).unwrap()
    }

    fn defined() -> Attributes {
        let pattern = Some(Pattern::parse("[A-Z]{2}[0-9]+|none").unwrap());
        let number = Definition {
            name: name("employee_id"),
            title: Some("Employee number".to_owned()),
            pattern,
            editor: Editor::Administrator,
        };
        let locale = Definition { name: name("locale"), title: None, pattern: None, editor: Editor::Owner };
        Attributes(vec![number, locale])
    }

    fn saying(what: &str, said: Option<&str>) -> AttributeEdits {
        [(name(what), said.map(value))].into()
    }

    #[test]
    fn names_and_values_are_read_strictly() {
        for wrong in ["", "Employee", "1st", "_x", "a-b", "a.b", &"x".repeat(33)] {
            assert_eq!(AttributeName::parse(wrong), Err(AttributeRefusal::Name), "{wrong:?}");
        }
        for wrong in ["", "  ", "a\nb", "a\u{202e}b", &"x".repeat(201)] {
            assert_eq!(AttributeValue::parse(wrong), Err(AttributeRefusal::Value), "{wrong:?}");
        }
        assert_eq!(value(" Zoë ").as_str(), "Zoë");
        assert!(serde_json::from_str::<AttributeName>("\"A\"").is_err());
        assert!(serde_json::from_str::<AttributeValue>("\"\"").is_err());
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let written = |pairs: &[(&str, Option<&str>)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
            edits_in(&pairs.collect())
        };
        let edits = written(&[("a", Some("1")), ("b", None), ("c", Some("  ")), ("d", None)]).unwrap();
        assert_eq!(
            edits,
            [(name("a"), Some(value("1"))), (name("b"), None), (name("c"), None), (name("d"), None)].into()
        );
        let said = |pairs: &[(&str, &str)]| -> BTreeMap<_, _> {
            pairs.iter().map(|(what, text)| (name(what), value(text))).collect()
        };
        let mut person = said(&[("a", "0"), ("b", "2"), ("c", "3"), ("e", "5")]);
        edit(&mut person, &edits);
        assert_eq!(person, said(&[("a", "1"), ("e", "5")]));
        assert_eq!(written(&[("A", None)]), Err(AttributeRefusal::Name));
        assert_eq!(written(&[("a", Some("a\nb"))]), Err(AttributeRefusal::Value));
    }

    #[test]
    fn what_is_defined_is_told_as_it_was_written() {
        let defined = defined();
        let owners: Vec<_> = defined.of_owners().map(|it| it.name.to_string()).collect();
        assert_eq!(owners, ["locale"]);
        let unfit = defined.check(&saying("employee_id", Some("12")), Editor::Administrator);
        let (title, pattern) = ("Employee number".to_owned(), "[A-Z]{2}[0-9]+|none".to_owned());
        assert_eq!(unfit, Err(AttributeRefusal::Unfit { title, pattern }));
        let pattern = |text| Pattern::parse(text).unwrap();
        assert!(pattern("a|b") == pattern("a|b") && pattern("a|b") != pattern("b|a"));
        assert_eq!(serde_json::to_string(&name("site")).unwrap(), "\"site\"");
        assert_eq!(serde_json::to_string(&value("Zoë")).unwrap(), "\"Zoë\"");
    }

    #[test]
    fn a_pattern_fits_the_whole_value() {
        let defined = defined();
        for (said, fits) in
            [("AB12", true), ("none", true), ("AB12x", false), ("xAB12", false), ("nonex", false)]
        {
            let answer = defined.check(&saying("employee_id", Some(said)), Editor::Administrator);
            assert_eq!(answer.is_ok(), fits, "{said}: {answer:?}");
        }
        assert!(Pattern::parse("a)|(?:b").is_err(), "it would end the group that anchors it");
        assert!(Pattern::parse("(x{1000}){1000}").is_err(), "it would cost too much");
    }

    #[test]
    fn owners_edit_only_owner_attributes() {
        let defined = defined();
        let check = |what, said, by| defined.check(&saying(what, said), by);
        assert_eq!(check("locale", Some("de"), Editor::Owner), Ok(()));
        assert_eq!(check("locale", Some("de"), Editor::Administrator), Ok(()));
        assert_eq!(check("employee_id", Some("AB1"), Editor::Administrator), Ok(()));
        let theirs = Err(AttributeRefusal::NotTheOwners("Employee number".to_owned()));
        assert_eq!(check("employee_id", Some("AB1"), Editor::Owner), theirs);
        assert_eq!(check("employee_id", None, Editor::Owner), theirs);
        for by in [Editor::Owner, Editor::Administrator] {
            assert_eq!(check("shoe_size", Some("44"), by), Err(AttributeRefusal::Unknown(name("shoe_size"))));
        }
        assert_eq!(check("shoe_size", None, Editor::Administrator), Ok(()), "it is not defined any more");
        assert!(check("shoe_size", None, Editor::Owner).is_err());
    }

    #[test]
    fn ignores_values_that_no_longer_match_the_pattern() {
        let (username, email) = (Username::parse("alice").unwrap(), Email::parse("a@example.com").unwrap());
        let mut user = User::hypothetical(username, email, [].into()).unwrap();
        user.attributes.insert(name("employee_id"), value("AB12"));
        let defined = defined();
        let number = defined.find("employee_id").unwrap();
        assert_eq!(number.value_of(&user), Some(&value("AB12")));
        user.attributes.insert(name("employee_id"), value("12"));
        assert_eq!(number.value_of(&user), None);
        assert_eq!(defined.find("locale").unwrap().value_of(&user), None);
    }
}
