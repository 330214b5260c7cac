//! How far the changes of a store had come, in a file beside it.
//!
//! sled takes a damaged end of its log for a write that a crash cut short, and opens with the state
//! before it: whole, and old. The witness shows that. What always holds: it is written after the
//! change that it counts is durable, so it is never ahead of an undamaged store; and it is not
//! synchronised, since after a power cut an older one does no harm. An unreadable witness says
//! nothing.
//!
//! What does not live here: the count (`tally.rs`).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The file's name.
pub(super) const NAME: &str = "progress";
const FILE_MODE: u32 = 0o600;

/// The file, open for writing.
pub(super) struct Witness(File);

impl Witness {
    /// How many changes the store in `directory` had taken, as far as the witness says.
    pub(super) fn read(directory: &Path) -> io::Result<u64> {
        let text = match fs::read(directory.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let changes = parse(&text);
        if changes.is_none() {
            tracing::warn!(
                "{NAME} beside the database cannot be read: whether its last changes are missing is not known"
            );
        }
        Ok(changes.unwrap_or(0))
    }

    /// Begins to note, with this many changes.
    pub(super) fn begin(directory: &Path, changes: u64) -> io::Result<Self> {
        let path = directory.join(NAME);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        file.set_len(line(changes).len() as u64)?;
        let witness = Self(file);
        witness.note(changes)?;
        Ok(witness)
    }

    /// Notes that this many changes are durable. The line always has the same length, so no disk is
    /// too full for it.
    pub(super) fn note(&self, changes: u64) -> io::Result<()> {
        self.0.write_all_at(line(changes).as_bytes(), 0)
    }
}

/// The line of the file: a number, and a sum that shows whether it is read as it was written.
fn line(changes: u64) -> String {
    let number = format!("{changes:020}");
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(&number).into();
    format!("{number} {:08x}\n", u32::from_be_bytes([a, b, c, d]))
}

fn parse(text: &[u8]) -> Option<u64> {
    let changes = std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()?;
    (line(changes).as_bytes() == text).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witness_roundtrips_and_detects_changes() {
        for changes in [0, 1, 42, u64::MAX] {
            let line = line(changes);
            assert_eq!(parse(line.as_bytes()), Some(changes));
            for at in 0..line.len() {
                for bit in 0..8 {
                    let mut altered = line.clone().into_bytes();
                    altered[at] ^= 1 << bit;
                    assert_eq!(parse(&altered), None, "{}", String::from_utf8_lossy(&altered));
                }
                assert_eq!(parse(&line.as_bytes()[..at]), None);
            }
        }
    }
}
