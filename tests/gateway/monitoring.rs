//! Monitoring: Debian's Prometheus scrapes a running gateway, the alerts and the dashboard name
//! metrics that there are, and the access log says who opened what.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Authenticator, Gateway, Scene, Upstream, port, raw, until};

const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring")
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("/usr/bin/promtool").args(arguments).current_dir(folder()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}");
}

#[test]
fn the_alerts_fire_when_they_should_and_not_before() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
    // Each alert is tried.
    let alerts = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(folder().join("alerts_test.yml")).unwrap();
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}")), "{alert} is not tried");
    }
}

pub(crate) async fn metrics_of(gateway: &Gateway) -> String {
    let url = format!("http://127.0.0.1:{}/metrics", gateway.metrics_port);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().text().await.unwrap()
}

/// Names of our metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("vestibule_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_that_is_named_exists() {
    let app = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.tls("auth.example.test");
        config.route("app", app.port);
    })
    .await;
    let exposed = named(&metrics_of(&gateway).await);
    for file in ["alerts.yml", "alerts_test.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        let wanted = named(&text);
        assert!(!wanted.is_empty(), "{file} names no metric");
        for name in wanted {
            assert!(exposed.contains(&name), "{file} names {name}, which is not in {exposed:?}");
        }
    }
    let dashboard = std::fs::read_to_string(folder().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

/// Debian's Prometheus, ended with the test.
struct Prometheus {
    child: Child,
    port: u16,
    _data: TempDir,
}

impl Prometheus {
    fn start(metrics_port: u16) -> Self {
        let (data, port) = (TempDir::new().unwrap(), port::free());
        let config = std::fs::read_to_string(folder().join("prometheus.yml")).unwrap();
        let alerts = folder().join("alerts.yml").display().to_string();
        let config = config
            .replace("127.0.0.1:9464", &format!("127.0.0.1:{metrics_port}"))
            .replace("15s", "1s")
            .replace("- alerts.yml", &format!("- {alerts}"));
        let file = data.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("/usr/bin/prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus: run tests/run --setup-only");
        Self { child, port, _data: data }
    }

    /// The value of a query, as soon as it has one.
    async fn value(&self, query: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut url: url::Url = format!("http://127.0.0.1:{}/api/v1/query", self.port).parse().unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(reply) = client.get(url.clone()).send().await
                && let Ok(found) = reply.json::<Value>().await
                && let Some(value) = found["data"]["result"][0]["value"][1].as_str()
            {
                return value.to_owned();
            }
            assert!(Instant::now() < deadline, "no value for {query}");
            tokio::time::sleep(STEP).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn prometheus_scrapes_a_running_gateway() {
    let scene = Scene::set().await;
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    let prometheus = Prometheus::start(scene.gateway.metrics_port);
    assert_eq!(prometheus.value("up{job=\"vestibule\"}").await, "1");
    let forwarded = "sum(vestibule_requests_total{route=\"app\",outcome=\"forwarded\"})";
    assert_eq!(prometheus.value(forwarded).await, "1");
    assert_eq!(prometheus.value("min(vestibule_store_healthy)").await, "1");
    assert_eq!(prometheus.value("count(vestibule_build_info)").await, "1");
}

/// The lines of the access log, which stand among others on standard output.
async fn lines(gateway: &Gateway, wanted: &str, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = gateway.log();
        let found: Vec<_> = log.lines().filter(|line| line.contains(wanted)).map(str::to_owned).collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{wanted} is not {count} times in\n{log}");
        tokio::time::sleep(STEP).await;
    }
}

#[tokio::test]
async fn access_log_has_user_and_path_without_query() {
    let scene = Scene::with(|config| config.log.push("access = \"json\"".to_owned()), |_| {}).await;
    scene.alice.navigate(&scene.url("/secret-page?token=hidden")).await.expect(200);
    let found = lines(&scene.gateway, "\"target\":\"/secret-page\"", 1).await;
    let line: Value = serde_json::from_str(&found[0]).unwrap();
    for (key, value) in [
        ("user", "alice"),
        ("method", "GET"),
        ("host", "localhost"),
        ("version", "HTTP/1.1"),
        ("route", "app"),
        ("outcome", "forwarded"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["status"], 200);
    assert!(line["bytes"].as_u64().unwrap() > 0 && line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    scene.anonymous().navigate(&scene.url("/anonymous-page?a=b")).await;
    let found = lines(&scene.gateway, "\"target\":\"/anonymous-page\"", 1).await;
    let line: Value = serde_json::from_str(&found[0]).unwrap();
    assert_eq!(line["outcome"], "sign_in");
    assert!(line.get("user").is_none(), "{line}");
    assert!(!scene.gateway.log().contains("hidden"));
}

#[tokio::test]
async fn access_query_logs_application_queries_only() {
    let scene = Scene::with(
        |config| {
            config.log.push("access = \"common\"".to_owned());
            config.log.push("access_query = true".to_owned());
        },
        |_| {},
    )
    .await;
    scene.alice.navigate(&scene.url("/page?q=told")).await.expect(200);
    let found = lines(&scene.gateway, "\"GET /page?q=told HTTP/1.1\" 200 ", 1).await;
    assert!(found[0].starts_with("127.0.0.1 - alice ["), "{found:?}");
    raw::get(scene.gateway.port, "localhost", "/auth/hand-off?code=hidden", &[]);
    lines(&scene.gateway, "\"GET /auth/hand-off HTTP/1.1\" ", 1).await;
    assert!(!scene.gateway.log().contains("hidden"));
}

#[tokio::test]
async fn retries_and_handshakes_are_counted() {
    let app = Upstream::start();
    let gone = port::free();
    let gateway = Gateway::start(|config| {
        config.tls("auth.example.test");
        let route = config.route("app", gone);
        route.host("app.example.test").public(&["/*"]);
    })
    .await;
    gateway.edit(|text| {
        let one = format!("upstream = [\"http://127.0.0.1:{gone}\"]");
        text.replace(
            &one,
            &format!("upstream = [\"http://127.0.0.1:{gone}\", \"http://127.0.0.1:{}\"]", app.port),
        )
    });
    gateway.operate(&["reload"]);
    let browser = crate::harness::Browser::new(&gateway);
    browser.navigate(&gateway.origin_of("app.example.test")).await.expect(200);
    // A client that speaks no TLS.
    raw::get(gateway.tls_port, "app.example.test", "/", &[]);
    // A handshake is counted when it is over, a moment after the client has heard of it.
    let failed = "vestibule_tls_handshakes_total{result=\"failed\"} 1";
    let told = async || Some(metrics_of(&gateway).await).filter(|metrics| metrics.contains(failed));
    let metrics = until(failed, told).await;
    let value = |series: &str| {
        let line = metrics.lines().find(|line| line.starts_with(series));
        line.unwrap_or_else(|| panic!("no {series}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(value("vestibule_upstream_retries_total{route=\"app\"}"), 1);
    assert!(value("vestibule_tls_handshakes_total{result=\"done\"}") >= 1);
    assert_eq!(value("vestibule_tls_handshakes_total{result=\"failed\"}"), 1);
}

/// pingora's own messages may quote a request.
#[tokio::test]
async fn s_10_a_failing_application_is_told_of_in_our_words_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 no-number-but-a-secret\r\n\r\n");
        }
    });
    let gone = port::free();
    let gateway = Gateway::start(|config| {
        let route = config.route("app", gone);
        route.host("app.localhost").public(&["/*"]);
    })
    .await;
    let upstream = |port: u16| format!("\"http://127.0.0.1:{port}\"");
    gateway.edit(|text| text.replace(&upstream(gone), &format!("{}, {}", upstream(gone), upstream(port))));
    gateway.operate(&["reload"]);
    let browser = crate::harness::Browser::new(&gateway);
    // Each upstream is the first in its turn, and the first of all cannot be connected to.
    for _ in 0..2 {
        browser.navigate(&format!("{}/?query-secret", gateway.origin_of("app.localhost"))).await.expect(502);
    }
    gateway.wait_for_log("the upstream failed").await;
    let log = gateway.log();
    assert!(!log.contains("pingora") && !log.contains("Fail to") && !log.contains("secret"), "{log}");
}

/// The client's addresses that Debian's fail2ban finds in a log with the filter that we offer.
fn banned(log: &Path) -> Vec<String> {
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fail2ban/filter.conf");
    let output = Command::new("/usr/bin/fail2ban-regex").args(["-o", "ip"]).arg(log).arg(filter).output();
    let output = output.expect("fail2ban: run tests/run --setup-only");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn fail2ban_filter_matches_refusals_only() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited("bob@example.com", 41).await;
    bob.navigate(&scene.url("/page")).await.expect(200);
    let log = scene.gateway.directory().join("log");
    assert_eq!(banned(&log), Vec::<String>::new(), "who is let in is not banned");

    scene.anonymous().sign_in_with(&mut device, |knobs| knobs.flags = 0).await.expect(401);
    bob.register_with(&mut Authenticator::new(42), |knobs| knobs.flags = 0).await.expect(401);
    let stray = scene.gateway.url("/auth/enroll#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    scene.anonymous().redeem(&stray, None, "Mallory").await.expect(410);
    // A client's text that looks like an address is not taken for one.
    let code = json!({ "identifier": "\"client\":\"192.0.2.66\"", "code": "AAAA-AAAA-AAAA-AAAA" });
    scene.anonymous().post("recovery-codes/redeem", &code).await.expect(401);
    let refused = ["sign_in_refused", "credential_refused", "invitation_refused", "code_refused"];
    let text = scene.gateway.log();
    for event in refused {
        assert_eq!(text.matches(&format!("\"event\":\"{event}\"")).count(), 1, "{event}: {text}");
    }
    assert_eq!(banned(&log), ["127.0.0.1"; 4]);

    // The same lines as the journal has them, and with a text that tries to be a field.
    let line = text.lines().find(|line| line.contains("sign_in_refused")).unwrap();
    let line = line.replace("127.0.0.1", "2001:db8::7");
    let forged =
        line.replace(",\"client\"", ",\"subject\":\"\\\",\\\"client\\\":\\\"192.0.2.66\",\"client\"");
    let journal = scene.gateway.directory().join("journal");
    std::fs::write(&journal, format!("host vestibule[12]: {line}\nhost vestibule[12]: {forged}\n")).unwrap();
    assert_eq!(banned(&journal), ["2001:db8::7"; 2]);
}
