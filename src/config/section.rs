//! Reads one table of a TOML document and the environment, key by key.
//!
//! What always holds: the environment beats the file, and a value of the wrong type is a mistake
//! that says which type is right. The callers decide what a key means.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{At, Found, Reader};

/// Whether variables of the environment can set the keys of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overridable {
    Yes,
    /// Members of a list of tables have no names for variables.
    No,
}

/// One table of the document; all its keys are absent when the table is.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    line: Option<usize>,
    overridable: Overridable,
}

/// The value that was found for a key.
enum Raw<'a> {
    File(&'a DeValue<'a>),
    Environment(&'a str),
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(reader: &'a Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Section { reader, path: String::new(), table: Some(table), line: None, overridable: Overridable::Yes }
    }

    /// Whether `key` was found, in the file or in the environment, whatever its value.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.raw(key).is_some()
    }

    /// Whether `key` is a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &'static str) -> bool {
        match self.raw(key) {
            Some((Raw::File(DeValue::Array(items)), _)) => items.is_empty(),
            Some((Raw::Environment(text), _)) => text.split(',').all(|part| part.trim().is_empty()),
            _ => false,
        }
    }

    /// The place of `key`; the table's own line when it is not there.
    pub(super) fn at(&self, key: &str) -> At {
        let line = self.entry(key).map(|(name, _)| self.reader.line(name.span().start)).or(self.line);
        self.reader.at(self.dotted(key), line)
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<Found<String>> {
        let (raw, at) = self.raw(key)?;
        match raw {
            Raw::Environment(text) => Some(Found { value: text.to_owned(), at }),
            Raw::File(DeValue::String(text)) => Some(Found { value: text.as_ref().to_owned(), at }),
            Raw::File(other) => self.wrong_type(&at, other, "a text", &format!("{key} = \"...\"")),
        }
    }

    /// A list of texts; in the environment, separated by commas.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<Found<String>>> {
        let (raw, at) = self.raw(key)?;
        let example = format!("{key} = [\"...\"]");
        match raw {
            Raw::Environment(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| Found { value: part.to_owned(), at: at.clone() }).collect())
            }
            Raw::File(DeValue::Array(items)) => {
                items.iter().map(|item| self.list_item(&at, item, &example)).collect()
            }
            Raw::File(other) => self.wrong_type(&at, other, "a list of texts", &example),
        }
    }

    fn list_item(&self, at: &At, item: &Spanned<DeValue<'_>>, example: &str) -> Option<Found<String>> {
        let at = self.reader.at(at.key.clone(), Some(self.reader.line(item.span().start)));
        match item.get_ref() {
            DeValue::String(text) => Some(Found { value: text.as_ref().to_owned(), at }),
            other => self.wrong_type(&at, other, "a list of texts", example),
        }
    }

    /// A whole number from 0 to `max`.
    pub(super) fn number(&self, key: &'static str, default: usize, max: usize) -> usize {
        let Some((raw, at)) = self.raw(key) else { return default };
        let read = match raw {
            Raw::Environment(text) => text.parse().ok(),
            Raw::File(DeValue::Integer(digits)) => {
                usize::from_str_radix(digits.as_str(), digits.radix()).ok()
            }
            Raw::File(other) => {
                return self
                    .wrong_type(&at, other, "a number", &format!("{key} = {default}"))
                    .unwrap_or(default);
            }
        };
        read.filter(|number| *number <= max).unwrap_or_else(|| {
            let remedy = format!("write a whole number from 0 to {max}");
            self.reader.mistake(&at, "the number is out of range", remedy);
            default
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some((raw, at)) = self.raw(key) else { return default };
        let read = match raw {
            Raw::Environment(text) => text.parse().ok(),
            Raw::File(DeValue::Boolean(flag)) => Some(*flag),
            Raw::File(_) => None,
        };
        read.unwrap_or_else(|| {
            self.reader.mistake(
                &at,
                "expected true or false",
                format!("write {key} = {default}, without quotes"),
            );
            default
        })
    }

    /// A text that `parse` understands. `remedy` shows how to write it.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        remedy: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<T>> {
        self.understood(self.text(key)?, remedy, parse)
    }

    /// A list of texts, each of which `parse` understands.
    pub(super) fn parsed_list<T>(
        &self,
        key: &'static str,
        remedy: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<Found<T>>> {
        let texts = self.texts(key)?;
        Some(texts.into_iter().filter_map(|text| self.understood(text, remedy, &parse)).collect())
    }

    fn understood<T>(
        &self,
        text: Found<String>,
        remedy: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<T>> {
        match parse(&text.value) {
            Ok(value) => Some(Found { value, at: text.at }),
            Err(problem) => {
                self.reader.mistake(&text.at, problem, remedy);
                None
            }
        }
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &'static str) -> Section<'a> {
        let found = self.file_value(key);
        let table = found.and_then(|(value, at)| match value {
            DeValue::Table(table) => Some(table),
            other => self.wrong_type(&at, other, "a table", &format!("[{}]", self.dotted(key))),
        });
        let line = self.entry(key).map(|(name, _)| self.reader.line(name.span().start)).or(self.line);
        self.section(key, table, line, self.overridable)
    }

    /// A list of tables within this one.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some((value, at)) = self.file_value(key) else { return Vec::new() };
        let example = format!("[[{}]]", self.dotted(key));
        let DeValue::Array(items) = value else {
            return self.wrong_type(&at, value, "a list of tables", &example).unwrap_or_default();
        };
        let section = |item: &'a Spanned<DeValue<'a>>| {
            let line = self.reader.line(item.span().start);
            let at = self.reader.at(self.dotted(key), Some(line));
            match item.get_ref() {
                DeValue::Table(table) => Some(self.section(key, Some(table), Some(line), Overridable::No)),
                other => self.wrong_type(&at, other, "a list of tables", &example),
            }
        };
        items.iter().filter_map(section).collect()
    }

    /// The keys and texts of a table of the operator's own making; `None` unless `key` is a table.
    pub(super) fn dictionary(&self, key: &'static str) -> Option<Vec<(String, Found<String>)>> {
        let DeValue::Table(table) = self.entry(key)?.1.get_ref() else { return None };
        self.ask(key);
        let pair = |(name, value): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let name_text = name.get_ref().as_ref().to_owned();
            let line = Some(self.reader.line(name.span().start));
            let at = self.reader.at(format!("{}.{name_text}", self.dotted(key)), line);
            match value.get_ref() {
                DeValue::String(text) => Some((name_text, Found { value: text.as_ref().to_owned(), at })),
                other => self.wrong_type(&at, other, "a text", &format!("{name_text} = \"{{username}}\"")),
            }
        };
        Some(table.iter().filter_map(pair).collect())
    }

    /// Refuses a key of a later version, if it is there.
    pub(super) fn not_built_yet(&self, key: &'static str, remedy: &str) {
        self.ask(key);
        if self.entry(key).is_some() {
            self.reader.mistake(&self.at(key), "this is not built yet", remedy);
        }
    }

    /// Reports what a key says as a mistake.
    pub(super) fn refuse(&self, key: &'static str, problem: &str, remedy: &str) {
        self.reader.mistake(&self.at(key), problem, remedy);
    }

    /// Reports the keys that were not asked for. It is called last.
    pub(super) fn close(&self) {
        for (name, _) in self.table.into_iter().flatten() {
            self.reader.present(self.at(name.get_ref().as_ref()));
        }
    }

    fn section(
        &self,
        key: &str,
        table: Option<&'a DeTable<'a>>,
        line: Option<usize>,
        overridable: Overridable,
    ) -> Section<'a> {
        let reader = self.reader;
        Section { reader, path: self.dotted(key), table, line, overridable }
    }

    fn raw(&self, key: &'static str) -> Option<(Raw<'a>, At)> {
        let in_file = self.file_value(key);
        if self.overridable == Overridable::Yes
            && let Some((text, name)) = self.reader.overriding(&self.dotted(key))
        {
            return Some((Raw::Environment(text), self.reader.at(name, None)));
        }
        in_file.map(|(value, at)| (Raw::File(value), at))
    }

    fn file_value(&self, key: &'static str) -> Option<(&'a DeValue<'a>, At)> {
        self.ask(key);
        self.entry(key).map(|(_, value)| (value.get_ref(), self.at(key)))
    }

    fn entry(&self, key: &str) -> Option<(&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)> {
        self.table?.iter().find(|(name, _)| name.get_ref().as_ref() == key)
    }

    fn ask(&self, key: &str) {
        self.reader.ask(self.dotted(key));
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong_type<T>(&self, at: &At, found: &DeValue<'_>, expected: &str, example: &str) -> Option<T> {
        let problem = format!("expected {expected}, found {}", type_name(found));
        self.reader.mistake(at, problem, format!("write {example}"));
        None
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
