//! The machine's clock as one gateway sees it, set by hand while it runs (`faketime`).

use std::fs;
use std::path::{Path, PathBuf};

/// Where a gateway reads how far its clock is from the machine's.
pub struct Clock(PathBuf);

impl Clock {
    /// A clock with the machine's time.
    pub(super) fn right(directory: &Path) -> Self {
        let clock = Self(directory.join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets it this far from the machine's: `+1h`, `-1d`.
    pub fn set(&self, to: &str) {
        // The file is replaced at once, because the gateway reads it whenever it asks for the time.
        let next = self.0.with_extension("next");
        fs::write(&next, to).unwrap();
        fs::rename(next, &self.0).unwrap();
    }

    /// The words before the command of a program that uses this clock.
    pub(super) fn words(&self) -> [String; 5] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.0.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            // Waits are measured by the time since the start, which cannot be set.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }
}

/// The preloaded library; Debian has it in a folder of the architecture.
fn library() -> String {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    let library = found.find(|path| path.exists()).expect("faketime is missing: tests/run installs it");
    library.display().to_string()
}
