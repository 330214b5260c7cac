//! Damaged files under the real program (D-06): it does not start, says what to do, and does not
//! begin a new store. Many places of every file are damaged beside the store
//! (`src/store/sled/damage.rs`).

use std::fs;
use std::path::Path;

use super::person::{End, Person, patient};
use crate::harness::Gateway;

const CHANGES: usize = 40;

/// How a file is damaged.
type Damage = fn(&mut Vec<u8>);

/// The end of the written part of a file of sled's.
fn end(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

const DAMAGES: [(&str, Damage); 6] = [
    ("db", |content| content.truncate(end(content) / 2)),
    // The file looks as after a crash, but the missing changes were acknowledged.
    ("db", |content| content.truncate(end(content) - 600)),
    ("db", |content| {
        let at = end(content) - 40;
        content[at] ^= 1;
    }),
    ("db", |content| content[3] ^= 16),
    ("snap.", |content| content[20] ^= 1),
    ("conf", |content| content.truncate(content.len() / 2)),
];

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap())).collect()
}

#[tokio::test]
async fn d_06_damaged_file_stops_the_gateway_with_a_remedy() {
    let mut gateway = Gateway::start(patient).await;
    let mut person = Person::first(&gateway, 1).await;
    for _ in 0..2 {
        let done = person.live_for(CHANGES).await;
        assert!(matches!(done, End::Asked), "{done:?}");
        gateway.restart().await;
    }
    let done = person.live_for(CHANGES).await;
    assert!(matches!(done, End::Asked), "{done:?}");
    gateway.stop();
    let whole = files(&gateway.data());
    for (number, (name, damage)) in DAMAGES.into_iter().enumerate() {
        let newest = whole.iter().filter(|(file, _)| file.starts_with(name)).max().expect("it is there");
        let mut content = newest.1.clone();
        damage(&mut content);
        fs::write(gateway.data().join(&newest.0), content).unwrap();
        for start in 0..2 {
            let before = gateway.log().len();
            gateway.spawn(&[]);
            let code = gateway.wait_for_end();
            let said = gateway.log()[before..].to_owned();
            assert_eq!(code, Some(1), "damage {number}, start {start}: {said}");
            assert!(said.contains("restore from a backup"), "damage {number}, start {start}: {said}");
            assert!(!gateway.setup_file().exists(), "damage {number}: it takes itself for new");
        }
        // Files that sled has written meanwhile are removed.
        for (name, _) in files(&gateway.data()) {
            if whole.iter().all(|(known, _)| *known != name) {
                fs::remove_file(gateway.data().join(name)).unwrap();
            }
        }
        for (name, content) in &whole {
            fs::write(gateway.data().join(name), content).unwrap();
        }
    }
    gateway.launch().await;
    person.check("with every file as it was").await;
}
