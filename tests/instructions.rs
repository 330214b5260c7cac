//! How many instructions a forwarded request takes, beside a pingora proxy that does nothing but
//! forward. callgrind counts them: the difference between a run and a run of three times as many
//! requests is that of the requests alone. Our crate is not optimised in tests, so the number does
//! not measure speed, which `benches/run` does; it is a budget, so that a request which grows is
//! noticed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a test that cannot go on stops here"
)]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "proxy/rig.rs"]
mod rig;

#[path = "proxy/bare.rs"]
mod bare;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use bare::{Client, application};
use rig::{Rig, Tls};

const FEW: u32 = 200;
const MANY: u32 = 600;
/// How many instructions more the gateway may take than a proxy that only forwards. A budget, so
/// that they do not grow unnoticed: 121,000 were measured, beside 391,000 of the whole exchange with
/// the client and the application.
const OWN_MAX: f64 = 130_000.0;
/// The variable that tells the counted run which proxy to ask, and how often.
const COUNTED: &str = "VESTIBULE_COUNTED";
const NAME: &str = "forwarded_request_stays_below_the_instruction_limit";

/// The run that is counted.
async fn run(told: &str) {
    let (proxy, requests) = told.split_once(' ').unwrap();
    let requests: u32 = requests.parse().unwrap();
    let application = application();
    let rig = Rig::before(Tls::Off, application, Arc::default()).await;
    let port = rig.url("").rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let token = rig.token("app.localhost");
    let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\nCookie: vestibule={token}\r\n\r\n");
    let address = match proxy {
        "gateway" => SocketAddr::from(([127, 0, 0, 1], port)),
        _ => bare::bare(application),
    };
    tokio::task::spawn_blocking(move || Client::new(address, &request).ask(requests)).await.unwrap();
}

/// The instructions of a run.
fn counted(proxy: &str, requests: u32) -> f64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--test-threads", "1"])
        .env(COUNTED, format!("{proxy} {requests}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stdout));
    let (_, collected) = said.split_once("Collected : ").expect("a sum");
    collected.lines().next().unwrap().trim().parse().unwrap()
}

/// The test starts itself below callgrind, for the runs that are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_request_stays_below_the_instruction_limit() {
    if let Ok(told) = std::env::var(COUNTED) {
        return run(&told).await;
    }
    let each = |proxy| (counted(proxy, MANY) - counted(proxy, FEW)) / f64::from(MANY - FEW);
    let (ours, bare) = (each("gateway"), each("bare"));
    println!("the gateway {ours:.0}, a bare proxy {bare:.0}");
    assert!(bare > 1_000.0, "something is counted: {bare}");
    assert!(ours - bare <= OWN_MAX, "{:.0} more than {bare:.0}", ours - bare);
}
