//! How long a backup and a restore of 10,000 and of 100,000 users take, and how much memory: a
//! backup is streamed, so ten times as many users take ten times as long and no more memory. Starts
//! are timed as well, because the store reads everything in it once to see that it is whole.
//!
//! ```text
//! cargo bench --bench backups
//! ```
//!
//! Every user has as many bytes as a passkey and two entries of the trail have. What always holds:
//! no figure is printed when a command failed or a record is missing from the backup.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a measurement that cannot go on stops here"
)]

#[path = "support/filling.rs"]
mod filling;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vestibule::ports::Batch;
use vestibule::records;

const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");
const USERS: [u64; 2] = [10_000, 100_000];
/// About as many bytes as the record of a passkey, and as entries of the trail have.
const PASSKEY_BYTES: usize = 700;
const ENTRY_BYTES: usize = 250;
const ENTRIES_A_USER: u64 = 2;
/// How many backups are made after the first one.
const MORE_BACKUPS: usize = 2;
const WAIT_MAX: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(2);

fn main() {
    println!("  users     start   backup    memory of the gateway in MB     restore   memory      size");
    println!("             in s     in s    before  at most  of three        in s    in MB     in MB");
    for users in USERS {
        let lane = Lane::laid(users);
        let (mut gateway, started) = lane.start();
        let before = memory(gateway.id(), "VmRSS:").unwrap();
        // From here on, the peak of its memory is counted anew.
        fs::write(format!("/proc/{}/clear_refs", gateway.id()), "5").unwrap();
        let (backed_up, _) = lane.run("backup", &lane.file());
        let most = memory(gateway.id(), "VmHWM:").unwrap();
        // The first backup fills the store's cache, so later ones show what a backup itself takes.
        for again in 0..MORE_BACKUPS {
            lane.run("backup", &lane.directory.path().join(format!("backup-{again}")));
        }
        let later = memory(gateway.id(), "VmHWM:").unwrap();
        stop(&mut gateway);
        fs::rename(lane.data(), lane.directory.path().join("died")).unwrap();
        let (restored, of_restore) = lane.run("restore", &lane.file());
        let bytes = fs::metadata(lane.file()).unwrap().len();
        let least = users * (PASSKEY_BYTES as u64 + ENTRIES_A_USER * ENTRY_BYTES as u64);
        assert!(bytes > least, "records are missing: {bytes} bytes");
        println!(
            "{users:>7}  {:>8.2} {:>8.2}  {:>8} {:>8} {:>8} {:>11.2} {:>8} {:>9}",
            started.as_secs_f64(),
            backed_up.as_secs_f64(),
            before / 1024,
            most / 1024,
            later / 1024,
            restored.as_secs_f64(),
            of_restore / 1024,
            bytes >> 20,
        );
    }
}

/// A store of its own, and its configuration.
struct Lane {
    directory: TempDir,
    port: u16,
}

impl Lane {
    fn laid(users: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lane = Self { directory, port: free_port() };
        let config = format!(
            "public_url = \"http://localhost:{port}\"\n[server]\nlisten = [\"127.0.0.1:{port}\"]\n\
             metrics_listen = \"127.0.0.1:{}\"\nadmin_socket = \"{}\"\n[store]\npath = \"{}\"\n",
            free_port(),
            lane.data().join("admin.sock").display(),
            lane.data().display(),
            port = lane.port,
        );
        fs::write(lane.directory.path().join("config.toml"), config).unwrap();
        filling::fill(&lane.data(), (0..users).map(belongings));
        lane
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("the.backup")
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.args([word, "--config"]).arg(self.directory.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts a gateway, and says how long it took to listen.
    fn start(&self) -> (Child, Duration) {
        let began = Instant::now();
        let gateway = self.command("serve").spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < WAIT_MAX, "the gateway does not answer");
            std::thread::sleep(LOOK_EVERY);
        }
        (gateway, began.elapsed())
    }

    /// Runs a command on a file: how long it took, and the most kilobytes that it had.
    fn run(&self, word: &str, file: &Path) -> (Duration, u64) {
        let began = Instant::now();
        let mut process = self.command(word).arg(file).spawn().unwrap();
        let mut most = 0;
        loop {
            most = most.max(memory(process.id(), "VmHWM:").unwrap_or(0));
            if let Some(status) = process.try_wait().unwrap() {
                assert!(status.success(), "{word}: {status}");
                return (began.elapsed(), most);
            }
            assert!(began.elapsed() < WAIT_MAX, "{word} does not end");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn stop(gateway: &mut Child) {
    assert!(Command::new("kill").arg(gateway.id().to_string()).status().unwrap().success());
    gateway.wait().unwrap();
}

/// Kilobytes, by a line of `/proc/PID/status`; `None` once the process has ended.
fn memory(process: u32, line: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let found = status.lines().find_map(|it| it.strip_prefix(line))?;
    found.trim().trim_end_matches(" kB").parse().ok()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The records of one user.
fn belongings(number: u64) -> Batch {
    let mut batch = records::create_user(&filling::user(number)).unwrap();
    batch = batch.put(format!("credential/{number:032}").into_bytes(), vec![b'x'; PASSKEY_BYTES]);
    for nth in 0..ENTRIES_A_USER {
        batch = batch.put(format!("bench/{number:016}/{nth}").into_bytes(), vec![b'x'; ENTRY_BYTES]);
    }
    batch
}
