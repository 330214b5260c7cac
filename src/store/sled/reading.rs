//! The reading of every entry at a start: each is read once, counted, and handed to the followers of
//! its part of the store.
//!
//! What always holds: the count has each entry once, however far the followers read, and whether or
//! not they can take in what they are told. Only a count that agrees with what was written makes
//! what they were told worth anything, so nothing is handed out here before the caller has compared
//! the two (`recovery.rs`).
//!
//! What does not live here: what an entry adds to the count (`tally.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle, available_parallelism};

use sled::{Error, Tree};

use super::tally::{Tally, Weights};
use super::unreadable;
use crate::ports::store::{Entries, StoreError, Subscription};
use crate::store::followers::Followers;

/// How many kinds of keys are divided into stretches; the rest is one stretch.
const KINDS_MAX: usize = 100;
/// How many values of a byte are one stretch.
const STRETCH: usize = 8;

/// What came of a reading.
pub(super) struct ReadThrough {
    pub(super) counted: Tally,
    /// Or why one of them could not take in what it was told.
    pub(super) followers: Result<Followers, StoreError>,
}

/// Reads everything. One thread reads what is followed; as many threads as there are cores count the
/// rest beside it, since a start waits for this.
pub(super) fn read_through(
    tree: &Tree,
    weights: Weights,
    followed: Vec<Subscription>,
    revision: u64,
) -> Result<ReadThrough, Error> {
    let parts = outermost(&followed);
    let rest = stretches(tree, &parts)?;
    let (next, told) = (AtomicUsize::new(0), Told { weights, parts: Mutex::default() });
    let (counted, followers) = thread::scope(|scope| {
        let counting = counters(scope, tree, weights, &rest, &next);
        let followers = told.tell(tree, followed, revision);
        (joined(counting), followers)
    });
    let mut counted = counted?;
    let told = told.parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    for part in parts {
        let in_part = match told.get(&part) {
            Some(tally) => *tally,
            None => count(tree, weights, &Stretch::below(part))?,
        };
        counted = counted.with(&in_part);
    }
    Ok(ReadThrough { counted, followers })
}

/// What the followers are told.
struct Told {
    weights: Weights,
    /// The counts of the parts that a follower has read to the end, by their prefixes.
    parts: Mutex<BTreeMap<Vec<u8>, Tally>>,
}

impl Told {
    fn tell(&self, tree: &Tree, followed: Vec<Subscription>, revision: u64) -> Result<Followers, StoreError> {
        let followers = Followers::default();
        for Subscription { prefix, follower } in followed {
            followers.add(prefix, follower, &|prefix| self.counting(tree, prefix), revision)?;
        }
        Ok(followers)
    }

    /// All entries below `prefix`, counted as they are read.
    fn counting<'a>(&'a self, tree: &Tree, prefix: &[u8]) -> Box<Entries<'a>> {
        let (mut entries, prefix) = (tree.scan_prefix(prefix), prefix.to_vec());
        let mut tally = Some(Tally::default());
        Box::new(iter::from_fn(move || match entries.next() {
            Some(Ok((key, value))) => {
                if let Some(tally) = &mut tally {
                    tally.add(&key, &value, self.weights);
                }
                Some(Ok((key.to_vec(), value.to_vec())))
            }
            Some(Err(error)) => {
                tally = None;
                Some(Err(unreadable(error)))
            }
            None => {
                let counted = tally.take()?;
                self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(prefix.clone(), counted);
                None
            }
        }))
    }
}

/// Starts the threads that count. Each takes the next stretch that no thread has taken yet, until none
/// is left.
fn counters<'scope>(
    scope: &'scope Scope<'scope, '_>,
    tree: &'scope Tree,
    weights: Weights,
    stretches: &'scope [Stretch],
    next: &'scope AtomicUsize,
) -> Vec<ScopedJoinHandle<'scope, Result<Tally, Error>>> {
    let count_on = move || {
        let mut tally = Tally::default();
        while let Some(stretch) = stretches.get(next.fetch_add(1, Ordering::Relaxed)) {
            tally = tally.with(&count(tree, weights, stretch)?);
        }
        Ok(tally)
    };
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    (0..threads).map(|_| scope.spawn(count_on)).collect()
}

fn joined(counting: Vec<ScopedJoinHandle<'_, Result<Tally, Error>>>) -> Result<Tally, Error> {
    counting.into_iter().try_fold(Tally::default(), |sum, thread| {
        // sled may panic over damage, which is caught where the store is opened.
        let counted = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(sum.with(&counted))
    })
}

/// Counts the entries of one stretch.
fn count(tree: &Tree, weights: Weights, stretch: &Stretch) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    for entry in tree.range::<&[u8], _>(stretch.bounds()) {
        let (key, value) = entry?;
        tally.add(&key, &value, weights);
    }
    Ok(tally)
}

/// Keys that are counted one after the other.
struct Stretch {
    start: Vec<u8>,
    /// The first key after it; `None` for the last stretch.
    end: Option<Vec<u8>>,
}

impl Stretch {
    /// Every key that starts with `prefix`.
    fn below(prefix: Vec<u8>) -> Self {
        let end = end_of(&prefix);
        Self { start: prefix, end }
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.start.as_slice()), end)
    }
}

/// Everything that `parts` do not have, in stretches that can be counted beside one another: of each
/// kind of keys, which is what stands before the first slash, a few values of the byte after it.
fn stretches(tree: &Tree, parts: &[Vec<u8>]) -> Result<Vec<Stretch>, Error> {
    let mut starts = BTreeSet::from([Vec::new()]);
    for part in parts {
        starts.insert(part.clone());
        starts.extend(end_of(part));
    }
    let mut from: Vec<u8> = Vec::new();
    for _ in 0..KINDS_MAX {
        let Some(first) = tree.range(from.as_slice()..).next() else { break };
        let (key, _) = first?;
        let kind = key.split(|byte| *byte == b'/').next().unwrap_or_default();
        starts.extend((0..=u8::MAX).step_by(STRETCH).map(|byte| [kind, &[b'/', byte]].concat()));
        from = [kind, &[b'/' + 1]].concat();
    }
    let ends: Vec<_> = starts.iter().skip(1).cloned().map(Some).chain([None]).collect();
    let all = starts.into_iter().zip(ends).map(|(start, end)| Stretch { start, end });
    Ok(all.filter(|stretch| !parts.iter().any(|part| stretch.start.starts_with(part))).collect())
}

/// The prefixes that are followed, without those within another.
fn outermost(followed: &[Subscription]) -> Vec<Vec<u8>> {
    let prefixes: BTreeSet<&[u8]> = followed.iter().map(|followed| followed.prefix).collect();
    let is_within = |prefix: &[u8], other: &[u8]| prefix != other && prefix.starts_with(other);
    let outer = prefixes.iter().filter(|prefix| !prefixes.iter().any(|other| is_within(prefix, other)));
    outer.map(|prefix| prefix.to_vec()).collect()
}

/// The first key after those that start with `prefix`; `None` if there are none after them.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::ports::store::{FollowError, Told as Message};

    const PREFIXES: [&[u8]; 5] = [b"", b"a", b"a/", b"b/", b"a\xff"];

    /// A follower that reads as many entries, and then fails or not.
    fn reader(
        prefix: &'static [u8],
        most: usize,
        fails: bool,
        read: Arc<Mutex<Vec<Vec<u8>>>>,
    ) -> Subscription {
        let follower = move |message: Message<'_>| {
            let Message::Reset { entries, .. } = message else { return Ok(()) };
            let keys = entries.take(most).map(|entry| entry.map(|(key, _)| key));
            read.lock().unwrap().extend(keys.collect::<Result<Vec<_>, _>>()?);
            if fails { Err(FollowError::Missed) } else { Ok(()) }
        };
        Subscription { prefix, follower: Arc::new(follower) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However keys are divided among threads and followers, and however far these read, each
        /// entry is counted once.
        #[test]
        fn every_entry_is_counted_once(
            keys in prop::collection::btree_set("[ab]{0,2}[-/0]?.{0,2}", 0..200),
            followed in prop::collection::vec((0..PREFIXES.len(), prop::sample::select(vec![0, 7, 1_000])), 0..4),
            last_fails in any::<bool>(),
        ) {
            let tree = sled::Config::new().temporary(true).open().unwrap();
            let mut expected = Tally::default();
            for key in keys {
                let key = key.into_bytes();
                tree.insert(&key, &*key).unwrap();
                expected.add(&key, &key, Weights::Present);
            }
            let (read, last) = (Arc::default(), followed.len());
            let followed = followed.into_iter().zip(1..);
            let followed = followed.map(|((prefix, most), number)| {
                reader(PREFIXES[prefix], most, last_fails && number == last, Arc::clone(&read))
            });
            let through = read_through(&tree, Weights::Present, followed.collect(), 1).unwrap();
            prop_assert_eq!(through.counted, expected);
            prop_assert_eq!(through.followers.is_err(), last_fails && last > 0);
        }
    }

    #[test]
    fn a_follower_is_told_of_every_entry_of_its_part_and_of_no_other() {
        let tree = sled::Config::new().temporary(true).open().unwrap();
        for key in ["a", "a/", "a/1", "a/2", "a0", "b/1"] {
            tree.insert(key, "").unwrap();
        }
        let read = Arc::default();
        read_through(&tree, Weights::Present, vec![reader(b"a/", 1_000, false, Arc::clone(&read))], 1)
            .unwrap();
        assert_eq!(*read.lock().unwrap(), ["a/", "a/1", "a/2"].map(|key| key.as_bytes().to_vec()));
    }
}
