//! A real certificate authority that speaks ACME: Debian's pebble, and the name server that belongs
//! to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::port;
use super::tls::Authority;

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);
const CLI_KEY_ID: &str = "key-of-the-operator";
/// 32 bytes in base64url.
const CLI_HMAC_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The behaviour of the authority.
pub struct Habits {
    /// Of a hundred good nonces, so many are refused.
    pub refused_nonces: u32,
    /// The longest that a validation is put off, in seconds; 0: not at all.
    pub validation_delay_s: u32,
    /// How long its certificates live, in seconds.
    pub life_s: u64,
    /// Names for which it issues no certificate.
    pub blocked: Vec<String>,
    /// Whether it takes accounts of its own customers only.
    pub customers_only: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            refused_nonces: 0,
            validation_delay_s: 0,
            life_s: 90 * 24 * 3600,
            blocked: Vec::new(),
            customers_only: false,
        }
    }
}

/// An authority with a place of its own, running or not.
pub struct Pebble {
    directory: TempDir,
    port: u16,
    management: u16,
    running: Vec<Child>,
}

impl Pebble {
    pub fn prepare() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.issue(&["localhost".to_owned(), "127.0.0.1".to_owned()], directory.path());
        fs::write(directory.path().join("ca.pem"), authority.certificate()).unwrap();
        Self { directory, port: port::free(), management: port::free(), running: Vec::new() }
    }

    /// Lines for `[server.tls.acme]`.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("directory = \"https://127.0.0.1:{}/dir\"", self.port),
            format!("ca_file = {:?}", self.path("ca.pem")),
        ]
    }

    /// The same with the keys of a customer.
    pub fn lines_of_a_customer(&self) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.path("hmac.key");
        fs::write(&file, format!("{CLI_HMAC_KEY}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut lines = self.lines();
        lines.push(format!("account_key_id = {CLI_KEY_ID:?}"));
        lines.push(format!("account_hmac_key_file = \"{}\"", file.display()));
        lines
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts it without any memory. It validates at these ports of this machine.
    pub async fn start(&mut self, http: u16, tls: u16, habits: &Habits) {
        self.stop();
        let dns = port::free();
        let names = Command::new("/usr/bin/pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns}")])
            .args(["-management", &format!("127.0.0.1:{}", port::free())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv: run tests/run --setup-only");
        self.running.push(names);
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": self.path("cert.pem"),
            "privateKey": self.path("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": habits.customers_only,
            "externalAccountMACKeys": { CLI_KEY_ID: CLI_HMAC_KEY },
            "domainBlocklist": habits.blocked,
            "certificateValidityPeriod": habits.life_s,
        }});
        fs::write(self.path("pebble.json"), config.to_string()).unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut pebble = Command::new("/usr/bin/pebble");
        pebble
            .arg("-config")
            .arg(self.path("pebble.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_WFE_NONCEREJECT", habits.refused_nonces.to_string())
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        match habits.validation_delay_s {
            0 => pebble.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => pebble.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        self.running.push(pebble.spawn().expect("pebble: run tests/run --setup-only"));
        let deadline = Instant::now() + PATIENCE;
        while self.try_root().await.is_none() {
            assert!(Instant::now() < deadline, "pebble does not start:\n{}", self.log());
            tokio::time::sleep(STEP).await;
        }
    }

    /// Its root certificate, in PEM, which browsers would trust. Each start makes another one.
    pub async fn root(&self) -> String {
        self.try_root().await.expect("pebble runs")
    }

    async fn try_root(&self) -> Option<String> {
        let ca = fs::read(self.path("ca.pem")).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .add_root_certificate(reqwest::Certificate::from_pem(&ca).unwrap())
            .build()
            .unwrap();
        let reply = client.get(format!("https://127.0.0.1:{}/roots/0", self.management)).send().await.ok()?;
        reply.text().await.ok()
    }

    /// Its output over all its runs.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    pub fn stop(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- what pebble said ---\n{}", self.log());
        }
    }
}
