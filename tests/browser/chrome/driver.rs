//! chromedriver or geckodriver: one process a test, and the sessions it opens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::window::Window;

/// How long one command may take: a page load on a busy machine.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// How long a browser may take to end.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// Tests of one process that have a browser at the same time.
const AT_ONCE_MAX: usize = 2;

static SLOTS: Semaphore = Semaphore::const_new(AT_ONCE_MAX);

/// The settings of a browser, beyond those that all have in common.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Cookies are blocked everywhere.
    pub cookies_blocked: bool,
}

/// chromedriver, and the home of the browsers it starts.
pub struct Chrome {
    driver: Arc<Driver>,
}

/// geckodriver, and the home of the browsers it starts.
pub struct Firefox {
    driver: Arc<Driver>,
}

/// Where `tests/run` puts geckodriver.
const GECKODRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/geckodriver");
const FIREFOX: &str = "/usr/bin/firefox-esr";

impl Firefox {
    /// Starts geckodriver on a port that it chooses.
    pub async fn start() -> Self {
        let slot = SLOTS.acquire().await.unwrap();
        let home = TempDir::new().unwrap();
        let mut command = Command::new(GECKODRIVER);
        command.args(["--port", "0", "--binary", FIREFOX]);
        Self { driver: Arc::new(Driver::start(command, home, slot, "Listening on 127.0.0.1:")) }
    }

    /// Opens a browser of its own, with no cookies and no passkeys. It believes this authority:
    /// Firefox makes no passkeys where the user has waved a certificate through.
    pub async fn window(&self, trusted: Option<&str>) -> Window {
        let profile = TempDir::new_in(self.driver.home.path()).unwrap().keep();
        certutil(&profile, &["-N", "--empty-password"]);
        if let Some(certificate) = trusted {
            let file = profile.join("authority.pem");
            std::fs::write(&file, certificate).unwrap();
            certutil(&profile, &["-A", "-n", "tests", "-t", "C,,", "-i", file.to_str().unwrap()]);
        }
        let profile = profile.display().to_string();
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "firefox",
            "moz:firefoxOptions": {
                "args": ["-headless", "-width", "1280", "-height", "900", "-profile", profile],
                "prefs": {
                    "security.webauth.webauthn_enable_softtoken": true,
                    "security.webauth.webauthn_enable_usbtoken": false,
                    "intl.accept_languages": "en-GB",
                    // The tests' own names are looked up, and no others.
                    "network.dns.localDomains": FIREFOX_HOSTS.join(","),
                    "network.proxy.type": 0,
                },
            },
        }}});
        let opened = self.driver.command("POST", "session", &capabilities).await;
        let opened = opened.unwrap_or_else(|error| panic!("no browser: {error}"));
        let id = opened["sessionId"].as_str().unwrap().to_owned();
        let process = opened["capabilities"]["moz:processID"].as_u64();
        Window::new(Arc::clone(&self.driver), id, process)
    }
}

/// The hosts that Firefox finds on this machine.
const FIREFOX_HOSTS: [&str; 4] =
    ["auth.example.test", "one.example.test", "two.example.test", "app.localhost"];

pub(super) struct Driver {
    child: Child,
    // chromedriver writes on; a closed pipe would end it.
    _stdout: BufReader<ChildStdout>,
    port: u16,
    home: TempDir,
    client: reqwest::Client,
    _slot: SemaphorePermit<'static>,
}

impl Chrome {
    /// Starts chromedriver on a port that it chooses.
    pub async fn start() -> Self {
        let slot = SLOTS.acquire().await.unwrap();
        let home = TempDir::new().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        Self { driver: Arc::new(Driver::start(command, home, slot, "successfully on port ")) }
    }

    /// Makes every browser started from now on believe this authority.
    pub fn trust(&self, certificate: &str) {
        let home = self.driver.home.path();
        let database = home.join(".pki/nssdb");
        std::fs::create_dir_all(&database).unwrap();
        let file = home.join("authority.pem");
        std::fs::write(&file, certificate).unwrap();
        certutil(&database, &["-N", "--empty-password"]);
        certutil(&database, &["-A", "-n", "tests", "-t", "C,,", "-i", file.to_str().unwrap()]);
    }

    /// Opens a browser of its own, with no cookies and no passkeys.
    pub async fn window(&self) -> Window {
        self.window_with(&Profile::default()).await
    }

    pub async fn window_with(&self, profile: &Profile) -> Window {
        let data = TempDir::new_in(self.driver.home.path()).unwrap().keep();
        let capabilities = capabilities(&data, profile);
        let opened = self.driver.command("POST", "session", &capabilities).await;
        let opened = opened.unwrap_or_else(|error| panic!("no browser: {error}"));
        let id = opened["sessionId"].as_str().unwrap().to_owned();
        Window::new(Arc::clone(&self.driver), id, None)
    }
}

impl Driver {
    /// Starts a driver, which says after `announcement` on which port it listens.
    fn start(
        mut command: Command,
        home: TempDir,
        slot: SemaphorePermit<'static>,
        announcement: &str,
    ) -> Self {
        let mut child = command
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a driver is missing: `tests/run --setup-only` installs it");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let port = announced_port(&mut stdout, announcement);
        let client = reqwest::Client::builder().no_proxy().timeout(COMMAND_PATIENCE).build().unwrap();
        Self { child, _stdout: stdout, port, home, client, _slot: slot }
    }

    /// Sends one command; its value, or the words of its error.
    pub(super) async fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let mut request = self.client.request(method.parse().unwrap(), url);
        if method == "POST" {
            request = request.json(body);
        }
        let reply = request.send().await.map_err(|error| format!("{method} {path}: {error}"))?;
        let mut answer: Value = reply.json().await.map_err(|error| format!("{method} {path}: {error}"))?;
        let value = answer["value"].take();
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            let message = value["message"].as_str().unwrap_or_default();
            return Err(format!("{error}: {}", message.lines().next().unwrap_or_default()));
        }
        Ok(value)
    }

    /// Ends a browser, from where nothing can be awaited.
    pub(super) fn end(&self, session: &str) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let _ = stream.set_read_timeout(Some(END_PATIENCE));
        // geckodriver refuses a host without its port, and then leaves the browser running.
        let head = format!(
            "DELETE /session/{session} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            self.port
        );
        if stream.write_all(head.as_bytes()).is_ok() {
            // The answer comes when the browser has ended.
            let _ = stream.read(&mut [0; 1024]);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn announced_port(stdout: &mut BufReader<ChildStdout>, announcement: &str) -> u16 {
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        let told = line.trim_end().trim_end_matches('.').rsplit_once(announcement);
        if let Some((_, port)) = told {
            return port.parse().unwrap();
        }
        line.clear();
    }
    panic!("the driver did not start")
}

fn certutil(database: &Path, arguments: &[&str]) {
    let output = Command::new("certutil")
        .arg("-d")
        .arg(format!("sql:{}", database.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("certutil is missing: `tests/run --setup-only` installs libnss3-tools");
    assert!(output.status.success(), "certutil: {}", String::from_utf8_lossy(&output.stderr));
}

fn capabilities(data: &Path, profile: &Profile) -> Value {
    let mut preferences = json!({ "credentials_enable_service": false });
    if profile.cookies_blocked {
        preferences["profile.default_content_setting_values.cookies"] = json!(2);
    }
    let directory = format!("--user-data-dir={}", data.display());
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--disable-extensions",
                "--no-proxy-server", "--window-size=1280,900", "--lang=en-GB", directory,
                // The tests' own names have an address, and no others.
                "--host-resolver-rules=MAP *.example.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
            ],
            "prefs": preferences,
        },
    }}})
}
