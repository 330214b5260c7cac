//! `vestibule doctor` and `vestibule status`: faults are found, and a sound installation has no
//! findings.

use std::fs::{self, Permissions};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::harness::{Gateway, Mode, PostOffice, Scene, Upstream, port, raw};

/// The findings, and the exit code.
fn examine(gateway: &Gateway) -> (Vec<Value>, Option<i32>) {
    let output = gateway.cli(&["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (found.as_array().unwrap().clone(), output.status.code())
}

/// The findings about this, with this weight.
fn about(found: &[Value], about: &str, weight: &str) -> Vec<String> {
    let chosen = found.iter().filter(|finding| finding["about"] == about && finding["weight"] == weight);
    let told = chosen.map(|finding| {
        let remedy = finding["remedy"].as_str();
        assert_eq!(remedy.is_some(), weight != "fine", "{finding}");
        finding["what"].as_str().unwrap().to_owned()
    });
    told.collect()
}

#[tokio::test]
async fn doctor_finds_nothing_on_a_healthy_gateway() {
    let scene = Scene::set().await;
    let (found, code) = examine(&scene.gateway);
    assert_eq!(code, Some(0), "{found:?}");
    assert_eq!(about(&found, "name", "fine"), ["localhost is this machine, for browsers on it"]);
    let place = format!("127.0.0.1:{}", scene.gateway.port);
    assert_eq!(about(&found, "listener", "fine"), [format!("the gateway accepts connections on {place}")]);
    let app = format!("\"app\" accepts connections at 127.0.0.1:{}", scene.app.port);
    assert_eq!(about(&found, "application", "fine"), [app]);
    assert!(about(&found, "application", "warning").is_empty(), "it listens on 127.0.0.1 alone");
    assert_eq!(about(&found, "file", "fine").len(), 2);
    assert_eq!(about(&found, "passkeys", "fine"), ["they are made for localhost, which covers localhost"]);
    assert!(about(&found, "clock", "problem").is_empty());
    // There is no plan for backups, and doctor says so.
    assert_eq!(about(&found, "backup", "warning"), ["the gateway makes no backups by itself"]);
    assert!(scene.gateway.operate(&["doctor"]).contains("ok       application"));
}

#[tokio::test]
async fn doctor_reports_problems_with_remedies() {
    let (gone, mail) = (port::free(), port::free());
    let scene = Scene::with(
        |config| {
            config.route("gone", gone).path("/gone");
            let url = format!("url = \"smtp://localhost:{mail}\"");
            config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
            config.table("backup", &["every = \"1d\"", "directory = \"backups\""]);
        },
        |_| {},
    )
    .await;
    let gateway = &scene.gateway;
    fs::set_permissions(gateway.data(), Permissions::from_mode(0o755)).unwrap();
    let (found, code) = examine(gateway);
    assert_eq!(code, Some(1));
    let [unreachable] = about(&found, "application", "problem").try_into().unwrap();
    assert!(
        unreachable.starts_with(&format!("\"gone\" cannot be reached at 127.0.0.1:{gone}")),
        "{unreachable}"
    );
    let [open] = about(&found, "file", "problem").try_into().unwrap();
    assert!(open.ends_with("can be read by other users of this machine"), "{open}");
    let [silent] = about(&found, "mail", "problem").try_into().unwrap();
    assert!(silent.contains(&format!("localhost:{mail} does not accept the gateway")), "{silent}");

    // When it is mended, there is no finding.
    fs::set_permissions(gateway.data(), Permissions::from_mode(0o700)).unwrap();
    let _office = PostOffice::open(mail, &Mode::Plain);
    let _app = TcpListener::bind(("127.0.0.1", gone)).unwrap();
    let (found, code) = examine(gateway);
    assert_eq!(code, Some(0), "{found:?}");
    assert_eq!(about(&found, "mail", "fine").len(), 1);

    // The gateway makes its first backup at once. One from long ago is a problem.
    gateway.wait_for_log("a backup was made").await;
    assert_eq!(about(&examine(gateway).0, "backup", "fine").len(), 1);
    let directory = gateway.directory().join("backups");
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    assert_eq!(about(&examine(gateway).0, "backup", "warning").len(), 1);
    let old = fs::File::create(directory.join("vestibule-2026-01-01T00-00-00Z.backup")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
    assert_eq!(about(&examine(gateway).0, "backup", "problem").len(), 1);
}

/// Writes a certificate for these names that ended long ago, in place of the gateway's own.
fn outdate(gateway: &Gateway, names: &[&str]) {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2025, 4, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(gateway.directory().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(gateway.directory().join("key.pem"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn certificates_are_looked_at_for_every_host_before_the_first_start() {
    let app = Upstream::start();
    let gateway = Gateway::prepare(|config| {
        config.tls("auth.example.com");
        config.related_origins = vec!["https://friend.example.org".to_owned()];
        config.route("wiki", app.port).host("wiki.example.com");
    });
    let (found, code) = examine(&gateway);
    assert_eq!(code, Some(1), "the names of examples lead nowhere");
    assert_eq!(about(&found, "name", "problem").len(), 2);
    assert_eq!(about(&found, "certificate", "problem"), Vec::<String>::new());
    let document = "https://auth.example.com/.well-known/webauthn cannot be read: ";
    let [unread] = about(&found, "passkeys", "problem").try_into().unwrap();
    assert!(unread.starts_with(document), "{unread}");
    assert_eq!(about(&found, "listener", "fine").len(), 2, "both are free: {found:?}");
    assert!(!gateway.data().exists(), "looking changes nothing");

    outdate(&gateway, &["auth.example.com"]);
    let wrong = about(&examine(&gateway).0, "certificate", "problem");
    assert!(wrong[0].contains("has expired on 2025-04-01T00:00:00"), "{wrong:?}");
    assert_eq!(wrong[1..], ["no certificate covers wiki.example.com"]);

    let _taken = TcpListener::bind(("127.0.0.1", gateway.port)).unwrap();
    let taken = about(&examine(&gateway).0, "listener", "problem");
    assert!(taken[0].contains(&format!("could not listen on 127.0.0.1:{}", gateway.port)), "{taken:?}");
}

/// The address of this machine that others see, where it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip())
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[tokio::test]
async fn doctor_finds_applications_reachable_directly() {
    let app = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = app.local_addr().unwrap().port();
    let gateway = Gateway::start(|config| {
        config.route("app", port);
    })
    .await;
    let told = about(&examine(&gateway).0, "application", "warning");
    let expected = own_address()
        .map(|ours| format!("\"app\" also accepts connections at {ours}:{port}, around the gateway"));
    assert_eq!(told, Vec::from_iter(expected));
}

#[tokio::test]
async fn status_fails_where_no_gateway_runs() {
    let mut scene = Scene::set().await;
    let said = scene.gateway.operate(&["status"]);
    assert!(said.contains("is ready, with 1 sessions."), "{said}");
    scene.gateway.stop();
    let output = scene.gateway.cli(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no gateway"), "{output:?}");
}

#[tokio::test]
async fn status_reports_an_untrusted_proxy() {
    let app = Upstream::start();
    let port = app.port;
    let mut gateway = Gateway::start(|config| {
        config.route("app", port).public(&["/*"]);
    })
    .await;
    assert!(about(&examine(&gateway).0, "proxy", "problem").is_empty());
    let forwarded = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let answer = raw::get(gateway.port, "localhost", "/page", &lines);
        assert_eq!(answer.status(), 200, "{}", answer.0);
        let told = app.take().pop().unwrap();
        (told.value("x-forwarded-for"), told.value("x-forwarded-proto"))
    };
    for _ in 0..3 {
        let told = forwarded(&["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"]);
        assert_eq!(told, ("127.0.0.1".to_owned(), "http".to_owned()));
    }
    let wrong = "127.0.0.1 says whose requests it sends, but is not one of server.trusted_proxies";
    assert_eq!(gateway.log().matches(wrong).count(), 1, "once");
    let (found, code) = examine(&gateway);
    assert_eq!(code, Some(1));
    assert!(about(&found, "proxy", "problem")[0].starts_with(wrong), "{found:?}");
    assert!(gateway.operate(&["status"]).contains(wrong));

    // The operator mends it; this proxy writes the header of RFC 7239.
    let mended = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nforwarded_header = \"forwarded\"\n";
    gateway.edit(|text| text.replace("[server]\n", mended));
    gateway.restart().await;
    let answer = raw::get(
        gateway.port,
        "localhost",
        "/page",
        &["Forwarded: for=203.0.113.7;proto=https".to_owned(), "X-Forwarded-For: 6.6.6.6".to_owned()],
    );
    assert_eq!(answer.status(), 200, "{}", answer.0);
    let told = app.take().pop().unwrap();
    assert_eq!(told.value("x-forwarded-for"), "203.0.113.7");
    assert_eq!(told.value("x-forwarded-proto"), "https");
    assert!(about(&examine(&gateway).0, "proxy", "problem").is_empty());
}
