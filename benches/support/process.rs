//! Programs that run beside one another, each on its core, and the processor time and memory that
//! each has used.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub const PROXY_CORE: &str = "0";
pub const LOAD_CORE: &str = "1";
const START_WAIT_MAX: Duration = Duration::from_secs(20);
/// Ports for what is started here.
const PORTS: Range<u16> = 12_000..30_000;
/// How long a process may take to end in its own time.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// Clock ticks a second in /proc/PID/stat, the same on every Linux that Rust's std supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that ends with this value.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let children = descendants(self.0.id());
        // In its own time, because a build that counts for the compiler writes down at its end what
        // it has counted.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        }
        let deadline = Instant::now() + ENDING_MAX;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        // No other process ends its children.
        for child in children {
            let _ = Command::new("kill").args(["-9", &child.to_string()]).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn start(core: &str, command: &[&str]) -> Self {
        Self::start_with(core, command, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(core: &str, command: &[&str], environment: &[(&str, &str)]) -> Self {
        // Complaints of the programs are shown; they are told to be quiet otherwise.
        Self::start_to(Stdio::inherit(), core, command, environment)
    }

    /// The same for a program whose log is long: it is written, and goes nowhere.
    pub fn start_silent(core: &str, command: &[&str]) -> Self {
        Self::start_to(Stdio::null(), core, command, &[])
    }

    fn start_to(errors: Stdio, core: &str, command: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", core]).args(command).envs(environment.iter().copied());
        pinned.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        Self(pinned.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Processor time used so far by it and those that it has started, in seconds: its own, and the
    /// system's for it.
    pub fn cpu_s(&self) -> (f64, f64) {
        let own = descendants(self.0.id());
        own.into_iter().chain([self.0.id()]).map(times_of).fold((0.0, 0.0), |(u, s), (a, b)| (u + a, s + b))
    }
}

/// Ends a process in its own time, and waits until it has.
pub fn stop(mut running: Running) {
    assert!(Command::new("kill").arg(running.id().to_string()).status().unwrap().success());
    running.0.wait().unwrap();
}

/// Keeps this process, and the threads that it starts from now on, on one core.
pub fn stay_on(core: &str) {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-pc", core, &own]).stdout(Stdio::null()).status();
    assert!(pinned.unwrap().success(), "taskset -pc {core}");
}

/// Processor time of this process so far, in seconds.
pub fn own_cpu_s() -> f64 {
    let (user, system) = times_of(std::process::id());
    user + system
}

/// Bytes of memory that a process has at the moment.
pub fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn times_of(process: u32) -> (f64, f64) {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return (0.0, 0.0) };
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let seconds = |at: usize| fields[at].parse::<f64>().unwrap() / TICKS_PER_SECOND;
    (seconds(11), seconds(12))
}

/// Every process below this one.
fn descendants(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    children.into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// An address that no process listens on.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(PORTS.start);
    // Each port is tried once. Outgoing connections are given ports above these, and so cannot take
    // one of them between this and its use.
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], NEXT.fetch_add(1, Ordering::Relaxed)));
        assert!(PORTS.contains(&address.port()), "no port is free");
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Waits until a process listens there.
pub fn answers(name: &str, address: SocketAddr) {
    let deadline = Instant::now() + START_WAIT_MAX;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "{name}: no process answers on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The result of `look`, as soon as it has one.
pub fn appears<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + START_WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not appear");
        std::thread::sleep(Duration::from_millis(20));
    }
}
