//! `[[attribute]]`: what people of this installation can have besides a name and groups.
//!
//! What does not live here: what attributes are (`domain/attribute.rs`), and where they are told.
//!
//! What always holds: each name is defined once, and every pattern can be read.

use std::sync::Arc;

use super::reader::Reader;
use super::relying_party::short_text;
use super::section::Section;
use crate::domain::attribute::{ATTRIBUTES_MAX, AttributeName, Attributes, Definition, Editor, Pattern};

const NAME_REMEDY: &str = "write name = \"employee_id\"";

/// Reads every `[[attribute]]`.
pub(super) fn attributes(root: &Section<'_>, reader: &Reader<'_>) -> Arc<Attributes> {
    let tables = root.tables("attribute");
    if let Some(beyond) = tables.get(ATTRIBUTES_MAX) {
        let problem = format!("there are more than {ATTRIBUTES_MAX} attributes");
        reader.mistake(&beyond.at("name"), problem, "remove attributes that no application uses");
    }
    let mut defined: Vec<Definition> = Vec::new();
    for table in tables {
        let definition = definition(&table, reader);
        table.close();
        let Some(definition) = definition else { continue };
        if defined.iter().any(|other| other.name == definition.name) {
            let problem = "two attributes have this name";
            reader.mistake(&table.at("name"), problem, "give each attribute a name of its own");
        }
        defined.push(definition);
    }
    Arc::new(Attributes(defined))
}

fn definition(table: &Section<'_>, reader: &Reader<'_>) -> Option<Definition> {
    if !table.has("name") {
        reader.mistake(&table.at("name"), "an attribute needs a name", NAME_REMEDY);
    }
    let name = table
        .parsed("name", NAME_REMEDY, |text| AttributeName::parse(text).map_err(|error| error.to_string()));
    let title = table.parsed("title", "write a short name without control characters", short_text);
    let remedy = "write a regular expression for the whole value, such as \"[A-Z]{2}[0-9]{4}\"";
    let pattern = table.parsed("pattern", remedy, |text| {
        Pattern::parse(text).map_err(|error| format!("{text:?} is not a pattern: {error}"))
    });
    let editor = table.parsed("edit", "write \"administrator\" or \"owner\"", |text| match text {
        "administrator" => Ok(Editor::Administrator),
        "owner" => Ok(Editor::Owner),
        _ => Err(format!("unknown value {text:?} for edit")),
    });
    Some(Definition {
        name: name?.value,
        title: title.map(|found| found.value),
        pattern: pattern.map(|found| found.value),
        editor: editor.map_or(Editor::Administrator, |found| found.value),
    })
}
