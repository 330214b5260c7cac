//! Calls that fail (D-03): the n-th write, synchronisation, renaming or opening of a file below the
//! data directory gets an error, is interrupted or is cut short, in the start and in everything
//! that a user does then (`tests/support/failing_calls.c`, preloaded). After each, a start without
//! it finds what was acknowledged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::person::{End, Person, patient};
use crate::harness::Gateway;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/failing_calls.c");
/// The changes of every round; the same each time except for the random numbers.
const CHANGES: usize = 12;
/// Gateways that are tested side by side.
const LANES: usize = 4;
/// How many rounds the person has to notice; otherwise they show little.
const FELT_MIN: usize = 20;

/// Which calls fail, in which way, and at how many places of a round.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    how: How,
    places: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// `EIO`, once.
    Error,
    /// `ENOSPC`, from then on.
    Full,
    /// `EINTR`, once.
    Interrupted,
    /// Half of it is written, once.
    Short,
}

impl How {
    const fn number(self) -> &'static str {
        match self {
            Self::Error => "5",
            Self::Full => "28",
            Self::Interrupted => "4",
            Self::Short => "0",
        }
    }

    /// Whether no client has a reason to notice it.
    const fn is_harmless(self) -> bool {
        matches!(self, Self::Interrupted | Self::Short)
    }
}

const fn fault(call: &'static str, how: How, places: usize) -> Fault {
    Fault { call, how, places }
}

const FAULTS: [Fault; 17] = [
    fault("pwrite64", How::Error, 8),
    fault("pwrite64", How::Full, 6),
    fault("pwrite64", How::Interrupted, 3),
    fault("pwrite64", How::Short, 4),
    fault("write", How::Error, 5),
    fault("write", How::Full, 3),
    fault("write", How::Interrupted, 2),
    fault("write", How::Short, 3),
    fault("fsync", How::Error, 8),
    fault("fsync", How::Interrupted, 2),
    fault("fdatasync", How::Error, 3),
    fault("sync_file_range", How::Error, 4),
    fault("rename", How::Error, 4),
    fault("rename", How::Full, 2),
    fault("open", How::Error, 7),
    fault("open", How::Full, 3),
    fault("open", How::Interrupted, 2),
];

/// Compiles the preloaded library.
fn library(directory: &Path) -> PathBuf {
    let library = directory.join("failing_calls.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", SOURCE, "-ldl", "-o"]).arg(&library);
    assert!(compiler.status().expect("D-03 needs the C compiler that Rust links with").success());
    library
}

/// A gateway of its own, and a person who uses it.
struct Lane {
    library: PathBuf,
    gateway: Gateway,
    person: Person,
}

impl Lane {
    async fn laid(library: PathBuf, seed: u64) -> Self {
        let mut gateway = Gateway::start(patient).await;
        let person = Person::first(&gateway, seed).await;
        gateway.stop();
        Self { library, gateway, person }
    }

    fn spawn(&mut self, said: &[(&str, &str)]) {
        let mut words = vec!["env".to_owned(), format!("LD_PRELOAD={}", self.library.display())];
        words.push(format!("FAIL_BELOW={}/", self.gateway.data().display()));
        words.extend(said.iter().map(|(name, value)| format!("{name}={value}")));
        self.gateway.spawn(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// How many calls of each kind there are in a round.
    async fn count(&mut self) -> BTreeMap<String, usize> {
        let counts = self.gateway.directory().join("counts");
        self.spawn(&[("FAIL_COUNT", counts.to_str().unwrap())]);
        self.gateway.wait_until_ready().await;
        let end = self.person.live_for(CHANGES).await;
        assert!(matches!(end, End::Asked), "{end:?}");
        self.gateway.stop();
        let text = fs::read_to_string(counts).unwrap();
        let counts = text.lines().map(|line| line.split_once(' ').unwrap());
        counts.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
    }

    /// One round; whether the person noticed.
    async fn round(&mut self, fault: Fault, at: usize) -> bool {
        let (number, context) = (at.to_string(), format!("{fault:?} at {at}"));
        let mut said =
            vec![("FAIL_CALL", fault.call), ("FAIL_AT", &number), ("FAIL_HOW", fault.how.number())];
        if fault.how == How::Full {
            said.push(("FAIL_ON", "on"));
        }
        self.spawn(&said);
        let mut felt = !self.gateway.comes_up().await;
        if !felt {
            felt = !matches!(self.person.live_for(CHANGES).await, End::Asked);
            self.gateway.stop();
        }
        assert!(!(felt && fault.how.is_harmless()), "{context}: there is nothing to complain about");
        self.gateway.launch().await;
        self.person.check(&context).await;
        self.gateway.kill9();
        felt
    }
}

/// Places from the first to the last of `count`.
fn places(count: usize, places: usize) -> impl Iterator<Item = usize> {
    let places = places.min(count);
    (0..places).map(move |number| 1 + number * (count - 1) / (places - 1).max(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_03_failed_calls_lose_no_acknowledged_change() {
    let directory = TempDir::new().unwrap();
    let library = library(directory.path());
    let counts = Lane::laid(library.clone(), 9).await.count().await;
    println!("{counts:?}");
    for call in ["pwrite64", "write", "fsync", "rename", "open"] {
        assert!(counts[call] > 0, "{call} is not seen: {counts:?}");
    }
    let rounds = FAULTS
        .into_iter()
        .flat_map(|fault| places(counts[fault.call], fault.places).map(move |at| (fault, at)));
    let rounds: Vec<_> = rounds.collect();
    let lanes = (0..LANES).map(|lane| {
        let rounds: Vec<_> = rounds.iter().copied().skip(lane).step_by(LANES).collect();
        let library = library.clone();
        tokio::spawn(async move {
            let mut lane = Lane::laid(library, u64::try_from(lane).unwrap() + 1).await;
            let mut felt = 0;
            for (fault, at) in rounds {
                felt += usize::from(lane.round(fault, at).await);
            }
            felt
        })
    });
    let lanes: Vec<_> = lanes.collect();
    let felt: usize = join_all(lanes).await.into_iter().map(Result::unwrap).sum();
    println!("{felt} of {} rounds were felt", rounds.len());
    assert!(felt >= FELT_MIN, "only {felt} of {} rounds were felt", rounds.len());
}
