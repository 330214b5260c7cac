//! Files that only the gateway's user can read: signing keys and the set-up link.
//!
//! What always holds: a file has mode 0600 from the moment it has a name, and after a crash it is
//! there whole, old or new.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A longer file is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Mode bits that let others read or write.
const OTHERS: u32 = 0o077;

/// Writes `content` to `path`, durably, replacing what was there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// The same with the bytes that `write_into` writes; returns its result. If it fails, nothing is
/// left of them, and the old file stays.
pub fn write_with<T, E: From<io::Error>>(
    path: &Path,
    write_into: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = Path::new(&name);
    // A crash may have left a half-written file.
    remove(fresh)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    // The umask may have removed more bits, but never added any.
    file.set_permissions(Permissions::from_mode(0o600))?;
    let written = write_into(&mut file).and_then(|said| Ok(file.sync_all().map(|()| said)?));
    let said = written.inspect_err(|_| {
        let _ = fs::remove_file(fresh);
    })?;
    fs::rename(fresh, path)?;
    File::open(directory)?.sync_all()?;
    Ok(said)
}

/// Reads `path`; `None` if there is no such file. A file that others can read is refused: its
/// content is a secret no longer.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        let text = format!(
            "{} can be read by others: run chmod 600 on it, and rotate the secrets in it",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Removes `path` if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_file_has_mode_0600() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
