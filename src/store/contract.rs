//! The contract suite: each sentence of `ports::store` as a test that every engine passes.
//!
//! [`contract!`] makes one test per promise for one engine. A promise of one engine alone is tested
//! beside that engine. What always holds: no test here knows which engine it runs against.

mod behind;
mod model;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;

use self::behind::{
    commits_are_decided_with_what_is_written_behind,
    followers_hear_of_what_is_written_behind_by_the_next_commit, more_is_written_behind_than_an_engine_keeps,
    of_racing_takers_one_gets_what_is_written_behind, what_is_written_behind_is_seen_at_once,
};
use self::model::{random_batches_match_a_model, random_changes_written_behind_match_a_model};
use crate::ports::store::{BATCH_OPERATIONS_MAX, Entry, FollowError, KEY_BYTES_MAX, Told, VALUE_BYTES_MAX};
use crate::ports::{Batch, Change, CommitError, KeyValue, StoreError};

const RACERS: usize = 50;

type Store = Arc<dyn KeyValue>;

/// Makes a module of tests for the engine that `$open` makes: an `Arc<dyn KeyValue>` beside a value
/// that has to outlive it.
macro_rules! contract {
    ($engine:ident, $open:expr, $($promise:ident),+ $(,)?) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (store, _kept) = $open;
                    super::$promise(store).await;
                }
            )+
        }
    };
}

macro_rules! every_promise {
    ($engine:ident, $open:expr) => {
        contract!(
            $engine,
            $open,
            get_finds_what_was_put,
            scan_is_ordered_and_complete,
            scan_stays_within_its_prefix,
            scan_continues_after_a_key,
            take_succeeds_at_most_once,
            commit_is_all_or_nothing,
            expectations_hold_in_both_directions,
            expectations_are_checked_against_the_state_before,
            of_racing_commits_exactly_one_wins,
            a_conflict_leaves_its_neighbours_alone,
            followers_hear_in_order_and_before_the_answer,
            followers_hear_of_what_is_there_and_only_of_their_prefix,
            no_change_falls_between_what_is_there_and_what_comes,
            a_follower_that_missed_something_is_told_everything_anew,
            a_caller_that_goes_away_leaves_all_or_nothing,
            what_is_written_behind_is_seen_at_once,
            commits_are_decided_with_what_is_written_behind,
            of_racing_takers_one_gets_what_is_written_behind,
            followers_hear_of_what_is_written_behind_by_the_next_commit,
            more_is_written_behind_than_an_engine_keeps,
            sizes_up_to_the_limits_are_accepted,
            sizes_above_the_limits_are_refused,
            random_batches_match_a_model,
            random_changes_written_behind_match_a_model,
        );
    };
}

every_promise!(memory, {
    let store: super::Store = std::sync::Arc::new(crate::store::MemoryStore::new());
    (store, ())
});

every_promise!(sled, crate::store::sled::fresh_for_the_contract());

async fn put(store: &Store, key: &str, value: &str) {
    store.commit(Batch::default().put(key.into(), value.into())).await.unwrap();
}

async fn value(store: &Store, key: &str) -> Option<String> {
    store.get(key.as_bytes()).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn keys(store: &Store, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let found = store.scan(prefix.as_bytes(), after.map(str::as_bytes), limit).await.unwrap();
    found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

fn is_conflict(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Conflict))
}

async fn get_finds_what_was_put(store: Store) {
    assert_eq!(value(&store, "a").await, None);
    put(&store, "a", "1").await;
    put(&store, "a", "2").await;
    put(&store, "empty", "").await;
    assert_eq!(value(&store, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&store, "empty").await.as_deref(), Some(""));
    assert_eq!(value(&store, "").await, None);
    store.commit(Batch::default().delete(b"a".to_vec())).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
    assert!(store.health().is_ok());
}

async fn scan_is_ordered_and_complete(store: Store) {
    let mut expected: Vec<Entry> = Vec::new();
    for byte in (0..=255_u8).rev() {
        let entry = (vec![b'k', byte], vec![byte; 3]);
        store.commit(Batch::default().put(entry.0.clone(), entry.1.clone())).await.unwrap();
        expected.insert(0, entry);
    }
    assert_eq!(store.scan(b"k", None, 1_000).await.unwrap(), expected);
    assert_eq!(store.scan(b"", None, 1_000).await.unwrap(), expected);
    assert_eq!(store.scan(b"k", None, 256).await.unwrap().len(), 256);
    assert_eq!(store.scan(b"k", None, 0).await.unwrap(), []);
}

async fn scan_stays_within_its_prefix(store: Store) {
    let end_of_prefix = [b"b".as_slice(), &[0xff, 0xff]].concat();
    let batch = Batch::default()
        .put(b"a".to_vec(), vec![])
        .put(b"b".to_vec(), vec![])
        .put(b"b/1".to_vec(), vec![])
        .put(end_of_prefix.clone(), vec![])
        .put(b"c".to_vec(), vec![])
        .put(vec![0xff, 0xff], vec![]);
    store.commit(batch).await.unwrap();
    let found: Vec<_> = store.scan(b"b", None, 10).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, [b"b".to_vec(), b"b/1".to_vec(), end_of_prefix]);
    assert_eq!(keys(&store, "b/", None, 10).await, ["b/1"]);
    assert_eq!(store.scan(&[0xff], None, 10).await.unwrap().len(), 1);
    assert!(keys(&store, "d", None, 10).await.is_empty());
}

async fn scan_continues_after_a_key(store: Store) {
    for key in ["a", "p1", "p2", "p3", "q"] {
        put(&store, key, "").await;
    }
    assert_eq!(keys(&store, "p", None, 2).await, ["p1", "p2"]);
    assert_eq!(keys(&store, "p", Some("p2"), 2).await, ["p3"]);
    assert_eq!(keys(&store, "p", Some("p1x"), 2).await, ["p2", "p3"]);
    // A place outside the prefix is allowed: before it means all, after it means none.
    assert_eq!(keys(&store, "p", Some("a"), 9).await, ["p1", "p2", "p3"]);
    assert!(keys(&store, "p", Some("q"), 9).await.is_empty());
    assert_eq!(keys(&store, "p1", Some("p1"), 9).await, Vec::<String>::new());
}

async fn take_succeeds_at_most_once(store: Store) {
    put(&store, "code", "once").await;
    one_of_many_takes(&store, "code", "once").await;
    assert_eq!(store.take(b"code").await.unwrap(), None);
}

/// Has many callers take one key at the same time.
async fn one_of_many_takes(store: &Store, key: &'static str, expected: &str) {
    let takers = (0..RACERS).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.take(key.as_bytes()).await.unwrap() })
    });
    let taken: Vec<_> = join_all(takers).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken, [expected.as_bytes().to_vec()]);
    assert_eq!(value(store, key).await, None);
}

async fn commit_is_all_or_nothing(store: Store) {
    put(&store, "old", "1").await;
    let batch = Batch::default()
        .put(b"new".to_vec(), b"2".to_vec())
        .delete(b"old".to_vec())
        .expect(b"old".to_vec(), b"wrong".to_vec());
    assert!(is_conflict(&store.commit(batch.clone()).await));
    assert_eq!(keys(&store, "", None, 9).await, ["old"]);
    let batch = Batch { expectations: vec![], ..batch }.expect(b"old".to_vec(), b"1".to_vec());
    store.commit(batch).await.unwrap();
    assert_eq!(keys(&store, "", None, 9).await, ["new"]);
}

async fn expectations_hold_in_both_directions(store: Store) {
    let absent = || Batch::default().expect_absent(b"k".to_vec());
    let exactly = |value: &str| Batch::default().expect(b"k".to_vec(), value.into());
    assert!(is_conflict(&store.commit(exactly("")).await));
    store.commit(absent()).await.unwrap();
    store.commit(absent().put(b"k".to_vec(), b"v".to_vec())).await.unwrap();
    assert!(is_conflict(&store.commit(absent()).await));
    assert!(is_conflict(&store.commit(exactly("w")).await));
    assert!(is_conflict(&store.commit(exactly("")).await));
    store.commit(exactly("v")).await.unwrap();
    store.commit(Batch::default().delete(b"k".to_vec())).await.unwrap();
    store.commit(absent()).await.unwrap();
}

async fn expectations_are_checked_against_the_state_before(store: Store) {
    let batch = Batch::default().put(b"k".to_vec(), b"2".to_vec());
    assert!(is_conflict(&store.commit(batch.clone().expect(b"k".to_vec(), b"2".to_vec())).await));
    store.commit(batch.expect_absent(b"k".to_vec())).await.unwrap();
    let swap = Batch::default().expect(b"k".to_vec(), b"2".to_vec()).delete(b"k".to_vec());
    store.commit(swap).await.unwrap();
    assert_eq!(value(&store, "k").await, None);
}

async fn of_racing_commits_exactly_one_wins(store: Store) {
    put(&store, "seat", "free").await;
    let racers = (0..RACERS).map(|racer| {
        let store = Arc::clone(&store);
        let batch = Batch::default()
            .expect(b"seat".to_vec(), b"free".to_vec())
            .put(b"seat".to_vec(), racer.to_string().into_bytes())
            .put(format!("trace/{racer}").into_bytes(), vec![]);
        tokio::spawn(async move { (racer, store.commit(batch).await) })
    });
    let mut winners = Vec::new();
    for ended in join_all(racers).await {
        match ended.unwrap() {
            (racer, Ok(())) => winners.push(racer),
            (_, result) => assert!(is_conflict(&result)),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(value(&store, "seat").await, Some(winners[0].to_string()));
    assert_eq!(keys(&store, "trace/", None, RACERS).await, [format!("trace/{}", winners[0])]);
}

async fn a_conflict_leaves_its_neighbours_alone(store: Store) {
    let commits = (0..RACERS).map(|number| {
        let batch = Batch::default().put(format!("n/{number:02}").into_bytes(), vec![]);
        let batch = if number % 2 == 0 { batch } else { batch.expect(b"absent".to_vec(), vec![]) };
        store.commit(batch)
    });
    for (number, result) in join_all(commits).await.into_iter().enumerate() {
        assert_eq!(is_conflict(&result), number % 2 == 1);
        assert_eq!(result.is_ok(), number % 2 == 0);
    }
    let expected: Vec<_> = (0..RACERS).step_by(2).map(|number| format!("n/{number:02}")).collect();
    assert_eq!(keys(&store, "n/", None, RACERS).await, expected);
}

/// The messages that a follower has heard.
#[derive(Debug, Default)]
struct Heard {
    /// The entries when it began, or at the last reset.
    entries: Vec<Entry>,
    changes: Vec<Change>,
    resets: usize,
    revision: u64,
    /// How many messages it still claims to have missed something before.
    claims: usize,
}

impl Heard {
    fn hear(&mut self, told: Told<'_>) -> Result<(), FollowError> {
        match told {
            Told::Reset { entries, revision } => {
                self.entries = entries.collect::<Result<_, _>>()?;
                self.changes.clear();
                self.resets += 1;
                self.revision = revision;
            }
            Told::Changes { changes, since, revision } => {
                assert_eq!(since, self.revision, "nothing is missing");
                assert!(revision > since, "revisions grow");
                self.revision = revision;
                self.changes.extend(changes.iter().map(|change| (*change).clone()));
                if self.claims > 0 {
                    self.claims -= 1;
                    return Err(FollowError::Missed);
                }
            }
            Told::Behind => panic!("an engine on this machine loses nothing"),
        }
        Ok(())
    }

    /// A map with all that it was told.
    fn state(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut state: BTreeMap<_, _> = self.entries.iter().cloned().collect();
        for change in &self.changes {
            match change {
                Change::Put { key, value } => drop(state.insert(key.clone(), value.clone())),
                Change::Delete { key } => drop(state.remove(key)),
            }
        }
        state
    }
}

async fn heard(store: &Store, prefix: &str) -> Arc<Mutex<Heard>> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let list = Arc::clone(&heard);
    store.follow(prefix.as_bytes(), Arc::new(move |told| list.lock().unwrap().hear(told))).await.unwrap();
    heard
}

async fn followers_hear_in_order_and_before_the_answer(store: Store) {
    let heard = heard(&store, "").await;
    let writers = (0..RACERS).map(|writer| {
        let (store, heard) = (Arc::clone(&store), Arc::clone(&heard));
        let change = Change::Put { key: b"k".to_vec(), value: writer.to_string().into_bytes() };
        let batch = Batch { expectations: vec![], changes: vec![change.clone()] };
        tokio::spawn(async move {
            store.commit(batch).await.unwrap();
            assert!(heard.lock().unwrap().changes.contains(&change));
        })
    });
    for ended in join_all(writers).await {
        ended.unwrap();
    }
    // The last change heard is the value that stayed.
    let last = Change::Put { key: b"k".to_vec(), value: value(&store, "k").await.unwrap().into() };
    assert_eq!(heard.lock().unwrap().changes.last(), Some(&last));
    assert_eq!(heard.lock().unwrap().changes.len(), RACERS);
    store.take(b"k").await.unwrap();
    assert_eq!(heard.lock().unwrap().changes.last(), Some(&Change::Delete { key: b"k".to_vec() }));
}

async fn followers_hear_of_what_is_there_and_only_of_their_prefix(store: Store) {
    put(&store, "s/0", "early").await;
    let heard = heard(&store, "s/").await;
    let second = self::heard(&store, "s/2").await;
    put(&store, "t/1", "elsewhere").await;
    let conflict = Batch::default().put(b"s/9".to_vec(), vec![]).expect_absent(b"s/0".to_vec());
    assert!(is_conflict(&store.commit(conflict).await));
    let batch = Batch::default().put(b"s/2".to_vec(), b"v".to_vec()).delete(b"s/never".to_vec());
    store.commit(batch.clone()).await.unwrap();
    assert_eq!(heard.lock().unwrap().entries, [(b"s/0".to_vec(), b"early".to_vec())]);
    assert_eq!(heard.lock().unwrap().changes, batch.changes);
    assert_eq!(second.lock().unwrap().entries, []);
    assert_eq!(second.lock().unwrap().changes, batch.changes[..1]);
}

/// Followers that begin in the middle of many commits have the store's entries at the end.
async fn no_change_falls_between_what_is_there_and_what_comes(store: Store) {
    let writers = (0..RACERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 0..4 {
                put(&store, &format!("k/{}", writer % 7), &format!("{writer}.{round}")).await;
                store.take(format!("k/{}", (writer + round) % 7).as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut followers = Vec::new();
    for _ in 0..10 {
        followers.push(heard(&store, "k/").await);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    put(&store, "k/end", "").await;
    let there: BTreeMap<_, _> = store.scan(b"k/", None, 100).await.unwrap().into_iter().collect();
    for follower in followers {
        assert_eq!(follower.lock().unwrap().state(), there);
    }
}

async fn a_follower_that_missed_something_is_told_everything_anew(store: Store) {
    put(&store, "a", "1").await;
    let heard = heard(&store, "").await;
    heard.lock().unwrap().claims = 1;
    put(&store, "b", "2").await;
    assert_eq!(heard.lock().unwrap().resets, 2);
    put(&store, "a", "3").await;
    let heard = heard.lock().unwrap();
    assert_eq!((heard.entries.len(), heard.changes.len()), (2, 1));
    assert_eq!(heard.state().into_values().collect::<Vec<_>>(), [b"3", b"2"]);
}

async fn a_caller_that_goes_away_leaves_all_or_nothing(store: Store) {
    for number in 0..RACERS {
        let mut batch = Batch::default();
        for part in 0..8 {
            batch = batch.put(format!("d/{number:02}/{part}").into_bytes(), vec![0; 100]);
        }
        let caller = Arc::clone(&store);
        let call = tokio::spawn(async move { caller.commit(batch).await });
        if number % 2 == 0 {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;
    }
    // A commit after all of them shows the state that they left.
    put(&store, "e", "").await;
    for number in 0..RACERS {
        let found = keys(&store, &format!("d/{number:02}/"), None, 9).await.len();
        assert!(found == 0 || found == 8, "{found} of 8 parts");
    }
}

async fn sizes_up_to_the_limits_are_accepted(store: Store) {
    let longest = (vec![b'k'; KEY_BYTES_MAX], vec![7; VALUE_BYTES_MAX]);
    store.commit(Batch::default().put(longest.0.clone(), longest.1.clone())).await.unwrap();
    assert_eq!(store.get(&longest.0).await.unwrap().as_ref(), Some(&longest.1));
    assert_eq!(store.take(&longest.0).await.unwrap(), Some(longest.1));
    let mut batch = Batch::default();
    for number in 0..BATCH_OPERATIONS_MAX {
        batch = batch.put(format!("{number:04}").into_bytes(), vec![]);
    }
    store.commit(batch).await.unwrap();
    assert_eq!(store.scan(b"", None, 2_000).await.unwrap().len(), BATCH_OPERATIONS_MAX);
}

async fn sizes_above_the_limits_are_refused(store: Store) {
    let long_key = vec![b'k'; KEY_BYTES_MAX + 1];
    let long_value = vec![0; VALUE_BYTES_MAX + 1];
    let mut many = Batch::default().expect_absent(b"x".to_vec());
    for number in 0..BATCH_OPERATIONS_MAX {
        many = many.put(number.to_string().into_bytes(), vec![]);
    }
    let good = || Batch::default().put(b"good".to_vec(), vec![]);
    let refused = [
        good().put(long_key.clone(), vec![]),
        good().put(b"k".to_vec(), long_value.clone()),
        good().delete(long_key.clone()),
        good().expect_absent(long_key.clone()),
        good().expect(long_key.clone(), vec![]),
        good().expect(b"k".to_vec(), long_value),
        many,
    ];
    for batch in refused {
        let result = store.commit(batch).await;
        assert!(matches!(result, Err(CommitError::Store(StoreError::TooLarge(_)))), "{result:?}");
    }
    let behind = [Change::Put { key: long_key.clone(), value: vec![] }];
    assert!(matches!(store.write_behind(behind.into()).await, Err(StoreError::TooLarge(_))));
    assert!(matches!(store.take(&long_key).await, Err(StoreError::TooLarge(_))));
    assert_eq!(store.get(&long_key).await.unwrap(), None);
    assert_eq!(store.scan(b"", None, 9).await.unwrap(), []);
}
