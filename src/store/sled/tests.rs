//! Promises of the embedded engine alone: surviving restarts, crashes and failing disks.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tempfile::TempDir;

use super::{CommitTimer, OpenError, SEGMENT_BYTES, SledOptions, SledStore};
use crate::ports::store::{FollowError, KEY_BYTES_MAX, Subscription, Told, VALUE_BYTES_MAX};
use crate::ports::{Batch, CommitError, KeyValue, StoreError};

pub(super) fn timer() -> CommitTimer {
    CommitTimer { now: Arc::new(|| Duration::ZERO), committed: Arc::new(|_| {}) }
}

pub(super) fn options() -> SledOptions {
    SledOptions { cache_bytes: 4 * 1024 * 1024 }
}

pub(super) fn open(path: &Path) -> Result<SledStore, OpenError> {
    SledStore::open(path, &options(), timer())
}

/// A store in a directory of its own, for the contract suite.
pub(in crate::store) fn fresh() -> (Arc<dyn KeyValue>, TempDir) {
    let home = TempDir::new().unwrap();
    (Arc::new(open(&home.path().join("data")).unwrap()), home)
}

fn put(key: &str, value: &str) -> Batch {
    Batch::default().put(key.into(), value.into())
}

fn is_unavailable(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Store(StoreError::Unavailable(_))))
}

/// A closed store with one entry, `a` = `1`.
async fn used() -> TempDir {
    let home = TempDir::new().unwrap();
    open(home.path()).unwrap().commit(put("a", "1")).await.unwrap();
    home
}

async fn assert_complete(home: &TempDir) {
    let store = open(home.path()).unwrap();
    assert_eq!(store.get(b"a").await.unwrap(), Some(b"1".to_vec()));
    store.commit(put("after", "")).await.unwrap();
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let home = TempDir::new().unwrap();
    for round in 0..20_u32 {
        let store = open(home.path()).unwrap();
        let found = store.scan(b"k/", None, 100).await.unwrap();
        assert_eq!(found.len(), usize::try_from(round).unwrap());
        store.commit(put(&format!("k/{round:02}"), &round.to_string())).await.unwrap();
        store.commit(put("gone", "")).await.unwrap();
        store.take(b"gone").await.unwrap();
    }
    let store = open(home.path()).unwrap();
    assert_eq!(store.get(b"k/07").await.unwrap(), Some(b"7".to_vec()));
    assert_eq!(store.get(b"gone").await.unwrap(), None);
}

#[tokio::test]
async fn a_snapshot_cut_short_by_a_crash_is_survived() {
    let home = used().await;
    let stray = home.path().join("snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&stray, b"").unwrap();
    assert_complete(&home).await;
    assert!(!stray.exists());
}

#[tokio::test]
async fn a_second_instance_is_refused_and_touches_nothing() {
    let home = TempDir::new().unwrap();
    let first = open(home.path()).unwrap();
    let unfinished = home.path().join("snap.0000000000000001.generating");
    fs::write(&unfinished, b"being written").unwrap();
    let second = open(home.path()).map(drop).unwrap_err();
    assert!(matches!(second, OpenError::AlreadyRunning { .. }), "{second}");
    assert!(unfinished.exists());
    first.commit(put("a", "1")).await.unwrap();
}

#[tokio::test]
async fn refuses_missing_data_beside_the_marker() {
    for damage in [(|db: &Path| fs::remove_file(db).unwrap()) as fn(&Path), |db| fs::write(db, b"").unwrap()]
    {
        let home = used().await;
        damage(&home.path().join("db"));
        for _ in 0..2 {
            let refused = open(home.path()).map(drop).unwrap_err();
            assert!(matches!(refused, OpenError::Lost { .. }), "{refused}");
            assert!(refused.to_string().contains("backup"));
        }
    }
}

/// The damage is before the end of the first start's log. Damage after it cuts the log short, which
/// sled cannot tell from a write that a crash interrupted.
#[tokio::test]
async fn refuses_damaged_data() {
    let fresh = TempDir::new().unwrap();
    drop(open(fresh.path()).unwrap());
    let first_start_bytes = fs::read(fresh.path().join("db")).unwrap().len();
    let home = used().await;
    for cut in (0..first_start_bytes).step_by(11) {
        for damage in [Vec::truncate, |db: &mut Vec<u8>, cut: usize| db[cut..].fill(0xa5)] {
            let damaged = TempDir::new().unwrap();
            for name in ["conf", "initialised"] {
                fs::copy(home.path().join(name), damaged.path().join(name)).unwrap();
            }
            let mut content = fs::read(home.path().join("db")).unwrap();
            damage(&mut content, cut);
            fs::write(damaged.path().join("db"), content).unwrap();
            // sled repairs the damage that it finds, so the second start could come up with data
            // lost.
            for _ in 0..2 {
                let refused = open(damaged.path()).map(drop).unwrap_err();
                assert!(refused.to_string().contains("restore"), "cut at {cut}: {refused}");
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused() {
    let home = used().await;
    fs::write(home.path().join("snap.FFFFFFFFFFFFFFFF"), vec![0xa5; 100]).unwrap();
    let refused = open(home.path()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
}

#[tokio::test]
async fn an_interrupted_first_start_begins_anew() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("conf"), b"").unwrap();
    fs::write(home.path().join("db"), vec![0xa5; 100]).unwrap();
    let store = open(home.path()).unwrap();
    store.commit(put("a", "1")).await.unwrap();
    drop(store);
    assert_complete(&home).await;
}

#[tokio::test]
async fn a_marker_of_another_format_is_refused() {
    let home = used().await;
    fs::write(home.path().join("initialised"), b"vestibule sled store, format 2\n").unwrap();
    let refused = open(home.path()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::OtherFormat { .. }), "{refused}");
    fs::write(home.path().join("initialised"), b"").unwrap();
    assert_complete(&home).await;
}

#[tokio::test]
async fn only_the_owner_may_enter_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let home = TempDir::new().unwrap();
    let path = home.path().join("var/data");
    drop(open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_fsync_changes_are_refused_and_reads_go_on() {
    let home = TempDir::new().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::new(AtomicUsize::new(0));
    let failing = Arc::clone(&fails);
    let store = SledStore::open_with(home.path(), &options(), timer(), move |file| {
        Box::new(move || {
            // Fails once only: a later fsync that succeeds must not bring the store back.
            if failing.swap(false, Ordering::SeqCst) {
                return Err(io::Error::other("the disk is gone"));
            }
            file.sync_all()
        })
    })
    .unwrap();
    let count = Arc::clone(&told);
    let counting = move |told: Told<'_>| {
        if let Told::Changes { changes, .. } = told {
            count.fetch_add(changes.len(), Ordering::SeqCst);
        }
        Ok(())
    };
    store.follow(b"", Arc::new(counting)).await.unwrap();
    store.commit(put("a", "1")).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    assert!(is_unavailable(&store.commit(put("b", "2")).await));
    assert!(is_unavailable(&store.commit(put("c", "3")).await));
    assert!(matches!(store.take(b"a").await, Err(StoreError::Unavailable(_))));
    let reason = store.health().unwrap_err().to_string();
    assert!(reason.contains("the disk is gone"), "{reason}");
    assert_eq!(store.get(b"a").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(b"c").await.unwrap(), None);
    assert_eq!(store.scan(b"a", None, 9).await.unwrap().len(), 1);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn changes_wait_for_one_fsync_and_reads_and_refusals_for_none() {
    let home = TempDir::new().unwrap();
    let synced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&synced);
    let store = SledStore::open_with(home.path(), &options(), timer(), move |file| {
        Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            file.sync_all()
        })
    })
    .unwrap();
    store.commit(put("a", "1")).await.unwrap();
    assert_eq!(synced.load(Ordering::SeqCst), 1);
    store.take(b"a").await.unwrap();
    assert_eq!(synced.load(Ordering::SeqCst), 2);
    store.take(b"a").await.unwrap();
    let refused = put("a", "2").expect(b"a".to_vec(), b"1".to_vec());
    assert!(matches!(store.commit(refused).await, Err(CommitError::Conflict)));
    store.get(b"a").await.unwrap();
    assert_eq!(synced.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn commits_are_timed_by_the_given_clock() {
    let home = TempDir::new().unwrap();
    let now = AtomicUsize::new(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let timer = CommitTimer {
        now: Arc::new(move || {
            Duration::from_millis(u64::try_from(now.fetch_add(5, Ordering::SeqCst)).unwrap())
        }),
        committed: Arc::new(move |taken| list.lock().unwrap().push(taken)),
    };
    let store = SledStore::open(home.path(), &options(), timer).unwrap();
    store.commit(put("a", "1")).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Duration::from_millis(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_accepted_changes() {
    let home = TempDir::new().unwrap();
    let store = Arc::new(open(home.path()).unwrap());
    let commits: Vec<_> = (0..100)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(put(&format!("{number:02}"), "")).await.is_ok() })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close();
    let mut accepted = 0;
    for commit in commits {
        accepted += usize::from(commit.await.unwrap());
    }
    assert!(is_unavailable(&store.commit(put("late", "")).await));
    assert!(store.health().is_err());
    assert_eq!(store.scan(b"", None, 200).await.unwrap().len(), accepted);
    drop(store);
    assert_eq!(open(home.path()).unwrap().scan(b"", None, 200).await.unwrap().len(), accepted);
}

#[tokio::test]
async fn a_follower_that_panics_stops_changes_and_leaves_nobody_waiting() {
    let home = TempDir::new().unwrap();
    let store = open(home.path()).unwrap();
    let breaking = |told: Told<'_>| match told {
        Told::Reset { .. } => Ok(()),
        Told::Changes { .. } | Told::Behind => panic!("a broken follower"),
    };
    store.follow(b"bad", Arc::new(breaking)).await.unwrap();
    store.commit(put("good", "")).await.unwrap();
    assert!(is_unavailable(&store.commit(put("bad", "")).await));
    assert!(is_unavailable(&store.commit(put("good", "")).await));
    assert!(store.health().unwrap_err().to_string().contains("panicked"));
    assert!(store.get(b"good").await.unwrap().is_some());
}

/// A disk that neither writes nor fails does not keep the process from ending.
#[tokio::test]
async fn d_03_a_writer_that_is_stuck_does_not_hold_the_end() {
    let home = TempDir::new().unwrap();
    let (hold, disk) = mpsc::channel::<()>();
    let stuck = SledStore::open_with(home.path(), &options(), timer(), move |_| {
        Box::new(move || {
            let _ = disk.recv();
            Ok(())
        })
    });
    let store = Arc::new(stuck.unwrap());
    let waiting = Arc::clone(&store);
    let commit = tokio::spawn(async move { waiting.commit(put("a", "1")).await });
    while store.get(b"a").await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    commit.abort();
    let _ = commit.await;
    tokio::task::spawn_blocking(move || drop(store)).await.unwrap();
    // No other store takes the directory while the writer may still write.
    assert!(matches!(open(home.path()), Err(OpenError::AlreadyRunning { .. })));
    drop(hold);
}

/// sled never fsyncs its blob files, so entries within the limits must not be kept in them,
/// however many of them share a page.
#[tokio::test]
async fn the_largest_entries_stay_out_of_blob_files() {
    let home = TempDir::new().unwrap();
    let store = open(home.path()).unwrap();
    for round in 0..2_u8 {
        let mut batches = Vec::new();
        for number in 0..60_u8 {
            let mut key = vec![b'k'; KEY_BYTES_MAX - 1];
            key.push(number.wrapping_mul(37));
            batches.push(Batch::default().put(key, vec![round; VALUE_BYTES_MAX]));
        }
        let commits = batches.into_iter().map(|batch| store.commit(batch));
        for result in futures_util::future::join_all(commits).await {
            result.unwrap();
        }
        store.scan(b"", None, 100).await.unwrap();
    }
    assert_eq!(fs::read_dir(home.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_group_of_commits_larger_than_a_segment_survives_reopening() {
    let home = TempDir::new().unwrap();
    let store = open(home.path()).unwrap();
    let commits = (0..200_u8)
        .map(|number| store.commit(Batch::default().put(vec![number], vec![number; VALUE_BYTES_MAX])));
    assert!(futures_util::future::join_all(commits).await.into_iter().all(|done| done.is_ok()));
    drop(store);
    let found = open(home.path()).unwrap().scan(b"", None, 1_000).await.unwrap();
    assert_eq!(found.len(), 200);
    assert!(found.iter().all(|(key, value)| *value == vec![key[0]; VALUE_BYTES_MAX]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_there_is_room_for_are_served_in_turn() {
    let home = TempDir::new().unwrap();
    let store = open(home.path()).unwrap();
    let commits = (0..3_000).map(|number| store.commit(put(&format!("{number:04}"), "")));
    for result in futures_util::future::join_all(commits).await {
        result.unwrap();
    }
    assert_eq!(store.scan(b"", None, 4_000).await.unwrap().len(), 3_000);
}

/// The messages that a follower gets, in words, and how it answers the first of them.
fn hearing(answer: fn() -> Result<(), FollowError>) -> (Vec<Subscription>, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let list = Arc::clone(&heard);
    let follower = move |told: Told<'_>| match told {
        Told::Reset { entries, revision } => {
            let keys = entries.map(|entry| String::from_utf8(entry.unwrap().0).unwrap());
            let keys: Vec<String> = keys.collect();
            list.lock().unwrap().push(format!("{} at {revision}", keys.join(" ")));
            answer()
        }
        Told::Changes { changes, since, revision } => {
            list.lock().unwrap().push(format!("{} from {since} to {revision}", changes.len()));
            Ok(())
        }
        Told::Behind => Ok(()),
    };
    (vec![Subscription { prefix: b"a", follower: Arc::new(follower) }], heard)
}

#[tokio::test]
async fn a_follower_from_before_the_start_hears_everything_once_and_then_changes() {
    let home = TempDir::new().unwrap();
    let open = |followed| SledStore::open_followed(home.path(), &options(), timer(), followed).unwrap();
    for expected in [[" at 0", "1 from 0 to 1"], ["a1 at 2", "1 from 2 to 3"]] {
        let (followed, heard) = hearing(|| Ok(()));
        let store = open(followed);
        store.commit(put("a1", "")).await.unwrap();
        store.commit(put("b1", "")).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_store_whose_entries_cannot_be_taken_in_is_not_handed_out() {
    let home = used().await;
    let open = |followed| SledStore::open_followed(home.path(), &options(), timer(), followed).map(drop);
    let (failing, heard) = hearing(|| Err(StoreError::Corrupt("an empty value".to_owned()).into()));
    let refused = open(failing).unwrap_err();
    assert!(matches!(refused, OpenError::Untold { .. }), "{refused}");
    assert!(refused.to_string().contains("an empty value"), "{refused}");
    assert_eq!(*heard.lock().unwrap(), ["a at 1"]);
    open(hearing(|| Ok(())).0).unwrap();
}

/// Whether or not the entries can be taken in, the operator is told of the damage.
#[tokio::test]
async fn d_06_a_damaged_store_is_refused_although_its_followers_were_told() {
    let home = used().await;
    let database = sled::Config::new().path(home.path()).segment_size(SEGMENT_BYTES).open().unwrap();
    database.insert("a2", "never written").unwrap();
    drop(database);
    for answer in [|| Ok(()), || Err(FollowError::Missed)] {
        let (followed, heard) = hearing(answer);
        let refused =
            SledStore::open_followed(home.path(), &options(), timer(), followed).map(drop).unwrap_err();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
        assert_eq!(*heard.lock().unwrap(), ["a a2 at 1"]);
    }
}

#[test]
fn f_19_data_directory_has_mode_0700() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open_to_all = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    // As `mkdir` makes it, and as a version before may have left it.
    fs::create_dir(&path).unwrap();
    for _ in 0..2 {
        open_to_all(&path);
        drop(open(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
    }
    // A directory that holds other things is not closed, and not used.
    let shared = folder.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("letter.txt"), "").unwrap();
    open_to_all(&shared);
    let refused = open(&shared);
    assert!(matches!(refused, Err(OpenError::Shared { .. })));
    assert_eq!(mode(&shared), 0o755);
}
