//! What is written behind, as every engine keeps it: there for readers, commits and takers at once.
//!
//! What does not live here: what a crash takes away, which is tested beside the engine that can
//! crash. What always holds: as in the rest of the contract, no test knows its engine.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Store, heard, is_conflict, keys, one_of_many_takes, put, value};
use crate::ports::{Batch, Change};

/// More changes than any engine holds back.
const FLOOD: usize = 2_000;

async fn put_behind(store: &Store, key: &str, value: &str) {
    store.write_behind(Batch::default().put(key.into(), value.into()).changes).await.unwrap();
}

async fn delete_behind(store: &Store, key: &str) {
    store.write_behind(vec![Change::Delete { key: key.into() }]).await.unwrap();
}

pub(super) async fn what_is_written_behind_is_seen_at_once(store: Store) {
    for key in ["p/1", "p/3", "p/5", "q"] {
        put(&store, key, "durable").await;
    }
    let batch = Batch::default()
        .put(b"p/0".to_vec(), b"new".to_vec())
        .put(b"p/3".to_vec(), b"changed".to_vec())
        .put(b"p/4".to_vec(), b"new".to_vec())
        .delete(b"p/1".to_vec())
        .delete(b"p/9".to_vec());
    store.write_behind(batch.changes).await.unwrap();
    assert_eq!(value(&store, "p/3").await.as_deref(), Some("changed"));
    assert_eq!(value(&store, "p/4").await.as_deref(), Some("new"));
    assert_eq!(value(&store, "p/1").await, None);
    assert_eq!(keys(&store, "p/", None, 9).await, ["p/0", "p/3", "p/4", "p/5"]);
    assert_eq!(keys(&store, "p/", None, 3).await, ["p/0", "p/3", "p/4"]);
    assert_eq!(keys(&store, "p/", Some("p/3"), 1).await, ["p/4"]);
    assert_eq!(keys(&store, "p/", Some("p/4"), 9).await, ["p/5"]);
    assert_eq!(keys(&store, "", None, 9).await, ["p/0", "p/3", "p/4", "p/5", "q"]);
    delete_behind(&store, "p/4").await;
    put_behind(&store, "p/1", "again").await;
    assert_eq!(keys(&store, "p/", None, 9).await, ["p/0", "p/1", "p/3", "p/5"]);
    // A commit writes all of it, and nothing else than was seen.
    put(&store, "after", "").await;
    assert_eq!(keys(&store, "p/", None, 9).await, ["p/0", "p/1", "p/3", "p/5"]);
    assert_eq!(value(&store, "p/1").await.as_deref(), Some("again"));
}

pub(super) async fn commits_are_decided_with_what_is_written_behind(store: Store) {
    put_behind(&store, "k", "1").await;
    let expecting = |value: &str| Batch::default().expect(b"k".to_vec(), value.into());
    assert!(is_conflict(&store.commit(Batch::default().expect_absent(b"k".to_vec())).await));
    put_behind(&store, "k", "2").await;
    assert!(is_conflict(&store.commit(expecting("1").put(b"no".to_vec(), vec![])).await));
    store.commit(expecting("2").delete(b"k".to_vec()).put(b"yes".to_vec(), vec![])).await.unwrap();
    assert_eq!(keys(&store, "", None, 9).await, ["yes"]);
    delete_behind(&store, "yes").await;
    store.commit(Batch::default().expect_absent(b"yes".to_vec())).await.unwrap();
}

pub(super) async fn of_racing_takers_one_gets_what_is_written_behind(store: Store) {
    put_behind(&store, "code", "once").await;
    one_of_many_takes(&store, "code", "once").await;
}

pub(super) async fn followers_hear_of_what_is_written_behind_by_the_next_commit(store: Store) {
    put(&store, "k/1", "0").await;
    let heard = heard(&store, "k/").await;
    put_behind(&store, "k/1", "1").await;
    put_behind(&store, "k/2", "1").await;
    delete_behind(&store, "k/2").await;
    // A follower that comes later misses nothing either.
    let late = self::heard(&store, "k/").await;
    put(&store, "elsewhere", "").await;
    for follower in [heard, late] {
        let state = follower.lock().unwrap().state();
        assert_eq!(state.into_iter().collect::<Vec<_>>(), [(b"k/1".to_vec(), b"1".to_vec())]);
    }
}

pub(super) async fn more_is_written_behind_than_an_engine_keeps(store: Store) {
    for number in 0..FLOOD {
        put_behind(&store, &format!("k/{number:04}"), "").await;
    }
    assert_eq!(keys(&store, "k/", None, 2 * FLOOD).await.len(), FLOOD);
    let takers = (0..FLOOD).map(|number| {
        let store = Arc::clone(&store);
        async move { store.take(format!("k/{number:04}").as_bytes()).await.unwrap().is_some() }
    });
    assert!(join_all(takers).await.into_iter().all(|taken| taken));
    assert!(keys(&store, "k/", None, 9).await.is_empty());
}
