//! Browsers that sign in, one ceremony after the other each, without a pause.
//!
//! What does not live here: the requests of a ceremony (`client.rs`), and the passkeys
//! (`passkeys.rs`). What always holds: each user has a turn, from a few networks of their own, as
//! far apart in the store as people are.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::client::{Connection, SignedIn};
use crate::process::Running;
use crate::spread::percentile_us;

/// Networks that each user signs in from in turn. One account may be tried twice a second from one
/// network, which is no setting; the gateway remembers this many of a person.
const NETWORKS: u64 = 8;
/// A prime: people take turns in another order than they have in the store.
const STRIDE: u64 = 7_919;
const BYTES: u64 = 256;

/// The people who sign in at one server.
pub struct Crowd<'a> {
    pub process: &'a Running,
    pub address: SocketAddr,
    /// How many there are.
    pub people: u64,
    /// The answer of the authenticator of the person with this number.
    pub answer: &'a dyn Fn(u64, &Value) -> Value,
    /// How many had a turn.
    turns: AtomicU64,
}

/// The result of one round.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Sign-ins a second.
    pub rate: f64,
    /// The median time of both requests of a sign-in together, without the authenticator's time.
    pub median_us: f64,
    pub p99_us: f64,
    /// Processor time of the server for one sign-in: its own, and the system's for it.
    pub user_us: f64,
    pub system_us: f64,
}

impl<'a> Crowd<'a> {
    pub fn new(
        process: &'a Running,
        address: SocketAddr,
        people: u64,
        answer: &'a dyn Fn(u64, &Value) -> Value,
    ) -> Self {
        Self { process, address, people, answer, turns: AtomicU64::new(0) }
    }

    /// Has `together` browsers sign in for so long.
    pub async fn measure(&self, together: usize, length: Duration) -> Measured {
        let before = self.process.cpu_s();
        let began = Instant::now();
        let until = began + length;
        let done = self.browse(together, || Instant::now() < until).await;
        let took = began.elapsed().as_secs_f64();
        let after = self.process.cpu_s();
        let mut waited: Vec<Duration> = done.iter().map(|it| it.waited).collect();
        waited.sort();
        let count = waited.len() as f64;
        Measured {
            rate: count / took,
            median_us: percentile_us(&waited, 50),
            p99_us: percentile_us(&waited, 99),
            user_us: (after.0 - before.0) * 1e6 / count,
            system_us: (after.1 - before.1) * 1e6 / count,
        }
    }

    /// The cookies of so many new sessions.
    pub async fn sessions(&self, count: usize, together: usize) -> Vec<String> {
        let (begun, count) = (AtomicU64::new(0), count as u64);
        let done = self.browse(together, || begun.fetch_add(1, Ordering::Relaxed) < count).await;
        done.into_iter().map(|it| it.cookie).collect()
    }

    async fn browse(&self, together: usize, goes_on: impl Fn() -> bool) -> Vec<SignedIn> {
        let browsers = (0..together).map(|_| async {
            let mut connection = Connection::open(self.address).await;
            let mut done = Vec::new();
            while goes_on() {
                let turn = self.turns.fetch_add(1, Ordering::Relaxed);
                let number = turn.wrapping_mul(STRIDE) % self.people;
                done.push(self.one(&mut connection, number, turn / self.people).await);
            }
            done
        });
        join_all(browsers).await.into_iter().flatten().collect()
    }

    /// Signs one person in, for the so many-th time.
    pub async fn one(&self, connection: &mut Connection, number: u64, time: u64) -> SignedIn {
        let [high, low, network] = [number / BYTES % BYTES, number % BYTES, time % NETWORKS]
            .map(|part| u8::try_from(part).expect("a part of an address"));
        // The last byte does not tell networks apart.
        let visitor = Ipv4Addr::new(10 + network, high, low, 7).to_string();
        connection.sign_in(&visitor, |options| (self.answer)(number, options)).await
    }
}
