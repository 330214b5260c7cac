//! The real binary, started, stopped, killed and operated as its operator would.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::clock::Clock;
use super::config::{Config, Placement};
use super::port;
use super::tls::Authority;

/// How long the gateway may take to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");

/// A gateway of the test's own.
pub struct Gateway {
    directory: TempDir,
    config: Config,
    clock: Option<Clock>,
    child: Option<Child>,
    pub port: u16,
    pub tls_port: u16,
    pub metrics_port: u16,
    pub authority: Authority,
}

impl Gateway {
    /// Starts a gateway with the default settings, changed by `arrange`.
    pub async fn start(arrange: impl FnOnce(&mut Config)) -> Self {
        let mut gateway = Self::prepare(arrange);
        gateway.launch().await;
        gateway
    }

    /// Writes the configuration and starts nothing.
    pub fn prepare(arrange: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        arrange(&mut config);
        let directory = TempDir::new().unwrap();
        let gateway = Self {
            clock: config.own_clock.then(|| Clock::right(directory.path())),
            directory,
            config,
            child: None,
            port: port::free(),
            tls_port: port::free(),
            metrics_port: port::free(),
            authority: Authority::new(),
        };
        let text = gateway.config.text(&gateway.placement(), &gateway.authority);
        fs::write(gateway.config_file(), text).unwrap();
        gateway
    }

    fn placement(&self) -> Placement<'_> {
        Placement {
            port: self.port,
            tls_port: self.tls_port,
            metrics_port: self.metrics_port,
            directory: self.directory.path(),
        }
    }

    /// Starts the process and waits until it is ready.
    pub async fn launch(&mut self) {
        self.spawn(&[]);
        self.wait_until_ready().await;
    }

    /// Starts the process, under `wrapper` if there is one, and waits for nothing.
    pub fn spawn(&mut self, wrapper: &[&str]) {
        let clock: Vec<_> = self.clock.iter().flat_map(Clock::words).collect();
        let before = wrapper.iter().copied().chain(clock.iter().map(String::as_str));
        self.spawn_program(&before.chain([BINARY]).collect::<Vec<_>>());
    }

    /// Starts these words, of which the last is a gateway's program, and waits for nothing.
    pub fn spawn_program(&mut self, words: &[&str]) {
        assert!(self.child.is_none(), "the gateway runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--config"])
            .arg(self.config_file())
            .current_dir(self.directory.path())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until `GET {prefix}/ready` says 200.
    pub async fn wait_until_ready(&mut self) {
        // Plain http only redirects once there is TLS; that it answers is enough.
        let https = self.config.https;
        if let Some(status) = self.wait_until(|reply| reply.status() == 200 || https).await {
            panic!("the gateway ended at its start ({status}):\n{}", self.log());
        }
    }

    /// Waits until it answers at all, or has ended. Returns whether it answers.
    pub async fn comes_up(&mut self) -> bool {
        let ended = self.wait_until(|_| true).await;
        if ended.is_some() {
            self.child = None;
        }
        ended.is_none()
    }

    /// Waits until it answers like that, or has ended, and how it then ended.
    async fn wait_until(&mut self, enough: impl Fn(&reqwest::Response) -> bool) -> Option<ExitStatus> {
        let stay = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(stay).build().unwrap();
        let url = format!("http://127.0.0.1:{}/auth/ready", self.port);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let asked = client.get(&url).header("host", self.host_header()).send().await;
            if asked.is_ok_and(|reply| enough(&reply)) {
                return None;
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the gateway is not ready after {PATIENCE:?}:\n{}", self.log());
    }

    fn host_header(&self) -> String {
        format!("{}:{}", self.config.host, self.port)
    }

    /// Where people sign in, as browsers write it.
    pub fn origin(&self) -> String {
        self.config.origin(&self.placement())
    }

    /// The origin of an application's host.
    pub fn origin_of(&self, host: &str) -> String {
        let (scheme, port) = if self.config.https { ("https", self.tls_port) } else { ("http", self.port) };
        format!("{scheme}://{host}:{port}")
    }

    /// An address on the auth host.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    pub fn is_https(&self) -> bool {
        self.config.https
    }

    /// The port that browsers use.
    pub fn public_port(&self) -> u16 {
        if self.config.https { self.tls_port } else { self.port }
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Its output on standard output and standard error, over all its runs.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Waits until its output has these words.
    pub async fn wait_for_log(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "never said {words:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The link that makes the first administrator, from the file only its owner may read.
    pub fn setup_link(&self) -> String {
        let file = self.setup_file();
        let mode = fs::metadata(&file).expect("there is a set-up link").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others can read the set-up link");
        fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// Where the set-up link is while there is one.
    pub fn setup_file(&self) -> PathBuf {
        self.data().join("setup-link")
    }

    /// Changes its configuration file; the gateway is not told.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.config_file()).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "nothing was changed");
        fs::write(self.config_file(), changed).unwrap();
    }

    /// The id of the running process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gateway runs").id()
    }

    /// The clock that it was given (`Config::own_clock`).
    pub fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the gateway has a clock of its own")
    }

    /// Asks it to end, waits until it has, and starts it again over the same data.
    pub async fn restart(&mut self) {
        self.stop();
        self.launch().await;
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.take().unwrap();
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the gateway did not end within {PATIENCE:?} of SIGTERM:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has ended by itself. Returns its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.take().unwrap();
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the gateway did not end by itself:\n{}", self.log());
    }

    /// Ends it as a power button would end a process: at once.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs an operator's command with this gateway's configuration.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.commander()(arguments).output().unwrap()
    }

    /// Makes operators' commands, for a test that cannot hold on to the gateway meanwhile.
    pub fn commander(&self) -> impl Fn(&[&str]) -> Command + Send + use<> {
        let (config, directory) = (self.config_file(), self.directory.path().to_owned());
        move |arguments| {
            let mut command = Command::new(BINARY);
            command.args(arguments).arg("--config").arg(&config).current_dir(&directory).stdin(Stdio::null());
            command
        }
    }

    /// As `cli`, with this on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// As `cli`, for commands that must succeed; returns what they print.
    pub fn operate(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?} failed: {said}{complained}\n{}", self.log());
        said
    }

    /// Invites a person and returns the link.
    pub fn invite(&self, email: &str, options: &[&str]) -> String {
        let said = self.operate(&[&["invite", email], options].concat());
        let link = said.split_whitespace().find(|word| word.contains("/enroll#"));
        link.unwrap_or_else(|| panic!("no link in {said:?}")).to_owned()
    }

    /// A file in its directory, for a test's own use.
    pub fn file(&self, name: &str) -> File {
        File::create(self.directory.path().join(name)).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- what the gateway said ---\n{}", self.log());
        }
    }
}
