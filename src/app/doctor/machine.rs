//! Checks of the machine: file modes, room on the disk, backups.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::app::backups;
use crate::app::keys::KEYS_FILE;
use crate::config::{BackupPlan, Engine, Settings};
use crate::domain::time::Timestamp;

/// Room on the disk below which it may soon be full, and below which it counts as full.
const ROOM_SCARCE: u64 = 1 << 30;
const ROOM_MIN: u64 = 64 << 20;
/// How far ahead of the clock a file may be.
const AHEAD_MAX: Duration = Duration::from_mins(5);
/// Files that time services make when they have set the clock.
const SYNCHRONISED: [&str; 3] =
    ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"];
/// Rights of others than the owner.
const OTHERS: u32 = 0o077;
/// How many backups may have been missed before an administrator is to look.
const MISSED_MAX: u32 = 2;

pub(super) fn examine(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    if settings.store.engine == Engine::Memory {
        let remedy = "set store.engine = \"sled\", unless this is a trial";
        return vec![Finding::warning("store", "accounts and passkeys are forgotten at exit", remedy)];
    }
    let path = &settings.store.path;
    vec![
        clock(path, now),
        private(path, "chmod 700"),
        private(&path.join(KEYS_FILE), "chmod 600"),
        room(path),
        backup(settings.backup.as_ref(), now),
    ]
}

/// Whether the clock is likely to be right. A clock that was set back makes sessions and
/// certificates live longer than they should; any wrong clock makes browsers refuse certificates.
fn clock(path: &Path, now: Timestamp) -> Finding {
    const ABOUT: &str = "clock";
    let newest = newest_file(path);
    if let Some((file, at)) = newest.filter(|(_, at)| at.since(now) > AHEAD_MAX) {
        let what = format!("{file} was written at {at}, which is in the future: the clock has been set back");
        return Finding::problem(ABOUT, what, "set the clock, and run a time service");
    }
    if SYNCHRONISED.iter().any(|marker| Path::new(marker).exists()) {
        return Finding::fine(ABOUT, "a time service keeps the clock right");
    }
    let remedy = "install systemd-timesyncd or chrony, unless the host of this machine keeps the time";
    Finding::warning(ABOUT, "nothing on this machine says that the clock is kept right", remedy)
}

/// The file in a directory that was written last, and when.
fn newest_file(directory: &Path) -> Option<(String, Timestamp)> {
    let written = |entry: fs::DirEntry| {
        let since = entry.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let at = Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?);
        Some((entry.path().display().to_string(), at))
    };
    fs::read_dir(directory).ok()?.flatten().filter_map(written).max_by_key(|(_, at)| *at)
}

/// Whether only the owner of a file can read it.
fn private(path: &Path, command: &str) -> Finding {
    const ABOUT: &str = "file";
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & OTHERS == 0 => {
            Finding::fine(ABOUT, format!("only its owner can read {shown}"))
        }
        Ok(_) => {
            let what = format!("{shown} can be read by other users of this machine");
            let remedy = format!(
                "run {command} {shown}; if another user may have read it, rotate the keys with --burn"
            );
            Finding::problem(ABOUT, what, remedy)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::fine(ABOUT, format!("{shown} is made at the first start"))
        }
        Err(error) => Finding::warning(
            ABOUT,
            format!("{shown} cannot be looked at: {error}"),
            "run this as root, or as the user that the gateway runs as",
        ),
    }
}

fn room(path: &Path) -> Finding {
    const ABOUT: &str = "disk";
    // Before the first start, the directory in which it will be made.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(disk) = rustix::fs::statvfs(there) else {
        let what = format!("the free space for {} is not known", path.display());
        return Finding::warning(ABOUT, what, "run this as root");
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!("{} MiB are free for {}", free >> 20, path.display());
    match free {
        ..ROOM_MIN => Finding::problem(ABOUT, what, "make room: without it nothing can be stored"),
        ROOM_MIN..ROOM_SCARCE => Finding::warning(ABOUT, what, "make room soon"),
        _ => Finding::fine(ABOUT, what),
    }
}

fn backup(plan: Option<&BackupPlan>, now: Timestamp) -> Finding {
    const ABOUT: &str = "backup";
    let Some(plan) = plan else {
        let remedy = "set backup.every, and copy the files to another machine; or run `vestibule backup` \
                      from a timer of your own";
        return Finding::warning(ABOUT, "the gateway makes no backups by itself", remedy);
    };
    let shown = plan.directory.display();
    let newest = match backups::newest(&plan.directory) {
        Ok(newest) => newest,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let what = format!("{shown} cannot be looked at: {error}");
            return Finding::warning(
                ABOUT,
                what,
                "run this as root, or as the user that the gateway runs as",
            );
        }
    };
    let Some(made) = newest else {
        let remedy = "wait for the first, or see in the log why there is none";
        return Finding::warning(ABOUT, format!("there is no backup in {shown} yet"), remedy);
    };
    let age = now.since(made);
    let hours = age.as_secs() / Duration::from_hours(1).as_secs();
    let what = format!("the newest backup in {shown} is {hours} hours old");
    if age > plan.every.saturating_mul(MISSED_MAX) {
        return Finding::problem(ABOUT, what, "see in the log why none has been made since");
    }
    Finding::fine(ABOUT, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::Severity;

    #[test]
    fn reports_a_clock_that_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        fs::write(&file, "x").unwrap();
        let (_, written) = newest_file(folder.path()).unwrap();
        assert_ne!(clock(folder.path(), written).weight, Severity::Problem);
        let before = written.minus(AHEAD_MAX + Duration::from_secs(1));
        let found = clock(folder.path(), before);
        assert_eq!(found.weight, Severity::Problem);
        assert!(found.what.contains("keys.json"), "{found:?}");
    }
}
