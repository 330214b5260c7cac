//! A gateway whose engine loses, delays and repeats changes: it lets no ended session in for longer
//! than documented, and disturbs no live session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use vestibule::domain::session::Session;
use vestibule::domain::session::token::Carrier;
use vestibule::flows::following::BEHIND_MAX;
use vestibule::flows::sessions::caller::{Caller, CheckUnavailable};
use vestibule::ports::store::{Change, Entry, FollowError, Follower, Told};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::stage::{AUTH_HOST, Stage, visit};

/// More than any test here keeps.
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Steady,
    Loses,
    Repeats,
    Delays,
}

/// Another gateway's view of a store.
pub(crate) struct Feed {
    inner: Arc<MemoryStore>,
    manner: Arc<Mutex<Manner>>,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// The changes that go to one follower.
struct Line {
    prefix: Vec<u8>,
    follower: Follower,
    delayed: Mutex<Vec<(Vec<Change>, u64, u64)>>,
    /// The last revision that the store has told of.
    revision: AtomicU64,
}

impl Line {
    fn tell(&self, changes: &[Change], since: u64, revision: u64) -> Result<(), FollowError> {
        let changes: Vec<&Change> = changes.iter().collect();
        (self.follower)(Told::Changes { changes: &changes, since, revision })
    }

    fn pass(&self, told: Told<'_>, manner: Manner) -> Result<(), FollowError> {
        let (changes, since, revision) = match told {
            Told::Changes { changes, since, revision } => (changes, since, revision),
            Told::Reset { entries, revision } => {
                self.revision.store(revision, Ordering::SeqCst);
                return (self.follower)(Told::Reset { entries, revision });
            }
            Told::Behind => return (self.follower)(Told::Behind),
        };
        self.revision.store(revision, Ordering::SeqCst);
        let changes: Vec<Change> = changes.iter().map(|change| (*change).clone()).collect();
        match manner {
            Manner::Steady => self.tell(&changes, since, revision),
            Manner::Loses => Ok(()),
            Manner::Repeats => {
                self.tell(&changes, since, revision)?;
                self.tell(&changes, since, revision)
            }
            Manner::Delays => {
                self.delayed.lock().unwrap().push((changes, since, revision));
                Ok(())
            }
        }
    }
}

impl Feed {
    pub(crate) fn over(inner: &Arc<MemoryStore>) -> Arc<Self> {
        let manner = Arc::new(Mutex::new(Manner::Steady));
        Arc::new(Self { inner: Arc::clone(inner), manner, lines: Mutex::default() })
    }

    pub(crate) fn turn(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn lines(&self) -> Vec<Arc<Line>> {
        self.lines.lock().unwrap().clone()
    }

    /// Says that it is behind, like an engine that has not heard of its server for a while.
    fn say_that_it_is_behind(&self) {
        for line in self.lines() {
            (line.follower)(Told::Behind).unwrap();
        }
    }

    /// Tells the delayed changes, and then everything anew.
    async fn catch_up(&self) {
        for line in self.lines() {
            for (changes, since, revision) in line.delayed.lock().unwrap().drain(..) {
                let _ = line.tell(&changes, since, revision);
            }
            let entries = self.inner.scan(&line.prefix, None, ENTRIES_MAX).await.unwrap();
            let revision = line.revision.load(Ordering::SeqCst);
            let mut entries = entries.into_iter().map(Ok);
            (line.follower)(Told::Reset { entries: &mut entries, revision }).unwrap();
        }
    }
}

#[async_trait]
impl KeyValue for Feed {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.scan(prefix, after, limit).await
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.take(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.inner.commit(batch).await
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        let (prefix, delayed, revision) = (prefix.to_vec(), Mutex::default(), AtomicU64::new(0));
        let line = Arc::new(Line { prefix: prefix.clone(), follower, delayed, revision });
        self.lines.lock().unwrap().push(Arc::clone(&line));
        let manner = Arc::clone(&self.manner);
        self.inner.follow(&prefix, Arc::new(move |told| line.pass(told, *manner.lock().unwrap()))).await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }
}

/// Two gateways over one store, the second through a feed, and a user with two sessions.
struct Two {
    here: Stage,
    there: Stage,
    feed: Arc<Feed>,
    device: Authenticator,
    ending: Session,
    lasting: Session,
}

impl Two {
    async fn set() -> Self {
        let store = Arc::new(MemoryStore::new());
        let here = Stage::set(Arc::<MemoryStore>::clone(&store)).await.unwrap();
        let mut device = Authenticator::new(1);
        here.enrol("alice@example.com", &mut device).await.unwrap();
        let feed = Feed::over(&store);
        let there = here.beside(Arc::<Feed>::clone(&feed)).await;
        let ending = here.sign_in(&mut device).await.unwrap().session;
        let lasting = here.sign_in(&mut device).await.unwrap().session;
        Self { here, there, feed, device, ending, lasting }
    }

    /// Ends the one session; the caller is told that it is over.
    async fn revoke(&self) {
        let sessions = self.here.gateway.sessions.sessions_of(&self.ending.user);
        let ending = sessions.into_iter().find(|it| it.record().id == self.ending.id).unwrap();
        self.here.gateway.sessions.sign_out(&[ending], &visit(AUTH_HOST)).await.unwrap();
    }
}

fn known(stage: &Stage, session: &Session) -> Result<bool, CheckUnavailable> {
    let token = stage.gateway.sessions.token(session, Carrier::Bearer).unwrap();
    Ok(matches!(stage.gateway.sessions.caller_by_bearer(&token)?, Caller::Known(..)))
}

#[tokio::test]
async fn a_steady_feed_or_one_that_repeats_tells_of_an_end_at_once() {
    for manner in [Manner::Steady, Manner::Repeats] {
        let two = Two::set().await;
        assert_eq!(known(&two.there, &two.ending), Ok(true), "the control");
        two.feed.turn(manner);
        two.revoke().await;
        for stage in [&two.here, &two.there] {
            assert_eq!(known(stage, &two.ending), Ok(false), "{manner:?}");
            assert_eq!(known(stage, &two.lasting), Ok(true), "{manner:?}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_may_have_missed_something_lets_nobody_in_after_the_bound() {
    for manner in [Manner::Loses, Manner::Delays] {
        let two = Two::set().await;
        two.feed.turn(manner);
        two.feed.say_that_it_is_behind();
        two.revoke().await;
        assert_eq!(known(&two.here, &two.ending), Ok(false), "{manner:?}: where it was ended");
        assert_eq!(known(&two.there, &two.lasting), Ok(true), "{manner:?}: within the bound");
        two.here.clock.forward(BEHIND_MAX);
        for session in [&two.ending, &two.lasting] {
            assert_eq!(known(&two.there, session), Err(CheckUnavailable), "{manner:?}");
        }
        assert_eq!(known(&two.here, &two.lasting), Ok(true), "{manner:?}: the other gateway goes on");
        two.feed.turn(Manner::Steady);
        let before = two.there.gateway.sessions.sessions_of(&two.lasting.user).remove(0);
        two.feed.catch_up().await;
        assert_eq!(known(&two.there, &two.ending), Ok(false), "{manner:?}");
        assert_eq!(known(&two.there, &two.lasting), Ok(true), "{manner:?}");
        let after = two.there.gateway.sessions.sessions_of(&two.lasting.user).remove(0);
        assert!(Arc::ptr_eq(&before, &after), "what goes on is not interrupted");
    }
}

/// Where no notice says that a change was lost, the next change shows it.
#[tokio::test]
async fn a_gap_is_noticed_with_the_next_change() {
    let mut two = Two::set().await;
    two.feed.turn(Manner::Loses);
    two.revoke().await;
    assert_eq!(known(&two.there, &two.ending), Ok(true), "no feed has told it");
    two.feed.turn(Manner::Steady);
    let newest = two.here.sign_in(&mut two.device).await.unwrap().session;
    assert_eq!(known(&two.there, &two.ending), Ok(false));
    assert_eq!(known(&two.there, &newest), Ok(true));
    two.here.clock.forward(BEHIND_MAX);
    assert_eq!(known(&two.there, &two.lasting), Ok(true), "it is behind no more");
}
