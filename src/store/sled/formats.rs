//! Directories as earlier versions wrote them, and as a later one may. What always holds: a format
//! that was ever written is taken over whole or refused, and nothing of it is lost on the way.
//!
//! What does not live here: damage to a directory of the present format (`damage.rs`).

use std::fs;

use tempfile::TempDir;

use super::tests::open;
use super::{OpenError, SEGMENT_BYTES};
use crate::ports::{Batch, KeyValue as _};

/// Directories written by earlier versions. They have to open for as long as their format is read.
#[tokio::test]
async fn opens_directories_of_earlier_versions() {
    for (format, golden) in [(1, GOLDEN_1.as_slice()), (2, &GOLDEN_2), (3, &GOLDEN_3)] {
        let home = laid_out(golden);
        let mut expected: Vec<_> = (0..40_u8).map(|number| (vec![b'g', number], vec![number; 20])).collect();
        for start in 0..3_u8 {
            let store = open(home.path()).unwrap();
            assert_eq!(store.scan(b"", None, 100).await.unwrap(), expected, "format {format}");
            expected.push((vec![b'h', start], vec![]));
            store.commit(Batch::default().put(vec![b'h', start], vec![])).await.unwrap();
        }
    }
}

/// A database of an earlier format is judged by that format's tally before it gets a new one.
#[test]
fn d_06_a_damaged_directory_of_the_second_format_is_refused() {
    for (added, expected) in [(None, true), (Some("h"), false)] {
        let home = laid_out(&GOLDEN_2);
        let database = sled::Config::new().path(home.path()).segment_size(SEGMENT_BYTES).open().unwrap();
        if let Some(key) = added {
            database.insert(key, "never written").unwrap();
        }
        drop(database);
        for _ in 0..2 {
            let opened = open(home.path()).map(drop);
            assert_eq!(opened.is_ok(), expected, "{opened:?}");
            assert!(matches!(opened, Ok(()) | Err(OpenError::Corrupt { .. })), "{opened:?}");
        }
    }
}

/// Earlier versions know the formats up to theirs, and no other.
#[test]
fn a_directory_of_a_later_format_is_refused() {
    let home = laid_out(&GOLDEN_3);
    let database = sled::Config::new().path(home.path()).segment_size(SEGMENT_BYTES).open().unwrap();
    let own = database.open_tree("format").unwrap();
    assert_eq!(own.insert("version", "4").unwrap().unwrap(), "3");
    drop((own, database));
    assert!(matches!(open(home.path()), Err(OpenError::OtherFormat { .. })));
}

/// A directory with these files.
fn laid_out(files: &[(&str, &[u8])]) -> TempDir {
    let home = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(home.path().join(name), content).unwrap();
    }
    home
}

const GOLDEN_1: [(&str, &[u8]); 3] = [
    ("conf", include_bytes!("golden/format-1/conf")),
    ("db", include_bytes!("golden/format-1/db")),
    ("initialised", include_bytes!("golden/format-1/initialised")),
];

const GOLDEN_2: [(&str, &[u8]); 4] = [
    ("conf", include_bytes!("golden/format-2/conf")),
    ("db", include_bytes!("golden/format-2/db")),
    ("initialised", include_bytes!("golden/format-2/initialised")),
    ("progress", include_bytes!("golden/format-2/progress")),
];

const GOLDEN_3: [(&str, &[u8]); 4] = [
    ("conf", include_bytes!("golden/format-3/conf")),
    ("db", include_bytes!("golden/format-3/db")),
    ("initialised", include_bytes!("golden/format-3/initialised")),
    ("progress", include_bytes!("golden/format-3/progress")),
];
