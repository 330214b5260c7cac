//! One gateway with so many people: filling its store, starting it, and how much memory it has then.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use vestibule::domain::user::{Role, User};
use vestibule::ports::Batch;
use vestibule::records;

use crate::browsers::Crowd;
use crate::filling;
use crate::passkeys::Everybody;
use crate::process::{Running, resident_bytes, stop};
use crate::served::Laid;
use crate::spread::Spread;

/// The administrator.
pub const ADMINISTRATOR: u64 = 0;
/// People, or sessions, that are written in one commit.
const IN_ONE: u64 = 6;
/// The store's cache by default.
const CACHE_BYTES: u64 = 64 << 20;
/// A gateway is quiet that has used no more processor time than this in each of so many seconds.
const QUIET_CPU_S: f64 = 0.03;
const QUIET_SECONDS: usize = 5;
const SETTLING_MAX: Duration = Duration::from_mins(2);
/// Starts that are timed.
const STARTS: usize = 3;

/// A gateway that runs.
pub struct Lane {
    pub people: u64,
    pub address: SocketAddr,
    pub process: Running,
    pub filled: Filled,
    /// The answer of the authenticator of the person with a number.
    answer: Box<Answer>,
    folder: PathBuf,
}

type Answer = dyn Fn(u64, &Value) -> Value;

/// Measurements while the store was filled.
#[derive(Clone)]
pub struct Filled {
    /// Until the first answer, in seconds.
    pub start: Spread,
    /// The same without sessions.
    pub start_without: Spread,
    /// The part of it that opening the store takes, measured in this process: sled's recovery, and
    /// counting every entry.
    pub opening: f64,
    /// Processor time until the first answer, in seconds.
    pub start_cpu: f64,
    /// Bytes of memory without users, with people and passkeys, and with their sessions.
    pub empty: u64,
    pub with_people: u64,
    pub with_sessions: u64,
    /// Bytes of the store on the disk.
    pub on_disk: u64,
    /// How long it took to fill it.
    pub took: Duration,
    /// How long the gateway went on with work of its own once it answered, at most [`SETTLING_MAX`].
    pub settled_in: Duration,
}

impl Lane {
    pub fn filled(binary: &Path, folder: &Path, application: SocketAddr, people: u64) -> Self {
        let laid = Laid::out(binary, folder, "sled", application);
        let everybody = Everybody::at(&laid.origin());
        // The first start makes the keys, and the store without users.
        started(&laid);
        let empty = several(&laid);
        let began = Instant::now();
        filling::fill(&laid.data(), groups(people).map(|group| group_of(group, |it| person(&everybody, it))));
        let mut took = began.elapsed();
        let without = several(&laid);
        let began = Instant::now();
        filling::fill(&laid.data(), groups(people).map(|group| group_of(group, session)));
        took += began.elapsed();
        let with = several(&laid);
        let began = Instant::now();
        drop(filling::open(&laid.data(), CACHE_BYTES));
        let opening = began.elapsed().as_secs_f64();
        let on_disk = size(&laid.data());
        let (process, _) = laid.start();
        let filled = Filled {
            start: with.took,
            start_without: without.took,
            opening,
            start_cpu: with.cpu,
            empty: empty.resident,
            with_people: without.resident,
            with_sessions: with.resident,
            on_disk,
            took,
            settled_in: settle(&process),
        };
        let answer = Box::new(move |number, options: &Value| everybody.answer(number, options));
        Self { people, address: laid.address, process, filled, answer, folder: folder.to_owned() }
    }

    /// All users, ready to sign in.
    pub fn crowd(&self) -> Crowd<'_> {
        Crowd::new(&self.process, self.address, self.people, &*self.answer)
    }

    /// Ends it, and takes its store away.
    pub fn remove(self) {
        stop(self.process);
        fs::remove_dir_all(self.folder).unwrap();
    }
}

/// Waits until a gateway has nothing more to do for itself: sled tidies up a log that was filled in
/// one go, which does not happen to a log that people fill.
fn settle(process: &Running) -> Duration {
    let used = || process.cpu_s().0 + process.cpu_s().1;
    let (began, mut quiet) = (Instant::now(), 0);
    while quiet < QUIET_SECONDS && began.elapsed() < SETTLING_MAX {
        let before = used();
        std::thread::sleep(Duration::from_secs(1));
        quiet = if used() - before <= QUIET_CPU_S { quiet + 1 } else { 0 };
    }
    began.elapsed()
}

/// Measurements of some starts.
struct Starts {
    took: Spread,
    cpu: f64,
    resident: u64,
}

/// Starts a gateway and ends it: how long it took to answer, the processor time that it used, and
/// its memory then.
fn started(laid: &Laid) -> (f64, f64, u64) {
    let (process, took) = laid.start();
    let (user, system) = process.cpu_s();
    let resident = resident_bytes(process.id());
    stop(process);
    (took.as_secs_f64(), user + system, resident)
}

fn several(laid: &Laid) -> Starts {
    let all = [(); STARTS].map(|()| started(laid));
    let median = |of: fn(&(f64, f64, u64)) -> f64| Spread::of(all.iter().map(of));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, well below 2^52")]
    let resident = median(|it| it.2 as f64).median as u64;
    Starts { took: median(|it| it.0), cpu: median(|it| it.1).median, resident }
}

fn groups(people: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..people)
        .step_by(usize::try_from(IN_ONE).unwrap())
        .map(move |first| first..(first + IN_ONE).min(people))
}

fn group_of(group: std::ops::Range<u64>, of_one: impl Fn(u64) -> Batch) -> Batch {
    group.map(of_one).fold(Batch::default(), Batch::and)
}

fn person(everybody: &Everybody, number: u64) -> Batch {
    let role = if number == ADMINISTRATOR { Role::Administrator } else { Role::Member };
    let user = records::create_user(&User { role, ..filling::user(number) }).unwrap();
    user.and(records::create_credential(&everybody.of(number)).unwrap())
}

fn session(number: u64) -> Batch {
    records::put_session(&filling::session(number, 0)).unwrap()
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    files.map(|it| it.len()).sum()
}
