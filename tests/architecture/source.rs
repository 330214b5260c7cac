//! Rust source, read just closely enough to ask which modules and which libraries a file names.
//!
//! What lives here: finding the files, a tokenizer that leaves out comments and strings, and
//! `paths_of`, every `a::b::c` that a file names, with `use` trees written out and `self` and
//! `super` resolved. What does not: any rule. What always holds: text in comments, strings and
//! character literals names nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One file of the repository.
pub(crate) struct Source {
    /// From the repository's root, such as `src/flows/commit.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A path that a file names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// `crate::a::b`, also written with `self` and `super`.
    Ours(Vec<String>),
    /// A path whose head is not one of our modules: a library, or something brought into scope.
    Theirs(Vec<String>),
}

/// A path and the line it stands on.
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) named: Named,
}

impl Source {
    /// The module this file is: `src/flows/commit.rs` is `["flows", "commit"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        inner.split('/').filter(|part| !["lib", "main"].contains(part)).map(str::to_owned).collect()
    }

    /// The room of the house: the first module below the crate, or `lib` and `main`.
    pub(crate) fn room(&self) -> String {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs").to_owned()
    }
}

/// Every Rust file of ours below `folder`, in a fixed order.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| Source {
            path: file.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&file).unwrap(),
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.ends_with("node_modules") {
            // Code of others has other rules.
        } else if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A word, or one punctuation character.
#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts source into words and punctuation, without comments, strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest)).or_else(|| character(rest));
        let taken = skipped.unwrap_or_else(|| {
            let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let taken = if word == 0 { first.len_utf8() } else { word };
            if !first.is_whitespace() {
                found.push(Token { text: rest[..taken].to_owned(), line });
            }
            taken
        });
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    found
}

/// The length of the comment that `rest` begins with.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, _) in rest.char_indices() {
        if rest[at..].starts_with("/*") {
            depth += 1;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
        }
        if depth == 0 && at > 0 {
            return Some(at + 2);
        }
    }
    Some(rest.len())
}

/// The length of the string literal that `rest` begins with: plain, raw, of bytes or of C.
fn string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let (body, raw) = body.strip_prefix('r').map_or((body, false), |body| (body, true));
    if rest.len() - body.len() > 2 {
        return None;
    }
    let hashes = if raw { body.len() - body.trim_start_matches('#').len() } else { 0 };
    let inner = body[hashes..].strip_prefix('"')?;
    let start = rest.len() - inner.len();
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(start + inner.find(&end).map_or(inner.len(), |at| at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The length of the character literal that `rest` begins with. A lifetime is not one.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("b'").or_else(|| rest.strip_prefix('\''))?;
    let start = rest.len() - body.len();
    if let Some(escape) = body.strip_prefix('\\') {
        let after = escape.chars().next().map_or(0, char::len_utf8);
        return escape[after..].find('\'').map(|end| start + 1 + after + end + 1);
    }
    let first = body.chars().next()?.len_utf8();
    body[first..].starts_with('\'').then_some(start + first + 1)
}

/// Every path that `source` names.
pub(crate) fn paths_of(source: &Source) -> Vec<Mention> {
    let tokens = tokens(&source.text);
    let mut reader =
        Reader { tokens: &tokens, at: 0, module: source.module(), open: Vec::new(), found: vec![] };
    reader.read();
    let ours = names_of_ours(&reader.found, &tokens);
    reader.found.into_iter().filter_map(|raw| raw.resolve(&ours)).collect()
}

/// A path as it was written, and where.
struct Raw {
    line: usize,
    /// Where the modules begin that `self` and `super` are counted from.
    module: Vec<String>,
    segments: Vec<String>,
    /// Written with a leading `::`, so it can only be a library.
    absolute: bool,
    imported: bool,
}

impl Raw {
    fn resolve(self, ours: &BTreeSet<String>) -> Option<Mention> {
        let Self { line, mut module, segments, absolute, .. } = self;
        let head = segments.first()?.clone();
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let named = match head.as_str() {
            "crate" => Named::Ours(segments[1..].to_vec()),
            "self" | "Self" => return None,
            "super" => {
                module.truncate(module.len().saturating_sub(supers));
                module.extend_from_slice(&segments[supers..]);
                Named::Ours(module)
            }
            _ if !absolute && ours.contains(&head) => return None,
            _ => Named::Theirs(segments),
        };
        Some(Mention { line, named })
    }
}

/// Names that stand for something of ours in this file: modules it declares, and what it imports
/// from our own modules. A library of the same name is not meant by them.
fn names_of_ours(found: &[Raw], tokens: &[Token]) -> BTreeSet<String> {
    let declared = tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.clone());
    let imported = found
        .iter()
        .filter(|raw| raw.imported && ["crate", "self", "super"].contains(&raw.segments[0].as_str()))
        .filter_map(|raw| raw.segments.last().cloned());
    declared.chain(imported).collect()
}

/// Words that may stand before a path and are no part of one.
const KEYWORDS: &[&str] = &[
    "as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "move", "mut", "ref",
    "return", "static", "type", "unsafe", "where", "while",
];

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module we are in, inline ones included.
    module: Vec<String>,
    /// Open braces, and whether each one is a module's.
    open: Vec<bool>,
    found: Vec<Raw>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    fn is_separator(&self, ahead: usize) -> bool {
        self.text(ahead) == ":" && self.text(ahead + 1) == ":"
    }

    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                "mod" if self.text(2) == "{" => {
                    self.module.push(self.text(1).to_owned());
                    self.open.push(true);
                    self.at += 3;
                }
                "{" => {
                    self.open.push(false);
                    self.at += 1;
                }
                "}" => {
                    if self.open.pop() == Some(true) {
                        self.module.pop();
                    }
                    self.at += 1;
                }
                // `impl Trait + use<'a>` is not an import.
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    self.tree(&[], false);
                }
                // So that `as ::sled::Tree` is not a path that begins with `as`.
                word if KEYWORDS.contains(&word) => self.at += 1,
                _ => self.expression(),
            }
        }
    }

    /// One branch of a `use`: a path, then its end, a group or a new name.
    fn tree(&mut self, before: &[String], absolute: bool) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut segments = before.to_vec();
        let mut absolute = absolute;
        loop {
            if self.is_separator(0) {
                absolute |= segments.is_empty();
                self.at += 2;
            } else if self.text(0) == "{" {
                self.group(&segments, absolute);
                return;
            } else if self.text(0) == "as" {
                self.keep(line, segments.clone(), absolute, true);
                segments.push(self.text(1).to_owned());
                self.at += 2;
                break;
            } else if self.text(0).starts_with(is_word) || self.text(0) == "*" {
                segments.push(self.text(0).to_owned());
                self.at += 1;
            } else {
                break;
            }
        }
        self.keep(line, segments, absolute, true);
    }

    fn group(&mut self, before: &[String], absolute: bool) {
        self.at += 1;
        while !["}", ""].contains(&self.text(0)) {
            self.tree(before, absolute);
            if self.text(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// A path outside of `use`, or one token that is none.
    fn expression(&mut self) {
        let line = self.tokens[self.at].line;
        let leading = self.is_separator(0);
        let before = |back: usize| self.at.checked_sub(back).map_or("", |at| self.tokens[at].text.as_str());
        let after_dot = before(1) == ".";
        // `Vec::<u8>::new` goes on after a type; `-> ::sled::Db` begins a path.
        let follows_type = before(1) == ">" && !["-", "="].contains(&before(2));
        let absolute = leading && !follows_type;
        let mut ahead = if leading { 2 } else { 0 };
        let mut segments = Vec::new();
        while self.text(ahead).starts_with(is_word) {
            segments.push(self.text(ahead).to_owned());
            ahead += 1;
            if !self.is_separator(ahead) {
                break;
            }
            ahead += 2;
        }
        if segments.is_empty() || (leading && !absolute) {
            self.at += ahead.max(1);
            return;
        }
        // `path::<T>` and `path::{..}` end on a separator; what follows is read on its own.
        self.at += ahead;
        let alone = segments.len() == 1 && !absolute && !self.ended_on_separator();
        if !alone && !after_dot {
            self.keep(line, segments, absolute, false);
        }
    }

    fn ended_on_separator(&self) -> bool {
        self.at >= 2 && self.tokens[self.at - 1].text == ":" && self.tokens[self.at - 2].text == ":"
    }

    fn keep(&mut self, line: usize, segments: Vec<String>, absolute: bool, imported: bool) {
        if !segments.is_empty() {
            self.found.push(Raw { line, module: self.module.clone(), segments, absolute, imported });
        }
    }
}

/// Lines of each file, by path.
pub(crate) fn line_counts(sources: &[Source]) -> BTreeMap<&str, usize> {
    sources.iter().map(|source| (source.path.as_str(), source.text.lines().count())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `text`, standing in `src/flows/admit.rs`, names: `crate::..` for ours, as is for theirs.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let source = Source { path: "src/flows/admit.rs".to_owned(), text: text.to_owned() };
        let named: Vec<String> = paths_of(&source)
            .into_iter()
            .map(|mention| match mention.named {
                Named::Ours(path) => format!("crate::{}", path.join("::")),
                Named::Theirs(path) => path.join("::"),
            })
            .collect();
        assert_eq!(named, expected, "{text}");
    }

    #[test]
    fn a_use_tree_is_written_out() {
        check(
            "use crate::{web::guard, store::{self, memory::Memory as M}};",
            &[
                "crate::web::guard",
                "crate::store::self",
                "crate::store::memory::Memory",
                "crate::store::memory::Memory::M",
            ],
        );
        check("use {crate::web, ::sled::Db};", &["crate::web", "sled::Db"]);
    }

    #[test]
    fn super_is_counted_from_where_it_stands() {
        check("use super::super::web::X;", &["crate::web::X"]);
        check(
            "mod tests { use super::super::X; fn f() {} } use super::Y;",
            &["crate::flows::X", "crate::flows::Y"],
        );
    }

    #[test]
    fn a_path_in_code_counts() {
        check("fn f() -> Vec<sled::Db> { crate::web::guard::<u8>() }", &["sled::Db", "crate::web::guard"]);
        check("pub(crate) fn f(x: &str) { x.parse::<u8>() }", &[]);
        check("let x = <T as ::sled::Tree>::get(1);", &["sled::Tree"]);
        check("fn f() -> ::sled::Db { Vec::<u8>::new() }", &["sled::Db", "Vec"]);
        check("#[derive(askama::Template)]", &["askama::Template"]);
    }

    #[test]
    fn local_module_is_not_the_crate_of_that_name() {
        check("pub mod sled; pub use sled::Store;", &[]);
        check("use crate::store::sled; fn f() { sled::open() }", &["crate::store::sled"]);
        check("use crate::store::sled; use ::sled::Db;", &["crate::store::sled", "sled::Db"]);
    }

    #[test]
    fn comments_and_strings_are_not_paths() {
        check("/// crate::web\n/* sled::Db /* nested */ sled::Db */ fn f<'a>(c: char) { c == '\"' }", &[]);
        check(
            "let x = (\"crate::web \\\" sled::Db\", r#\"sled::\"Db\"#, b\"sled::Db\", b'\\'', '\\u{41}');",
            &[],
        );
    }
}
