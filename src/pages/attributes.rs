//! Attributes of people as pages show them: a line to read, or a field to edit.
//!
//! What does not live here: who may edit which (`domain/attribute.rs`), which the API checks again.
//!
//! What always holds: only defined attributes are shown, in the order of the configuration.

use crate::domain::attribute::{AttributeValue, Attributes, Definition, Editor};
use crate::domain::user::User;

/// An attribute of one person.
#[derive(Debug, Clone)]
pub(super) struct AttributeField {
    pub(super) name: String,
    pub(super) title: String,
    /// Empty where there is no value.
    pub(super) value: String,
    is_own: bool,
}

impl AttributeField {
    /// The defined attributes, with the values of `user`.
    pub(super) fn all(defined: &Attributes, user: &User) -> Vec<Self> {
        let field = |definition: &Definition| Self {
            name: definition.name.to_string(),
            title: definition.title().to_owned(),
            value: definition.value_of(user).map_or("", AttributeValue::as_str).to_owned(),
            is_own: definition.editor == Editor::Owner,
        };
        defined.0.iter().map(field).collect()
    }

    /// An attribute that is shown and an attribute that is edited, for tests.
    #[cfg(test)]
    pub(super) fn some(title: &str, value: &str) -> Vec<Self> {
        let field = |name: &str, is_own| Self {
            name: name.to_owned(),
            title: title.to_owned(),
            value: value.to_owned(),
            is_own,
        };
        vec![field("employee_id", false), field("locale", true)]
    }

    /// Whether the person edits it themselves.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether the person sees it and cannot edit it.
    pub(super) fn is_told(&self) -> bool {
        !self.is_own && !self.value.is_empty()
    }
}
