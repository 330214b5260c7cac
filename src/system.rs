//! The real clock, the real source of randomness, the service manager, and how the kernel hands out
//! memory. The only file that reads the first two.
//!
//! What always holds: [`SystemClock`] never goes backwards within one process, and
//! [`SystemEntropy`] never hands out anything weaker than what the operating system gives.

use std::env;
use std::ffi::OsString;
use std::hint::black_box;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use command_fds::{CommandFdExt as _, FdMapping};

use crate::domain::time::Timestamp;
use crate::ports::{Clock, Entropy};

/// A block that the allocator takes from its region alone. Nothing is written to it, so it takes no
/// memory.
const LARGE_BLOCK_BYTES: usize = 4 << 20;

/// Has the memory of this process handed out in small pages. The allocator takes its memory from a
/// region of 64 MiB, of which the kernel would hand out 2 MiB for each first byte: an idle gateway
/// took 80 MiB instead of 36, and was no faster for it.
pub fn use_small_pages() {
    // A kernel without this option only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Has it handed out in large pages again, where the kernel and the allocator see fit.
pub fn use_large_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(false);
}

/// Has the allocator give memory back to the kernel that was free for a while. It does so only when
/// a large block is freed, which does not happen in an idle gateway.
pub fn give_memory_back() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE_BLOCK_BYTES)));
}

/// The machine's clock, which goes on from where it was when it is set back.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// How far it has been ahead of the time since this process began, at most.
    ahead_millis: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let running = i64::try_from(monotonic().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(running_wall_clock(&self.ahead_millis, running, wall_clock_millis()))
    }
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, into: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "this file is where randomness comes in")]
        let filled = getrandom::fill(into);
        if let Err(error) = filled {
            // Unwinding would end one task and leave a process that cannot make secrets.
            tracing::error!(%error, "the operating system gives no randomness");
            process::abort();
        }
    }
}

/// Time since the first call in this process; not affected by changes of the machine's clock.
pub fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this file is where time comes in")]
    let now = Instant::now();
    now.saturating_duration_since(*START.get_or_init(|| now))
}

/// The states that the service manager is told (`Type=notify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every listener is open and the store is loaded.
    Ready,
    /// Requests under way are finished, no new ones are taken.
    Stopping,
}

/// Tells the service manager, if there is one; having none is no failure.
pub fn tell_service_manager(phase: Phase) {
    let state = match phase {
        Phase::Ready => sd_notify::NotifyState::Ready,
        Phase::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// The number of the first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST_HANDED_OVER: i32 = 3;
/// The name in `LISTEN_FDNAMES` for the sockets of a gateway that this process replaces.
const OF_PREDECESSOR: &str = "vestibule";

/// The process that opened the sockets that are handed to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    ServiceManager,
    /// The program that this process was before.
    Predecessor,
}

/// Listening sockets that were opened for us (`sd_listen_fds(3)`), and by whom. To be called once,
/// before there is another thread: it takes the variables that name them out of the environment.
pub fn handed_over() -> io::Result<(Vec<TcpListener>, Holder)> {
    #[expect(clippy::disallowed_methods, reason = "not a setting: a part of the protocol of sockets")]
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let is_ours = !names.is_empty() && names.split(':').all(|name| name == OF_PREDECESSOR);
    let holder = if is_ours { Holder::Predecessor } else { Holder::ServiceManager };
    let mut handed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::with_capacity(handed.len());
    for at in 0..handed.len() {
        sockets.extend(handed.take_tcp_listener(at)?);
    }
    Ok((sockets, holder))
}

/// Becomes `program`, in the same process, and hands it `sockets` in the way that [`handed_over`]
/// reads. To be called when everything else is over. Returns only if that fails, and then the
/// sockets are gone.
pub fn replace_process(program: &Path, arguments: &[OsString], sockets: Vec<OwnedFd>) -> io::Error {
    let count = sockets.len();
    let numbered = sockets.into_iter().zip(FIRST_HANDED_OVER..);
    let mappings = numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
    let mut command = Command::new(program);
    if let Err(error) = command.args(arguments).fd_mappings(mappings) {
        return io::Error::other(error);
    }
    command
        .env("LISTEN_PID", process::id().to_string())
        .env("LISTEN_FDS", count.to_string())
        .env("LISTEN_FDNAMES", vec![OF_PREDECESSOR; count].join(":"))
        .exec()
}

fn wall_clock_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this file is where time comes in")]
    let now = SystemTime::now();
    // A clock before 1970 reads as 1970.
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// What the wall clock says, or would say had it never been set back: limits, challenges and
/// sessions run out by it, and would all wait for the day before to be over otherwise.
fn running_wall_clock(ahead_most: &AtomicI64, running: i64, wall: i64) -> i64 {
    let ahead = wall.saturating_sub(running);
    let known = ahead_most.load(Ordering::Relaxed);
    // Only a clock that was set forward writes, so requests do not share a cache line that changes.
    let most = if ahead > known { ahead_most.fetch_max(ahead, Ordering::Relaxed).max(ahead) } else { known };
    running.saturating_add(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy;

    #[test]
    fn d_11_the_clock_goes_on_when_it_is_set_back() {
        let most = AtomicI64::new(0);
        // Time in this process, the wall clock, and what is told.
        let readings = [(0, 1_000, 1_000), (10, 1_010, 1_010), (20, 500, 1_020), (30, 510, 1_030)];
        let later = [(40, 9_000, 9_000), (50, 1_050, 9_010), (60, 9_020, 9_020), (70, 9_031, 9_031)];
        for (running, wall, told) in readings.into_iter().chain(later) {
            assert_eq!(running_wall_clock(&most, running, wall), told, "at {running}");
        }
    }

    #[test]
    fn the_clock_tells_this_century_and_monotonic_time_does_not_go_back() {
        let clock = SystemClock::default();
        let first = clock.now();
        assert!(first.as_millis() > 1_700_000_000_000 && clock.now() >= first);
        let first = monotonic();
        assert!(monotonic() >= first);
    }

    #[test]
    fn two_draws_differ() {
        let draw = || entropy::bytes::<32>(&SystemEntropy);
        assert_ne!(draw(), draw());
    }
}
