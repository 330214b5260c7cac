//! The gateway as a contestant: set up, signed in to with a software passkey, with an access token.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::process::{PROXY_CORE, Running, answers, appears, free_address};

/// One running gateway, with a user who is signed in.
pub struct Gateway {
    pub process: Running,
    pub address: SocketAddr,
    /// Where it speaks TLS, if it does.
    pub tls: Option<SocketAddr>,
    /// The `Cookie` header of the user.
    pub cookie: String,
    /// An `Authorization` header of theirs.
    pub token: String,
}

/// Certificate and key, as files.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub pem: String,
}

impl Gateway {
    /// Starts `binary` in front of `application`, with `rules` as the lines that say who may enter.
    pub async fn start(
        binary: &Path,
        folder: &Path,
        application: SocketAddr,
        rules: &str,
        pair: Option<&Pair>,
    ) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (address, tls) = (free_address(), pair.map(|_| free_address()));
        let file = folder.join("config.toml");
        fs::write(&file, config(folder, address, tls.zip(pair), application, rules)).unwrap();
        let (binary, file) = (binary.to_str().unwrap(), file.to_str().unwrap());
        let process = Running::start(PROXY_CORE, &[binary, "serve", "--config", file]);
        answers("the gateway", address);
        let link = folder.join("data/setup-link");
        let link = appears("the set-up link", || fs::read_to_string(&link).ok());
        let mut browser = Browser::new(tls.unwrap_or(address), pair);
        browser.enrol(link.trim().rsplit_once('#').unwrap().1).await;
        let cookie = browser.cookie();
        let token = token(binary, file);
        Self { process, address, tls, cookie, token }
    }
}

fn config(
    folder: &Path,
    listen: SocketAddr,
    tls: Option<(SocketAddr, &Pair)>,
    application: SocketAddr,
    rules: &str,
) -> String {
    let folder = folder.display();
    let (url, secure, share) = match tls {
        None => (format!("http://localhost:{}", listen.port()), String::new(), ""),
        Some((tls, Pair { cert, key, .. })) => (
            format!("https://localhost:{}", tls.port()),
            format!(
                "[server.tls]\nlisten = [\"{tls}\"]\ncert = \"{}\"\nkey = \"{}\"\n",
                cert.display(),
                key.display()
            ),
            "share_auth_host = true\n",
        ),
    };
    format!(
        "public_url = \"{url}\"\n\
         [server]\nlisten = [\"{listen}\"]\nmetrics_listen = \"\"\nadmin_socket = \"{folder}/admin.sock\"\nworkers = 1\n\
         trusted_proxies = [\"127.0.0.2\"]\n{secure}\
         [limits]\nconnections = 32768\nconnections_per_network = 32768\n\
         [forward_auth]\nenabled = true\n\
         [log]\nlevel = \"error\"\n\
         [store]\npath = \"{folder}/data\"\n\
         [[route]]\nname = \"bench\"\nhost = \"localhost\"\nupstream = [\"http://{application}\"]\n{share}{rules}\n"
    )
}

/// An access token of the user, as an operator makes it.
fn token(binary: &str, file: &str) -> String {
    let made = Command::new(binary)
        .args(["token", "create", "--config", file, "--user", "bench@example.com", "--name", "bench"])
        .args(["--route", "bench", "--expires", "1d", "--json"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    format!("Authorization: Bearer {}", made["token"].as_str().unwrap())
}

/// The parts of a browser that enrolment needs.
struct Browser {
    client: reqwest::Client,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(gateway: SocketAddr, pair: Option<&Pair>) -> Self {
        let mut client = reqwest::Client::builder().no_proxy().resolve("localhost", gateway);
        if let Some(pair) = pair {
            client =
                client.add_root_certificate(reqwest::Certificate::from_pem(pair.pem.as_bytes()).unwrap());
        }
        let scheme = if pair.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://localhost:{}", gateway.port());
        Self { client: client.build().unwrap(), origin, cookies: BTreeMap::new() }
    }

    /// Becomes the first administrator with a software passkey.
    async fn enrol(&mut self, secret: &str) {
        let introduction = json!({ "token": secret, "email": "bench@example.com", "name": "Bench" });
        self.post("invitations/redeem", &introduction).await;
        let options = self.post("passkeys/register/options", &json!({})).await;
        let answer = Authenticator::new(1).create(&options, &self.origin);
        self.post("passkeys/register/verify", &answer).await;
    }

    fn cookie(&self) -> String {
        let session = self.cookies.iter().find(|(name, _)| name.trim_start_matches("__Host-") == "vestibule");
        let (name, value) = session.expect("a session's cookie");
        format!("Cookie: {name}={value}")
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.post(format!("{}/auth/{path}", self.origin));
        let request = request.header("origin", &self.origin).header("sec-fetch-site", "same-origin");
        let reply = request.header("cookie", cookies.join("; ")).json(body).send().await.unwrap();
        self.keep(reply.headers());
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
