//! Fills the store of a gateway that does not run, in the format that the gateway reads.
//!
//! What lives here: people, their passkeys and their sessions as records, and how many of them are
//! written together. What does not: the measurements. What always holds: the same number is the
//! same person in every benchmark, with an id that looks random, so that neighbours in the store
//! are unrelated people.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};
use vestibule::domain::id::{SessionId, UserId};
use vestibule::domain::session::{Scope, Session};
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{DisplayName, Email, User, Username};
use vestibule::ports::Batch;
use vestibule::records::Records;
use vestibule::store::{CommitTimer, SledOptions, SledStore};

/// How many commits wait for the disk together; as many as the store's writer takes at a time.
const TOGETHER: usize = 256;
/// Enough for all that is filled in, so that nothing is read back from the disk meanwhile.
const CACHE_BYTES: u64 = 2 << 30;
/// How long a session goes on.
const LIFETIME: std::time::Duration = std::time::Duration::from_hours(24);
/// Names are made of these, so that some beginnings are shared by many people.
const SYLLABLES: [&str; 16] =
    ["ba", "den", "fi", "gor", "ha", "jin", "ku", "lor", "ma", "nel", "pa", "rin", "su", "tor", "va", "zel"];

/// Puts these batches into the store in the directory `path`.
pub fn fill(path: &Path, batches: impl Iterator<Item = Batch>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let records = Records::new(Arc::new(open(path, CACHE_BYTES)));
    let mut batches = batches.peekable();
    while batches.peek().is_some() {
        let together = batches.by_ref().take(TOGETHER).map(|batch| records.commit(batch));
        runtime.block_on(try_join_all(together)).unwrap();
    }
}

/// The store in the directory `path`, as the gateway has it.
pub fn open(path: &Path, cache_bytes: u64) -> SledStore {
    let started = Instant::now();
    let timer = CommitTimer { now: Arc::new(move || started.elapsed()), committed: Arc::new(|_| {}) };
    SledStore::open(path, &SledOptions { cache_bytes }, timer).unwrap()
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// The person with this number.
pub fn user(number: u64) -> User {
    let username = format!("user{number}");
    let (name, email) =
        (Username::parse(&username).unwrap(), Email::parse(&format!("{username}@example.com")).unwrap());
    let [a, b, c, d, ..] = random(number, "name").map(|byte| SYLLABLES[usize::from(byte) % SYLLABLES.len()]);
    User {
        id: id(number),
        display_name: DisplayName::parse(&format!("{} {}", capital(a, b), capital(c, d))).unwrap(),
        created_at: now(),
        updated_at: now(),
        ..User::hypothetical(name, email, [].into()).unwrap()
    }
}

pub fn id(number: u64) -> UserId {
    UserId::from_random(random(number, "user"))
}

/// The `nth` session of the person with this number.
pub fn session(number: u64, nth: u64) -> Session {
    Session {
        id: SessionId(random(number, &format!("session {nth}"))),
        user: id(number),
        scope: Scope::Full,
        credential: None,
        created_at: now(),
        authenticated_at: Some(now()),
        fresh_since: Some(now()),
        stepped_up_at: None,
        step_up: None,
        by_mailed_code: false,
        last_seen_at: now(),
        expires_at: now().plus(LIFETIME),
        client: Some([192, 0, 2, 1].into()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
    }
}

/// Bytes that look random, and are the same each time.
pub fn random(number: u64, what: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(what).finalize();
    *digest.first_chunk().unwrap()
}

fn capital(first: &str, second: &str) -> String {
    let mut name = first.to_owned();
    name.get_mut(..1).unwrap().make_ascii_uppercase();
    name + second
}
