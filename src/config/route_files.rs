//! `server.routes_directory`: files with routes beside those of the configuration, for tools that
//! write them.
//!
//! What always holds: a file there has `[[route]]` and nothing else; a mistake in a file is told
//! with its name; the order of routes is that of the files' names.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::read_bounded;
use super::reader::Reader;
use super::section::Section;
use super::settings::Server;

/// No operator has more files than this.
const FILES_MAX: usize = 1_024;

const KEY: &str = "server.routes_directory";
const REMEDY: &str = "write the path of a directory that the gateway can read, with .toml files in it";

/// Reads the key.
pub(super) fn directory(section: &Section<'_>, reader: &Reader<'_>) -> Option<PathBuf> {
    let found = section.parsed("routes_directory", REMEDY, |text| {
        let path = PathBuf::from(reader.on_disk(text));
        match std::fs::read_dir(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(format!("{text:?} cannot be read: {error}")),
        }
    });
    found.map(|found| found.value)
}

/// The name and text of each file, in the order of their names.
pub(super) fn texts(server: &Server, reader: &Reader<'_>) -> Vec<(PathBuf, String)> {
    let Some(directory) = &server.routes_directory else { return Vec::new() };
    let files = match files(directory) {
        Ok(files) => files,
        Err(error) => {
            reader.mistake(&reader.at(KEY, None), format!("it cannot be read: {error}"), REMEDY);
            return Vec::new();
        }
    };
    let read = |file: PathBuf| match read_bounded(&file) {
        Ok(text) => Some((file, text)),
        Err(error) => {
            let problem = format!("{} cannot be read: {error}", file.display());
            reader.mistake(
                &reader.at(KEY, None),
                problem,
                "let the gateway's user read the file, or remove it",
            );
            None
        }
    };
    files.into_iter().filter_map(read).collect()
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        // A file whose name begins with a dot is unfinished, or an editor's.
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("it has more than {FILES_MAX} files")));
        }
    }
    files.sort();
    Ok(files)
}

/// The result of `read` for the text of a file, whose mistakes `within` takes note of.
pub(super) fn in_text<T>(
    within: &Reader<'_>,
    text: &str,
    read: impl FnOnce(&Section<'_>) -> Vec<T>,
) -> Vec<T> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            within.syntax(error.span(), error.message());
        }
        return Vec::new();
    }
    within.note(text, table.get_ref());
    let root = Section::root(within, table.get_ref());
    let found = read(&root);
    root.close();
    found
}
