//! Records one reading: which keys were asked for, and which mistakes were found.
//!
//! What always holds: reading goes on after a mistake, so that all of them are reported together,
//! and a key or variable that no section asked for is a mistake. `section` does the reading.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::environment::{self, Environment};
use super::mistake::Mistake;
use super::written;
use crate::domain::setting::Setting;

/// The farthest a misspelt key may be from the suggested key.
const SUGGESTION_DISTANCE_MAX: usize = 3;

/// The place of a value, for mistakes about it.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) key: String,
    pub(super) line: Option<usize>,
    /// A file that the configuration leads to; `None`: the configuration itself.
    pub(super) file: Option<Arc<Path>>,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: At,
}

/// One reading of one configuration.
pub(super) struct Reader<'a> {
    /// The ends of lines.
    line_ends: Vec<usize>,
    file: Option<Arc<Path>>,
    environment: &'a Environment,
    mistakes: RefCell<Vec<Mistake>>,
    /// Dotted keys that a section asked for.
    asked: RefCell<BTreeSet<String>>,
    /// Names of variables that can override one of them.
    variables: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<At>>,
    /// The keys and values in the files.
    written: RefCell<Vec<Setting>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &str, environment: &'a Environment) -> Self {
        Self {
            line_ends: text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect(),
            file: None,
            environment,
            mistakes: RefCell::default(),
            asked: RefCell::default(),
            variables: RefCell::default(),
            unknown: RefCell::default(),
            written: RefCell::default(),
        }
    }

    /// A reading of `file`, which the configuration leads to. Its mistakes and keys go back with
    /// [`Self::take_in`].
    pub(super) fn of_file<'b>(&self, file: &Path, text: &'b str) -> Reader<'b>
    where
        'a: 'b,
    {
        Reader { file: Some(file.into()), ..Reader::new(text, self.environment) }
    }

    /// Takes in the mistakes of a file that the configuration leads to.
    pub(super) fn take_in(&self, file: Reader<'_>) {
        file.report_unknown();
        self.written.borrow_mut().append(&mut file.written.borrow_mut());
        self.mistakes.borrow_mut().extend(file.mistakes.into_inner());
    }

    /// Takes note of the keys in a table of `text`, the text that is read.
    pub(super) fn note(&self, text: &str, table: &DeTable<'_>) {
        let said = written::in_table(text, table, self.file.clone(), &|offset| self.line(offset));
        self.written.borrow_mut().extend(said);
    }

    /// The values of the files and the environment, and the defaults of the other keys.
    pub(super) fn written(&self, derived: &[(&str, &str)]) -> Vec<Setting> {
        let asked = self.asked.borrow();
        let overridden = asked.iter().filter_map(|key| {
            let name = environment::variable(key);
            let value = self.environment.value(&name)?.to_owned();
            Some((key.clone(), name, value))
        });
        written::complete(self.written.take(), overridden.collect(), derived)
    }

    /// A place in the text that is read.
    pub(super) fn at(&self, key: impl Into<String>, line: Option<usize>) -> At {
        At { key: key.into(), line, file: self.file.clone() }
    }

    /// Takes note of a mistake about the value found `at`.
    pub(super) fn mistake(&self, at: &At, problem: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake {
            file: at.file.as_deref().map(Path::to_path_buf),
            key: at.key.clone(),
            line: at.line,
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Takes note of a mistake in the TOML itself.
    pub(super) fn syntax(&self, span: Option<Range<usize>>, problem: &str) {
        let at = self.at("TOML", span.map(|span| self.line(span.start)));
        self.mistake(&at, problem, "correct the TOML; texts stand in double quotes");
    }

    /// The path at which the file can be read that the configuration calls `path`.
    pub(super) fn on_disk<'b>(&'b self, path: &'b str) -> &'b str {
        self.environment.on_disk(path)
    }

    /// Takes note that a section asked for a dotted key.
    pub(super) fn ask(&self, key: String) {
        self.asked.borrow_mut().insert(key);
    }

    /// The value of the variable that overrides a dotted key, and its name.
    pub(super) fn overriding(&self, key: &str) -> Option<(&'a str, String)> {
        let name = environment::variable(key);
        self.variables.borrow_mut().insert(name.clone());
        self.environment.value(&name).map(|text| (text, name))
    }

    /// Takes note of a key in the file, to be reported unless a section asked for it.
    pub(super) fn present(&self, at: At) {
        if !self.asked.borrow().contains(&at.key) {
            self.unknown.borrow_mut().push(at);
        }
    }

    /// The mistakes of a document of which only the syntax was read.
    pub(super) fn finish_syntax(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    /// All mistakes, in the order of the file.
    pub(super) fn finish(self) -> Vec<Mistake> {
        self.report_unknown();
        for name in self.environment.names() {
            if !self.variables.borrow().contains(name) {
                let at = self.at(name, None);
                let remedy = "remove the variable, or look its name up in config.toml";
                self.mistake(&at, "no setting has this name", remedy);
            }
        }
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by(|a, b| {
            let place = |it: &Mistake| it.line.unwrap_or(usize::MAX);
            a.file.cmp(&b.file).then(place(a).cmp(&place(b)))
        });
        mistakes
    }

    fn report_unknown(&self) {
        for at in self.unknown.take() {
            let remedy = self.suggestion(&at.key);
            self.mistake(&at, "there is no such key", remedy);
        }
    }

    /// Every key that was asked for, dotted.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Every variable that could have overridden one of them.
    #[cfg(test)]
    pub(super) fn variables(&self) -> BTreeSet<String> {
        self.variables.borrow().clone()
    }

    /// The line of a place in the text, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }

    /// The nearest key in the same table, or the same word in another one.
    fn suggestion(&self, unknown: &str) -> String {
        let split = |key: &str| -> (String, String) {
            key.rsplit_once('.')
                .map_or_else(|| (String::new(), key.to_owned()), |(t, k)| (t.to_owned(), k.to_owned()))
        };
        let (table, word) = split(unknown);
        let asked = self.asked.borrow();
        let keys = || asked.iter().map(|key| split(key));
        let nearest = keys()
            .filter(|(other, _)| *other == table)
            .map(|(_, key)| (distance(&word, &key), key))
            .filter(|(far, key)| *far <= SUGGESTION_DISTANCE_MAX.min(key.len() / 2))
            .min();
        if let Some((_, key)) = nearest {
            return format!("did you mean \"{key}\"?");
        }
        match keys().find(|(_, key)| *key == word) {
            Some((other, _)) if other.is_empty() => {
                format!("\"{word}\" belongs at the top of the file, before the first [table]")
            }
            Some((other, _)) => format!("\"{word}\" belongs in [{other}]"),
            None => "remove the key, or look its name up in config.toml".to_owned(),
        }
    }
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, pair), left_start) in b.chars().zip(row.windows(2)).zip(0..) {
            let (diagonal, above) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
            let left: usize = next.get(left_start).copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_characters() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("listn", "listen", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
