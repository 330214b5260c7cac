//! How much signing in costs: the gateway with a valid session beside nginx without any
//! authentication, and beside nginx that asks a responder on each request (`auth_request`).
//!
//! ```text
//! sudo apt-get install -y nginx-light wrk
//! cargo bench --bench forward_auth                    # the release profile
//! cargo bench --bench forward_auth --profile dist     # as packaged
//! ```
//!
//! Everything is on this machine and ends by itself. The proxy under test has the first core to itself;
//! wrk and the application (another nginx) share the second. The three take turns within each round,
//! so that a machine that grows slower does so for all, and medians are compared. Absolute figures
//! belong to one machine and one hour; the ratios are the result.
//!
//! What always holds: no figure is printed for answers that were not all 200, and before measuring,
//! each proxy is seen to tell the application who the visitor is, or that it tells nobody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on stops here"
)]

#[path = "../tests/support/authenticator.rs"]
mod authenticator;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use authenticator::Authenticator;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const ROUNDS: usize = 5;
const ROUND_S: u32 = 5;
const WARM_UP_S: u32 = 2;
const CONNECTIONS: u32 = 32;
const PROXY_CORE: &str = "0";
const LOAD_CORE: &str = "1";
const START_WAIT_MAX: Duration = Duration::from_secs(20);
/// Clock ticks a second in /proc/PID/stat, the same on every Linux that Rust's std supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(core: &str, command: &[&str]) -> Self {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["-c", core])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(pinned.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Processor time used so far, in seconds.
    fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

/// One way to the application.
struct Lane<'a> {
    name: &'static str,
    process: &'a Running,
    address: SocketAddr,
    headers: Vec<String>,
    /// Who the application must be told it is.
    expected_user: Option<&'static str>,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    requests_per_s: f64,
    p99_us: f64,
    cpu_us: f64,
}

fn main() {
    require_tools();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{}", runtime.block_on(measure()));
}

fn require_tools() {
    for (tool, package) in [("wrk", "wrk"), ("nginx", "nginx-light"), ("taskset", "util-linux")] {
        let there = ["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(tool).exists());
        assert!(there, "{tool} is missing: sudo apt-get install -y {package}");
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(cores >= 2, "two cores are needed, one for the proxy and one for the load; there is {cores}");
}

async fn measure() -> String {
    let folder = tempfile::tempdir().unwrap();
    let [application, plain, asking, responder, gateway] = free_addresses();
    let upstream_conf = folder.path().join("application.conf");
    fs::write(&upstream_conf, nginx(folder.path(), "application", &application_server(application))).unwrap();
    let proxies_conf = folder.path().join("proxies.conf");
    let proxies = proxy_servers(application, plain, asking, responder);
    fs::write(&proxies_conf, nginx(folder.path(), "proxies", &proxies)).unwrap();
    let gateway_conf = folder.path().join("config.toml");
    fs::write(&gateway_conf, gateway_config(folder.path(), gateway, application)).unwrap();

    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let _application = Running::start(LOAD_CORE, &["/usr/sbin/nginx", "-c", &path(&upstream_conf)]);
    let nginx = Running::start(PROXY_CORE, &["/usr/sbin/nginx", "-c", &path(&proxies_conf)]);
    let vestibule = Running::start(
        PROXY_CORE,
        &[env!("CARGO_BIN_EXE_vestibule"), "serve", "--config", &path(&gateway_conf)],
    );
    for address in [application, plain, asking, gateway] {
        answers(address).await;
    }
    let cookie = sign_in(gateway, &folder.path().join("data/setup-link")).await;

    let lane = |name, process, address, headers, expected_user| Lane {
        name,
        process,
        address,
        headers,
        expected_user,
        rounds: Vec::new(),
    };
    let host = format!("Host: localhost:{}", gateway.port());
    let mut lanes = [
        lane("nginx, no authentication", &nginx, plain, vec![], None),
        lane("nginx, auth_request to a 204", &nginx, asking, vec![], Some("nobody")),
        lane("vestibule, signed in", &vestibule, gateway, vec![host, cookie], Some("bench")),
    ];
    for lane in &lanes {
        verify(lane).await;
        wrk(lane, WARM_UP_S);
    }
    for round in 1..=ROUNDS {
        for lane in &mut lanes {
            let measured = wrk(lane, ROUND_S);
            eprintln!("round {round}/{ROUNDS}: {:<30} {:>8.0} req/s", lane.name, measured.requests_per_s);
            lane.rounds.push(measured);
        }
    }
    table(&lanes)
}

/// Addresses that nobody listens on.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// One nginx process that stays in the foreground, so that its processor time can be read.
fn nginx(folder: &Path, name: &str, servers: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;\n\
         client_body_temp_path {folder}/{name}-1; proxy_temp_path {folder}/{name}-2;\n\
         fastcgi_temp_path {folder}/{name}-3; uwsgi_temp_path {folder}/{name}-4; scgi_temp_path {folder}/{name}-5;\n\
         {servers}\n}}\n"
    )
}

/// Says 100 bytes, and in a header whom it takes the visitor for.
fn application_server(listen: SocketAddr) -> String {
    let body = "x".repeat(100);
    format!(
        "server {{ listen {listen}; location / {{ add_header X-Seen-User $http_remote_user; return 200 \"{body}\"; }} }}"
    )
}

fn proxy_servers(
    application: SocketAddr,
    plain: SocketAddr,
    asking: SocketAddr,
    responder: SocketAddr,
) -> String {
    let forward = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;";
    format!(
        "upstream application {{ server {application}; keepalive 64; keepalive_requests 1000000000; }}\n\
         upstream responder {{ server {responder}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen {plain}; location / {{ {forward} proxy_pass http://application; }} }}\n\
         server {{ listen {responder}; location / {{ add_header Remote-User nobody; return 204; }} }}\n\
         server {{ listen {asking};\n\
         location = /check {{ internal; {forward} proxy_pass_request_body off; proxy_set_header Content-Length \"\";\n\
         proxy_pass http://responder; }}\n\
         location / {{ auth_request /check; auth_request_set $user $upstream_http_remote_user;\n\
         {forward} proxy_set_header Remote-User $user; proxy_pass http://application; }} }}"
    )
}

fn gateway_config(folder: &Path, listen: SocketAddr, application: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "public_url = \"http://localhost:{}\"\n\
         [server]\nlisten = [\"{listen}\"]\nmetrics_listen = \"\"\nadmin_socket = \"{folder}/admin.sock\"\nworkers = 1\n\
         [store]\npath = \"{folder}/data\"\n\
         [[route]]\nname = \"bench\"\nhost = \"localhost\"\nupstream = [\"http://{application}\"]\nallow = [\"user\"]\n",
        listen.port()
    )
}

async fn answers(address: SocketAddr) {
    let deadline = Instant::now() + START_WAIT_MAX;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody answers on {address}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The content of a file that is about to be written, whole, by its one writer.
async fn appears(file: &Path) -> String {
    let deadline = Instant::now() + START_WAIT_MAX;
    loop {
        match fs::read_to_string(file) {
            Ok(content) => return content,
            Err(error) => assert!(Instant::now() < deadline, "{}: {error}", file.display()),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Becomes the first administrator with a software passkey, and returns the `Cookie` header.
async fn sign_in(gateway: SocketAddr, link: &Path) -> String {
    let mut browser = Browser::new(gateway);
    let link = appears(link).await;
    let secret = link.trim().rsplit_once('#').unwrap().1;
    let introduction = json!({ "token": secret, "email": "bench@example.com", "name": "Bench" });
    browser.post("invitations/redeem", &introduction).await;
    let options = browser.post("passkeys/register/options", &json!({})).await;
    let answer = Authenticator::new(1).create(&options, &browser.origin);
    browser.post("passkeys/register/verify", &answer).await;
    format!("Cookie: vestibule={}", browser.cookies["vestibule"])
}

/// As much of a browser as enrolment takes.
struct Browser {
    client: reqwest::Client,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(gateway: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().resolve("localhost", gateway).build().unwrap();
        Self { client, origin: format!("http://localhost:{}", gateway.port()), cookies: BTreeMap::new() }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = self
            .client
            .post(format!("{}/auth/{path}", self.origin))
            .header("origin", &self.origin)
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookies.join("; "))
            .json(body)
            .send()
            .await
            .unwrap();
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

/// Asks once, and a second time without saying who is asking.
async fn verify(lane: &Lane<'_>) {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = format!("http://{}/", lane.address);
    let mut asked = client.get(&url);
    for header in &lane.headers {
        let (name, value) = header.split_once(": ").unwrap();
        asked = asked.header(name, value);
    }
    let reply = asked.send().await.unwrap();
    assert_eq!(reply.status(), 200, "{}", lane.name);
    let seen = reply.headers().get("x-seen-user").map(HeaderValue::as_bytes);
    assert_eq!(seen, lane.expected_user.map(str::as_bytes), "{}", lane.name);
    if let Some(host) = lane.headers.iter().find_map(|header| header.strip_prefix("Host: ")) {
        let reply = client.get(&url).header("host", host).send().await.unwrap();
        assert_eq!(reply.status(), 401, "{}: a stranger came in", lane.name);
    }
}

fn wrk(lane: &Lane<'_>, seconds: u32) -> Round {
    let (connections, duration) = (format!("-c{CONNECTIONS}"), format!("-d{seconds}s"));
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", &connections, &duration, "--latency"]);
    for header in &lane.headers {
        command.args(["-H", header]);
    }
    let cpu_before = lane.process.cpu_s();
    let output = command.arg(format!("http://{}/", lane.address)).output().unwrap();
    let cpu_s = lane.process.cpu_s() - cpu_before;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("Non-2xx"), "{}:\n{text}", lane.name);
    let requests: f64 = word_before(&text, " requests in ").parse().unwrap();
    Round {
        requests_per_s: word_after(&text, "Requests/sec:").parse().unwrap(),
        p99_us: microseconds(word_after(&text, " 99% ")),
        cpu_us: cpu_s * 1e6 / requests,
    }
}

fn word_after<'t>(text: &'t str, mark: &str) -> &'t str {
    let found = text.split_once(mark).and_then(|(_, rest)| rest.split_whitespace().next());
    found.unwrap_or_else(|| panic!("no {mark:?} in:\n{text}"))
}

fn word_before<'t>(text: &'t str, mark: &str) -> &'t str {
    let found = text.split_once(mark).and_then(|(rest, _)| rest.split_whitespace().last());
    found.unwrap_or_else(|| panic!("no {mark:?} in:\n{text}"))
}

/// wrk writes `870.00us`, `1.20ms` or `1.01s`.
fn microseconds(text: &str) -> f64 {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (text.trim_end_matches('s'), 1e6)
    };
    number.parse::<f64>().unwrap() * factor
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn table(lanes: &[Lane<'_>]) -> String {
    let base = median(&lanes[0].rounds, |round| round.requests_per_s);
    let mut text = format!(
        "\nmedians of {ROUNDS} rounds of {ROUND_S} s, {CONNECTIONS} connections, one core for the proxy\n\n\
         | proxy | req/s | of nginx alone | p99 | CPU a request | rounds |\n| --- | ---: | ---: | ---: | ---: | --- |\n"
    );
    for lane in lanes {
        let requests = median(&lane.rounds, |round| round.requests_per_s);
        let each: Vec<String> =
            lane.rounds.iter().map(|round| format!("{:.0}", round.requests_per_s)).collect();
        let _ = writeln!(
            text,
            "| {} | {requests:.0} | {:.0} % | {:.1} ms | {:.0} us | {} |",
            lane.name,
            requests / base * 100.0,
            median(&lane.rounds, |round| round.p99_us) / 1e3,
            median(&lane.rounds, |round| round.cpu_us),
            each.join(", "),
        );
    }
    text
}
