//! Certificates that the gateway obtains itself, from a real authority: Debian's pebble.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::harness::acme2certifier::Acme2certifier;
use crate::harness::pebble::{Habits, Pebble};
use crate::harness::{Gateway, Upstream, raw};
use crate::monitoring::metrics_of;

const AUTH: &str = "auth.example.test";
const WIKI: &str = "wiki.example.test";
const IN_FORCE: &str = "a new certificate is in force";
const STEP: Duration = Duration::from_millis(50);
/// Longer than the first two pauses between tries, for the authority may refuse several nonces in a
/// row, and than a certificate of the tests lives.
const PATIENCE: Duration = Duration::from_secs(100);

/// A gateway with an application, that gets its certificates from `pebble`; not running.
fn prepare(lines: Vec<String>, application: &Upstream) -> Gateway {
    let port = application.port;
    Gateway::prepare(|config| {
        config.tls(AUTH);
        config.acme = Some(lines);
        config.route("wiki", port).host(WIKI).public(&["/*"]);
    })
}

async fn wait_for(gateway: &Gateway, words: &str, times: usize) {
    let deadline = Instant::now() + PATIENCE;
    while gateway.log().matches(words).count() < times {
        assert!(Instant::now() < deadline, "not said {times} times: {words:?}\n{}", gateway.log());
        tokio::time::sleep(STEP).await;
    }
}

/// The answer for a browser that trusts this root alone.
async fn get(gateway: &Gateway, root: &str, host: &str, path: &str) -> reqwest::Result<StatusCode> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_built_in_root_certs(false)
        .add_root_certificate(reqwest::Certificate::from_pem(root.as_bytes()).unwrap())
        .resolve(host, ([127, 0, 0, 1], gateway.tls_port).into())
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Ok(client.get(format!("https://{host}:{}{path}", gateway.tls_port)).send().await?.status())
}

/// A handshake that offers these protocols. Returns the certificate that is shown, and the chosen
/// protocol.
async fn handshake(
    gateway: &Gateway,
    root: &str,
    host: &str,
    protocols: &[&[u8]],
) -> std::io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let mut tls =
        rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned()).unwrap())
            .unwrap();
    let socket = TcpStream::connect(("127.0.0.1", gateway.tls_port)).await?.into_std()?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    tokio::task::spawn_blocking(move || {
        let mut socket = socket;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let shown = tls.peer_certificates().and_then(<[_]>::first).cloned().expect("a certificate");
        Ok((shown.into_owned(), tls.alpn_protocol().map(<[u8]>::to_vec)))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn obtains_certificates_by_acme() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut gateway = prepare(pebble.lines(), &application);
    gateway.launch().await;
    // No authority is there yet.
    wait_for(&gateway, "no certificate could be obtained; there is none yet", 2).await;
    assert!(gateway.log().contains("Connection refused"), "the reason is told");
    let told = raw::get(gateway.port, AUTH, "/", &[]);
    assert_eq!(told.status(), 503, "{}", told.0);
    assert!(told.0.contains(&format!("There is no certificate for {AUTH} yet.")), "{}", told.0);
    assert_eq!(told.values("retry-after"), ["10"]);
    assert_eq!(raw::get(gateway.port, "other.example.test", "/", &[]).status(), 421, "not a host of ours");

    let habits = Habits { refused_nonces: 20, validation_delay_s: 2, ..Habits::default() };
    pebble.start(gateway.port, gateway.tls_port, &habits).await;
    wait_for(&gateway, IN_FORCE, 2).await;
    let root = pebble.root().await;
    assert_eq!(get(&gateway, &root, AUTH, "/auth/ready").await.unwrap(), 200);
    assert_eq!(get(&gateway, &root, WIKI, "/").await.unwrap(), 200);
    assert_eq!(raw::get(gateway.port, AUTH, "/", &[]).status(), 308);

    let kept = gateway.data().join("acme");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 3, "two certificates and an account: {files:?}");
    for file in &files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }

    let orders = pebble.log().matches("Added order").count();
    gateway.restart().await;
    assert_eq!(get(&gateway, &root, WIKI, "/").await.unwrap(), 200, "kept over a restart");
    assert_eq!(pebble.log().matches("Added order").count(), orders, "and not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_an_address_are_validated_over_http() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut lines = pebble.lines();
    lines.push("challenge = \"http-01\"".to_owned());
    lines.push("email = \"ops@example.test\"".to_owned());
    let port = application.port;
    let mut gateway = Gateway::prepare(|config| {
        config.tls(AUTH);
        config.acme = Some(lines);
        config.route("device", port).host("127.0.0.1").public(&["/*"]);
    });
    pebble.start(gateway.port, gateway.tls_port, &Habits::default()).await;
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 2).await;
    let root = pebble.root().await;
    assert_eq!(get(&gateway, &root, AUTH, "/auth/ready").await.unwrap(), 200);
    // Clients of an address name nothing in their handshake.
    assert_eq!(get(&gateway, &root, "127.0.0.1", "/").await.unwrap(), 200);
    let gone = raw::get(gateway.port, AUTH, "/.well-known/acme-challenge/anything", &[]);
    assert_eq!(gone.status(), 308, "nothing is shown when nothing is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_in_force_at_the_next_handshake() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut gateway = prepare(pebble.lines(), &application);
    let habits = Habits { life_s: 20, ..Habits::default() };
    pebble.start(gateway.port, gateway.tls_port, &habits).await;
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 2).await;
    let root = pebble.root().await;
    let shown = async || handshake(&gateway, &root, WIKI, &[b"h2"]).await.unwrap().0;
    let first = shown().await;
    assert_eq!(shown().await, first, "the same until it is due");
    let renewed = format!("{IN_FORCE}\",\"certificate\":\"{WIKI}\"");
    wait_for(&gateway, &renewed, 2).await;
    assert_ne!(shown().await, first);
    assert_eq!(get(&gateway, &root, WIKI, "/").await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_name_does_not_delay_others_and_is_retried() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut gateway = prepare(pebble.lines(), &application);
    let habits = Habits { blocked: vec![WIKI.to_owned()], life_s: 3600, ..Habits::default() };
    pebble.start(gateway.port, gateway.tls_port, &habits).await;
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 1).await;
    wait_for(&gateway, "no certificate could be obtained", 1).await;
    let root = pebble.root().await;
    assert_eq!(get(&gateway, &root, AUTH, "/auth/ready").await.unwrap(), 200);
    assert!(get(&gateway, &root, WIKI, "/").await.is_err());
    let log = gateway.log();
    let complaint = log.lines().find(|line| line.contains("no certificate could be obtained")).unwrap();
    for words in [WIKI, "rejectedIdentifier", "\"next_try_in_s\":1"] {
        assert!(complaint.contains(words), "{words} is not in {complaint}");
    }
    // The authority comes back without memory, so it has forgotten the account as well.
    pebble.start(gateway.port, gateway.tls_port, &Habits::default()).await;
    wait_for(&gateway, IN_FORCE, 2).await;
    assert_eq!(get(&gateway, &pebble.root().await, WIKI, "/").await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn supports_external_account_binding() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let habits = Habits { customers_only: true, ..Habits::default() };
    let mut anonymous = prepare(pebble.lines(), &application);
    pebble.start(anonymous.port, anonymous.tls_port, &habits).await;
    anonymous.launch().await;
    wait_for(&anonymous, "externalAccountRequired", 1).await;
    anonymous.stop();

    let mut customer = prepare(pebble.lines_of_a_customer(), &application);
    pebble.stop();
    pebble.start(customer.port, customer.tls_port, &habits).await;
    customer.launch().await;
    wait_for(&customer, IN_FORCE, 2).await;
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    assert!(!customer.log().contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_a_reload_brings_gets_its_certificate() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut gateway = prepare(pebble.lines(), &application);
    pebble.start(gateway.port, gateway.tls_port, &Habits::default()).await;
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 2).await;
    let root = pebble.root().await;
    assert!(get(&gateway, &root, "new.example.test", "/").await.is_err());
    let route = format!(
        "\n[[route]]\nname = \"new\"\nhost = \"new.example.test\"\nupstream = [\"http://127.0.0.1:{}\"]\npublic = [\"/*\"]\nallow = [\"user\"]\n",
        application.port
    );
    gateway.edit(|text| text + &route);
    gateway.operate(&["reload"]);
    wait_for(&gateway, IN_FORCE, 3).await;
    assert_eq!(get(&gateway, &root, "new.example.test", "/").await.unwrap(), 200);
    assert_eq!(get(&gateway, &root, WIKI, "/").await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_handshake_serves_no_requests() {
    let application = Upstream::start();
    let mut pebble = Pebble::prepare();
    let mut gateway = prepare(pebble.lines(), &application);
    pebble.start(gateway.port, gateway.tls_port, &Habits::default()).await;
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 2).await;
    let root = pebble.root().await;
    let shaken = handshake(&gateway, &root, WIKI, &[b"acme-tls/1"]).await;
    assert!(shaken.is_err(), "there is nothing to validate");
    // The authority has looked, and no other client has been served.
    let metrics = metrics_of(&gateway).await;
    assert!(metrics.contains("vestibule_tls_handshakes_total{result=\"done\"} 0\n"), "{metrics}");
    let (_, chosen) = handshake(&gateway, &root, WIKI, &[b"acme-tls/1", b"http/1.1"]).await.unwrap();
    assert_eq!(chosen.as_deref(), Some(&b"http/1.1"[..]));
    // A certificate that is damaged on the disk is put away, and another one is obtained.
    gateway.stop();
    let file = gateway.data().join("acme").join(format!("{WIKI}.pem"));
    std::fs::write(&file, "torn").unwrap();
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 3).await;
    assert_eq!(get(&gateway, &root, WIKI, "/").await.unwrap(), 200);
    assert!(file.with_extension("pem.unusable").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_when_the_authority_advises() {
    let application = Upstream::start();
    let authority = Acme2certifier::start();
    let mut lines = authority.lines();
    lines.push("profile = \"short\"".to_owned());
    let mut gateway = prepare(lines, &application);
    gateway.launch().await;
    wait_for(&gateway, IN_FORCE, 2).await;
    assert_eq!(get(&gateway, &authority.root(), WIKI, "/").await.unwrap(), 200);
    let first = handshake(&gateway, &authority.root(), WIKI, &[b"h2"]).await.unwrap().0;
    assert!(authority.log().contains("profile=short"), "it is told the profile");
    let orders = || authority.log().matches("POST /acme/neworders").count();
    assert_eq!(orders(), 2);
    // It would like each certificate to be renewed at once. A gateway that has just obtained one
    // takes its time; a gateway that finds one on disk does as it is told, and goes on doing so.
    // This authority does not take an order as a replacement, although it should (RFC 9773, section
    // 5), so there is a second order without that.
    gateway.restart().await;
    wait_for(&gateway, IN_FORCE, 4).await;
    assert_ne!(handshake(&gateway, &authority.root(), WIKI, &[b"h2"]).await.unwrap().0, first);
    let renewed = gateway.log().matches(IN_FORCE).count() - 2;
    // Both certificates may be under way again by now.
    let expected = 2 + 2 * renewed..=2 + 2 * renewed + 4;
    assert!(expected.contains(&orders()), "{} orders for {renewed} renewals", orders());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_an_unknown_profile() {
    let application = Upstream::start();
    let authority = Acme2certifier::start();
    let mut lines = authority.lines();
    lines.push("profile = \"eternal\"".to_owned());
    let mut gateway = prepare(lines, &application);
    gateway.launch().await;
    wait_for(&gateway, "invalidProfile", 2).await;
    assert!(!gateway.log().contains(IN_FORCE));
}
