//! How long a new connection waits while another program takes over (`vestibule upgrade`): with an
//! empty store, and with 10,000 users who have 30,000 sessions.
//!
//! ```text
//! cargo bench --bench restarts
//! ```
//!
//! Clients ask without a pause, each time on a new connection; the longest answer of a round is the
//! pause that users see. Both gateways take turns, so that a machine that grows slower does so for
//! both. What always holds: no figure is printed when a connection was refused or an answer was not
//! 200.
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
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vestibule::ports::Batch;
use vestibule::records;

const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");
const USERS: u64 = 10_000;
const SESSIONS_A_USER: u64 = 3;
const ROUNDS: usize = 10;
const CLIENTS: usize = 8;
/// Requests between two upgrades, so that each round has load before and after.
const REQUESTS_BETWEEN: usize = 400;
const WAIT_MAX: Duration = Duration::from_secs(30);

fn main() {
    let application = application();
    let lanes = [("an empty store", 0), ("10,000 users, 30,000 sessions", USERS)];
    let mut lanes = lanes.map(|(name, users)| (name, Lane::start(application, users), Vec::new()));
    for _ in 0..ROUNDS {
        for (_, lane, pauses) in &mut lanes {
            pauses.push(lane.upgrade_under_load());
        }
    }
    println!(
        "The longest answer to a new connection while another program takes over, in ms ({ROUNDS} rounds):"
    );
    for (name, _, mut pauses) in lanes {
        pauses.sort();
        let ms = |at: usize| pauses.get(at).unwrap().as_secs_f64() * 1000.0;
        println!("  {name:32} median {:6.1}, worst {:6.1}", ms(ROUNDS / 2), ms(ROUNDS - 1));
    }
}

/// A gateway with a store of its own.
struct Lane {
    process: Child,
    directory: TempDir,
    port: u16,
}

impl Lane {
    fn start(application: u16, users: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, metrics, data) = (free_port(), free_port(), directory.path().join("data"));
        let config = format!(
            "public_url = \"http://localhost:{port}\"\n[server]\nlisten = [\"127.0.0.1:{port}\"]\n\
             metrics_listen = \"127.0.0.1:{metrics}\"\nadmin_socket = \"{}\"\n[store]\npath = \"{}\"\n[[route]]\nname = \"app\"\nhost = \"localhost\"\n\
             upstream = [\"http://127.0.0.1:{application}\"]\nallow = [\"user\"]\npublic = [\"/*\"]\n",
            data.join("admin.sock").display(),
            data.display(),
        );
        fs::write(directory.path().join("config.toml"), config).unwrap();
        let mut lane = Self { process: serve(&directory), directory, port };
        lane.wait();
        if users > 0 {
            lane.stop();
            filling::fill(&data, (0..users).map(belongings));
            lane.process = serve(&lane.directory);
            lane.wait();
        }
        lane
    }

    fn wait(&self) {
        let deadline = Instant::now() + WAIT_MAX;
        while !is_answered(self.port) {
            assert!(Instant::now() < deadline, "the gateway does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.process.wait().unwrap();
    }

    /// Has another program take over while clients ask; the longest answer that one of them waited
    /// for.
    fn upgrade_under_load(&self) -> Duration {
        let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| client(self.port, Arc::clone(&done), Arc::clone(&answered))).collect();
        wait_for(&answered, REQUESTS_BETWEEN);
        let upgraded = command(&self.directory, "upgrade").status().unwrap();
        assert!(upgraded.success());
        wait_for(&answered, answered.load(Ordering::Relaxed) + REQUESTS_BETWEEN);
        done.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("every request is answered")).max().unwrap()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(directory: &TempDir, word: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args([word, "--config"]).arg(directory.path().join("config.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn serve(directory: &TempDir) -> Child {
    command(directory, "serve").spawn().unwrap()
}

fn client(port: u16, done: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> JoinHandle<Duration> {
    std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            assert!(is_answered(port), "a request was not answered");
            longest = longest.max(began.elapsed());
            answered.fetch_add(1, Ordering::Relaxed);
        }
        longest
    })
}

fn wait_for(answered: &AtomicUsize, count: usize) {
    let deadline = Instant::now() + WAIT_MAX;
    while answered.load(Ordering::Relaxed) < count {
        assert!(Instant::now() < deadline, "no answers any more");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks once, on a new connection.
fn is_answered(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked =
        connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
    asked.is_ok() && answer.starts_with("HTTP/1.1 200 ")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An application with a short answer; its port.
fn application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    port
}

fn answer(mut connection: TcpStream) {
    let mut seen = Vec::new();
    let mut more = [0; 4096];
    loop {
        match connection.read(&mut more) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(more.get(..count).unwrap()),
        }
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            let said = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
            if said.is_err() {
                return;
            }
        }
    }
}

/// The records of one user.
fn belongings(number: u64) -> Batch {
    let sessions =
        (0..SESSIONS_A_USER).map(|nth| records::put_session(&filling::session(number, nth)).unwrap());
    sessions.fold(records::create_user(&filling::user(number)).unwrap(), Batch::and)
}
