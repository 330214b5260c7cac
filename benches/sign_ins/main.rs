//! How many people can sign in with a passkey each second on one core: the gateway beside
//! better-auth's own server, in one run.
//!
//! ```text
//! benches/run sign-ins                       about five minutes
//! benches/run sign-ins --parts               only what a sign-in consists of
//! ```
//!
//! A sign-in is what a browser sends for one: the options are asked for, an authenticator answers
//! them, the answer is verified, and a session's cookie comes back. Both servers speak the same API
//! and have the same 100 accounts with a passkey each; the server under test has the first core to
//! itself, and the browsers share the second. All take turns within each round. The gateway runs
//! with its store on the disk, where each sign-in waits once until what it has written is durable,
//! and once more with the store that forgets everything, as better-auth's does.
//!
//! `contestants` are the servers and their accounts, `parts` the parts of a sign-in, measured in
//! process. What does not live here: the cost of other requests (`benches/proxies`). What always
//! holds: no figure is kept for a sign-in without a session.
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
mod contestants;
#[path = "../support/filling.rs"]
mod filling;
mod parts;
#[path = "../support/passkeys.rs"]
mod passkeys;
#[path = "../support/process.rs"]
mod process;
mod report;
#[path = "../support/served.rs"]
mod served;
#[path = "../support/spread.rs"]
mod spread;

use std::path::PathBuf;
use std::time::Duration;

use contestants::Contestant;
use process::{LOAD_CORE, stay_on};
use report::Figures;
use serde_json::json;

const ROUNDS: usize = 5;
const ROUND_LENGTH: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
/// How many browsers sign in at the same time.
const TOGETHER: [usize; 3] = [1, 16, 64];

/// The options of this run.
struct Asked {
    rounds: usize,
    length: Duration,
    /// Builds of the gateway; the first is this one.
    binaries: Vec<PathBuf>,
    only_parts: bool,
    into: Option<PathBuf>,
}

fn main() {
    let asked = arguments();
    stay_on(LOAD_CORE);
    let parts = parts::measure();
    println!("{}", report::parts_table(&parts));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut all = Vec::new();
    if !asked.only_parts {
        let folder = tempfile::tempdir().unwrap();
        let contestants = runtime.block_on(contestants::all(folder.path(), &asked.binaries));
        for together in TOGETHER {
            let figures = runtime.block_on(compare(&contestants, together, &asked));
            println!("{}", figures.table());
            all.push(figures);
        }
    }
    if let Some(folder) = &asked.into {
        let text: String = all.iter().map(Figures::table).chain([report::parts_table(&parts)]).collect();
        let values = json!({
            "sign_ins": all.iter().map(Figures::json).collect::<Vec<_>>(),
            "parts": parts.iter().map(|part| json!({ "name": part.name, "cpu_us": part.cpu_us, "us": part.us })).collect::<Vec<_>>(),
        });
        spread::write(folder, "sign_ins", &text, &values);
    }
}

async fn compare(contestants: &[Contestant], together: usize, asked: &Asked) -> Figures {
    let mut figures = Figures::of(together);
    for contestant in contestants {
        contestant.signing_in(together, WARM_UP).await;
    }
    for round in 1..=asked.rounds {
        for contestant in contestants {
            let measured = contestant.signing_in(together, asked.length).await;
            eprintln!(
                "{together} at a time {round}/{}: {:<28} {:>7.0}/s",
                asked.rounds, contestant.name, measured.rate
            );
            figures.note(&contestant.name, measured);
        }
    }
    figures
}

fn arguments() -> Asked {
    let mut asked = Asked {
        rounds: ROUNDS,
        length: ROUND_LENGTH,
        binaries: vec![env!("CARGO_BIN_EXE_vestibule").into()],
        only_parts: false,
        into: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => asked.rounds = value().parse().unwrap(),
            "--seconds" => asked.length = Duration::from_secs(value().parse().unwrap()),
            "--beside" => asked.binaries.push(value().into()),
            "--parts" => asked.only_parts = true,
            "--into" => asked.into = Some(value().into()),
            // cargo passes this to every benchmark.
            "--bench" => {}
            _ => panic!("{word} is not known: --rounds --seconds --beside --parts --into"),
        }
    }
    asked
}
