//! Random batches, applied to an engine and to a plain map, must come out alike.

use std::collections::BTreeMap;

use super::{Store, heard};
use crate::ports::store::Entry;
use crate::ports::{Batch, Change};

const RANDOM_BATCHES: usize = 400;
const RANDOM_SEED: u64 = 0x7665_7374_6962_756c;

/// A small generator with a fixed seed, so that a failure repeats.
struct SeededRandom(u64);

impl SeededRandom {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn key(&mut self) -> Vec<u8> {
        format!("{}/{}", self.below(3), self.below(12)).into_bytes()
    }

    fn batch(&mut self, model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Batch {
        let mut changes = BTreeMap::new();
        for _ in 0..self.below(6) {
            let put = self.below(3) > 0;
            let value =
                vec![u8::try_from(self.below(256)).unwrap(); usize::try_from(self.below(300)).unwrap()];
            changes.insert(self.key(), put.then_some(value));
        }
        let mut batch = Batch::default();
        for (key, value) in changes {
            batch = match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        for _ in 0..self.below(3) {
            let key = self.key();
            batch = match (model.get(&key), self.below(8)) {
                (Some(value), 1..) => batch.expect(key, value.clone()),
                (None, 1..) | (Some(_), 0) => batch.expect_absent(key),
                (None, 0) => batch.expect(key, vec![]),
            };
        }
        batch
    }
}

/// Applies `batch` to the model, and says whether it could be.
fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) -> bool {
    use crate::ports::Expectation::{Absent, Exactly};
    let holds = batch.expectations.iter().all(|expected| match expected {
        Absent { key } => !model.contains_key(key),
        Exactly { key, value } => model.get(key) == Some(value),
    });
    if holds {
        for change in &batch.changes {
            match change {
                Change::Put { key, value } => model.insert(key.clone(), value.clone()),
                Change::Delete { key } => model.remove(key),
            };
        }
    }
    holds
}

/// Any batch that expects nothing may be written behind. Followers have the same state at the end.
pub(super) async fn random_changes_written_behind_match_a_model(store: Store) {
    let mut random = SeededRandom(RANDOM_SEED);
    let mut model = BTreeMap::new();
    let told = heard(&store, "").await;
    for round in 0..RANDOM_BATCHES {
        if random.below(5) == 0 {
            let key = random.key();
            assert_eq!(store.take(&key).await.unwrap(), model.remove(&key), "round {round}");
        } else {
            let batch = random.batch(&model);
            let applied = apply(&mut model, &batch);
            if batch.expectations.is_empty() {
                store.write_behind(batch.changes).await.unwrap();
            } else {
                assert_eq!(store.commit(batch).await.is_ok(), applied, "round {round}");
            }
        }
        check_a_scan(&store, &model, &mut random, round).await;
        let key = random.key();
        assert_eq!(store.get(&key).await.unwrap(), model.get(&key).cloned(), "round {round}");
    }
    store.commit(Batch::default().put(b"end".to_vec(), vec![])).await.unwrap();
    model.insert(b"end".to_vec(), vec![]);
    assert_eq!(told.lock().unwrap().state(), model);
}

pub(super) async fn random_batches_match_a_model(store: Store) {
    let mut random = SeededRandom(RANDOM_SEED);
    let mut model = BTreeMap::new();
    let told = heard(&store, "").await;
    let mut expected = Vec::new();
    for round in 0..RANDOM_BATCHES {
        if random.below(5) == 0 {
            let key = random.key();
            let taken = model.remove(&key);
            expected.extend(taken.is_some().then(|| Change::Delete { key: key.clone() }));
            assert_eq!(store.take(&key).await.unwrap(), taken, "round {round}");
        } else {
            let batch = random.batch(&model);
            let applied = apply(&mut model, &batch);
            expected.extend(batch.changes.iter().filter(|_| applied).cloned());
            assert_eq!(store.commit(batch).await.is_ok(), applied, "round {round}");
        }
        check_a_scan(&store, &model, &mut random, round).await;
    }
    assert_eq!(store.scan(b"", None, 1_000).await.unwrap(), model.into_iter().collect::<Vec<_>>());
    assert_eq!(told.lock().unwrap().changes, expected);
}

/// Compares a scan from a random place.
async fn check_a_scan(
    store: &Store,
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    random: &mut SeededRandom,
    round: usize,
) {
    let prefix = format!("{}/", random.below(3)).into_bytes();
    let after = (random.below(2) == 0).then(|| random.key());
    let limit = usize::try_from(random.below(14)).unwrap();
    let in_model: Vec<Entry> = model
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after))
        .take(limit)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let found = store.scan(&prefix, after.as_deref(), limit).await.unwrap();
    assert_eq!(found, in_model, "round {round}");
}
