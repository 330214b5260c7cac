//! Credentials of a systemd service that does not run yet (systemd.exec(5), `LoadCredential=`).
//!
//! The configuration names the copies below `/run/credentials/`, which exist only while the service
//! runs. `check --as-service` reads the originals instead, whose paths the unit has.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of systemd's copies.
const COPIES: &str = "/run/credentials";
/// A unit is written by hand; anything longer is the wrong file.
const UNIT_BYTES_MAX: u64 = 1 << 20;

/// The path of each copy, and of its original.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Reads a unit and its drop-ins, in the order in which systemd does.
    pub fn of_unit(unit: &Path) -> io::Result<Self> {
        let name = unit.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut found = Self::default();
        found.take_in(name, &read(unit)?);
        for file in drop_ins(unit)? {
            found.take_in(name, &read(&file)?);
        }
        Ok(found)
    }

    /// The file that a copy below `/run/credentials/` was made from, as the unit among `units` says.
    pub fn original_of(copy: &Path, units: &Path) -> Option<PathBuf> {
        let unit = copy.strip_prefix(COPIES).ok()?.iter().next()?;
        let known = Self::of_unit(&units.join(unit)).ok()?;
        known.source_of(copy.to_str()?).map(PathBuf::from)
    }

    fn take_in(&mut self, unit: &str, text: &str) {
        let settings = text.lines().filter_map(|line| line.trim().strip_prefix("LoadCredential="));
        for setting in settings {
            match setting.split_once(':') {
                Some((id, original)) => {
                    self.0.insert(format!("{COPIES}/{unit}/{id}"), original.to_owned());
                }
                // An empty setting takes back all before it; one without a path is searched for by
                // systemd.
                None if setting.is_empty() => self.0.clear(),
                None => {}
            }
        }
    }

    pub(super) fn source_of(&self, copy: &str) -> Option<&str> {
        self.0.get(copy).map(String::as_str)
    }
}

fn drop_ins(unit: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folder = unit.as_os_str().to_owned();
    folder.push(".d");
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?.take(UNIT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_credential_paths_from_unit_and_drop_ins() {
        let folder = tempfile::tempdir().unwrap();
        let unit = folder.path().join("vestibule.service");
        let drop_ins = folder.path().join("vestibule.service.d");
        std::fs::create_dir(&drop_ins).unwrap();
        let text =
            "[Service]\nLoadCredential=tls.pem:/etc/a.pem\n#LoadCredential=no:/x\nLoadCredential=bare\n";
        std::fs::write(&unit, text).unwrap();
        std::fs::write(drop_ins.join("b.conf"), "[Service]\nLoadCredential=tls.pem:/etc/b.pem\n").unwrap();
        std::fs::write(drop_ins.join("z.txt"), "LoadCredential=tls.pem:/etc/z.pem\n").unwrap();
        let found = Credentials::of_unit(&unit).unwrap();
        assert_eq!(found.source_of("/run/credentials/vestibule.service/tls.pem"), Some("/etc/b.pem"));
        assert_eq!(found.source_of("/run/credentials/vestibule.service/no"), None);
        assert_eq!(found.source_of("/run/credentials/other.service/tls.pem"), None);
        let copy = Path::new("/run/credentials/vestibule.service/tls.pem");
        assert_eq!(Credentials::original_of(copy, folder.path()), Some("/etc/b.pem".into()));
        assert_eq!(Credentials::original_of(Path::new("/etc/b.pem"), folder.path()), None);
        let other = Path::new("/run/credentials/other.service/tls.pem");
        assert_eq!(Credentials::original_of(other, folder.path()), None);
        std::fs::write(drop_ins.join("c.conf"), "[Service]\nLoadCredential=\n").unwrap();
        assert_eq!(Credentials::of_unit(&unit).unwrap(), Credentials::default());
        assert!(Credentials::of_unit(&folder.path().join("none.service")).is_err());
    }
}
