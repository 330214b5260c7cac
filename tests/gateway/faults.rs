//! P-10 and S-20 below the network: a store that fails at every step in turn, and never once lets a
//! client in for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use vestibule::domain::invitation::LinkDelivery;
use vestibule::flows::FlowError;
use vestibule::flows::administration::people::OldPasskeys;
use vestibule::flows::authority::Authority;
use vestibule::ports::store::{Entry, Follower};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::store::MemoryStore;

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call does nothing.
    Before,
    /// The call takes effect, and its answer is lost.
    After,
    /// The value that is read is not the value that was written.
    Torn,
}

/// The calls that are counted, and may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    All,
    Commits,
}

/// A store that fails one call, or every call from one on.
pub(crate) struct Faulty {
    inner: MemoryStore,
    counted: Counted,
    calls: AtomicUsize,
    mended: AtomicBool,
    fails_at: AtomicUsize,
    for_good: bool,
    fault: Fault,
}

impl Faulty {
    fn new(fails_at: usize, for_good: bool, fault: Fault) -> Arc<Self> {
        let calls = AtomicUsize::new(0);
        let mended = AtomicBool::new(false);
        let (counted, fails_at) = (Counted::All, AtomicUsize::new(fails_at));
        Arc::new(Self { inner: MemoryStore::new(), counted, calls, mended, fails_at, for_good, fault })
    }

    /// A store that fails no call until [`Self::fail_commit`].
    pub(crate) fn at_commits(fault: Fault) -> Arc<Self> {
        let store = Self::new(usize::MAX, false, fault);
        Arc::new(Self { counted: Counted::Commits, ..Arc::into_inner(store).unwrap() })
    }

    /// Fails one of the commits to come: the first one is 0.
    pub(crate) fn fail_commit(&self, number: usize) {
        self.fails_at.store(self.calls.load(Ordering::SeqCst) + number, Ordering::SeqCst);
    }

    /// The number of commits so far.
    pub(crate) fn commits(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the present call fails.
    fn fails(&self, kind: Counted) -> bool {
        if self.counted == Counted::Commits && kind != Counted::Commits {
            return false;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let fails_at = self.fails_at.load(Ordering::SeqCst);
        let fails = call == fails_at || (self.for_good && call > fails_at);
        fails && !self.mended.load(Ordering::SeqCst)
    }

    fn error(&self) -> StoreError {
        match self.fault {
            Fault::Before | Fault::After => StoreError::Unavailable("a test says so".to_owned()),
            Fault::Torn => StoreError::Corrupt("a test says so".to_owned()),
        }
    }
}

#[async_trait]
impl KeyValue for Faulty {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.inner.get(key).await;
        match (self.fails(Counted::All), self.fault) {
            (false, _) => found,
            (true, Fault::Torn) => Ok(found?.map(|bytes| bytes[..bytes.len() / 2].to_vec())),
            (true, _) => Err(self.error()),
        }
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        if self.fails(Counted::All) { Err(self.error()) } else { self.inner.scan(prefix, after, limit).await }
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match (self.fails(Counted::All), self.fault) {
            (false, _) => self.inner.take(key).await,
            (true, Fault::Before) => Err(self.error()),
            (true, _) => {
                self.inner.take(key).await?;
                Err(self.error())
            }
        }
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        match (self.fails(Counted::Commits), self.fault) {
            (false, _) => self.inner.commit(batch).await,
            (true, Fault::After) => {
                self.inner.commit(batch).await?;
                Err(self.error().into())
            }
            (true, _) => Err(self.error().into()),
        }
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        if self.fails(Counted::All) { Err(self.error()) } else { self.inner.follow(prefix, follower).await }
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }
}

/// The answers that the person got, as far as the day went.
#[derive(Default)]
struct Day {
    /// Cookies of sessions that were acknowledged as ended.
    ended: Vec<String>,
}

/// A person's day: set-up, passkey, sign-in, visit, sign-out. Ends at the first failure.
async fn day(stage: &Stage, told: &mut Day) -> Result<(), FlowError> {
    let mut device = Authenticator::new(1);
    let Some(secret) = stage.gateway.sign_in.issue_setup_secret().await? else { return Ok(()) };
    let redeemed = stage.redeem(&secret.reveal()).await?;
    assert!(!stage.enters(&stage.cookie(&redeemed.session, APP_HOST)), "it may only enrol");
    let registered = stage.register(&redeemed, &mut device).await?;
    assert!(stage.enters(&stage.cookie(&registered.session, APP_HOST)));
    let signed_in = stage.sign_in(&mut device).await?;
    let token = stage.cookie(&signed_in.session, APP_HOST);
    assert!(stage.enters(&token));
    stage.gateway.sessions.end_other_sessions(&signed_in.session, &visit(AUTH_HOST)).await?;
    told.ended.push(stage.cookie(&registered.session, APP_HOST));
    assert!(!stage.enters(&told.ended[0]));
    let live = stage.gateway.sessions.sessions_of(&signed_in.user.id);
    stage.gateway.sessions.sign_out(&live[..1], &visit(AUTH_HOST)).await?;
    told.ended.push(token);
    let operator = Authority::of_operator();
    stage
        .gateway
        .administration
        .reset_user(&operator, &signed_in.user.id, OldPasskeys::Wiped, LinkDelivery::ByHand)
        .await?;
    assert!(stage.sign_in(&mut device).await.is_err(), "a passkey that was wiped signed in");
    Ok(())
}

#[track_caller]
fn check_nobody_enters(stage: &Stage, told: &Day, context: &str) {
    for token in &told.ended {
        assert!(!stage.enters(token), "{context}: a session that has ended was let in");
    }
    for junk in ["", "x", "AAAA", "\u{1f511}", &"A".repeat(600)] {
        assert!(!stage.enters(junk), "{context}: {junk:?} was let in");
    }
}

async fn check(fails_at: usize, for_good: bool, fault: Fault) -> bool {
    let context = format!("call {fails_at} fails ({fault:?}, for good: {for_good})");
    let store = Faulty::new(fails_at, for_good, fault);
    let mut told = Day::default();
    let mut finished = false;
    if let Ok(stage) = Stage::set(Arc::<Faulty>::clone(&store)).await {
        finished = day(&stage, &mut told).await.is_ok();
        check_nobody_enters(&stage, &told, &context);
        store.mended.store(true, Ordering::SeqCst);
        check_nobody_enters(&stage.again().await, &told, &format!("{context}, after a restart"));
    }
    finished
}

#[tokio::test]
async fn p_10_failing_store_refuses_requests() {
    const CALLS_MAX: usize = 200;
    for fault in [Fault::Before, Fault::After, Fault::Torn] {
        for for_good in [false, true] {
            let mut finished_in_a_row = 0;
            let mut failed = 0;
            for fails_at in 0..CALLS_MAX {
                if check(fails_at, for_good, fault).await {
                    finished_in_a_row += 1;
                } else {
                    (finished_in_a_row, failed) = (0, failed + 1);
                }
                if finished_in_a_row > 20 {
                    break;
                }
            }
            assert!(finished_in_a_row > 20, "the day takes more than {CALLS_MAX} calls");
            assert!(failed > 10, "{fault:?}: only {failed} failures were felt");
        }
    }
}
