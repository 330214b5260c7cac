//! Free ports, without two tests getting the same one.
//!
//! The gateway has to be told its port before it starts, so a port is free for a moment between the
//! two, and another test could take it. Each test process draws from a range of its own, below the
//! ports that the system hands out for outgoing connections.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const PER_PROCESS: u16 = 40;
const PROCESSES: u32 = 500;
/// Browsers refuse to open this port (`ERR_UNSAFE_PORT`); no other of the ports below is on their
/// lists.
const UNSAFE: u16 = 10_080;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that no process listens on, and that no other test is given.
pub fn free() -> u16 {
    let slot = u16::try_from(std::process::id() % PROCESSES).unwrap();
    for _ in 0..PER_PROCESS * 4 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        // Beyond its own range a process goes on above all ranges.
        let port = if offset < PER_PROCESS {
            FIRST + slot * PER_PROCESS + offset
        } else {
            30_000 + (slot + offset * 7) % 2_700
        };
        if port != UNSAFE && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port")
}
