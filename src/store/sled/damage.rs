//! D-06: every file of a store, cut and with single bits flipped. It opens with everything, or not
//! at all and the operator is told to restore; it never opens empty, smaller or older.
//!
//! What does not live here: a process that is killed while it writes (`tests/gateway/durability/`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::tests::open;
use super::{SledStore, directory, witness};
use crate::ports::store::BATCH_OPERATIONS_MAX;
use crate::ports::{Batch, KeyValue as _};

const CUTS: usize = 40;
const FLIPS: usize = 200;
/// Flips in the notes: each of their few bytes once.
const FLIPS_OF_NOTES: usize = 30;
/// Flips in a store of several segments, where each takes a moment.
const FLIPS_NEAR_ENDS: usize = 5;
const FLIPS_SPREAD: usize = 8;
/// Batches that make a store of several segments.
const BATCHES: usize = 400;
const BATCHES_OF_FIRST: usize = 250;
const STARTS: u32 = 4;
const CHANGES: u32 = 120;
const VALUE_REPEATS: usize = 50;
const DATABASE: &str = "db";

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A closed store, and what it was told to keep.
struct Whole {
    directory: TempDir,
    entries: Entries,
}

impl Whole {
    /// A store that has been started a few times, with entries that come, change and go.
    async fn made() -> Self {
        let directory = TempDir::new().unwrap();
        let mut entries = Entries::new();
        for start in 0..STARTS {
            let store = open(directory.path()).unwrap();
            for change in 0..CHANGES {
                let key = format!("k/{:03}", (change * 7 + start) % 97).into_bytes();
                if change % 5 == 4 {
                    assert_eq!(store.take(&key).await.unwrap(), entries.remove(&key));
                    continue;
                }
                let value = format!("{start} {change} ").repeat(VALUE_REPEATS).into_bytes();
                store.commit(Batch::default().put(key.clone(), value.clone())).await.unwrap();
                entries.insert(key, value);
            }
        }
        Self { directory, entries }
    }

    /// A store of several segments that was started once. Keys of one kind are written once, in no
    /// order, and then keys of another again and again, so that early segments have the last word
    /// on the first kind.
    async fn grown() -> Self {
        let directory = TempDir::new().unwrap();
        let mut entries = Entries::new();
        let store = open(directory.path()).unwrap();
        let mut number = 1_u32;
        for round in 0..BATCHES {
            let kind = if round < BATCHES_OF_FIRST { b'a' } else { b'b' };
            let mut written = Entries::new();
            for _ in 0..BATCH_OPERATIONS_MAX {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (mut key, value) = (
                    (number >> if round < BATCHES_OF_FIRST { 8 } else { 20 }).to_be_bytes().to_vec(),
                    number.to_be_bytes().repeat(60),
                );
                key.insert(0, kind);
                entries.insert(key.clone(), value.clone());
                written.insert(key, value);
            }
            let put = |batch: Batch, (key, value)| batch.put(key, value);
            let batch = written.into_iter().fold(Batch::default(), put);
            store.commit(batch).await.unwrap();
        }
        drop(store);
        Self { directory, entries }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn newest_snapshot(&self) -> String {
        let names = fs::read_dir(self.directory.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("snap.")).max().expect("a store that was started again has one")
    }

    /// The end of the written bytes: after it, a file of sled's is empty to the end of its segment.
    fn written(&self, name: &str) -> usize {
        let content = fs::read(self.path(name)).unwrap();
        content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }

    /// Places spread over what was written, its first and last byte among them.
    fn places(&self, name: &str, count: usize) -> Vec<usize> {
        let last = self.written(name) - 1;
        (0..count).map(|number| last * number / (count - 1)).collect()
    }

    /// A copy of it with this file altered.
    fn damaged(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> TempDir {
        let copy = TempDir::new().unwrap();
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            let entry = entry.unwrap();
            let others = entry.file_name() != directory::LOCK && entry.file_name() != name;
            if entry.file_type().unwrap().is_file() && others {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        let mut content = fs::read(self.path(name)).unwrap();
        damage(&mut content);
        fs::write(copy.path().join(name), content).unwrap();
        copy
    }

    /// Starts a copy twice, since sled repairs the damage that it finds. Returns how often it
    /// opened.
    async fn check(&self, copy: &Path, context: &str) -> usize {
        let mut came_up = 0;
        for start in 0..2 {
            match open(copy) {
                Ok(store) => {
                    self.assert_complete(&store, &format!("{context}, start {start}")).await;
                    came_up += 1;
                }
                Err(refused) => {
                    assert!(refused.to_string().contains("restore"), "{context}, start {start}: {refused}");
                }
            }
        }
        came_up
    }

    async fn assert_complete(&self, store: &SledStore, context: &str) {
        let found = store.scan(b"", None, 100_000).await.unwrap();
        let found: Entries = found.into_iter().collect();
        assert!(found == self.entries, "{context}: {} entries of {}", found.len(), self.entries.len());
    }

    /// Cuts a file at many places.
    async fn cut(&self, name: &str) -> usize {
        let mut came_up = 0;
        for at in self.places(name, CUTS) {
            let copy = self.damaged(name, |content| content.truncate(at));
            came_up += self.check(copy.path(), &format!("{name} cut at {at}")).await;
        }
        came_up
    }

    /// Flips one bit of a file at many places.
    async fn flip(&self, name: &str, count: usize) -> usize {
        let mut came_up = 0;
        for at in self.places(name, count) {
            came_up += self.flip_at(name, at).await;
        }
        came_up
    }

    async fn flip_at(&self, name: &str, at: usize) -> usize {
        let bit = at % 8;
        let copy = self.damaged(name, |content| content[at] ^= 1 << bit);
        self.check(copy.path(), &format!("bit {bit} of {name} at {at} flipped")).await
    }
}

/// Small values, and a few starts: one segment, with snapshots of it.
async fn short() -> Whole {
    let whole = Whole::made().await;
    let copy = whole.damaged(DATABASE, |_| {});
    assert_eq!(whole.check(copy.path(), "nothing altered").await, 2, "the control");
    whole
}

#[tokio::test]
async fn d_06_a_database_that_was_cut_is_refused() {
    assert_eq!(short().await.cut(DATABASE).await, 0);
}

#[tokio::test]
async fn d_06_a_database_with_a_flipped_bit_comes_up_whole_or_not_at_all() {
    let came_up = short().await.flip(DATABASE, FLIPS).await;
    assert!(came_up < FLIPS, "most of what is written is needed: {came_up}");
}

/// Where the log is long since the last start, sled skips the rest of a segment in which it cannot
/// read a record, so that changes are lost from the middle.
#[tokio::test]
async fn d_06_a_long_database_with_a_flipped_bit_comes_up_whole_or_not_at_all() {
    let whole = Whole::grown().await;
    let segments = whole.written(DATABASE) / super::SEGMENT_BYTES;
    assert!(segments >= 3, "{segments} segments are full");
    let ends = (1..segments).map(|number| number * super::SEGMENT_BYTES);
    let near_ends = ends.flat_map(|end| (1..=FLIPS_NEAR_ENDS).map(move |step| end - step * step * 997));
    let spread = whole.places(DATABASE, FLIPS_SPREAD);
    for at in near_ends.chain(spread) {
        whole.flip_at(DATABASE, at).await;
    }
}

#[tokio::test]
async fn d_06_a_damaged_snapshot_is_refused() {
    let whole = short().await;
    let newest = whole.newest_snapshot();
    assert_eq!(whole.cut(&newest).await, 0);
    // The sum of a snapshot does not cover its own length field, which is not used.
    let came_up = whole.flip(&newest, FLIPS).await;
    assert!(came_up <= 2 * 8, "{came_up}");
}

#[tokio::test]
async fn d_06_damaged_parameters_are_refused() {
    let whole = short().await;
    whole.cut("conf").await;
    whole.flip("conf", FLIPS).await;
}

/// The notes beside the database are for finding damage: if they are damaged, the data is whole.
#[tokio::test]
async fn d_06_damaged_notes_lose_nothing() {
    let whole = short().await;
    assert_eq!(whole.cut(witness::NAME).await, 2 * CUTS);
    assert_eq!(whole.flip(witness::NAME, FLIPS_OF_NOTES).await, 2 * FLIPS_OF_NOTES);
    let copy = whole.damaged(witness::NAME, |_| {});
    fs::remove_file(copy.path().join(witness::NAME)).unwrap();
    assert_eq!(whole.check(copy.path(), "no notes").await, 2);
}

#[tokio::test]
async fn d_06_an_older_database_beside_newer_notes_is_refused() {
    let whole = short().await;
    let older = fs::read(whole.path(DATABASE)).unwrap();
    let store = open(whole.directory.path()).unwrap();
    store.commit(Batch::default().put(b"k/new".to_vec(), b"1".to_vec())).await.unwrap();
    drop(store);
    let copy = whole.damaged(DATABASE, |content| *content = older);
    assert_eq!(whole.check(copy.path(), "a change is missing").await, 0);
}

#[tokio::test]
async fn d_06_entries_that_are_not_those_that_were_written_are_refused() {
    type Change = fn(&sled::Db, &[u8]);
    let changes: [Change; 3] = [
        |database, key| _ = database.remove(key).unwrap(),
        |database, key| _ = database.insert(key, "older").unwrap(),
        |database, key| _ = database.insert([key, b"/again"].concat(), "revived").unwrap(),
    ];
    let whole = short().await;
    let key = whole.entries.keys().next().unwrap();
    for (number, change) in changes.into_iter().enumerate() {
        let copy = whole.damaged(DATABASE, |_| {});
        let database =
            sled::Config::new().path(copy.path()).segment_size(super::SEGMENT_BYTES).open().unwrap();
        change(&database, key);
        drop(database);
        assert_eq!(whole.check(copy.path(), &format!("change {number}")).await, 0);
    }
}
