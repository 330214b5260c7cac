//! The memory of a session. There is one test, so that nothing else changes this process's memory.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on stops here")]

use std::sync::Arc;

use vestibule::domain::id::{SessionId, UserId};
use vestibule::domain::session::{Scope, Session};
use vestibule::domain::time::Timestamp;
use vestibule::flows::index::SessionIndex;
use vestibule::ports::Clock;
use vestibule::ports::store::follow_all;
use vestibule::records::{self, Records};
use vestibule::store::MemoryStore;
use vestibule::system::SystemClock;

const SESSIONS: u64 = 50_000;
const SESSIONS_A_USER: u64 = 5;
/// A budget, so that it does not grow unnoticed: 676 were measured.
const BYTES_A_SESSION_MAX: u64 = 800;
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn session(number: u64) -> Session {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Session {
        id: SessionId(id),
        user: UserId::from_random((number / SESSIONS_A_USER).to_be_bytes().repeat(2).try_into().unwrap()),
        scope: Scope::Full,
        credential: None,
        created_at: NOW,
        authenticated_at: Some(NOW),
        fresh_since: Some(NOW),
        stepped_up_at: None,
        step_up: None,
        by_mailed_code: false,
        last_seen_at: NOW,
        expires_at: NOW,
        client: Some([192, 0, 2, 1].into()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
    }
}

/// An index that follows the store.
async fn following(store: &Records, clock: &Arc<dyn Clock>) -> Arc<SessionIndex> {
    let index = Arc::new(SessionIndex::default());
    follow_all(&**store.store(), index.subscriptions(clock).into()).await.unwrap();
    index
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// An index that owned a concurrent map for each session took 47 KiB a session.
#[tokio::test]
async fn live_session_stays_below_the_memory_limit() {
    let store = Records::new(Arc::new(MemoryStore::new()));
    for number in 0..SESSIONS {
        store.commit(records::put_session(&session(number)).unwrap()).await.unwrap();
    }
    // The first index also allocates the memory that is given back after the start; the second one
    // does not.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let first = following(&store, &clock).await;
    let before = resident();
    let second = following(&store, &clock).await;
    let each = resident().saturating_sub(before) / SESSIONS;
    assert_eq!((first.len(), second.len()), (50_000, 50_000));
    println!("{each} bytes a session");
    assert!(each <= BYTES_A_SESSION_MAX, "{each} bytes a session");
    // A measurement that misses the sessions would prove nothing.
    assert!(each >= u64::try_from(size_of::<Session>()).unwrap(), "{each} bytes a session");
}
