//! `vestibule demo`: a gateway with a sample application behind it.
//!
//! What always holds: the gateway runs as it would with a configuration file, and that file is in
//! the data directory, so that every other command works on the demo with `--config`. A temporary
//! data directory is removed at the end.

mod application;
pub(crate) mod banner;

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::arguments::Demo;
use super::{Failure, Outcome, say};
use crate::app::{self, Announcement};
use crate::config::{self, Environment, Settings};
use crate::ports::entropy;
use crate::system::SystemEntropy;
use crate::telemetry::logging;

/// Runs the demo until it is told to stop.
pub(super) fn run(options: &Demo) -> Outcome {
    let data = Data::prepare(options.data.as_deref())?;
    let application = application::start()?;
    let file = data.path().join("config.toml");
    let settings = settings(&file, data.path(), options.listen, application)?;
    logging::start("warn", settings.log.format)?;
    let told = format!("{}", file.display());
    let origin = settings.origin();
    let announce = move |announcement: &Announcement| say(&greeting(&origin, announcement, &told));
    app::serve(settings, None, Box::new(announce))?;
    if let Data::Named(path) = &data {
        say(&format!("The data is kept in {}.", path.display()));
    }
    Ok(())
}

/// The directory of the demo's data.
enum Data {
    Named(PathBuf),
    /// Removed when dropped.
    Temporary(PathBuf),
}

impl Data {
    fn prepare(named: Option<&Path>) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        if let Some(path) = named {
            private.recursive(true).create(path)?;
            return Ok(Self::Named(path.to_path_buf()));
        }
        let number = u64::from_be_bytes(entropy::bytes(&SystemEntropy));
        let path = std::env::temp_dir().join(format!("vestibule-demo-{number:016x}"));
        private.create(&path)?;
        Ok(Self::Temporary(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Temporary(path) => path,
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self {
            // Remaining files lie in the system's directory for temporary files.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Writes the demo's configuration to `file` and reads it back, as `serve` would. Variables of the
/// environment do not count, so that the demo is the same everywhere.
fn settings(
    file: &Path,
    data: &Path,
    listen: SocketAddr,
    application: SocketAddr,
) -> Result<Settings, Failure> {
    std::fs::write(file, configuration(data, listen, application))?;
    config::load(Some(file), &Environment::default())
        .map_err(|mistakes| Failure(format!("the demo cannot run like this\n\n{mistakes}")))
}

fn configuration(data: &Path, listen: SocketAddr, application: SocketAddr) -> String {
    // A JSON string is a TOML string.
    let quoted = |path: PathBuf| serde_json::json!(path.to_string_lossy()).to_string();
    format!(
        "# Written by `vestibule demo` at every start.\n\
         public_url = \"http://localhost:{port}\"\n\n\
         [server]\nlisten = [\"{listen}\"]\nmetrics_listen = \"\"\nadmin_socket = {socket}\n\n\
         [relying_party]\nname = \"Vestibule demo\"\n\n\
         [store]\npath = {store}\n\n\
         [[route]]\nname = \"demo\"\nhost = \"localhost\"\nupstream = [\"http://{application}\"]\nallow = [\"user\"]\n",
        port = listen.port(),
        socket = quoted(data.join("admin.sock")),
        store = quoted(data.join("store")),
    )
}

/// The text that is shown once the gateway answers.
fn greeting(origin: &str, announcement: &Announcement, config: &str) -> String {
    let heading = format!("Vestibule demo: {origin}");
    let first = announcement.setup_link.as_deref();
    let mut lines = vec![heading.as_str(), ""];
    match first {
        Some(link) => {
            lines.extend(["Open this link in a browser on this machine and create a passkey:", "", link]);
        }
        None => lines.extend(["Open it in a browser on this machine and sign in with your passkey."]),
    }
    let more = format!("{} --config {config} invite friend@example.com", this_program());
    lines.extend(["", "Invite another user:", &more, "", "Stop with Ctrl-C."]);
    banner::framed(&lines)
}

/// How to call this program again: as it was called, which after `cargo run` is a path.
fn this_program() -> String {
    std::env::args().next().unwrap_or_else(|| "vestibule".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_the_temporary_directory_and_keeps_a_named_one() {
        let data = Data::prepare(None).unwrap();
        let path = data.path().to_path_buf();
        std::fs::write(path.join("x"), "x").unwrap();
        drop(data);
        assert!(!path.exists());

        let parent = tempfile::tempdir().unwrap();
        let named = parent.path().join("a/b");
        drop(Data::prepare(Some(&named)).unwrap());
        assert!(named.exists());
    }

    #[test]
    fn demo_configuration_has_no_mistakes() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("config.toml");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let settings = settings(&file, data.path(), address(9_999), address(4_321)).unwrap();
        assert_eq!(settings.origin(), "http://localhost:9999");
        assert_eq!(settings.store.path, data.path().join("store"));
        assert_eq!(settings.remarks, Vec::<String>::new());
    }

    #[test]
    fn the_set_up_link_is_shown_while_there_is_one() {
        let link = "http://localhost:8080/auth/enroll#x".to_owned();
        let announce = |setup_link| Announcement { origin: String::new(), setup_link };
        assert!(greeting("o", &announce(Some(link.clone())), "c").contains(&link));
        assert!(greeting("o", &announce(None), "c").contains("sign in"));
    }
}
