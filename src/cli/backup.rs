//! `vestibule backup` and `vestibule restore`.

use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;

use super::arguments::{Backup, Restore};
use super::{Failure, Outcome, say};
use crate::admin::client::{self, CallError};
use crate::admin::{Answer, Request};
use crate::app;
use crate::app::encryption::{Key, Sealing};
use crate::config::Settings;
use crate::records::archive::{Summary, verify};
use crate::store::private_file;

/// Has the gateway behind `socket` write the backup, or reads the store itself where no gateway
/// runs. Only the user who gives the command can read the file.
pub(super) fn back_up(
    socket: &Path,
    settings: impl FnOnce() -> Result<Settings, Failure>,
    arguments: &Backup,
) -> Outcome {
    let file = arguments.file.as_path();
    let sealing = match &arguments.passphrase_file {
        Some(passphrase) => Sealing::with_passphrase_in(passphrase)?,
        None => Sealing::to(arguments.recipients.clone()),
    };
    let summary = match client::fetch_backup(socket) {
        Ok((Answer::BackupFollows, from)) => {
            private_file::write_with(file, |into| keep(from, into, &sealing))?
        }
        Ok((Answer::Refused { reason }, _)) => return Err(Failure(reason)),
        Ok(_) => return Err(Failure("the gateway does not know this command".to_owned())),
        Err(CallError::NotRunning(_)) => app::back_up_offline(&settings()?, file, sealing)?,
        Err(error) => return Err(error.into()),
    };
    say(&told(&summary, arguments.json, "Backed up"));
    Ok(())
}

/// Fills an empty store.
pub(super) fn restore(socket: &Path, settings: &Settings, arguments: &Restore) -> Outcome {
    if client::call(socket, &Request::Health).is_ok() {
        let text = "a gateway is running: stop it before you restore a backup";
        return Err(Failure(text.to_owned()));
    }
    let key = match (&arguments.identity, &arguments.passphrase_file) {
        (Some(file), _) => Key::in_identity_file(file)?,
        (None, Some(file)) => Key::in_passphrase_file(file)?,
        (None, None) => Key::None,
    };
    let summary = app::restore(settings, &arguments.file, &key)?;
    say(&told(&summary, arguments.json, "Restored"));
    Ok(())
}

/// Writes the bytes that come `from` the gateway, and checks them on the way: a backup that was
/// broken off lacks its end, and must not be kept.
fn keep(from: impl Read, into: impl Write, sealing: &Sealing) -> Result<Summary, Failure> {
    let mut copy = Copied { from, into: sealing.begin(into)? };
    let summary = verify(&mut copy)
        .map_err(|error| Failure(format!("the backup was interrupted ({error}): see the gateway's log")))?;
    copy.into.finish()?;
    Ok(summary)
}

/// A reader that also writes all that is read from it.
struct Copied<R, W> {
    from: R,
    into: W,
}

impl<R: Read, W: Write> Read for Copied<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.into.write_all(bytes.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

fn told(summary: &Summary, as_json: bool, done: &str) -> String {
    let Summary { records, bytes, sha256 } = summary;
    let sha256 = sha256.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    if as_json {
        json!({ "records": records, "bytes": bytes, "sha256": sha256 }).to_string()
    } else {
        format!("{done}: {records} records, {bytes} bytes, SHA-256 of the contents {sha256}.")
    }
}
