//! Power cuts (D-02): a file system that fails in the middle of changes, and loses unsynchronised
//! data. The database grows before each cut, since only then the part is lost that sled's own flush
//! leaves out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use vestibule::ports::{Batch, KeyValue as _};
use vestibule::store::{CommitTimer, SledOptions, SledStore};

use super::disk::Disk;
use super::person::{Person, patient};
use crate::harness::SeededRandom;

const DISK_BYTES: u64 = 512 << 20;
/// The store grows so that there is more to lose than the last change.
const GROWTH_BYTES_MIN: u64 = 1 << 20;
/// How long a database may take to grow.
const PATIENCE: Duration = Duration::from_secs(120);

fn size(directory: &Path) -> u64 {
    fs::metadata(directory.join("db")).unwrap().len()
}

/// Waits until the database is this much larger than it was.
async fn growth(directory: &Path, bytes: u64) {
    let (before, deadline) = (size(directory), Instant::now() + PATIENCE);
    while size(directory) < before + bytes {
        assert!(Instant::now() < deadline, "the database does not grow: {before} bytes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_02_power_cuts_lose_no_acknowledged_change() {
    const CROWD: u64 = 6;
    let Some(mut disk) = Disk::ext4("D-02", DISK_BYTES) else { return };
    let mut gateway = disk.gateway(patient);
    gateway.launch().await;
    let mut people = vec![Person::first(&gateway, 1).await];
    for seed in 2..=CROWD {
        people.push(Person::invited(&gateway, seed).await);
    }
    for round in 0..2 {
        let stop = Arc::new(AtomicBool::new(false));
        let living = people.into_iter().map(|mut person| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                person.live(&stop).await;
                person
            })
        });
        let living: Vec<_> = living.collect();
        if round == 0 {
            growth(&disk.path(), GROWTH_BYTES_MIN).await;
        } else {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        disk.cut_power();
        stop.store(true, Ordering::Relaxed);
        people = join_all(living).await.into_iter().map(Result::unwrap).collect();
        // The gateway is asked to end, or killed: a missing disk must not crash it.
        if round == 0 {
            gateway.kill9();
        } else {
            gateway.stop();
        }
        disk.remount();
        gateway.launch().await;
        for (number, person) in people.iter_mut().enumerate() {
            person.check(&format!("cut {round}, person {number}")).await;
        }
    }
    assert!(!gateway.setup_file().exists(), "the first-administrator door is open again");
    let acknowledged: Vec<_> = people.iter().map(|it| it.history.acknowledged_in_all()).collect();
    println!("{acknowledged:?} acknowledged, {} bytes of database", size(&disk.path()));
    gateway.kill9();
}

fn open(directory: &Path) -> SledStore {
    let timer = CommitTimer { now: Arc::new(|| Duration::ZERO), committed: Arc::new(|_| {}) };
    SledStore::open(directory, &SledOptions { cache_bytes: 16 << 20 }, timer).unwrap()
}

/// The store alone, with large values, so that each cut comes after the database has grown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_02_growing_database_survives_power_cuts() {
    const CUTS: usize = 6;
    const WRITERS: u32 = 8;
    const KEYS: u32 = 40;
    let Some(mut disk) = Disk::ext4("D-02", DISK_BYTES) else { return };
    let (mut random, mut number) = (SeededRandom::new(2), 0_u32);
    let mut kept = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    for cut in 0..CUTS {
        let store = Arc::new(open(&disk.path()));
        let writers = (0..WRITERS).map(|writer| {
            let (store, from) = (Arc::clone(&store), number);
            tokio::spawn(async move {
                let mut kept = BTreeMap::new();
                for number in from.. {
                    // Some are written again and again; the others stay, so that the database
                    // grows.
                    let name = if number % 4 == 0 { number % KEYS } else { number };
                    let key = format!("{writer}/{name:06}").into_bytes();
                    let value = format!("{number} ").repeat(2_000).into_bytes();
                    if store.commit(Batch::default().put(key.clone(), value.clone())).await.is_err() {
                        return (kept, (key, value), number);
                    }
                    kept.insert(key, value);
                }
                unreachable!("numbers do not end before the power does")
            })
        });
        let writers: Vec<_> = writers.collect();
        growth(&disk.path(), GROWTH_BYTES_MIN).await;
        tokio::time::sleep(Duration::from_micros(u64::try_from(random.roll(20_000)).unwrap())).await;
        disk.cut_power();
        let mut unclear = BTreeMap::new();
        for writer in writers {
            let (wrote, last, reached) = writer.await.unwrap();
            kept.extend(wrote);
            unclear.extend([last]);
            number = number.max(reached);
        }
        drop(store);
        disk.remount();
        let found: BTreeMap<_, _> =
            open(&disk.path()).scan(b"", None, 10_000).await.unwrap().into_iter().collect();
        for key in kept.keys().chain(unclear.keys()) {
            let is = found.get(key);
            let as_told = is == kept.get(key) || is == unclear.get(key);
            assert!(as_told, "cut {cut}: {} is another value", String::from_utf8_lossy(key));
        }
        kept = found;
    }
    println!("{number} changes of each writer, {} bytes of database", size(&disk.path()));
}
