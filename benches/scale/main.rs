//! The cost of many people: 10, 10,000, 100,000 and a million of them, with a passkey and a session
//! each.
//!
//! ```text
//! benches/run scale                    all of them
//! benches/run scale --people 100000    one size
//! ```
//!
//! The store is filled in the format that the gateway reads, and the real program started on it:
//! how long until it answers, how much memory it has then, what a request with a session's cookie
//! costs, what a sign-in costs, how soon a session that was ended elsewhere opens nothing, and how
//! long an administrator waits for a page of users. The gateway has the first core to itself; the
//! load and the application share the second. A gateway with ten people runs beside the others, and
//! takes turns with them where requests are counted.
//!
//! `lane` is one gateway and its store, `requests`, `revocations` and `pages` are the requests to
//! it, `report` the tables. What does not live here: other proxies (`benches/proxies`) and other
//! servers (`benches/sign_ins`). What always holds: no figure is kept for a wrong answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a measurement that cannot go on stops here"
)]

#[path = "../../tests/support/authenticator.rs"]
mod authenticator;
#[path = "../support/browsers.rs"]
mod browsers;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/filling.rs"]
mod filling;
mod lane;
#[path = "../support/nginx.rs"]
mod nginx;
mod pages;
#[path = "../support/passkeys.rs"]
mod passkeys;
#[path = "../support/process.rs"]
mod process;
mod report;
mod requests;
mod revocations;
#[path = "../support/served.rs"]
mod served;
#[path = "../support/spread.rs"]
mod spread;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lane::Lane;
use nginx::start as start_nginx;
use process::{LOAD_CORE, answers, free_address, stay_on};
use report::Row;
use serde_json::Value;

/// The other sizes are compared with the first.
const PEOPLE: [u64; 4] = [10, 10_000, 100_000, 1_000_000];
/// Ten people alone may not sign in more often than this takes.
const SIGN_INS_LENGTH: Duration = Duration::from_secs(2);
const SIGN_INS_TOGETHER: usize = 16;
/// How long `--hold` waits.
const HOLD: Duration = Duration::from_hours(1);
/// Different sessions that requests come with, if there are as many people.
const COOKIES_MAX: u64 = 2_000;

/// The options of this run.
struct Asked {
    people: Vec<u64>,
    binary: PathBuf,
    /// Sets the first size up, says where, and waits: for a profiler.
    holds: bool,
    into: Option<PathBuf>,
}

fn main() {
    let asked = arguments();
    stay_on(LOAD_CORE);
    let folder = tempfile::tempdir().unwrap();
    let application = free_address();
    let body = "x".repeat(100);
    let servers = format!("server {{ listen {application}; location / {{ return 200 \"{body}\"; }} }}");
    let _application = start_nginx(LOAD_CORE, folder.path(), "application", &servers);
    answers("the application", application);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lay = |name: &str, people| {
        eprintln!("{people} people: filling the store");
        Lane::filled(&asked.binary, &folder.path().join(name), application, people)
    };
    let small = lay("small", PEOPLE[0]);
    let mut rows = Vec::new();
    for people in asked.people {
        let lane = lay("large", people);
        if asked.holds {
            println!("{people} people: {} on {}", folder.path().join("large").display(), lane.address);
            std::thread::sleep(HOLD);
            return;
        }
        let row = runtime.block_on(measure(&small, &lane, folder.path()));
        println!("{}", report::table(std::slice::from_ref(&row)));
        rows.push(row);
        lane.remove();
    }
    if let Some(folder) = &asked.into {
        let values: Value = rows.iter().map(Row::json).collect();
        spread::write(folder, "scale", &report::table(&rows), &values);
    }
}

/// The measurements of one size, beside the smallest.
async fn measure(small: &Lane, lane: &Lane, folder: &Path) -> Row {
    let crowd = lane.crowd();
    let sign_in = crowd.measure(SIGN_INS_TOGETHER, SIGN_INS_LENGTH).await;
    let alone = crowd.measure(1, SIGN_INS_LENGTH).await;
    let cookies = async |lane: &Lane| {
        let count = usize::try_from(lane.people.min(COOKIES_MAX)).unwrap();
        lane.crowd().sessions(count, SIGN_INS_TOGETHER).await
    };
    let (few, many) = (cookies(small).await, cookies(lane).await);
    Row {
        people: lane.people,
        filled: lane.filled.clone(),
        sign_in,
        alone,
        requests: requests::compare(folder, [(small, &few), (lane, &many)]),
        revocations: revocations::measure(lane).await,
        pages: pages::measure(lane).await,
    }
}

fn arguments() -> Asked {
    let mut asked = Asked {
        people: Vec::new(),
        binary: env!("CARGO_BIN_EXE_vestibule").into(),
        holds: false,
        into: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--people" => asked.people.push(value().parse().unwrap()),
            "--binary" => asked.binary = value().into(),
            "--hold" => asked.holds = true,
            "--into" => asked.into = Some(value().into()),
            // cargo passes this to every benchmark.
            "--bench" => {}
            _ => panic!("{word} is not known: --people --binary --hold --into"),
        }
    }
    if asked.people.is_empty() {
        asked.people.extend(PEOPLE);
    }
    asked
}
