//! `[backup]`: the backups that the gateway makes on schedule, and who can read them.
//!
//! What does not live here: making, encrypting and removing backups (`app/`).
//!
//! What always holds: a recipient that cannot be read is a mistake, so no backup is written for fewer
//! keys than are named.

use std::path::PathBuf;
use std::time::Duration;

pub use age::x25519::Recipient;

use super::lengths::{Limits, duration};
use super::read_bounded;
use super::reader::Reader;
use super::section::Section;

const EVERY: Duration = Duration::from_hours(24);
const EVERY_LIMITS: Limits = Limits { min: Duration::from_mins(1), max: Duration::from_hours(400 * 24) };
const KEPT: usize = 14;
const KEPT_MAX: usize = 10_000;
/// Each costs a few bytes of every file.
const RECIPIENTS_MAX: usize = 32;
const REMEDY: &str = "write recipients that age-keygen prints, such as [\"age1...\"]";

/// The backups that the gateway makes on schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    pub every: Duration,
    /// How many files stay.
    pub keep: usize,
    pub directory: PathBuf,
    /// The keys that can read them; if empty, every reader of the file can.
    pub recipients: Vec<Recipient>,
}

/// Reads a recipient, as `age-keygen` prints it.
pub fn recipient(text: &str) -> Result<Recipient, String> {
    text.trim().parse().map_err(|why| format!("{text:?} is not a recipient: {why}"))
}

/// Reads the table; `None` where no directory is named.
pub(super) fn backup(root: &Section<'_>, reader: &Reader<'_>) -> Option<BackupPlan> {
    let section = root.table("backup");
    let every = duration(&section, reader, "every", EVERY, EVERY_LIMITS);
    let keep = section.number("keep", KEPT, KEPT_MAX).max(1);
    let directory = section.parsed("directory", "write the path of a directory", |text| {
        if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
    });
    let recipients = section.parsed_list("recipients", REMEDY, recipient).unwrap_or_default();
    let remedy = "write the path of a file with a recipient on each line";
    let in_file = section.parsed("recipient_file", remedy, |text| in_file(reader.on_disk(text)));
    let listed = recipients.into_iter().map(|found| found.value);
    let recipients: Vec<_> = listed.chain(in_file.into_iter().flat_map(|found| found.value)).collect();
    if recipients.len() > RECIPIENTS_MAX {
        let problem = format!("there are more than {RECIPIENTS_MAX} recipients");
        reader.mistake(&section.at("recipients"), problem, "keep the recipients who restore backups");
    }
    section.close();
    directory.map(|found| BackupPlan { every, keep, directory: found.value, recipients })
}

/// The recipients in a file: one a line, and lines that begin with # are comments.
fn in_file(path: &str) -> Result<Vec<Recipient>, String> {
    let text = read_bounded(path.as_ref()).map_err(|error| format!("{path:?} cannot be read: {error}"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let recipients = lines.map(recipient).collect::<Result<Vec<_>, _>>()?;
    if recipients.is_empty() { Err(format!("{path:?} has no recipient in it")) } else { Ok(recipients) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_read_from_a_list_or_a_file() {
        const RIGHT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        assert_eq!(recipient(RIGHT).unwrap().to_string(), RIGHT);
        for wrong in ["", "age1", &RIGHT[..60], &RIGHT.replace('q', "p")] {
            assert!(recipient(wrong).unwrap_err().contains("is not a recipient"), "{wrong}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (text, count) in
            [(format!("# us\n\n {RIGHT} \n{RIGHT}"), Ok(2)), ("# nobody".to_owned(), Err(()))]
        {
            std::fs::write(path, text).unwrap();
            assert_eq!(in_file(path).map(|found| found.len()).map_err(drop), count);
        }
        std::fs::write(path, "age1").unwrap();
        assert!(in_file(path).is_err() && in_file("/no/such/file").is_err());
    }
}
