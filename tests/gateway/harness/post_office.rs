//! A real SMTP server (aiosmtpd), and the messages that it has taken.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No message takes longer, even if its first try failed.
const PATIENCE: Duration = Duration::from_secs(40);
const STEP: Duration = Duration::from_millis(20);

/// The server's mode.
pub enum Mode<'a> {
    Plain,
    /// Certificate and key.
    StartTls(&'a Path, &'a Path),
    Smtps(&'a Path, &'a Path),
    /// Refuses every recipient for good.
    Refuse,
}

/// A running mail server.
pub struct PostOffice {
    child: Child,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl PostOffice {
    /// Listens on `port` of 127.0.0.1 when this returns.
    pub fn open(port: u16, mode: &Mode<'_>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("/usr/bin/python3");
        command.arg(root.join("tests/support/smtp_server.py")).arg(port.to_string());
        match mode {
            Mode::Plain => command.arg("plain"),
            Mode::StartTls(cert, key) => command.arg("starttls").arg(cert).arg(key),
            Mode::Smtps(cert, key) => command.arg("smtps").arg(cert).arg(key),
            Mode::Refuse => command.arg("refuse"),
        };
        let library: PathBuf = root.join("target/tools/aiosmtpd");
        assert!(library.exists(), "aiosmtpd is not there: run tests/run --setup-only");
        let mut child = command
            .env("PYTHONPATH", library)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().expect("the mail server starts").unwrap(), "ready");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let pile = Arc::clone(&taken);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let message: Value = serde_json::from_str(&line).unwrap();
                if !is_of_the_scene(&message) {
                    pile.lock().unwrap().push(message);
                }
            }
        });
        Self { child, taken }
    }

    /// The messages so far.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for the `count`-th message, and returns it.
    pub async fn message(&self, count: usize) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(message) = self.taken().get(count - 1) {
                return message.clone();
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("message {count} has not come; there are {:?}", self.taken());
    }

    /// Waits for the `count`-th message, and returns the code in it.
    pub async fn code(&self, count: usize) -> String {
        code_in(&self.message(count).await)
    }
}

/// Whether a message comes of `make_member`, with which many scenes begin. Tests count later
/// messages.
fn is_of_the_scene(message: &Value) -> bool {
    message["message"].as_str().unwrap().contains("Subject: Your role was changed")
}

/// The code in a message.
pub fn code_in(message: &Value) -> String {
    let text = message["message"].as_str().unwrap();
    let line = text.lines().map(str::trim).find(|line| line.len() == 9 && line.as_bytes()[4] == b'-');
    line.unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
