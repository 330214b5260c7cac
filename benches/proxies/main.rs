//! The cost of an authenticated request: the gateway beside other proxies, in one run.
//!
//! `benches/run` installs what is compared, builds it and starts this. Everything is on this
//! machine and ends by itself. The proxy under test has the first core to itself; the load and the
//! application share the second. All contestants of a scenario take turns within each round, so
//! that a machine that grows slower does so for all. Absolute figures belong to one machine and one
//! hour; the ratios are the result.
//!
//! `contestants` are the proxies and how each is set up, `scenarios` the requests, `load` the
//! programs that ask, `report` the tables and pictures. What always holds: no figure is kept for
//! answers that were not what the scenario expects, and before it is measured, each contestant is
//! seen to tell the application who the visitor is, or that it does not.
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
mod contestants;
mod gateway;
mod load;
#[path = "../support/nginx.rs"]
mod nginx;
#[path = "../support/process.rs"]
mod process;
mod report;
mod scenarios;

use std::path::PathBuf;
use std::time::Duration;

use contestants::Stage;
use report::Figures;
use scenarios::SCENARIOS;

const ROUNDS: usize = 5;
const ROUND_SECONDS: u32 = 4;
/// How long `--hold` waits.
const HOLD: Duration = Duration::from_hours(1);

/// The options of this run.
struct Asked {
    rounds: usize,
    seconds: u32,
    /// Scenarios whose names contain one of these; empty: all of them.
    only: Vec<String>,
    /// Another build of the gateway to compare with.
    beside: Option<PathBuf>,
    /// Sets everything up, says how each is asked, and waits: for a profiler.
    holds: bool,
    /// Where tables and pictures go besides the terminal.
    into: Option<PathBuf>,
}

fn main() {
    let asked = arguments();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let stage = runtime.block_on(Stage::set(asked.beside.as_deref()));
    if asked.holds {
        for contestant in stage.of(&SCENARIOS[0]) {
            println!("{contestant}");
        }
        std::thread::sleep(HOLD);
        return;
    }
    let mut all = Vec::new();
    for scenario in SCENARIOS {
        let wanted =
            asked.only.is_empty() || asked.only.iter().any(|part| scenario.name.contains(part.as_str()));
        if !wanted {
            continue;
        }
        let mut figures = Figures::of(scenario);
        let contestants = stage.of(scenario);
        for contestant in &contestants {
            runtime.block_on(contestant.verify(scenario));
            let _ = runtime.block_on(load::measure(contestant, scenario, 1));
        }
        for round in 1..=asked.rounds {
            for contestant in &contestants {
                let measured = runtime.block_on(load::measure(contestant, scenario, asked.seconds));
                eprintln!(
                    "{} {round}/{}: {:<34} {:>9.0} {}",
                    scenario.name,
                    asked.rounds,
                    contestant.name,
                    measured.rate,
                    scenario.unit()
                );
                figures.note(&contestant.name, measured);
            }
        }
        println!("{}", figures.table());
        all.push(figures);
    }
    if let Some(folder) = &asked.into {
        report::write(folder, &all);
        println!("written to {}", folder.display());
    }
}

fn arguments() -> Asked {
    let mut asked = Asked {
        rounds: ROUNDS,
        seconds: ROUND_SECONDS,
        only: Vec::new(),
        beside: None,
        holds: false,
        into: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => asked.rounds = value().parse().unwrap(),
            "--seconds" => asked.seconds = value().parse().unwrap(),
            "--only" => asked.only.push(value()),
            "--beside" => asked.beside = Some(value().into()),
            "--hold" => asked.holds = true,
            "--into" => asked.into = Some(value().into()),
            // cargo passes this to every benchmark.
            "--bench" => {}
            _ => panic!("{word} is not known: --rounds --seconds --only --beside --hold --into"),
        }
    }
    asked
}
