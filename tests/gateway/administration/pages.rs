//! Lists are paged: how much of the store one page reads, and what a walk from page to page meets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vestibule::domain::access_token::grant::{Grant, GrantText};
use vestibule::domain::access_token::{AccessToken, TokenName};
use vestibule::domain::id::{AccessTokenId, InvitationId, SessionId, UserId};
use vestibule::domain::invitation::{AccountTerms, Invitation};
use vestibule::domain::secret::Secret;
use vestibule::domain::session::{Scope, Session};
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{DisplayName, Email, Group, Role, Standing, User, Username};
use vestibule::flows::administration::directory::Query;
use vestibule::flows::administration::paging::{Cursor, LOOKED_AT_MAX, PAGE_ITEMS, Page, Part};
use vestibule::ports::store::{Entry, Follower};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::records::{self, keys};
use vestibule::store::MemoryStore;

use crate::stage::{START, Stage};

const NOW: Timestamp = Timestamp::from_millis(START);
const HOUR: Duration = Duration::from_hours(1);
const MANY: usize = 100_000;
/// Of other things than users there are fewer, so that the test is quick.
const OTHERS: usize = 10_000;
/// Users whose records are written in one commit.
const WRITTEN_AT_ONCE: usize = 6;
/// One user of so many is disabled.
const DISABLED_EVERY: usize = 10;
/// Entries of a list that are read at a time; a page of [`PAGE_ITEMS`] is one step where all pass.
const STEP: usize = 64;

/// A store that counts the entries that are read from it.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    read: AtomicUsize,
}

impl Counting {
    fn read_since_asked(&self) -> usize {
        self.read.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl KeyValue for Counting {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let found = self.inner.scan(prefix, after, limit).await?;
        self.read.fetch_add(found.len(), Ordering::SeqCst);
        Ok(found)
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.take(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.inner.commit(batch).await
    }

    async fn follow(&self, prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        self.inner.follow(prefix, follower).await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }
}

fn bytes<const N: usize>(n: usize) -> [u8; N] {
    use sha2::{Digest, Sha256};
    Sha256::digest(n.to_be_bytes())[..N].try_into().unwrap()
}

fn user(n: usize) -> User {
    let (username, email) = (format!("user{n:06}"), format!("mail{n:06}@example.com"));
    let imagined =
        User::hypothetical(Username::parse(&username).unwrap(), Email::parse(&email).unwrap(), [].into());
    let standing = if n.is_multiple_of(DISABLED_EVERY) { Standing::Disabled } else { Standing::Active };
    User {
        id: UserId::from_random(bytes(n)),
        display_name: DisplayName::parse(&format!("Person{n:06} Doe")).unwrap(),
        standing,
        created_at: NOW,
        ..imagined.unwrap()
    }
}

fn invitation(n: usize) -> Invitation {
    Invitation {
        id: InvitationId(bytes(n)),
        secret: Secret::from_random(bytes(n)).hashed(),
        email: Email::parse(&format!("guest{n:06}@example.com")).unwrap(),
        account: None,
        display_name: None,
        username: None,
        groups: [].into(),
        role: Role::Member,
        invited_by: "a test".to_owned(),
        terms: AccountTerms::default(),
        created_at: NOW,
        expires_at: NOW.plus(HOUR),
    }
}

fn session(n: usize, user: UserId) -> Session {
    Session {
        id: SessionId(bytes(n)),
        user,
        scope: Scope::Full,
        credential: None,
        created_at: NOW,
        authenticated_at: None,
        fresh_since: None,
        by_mailed_code: false,
        stepped_up_at: None,
        step_up: None,
        last_seen_at: NOW,
        expires_at: NOW.plus(HOUR),
        client: None,
        user_agent: None,
    }
}

fn token(n: usize, user: UserId) -> AccessToken {
    let text = GrantText { routes: vec!["app".to_owned()], methods: vec![], paths: vec![], networks: vec![] };
    AccessToken {
        id: AccessTokenId(bytes(n)),
        user,
        name: TokenName::parse("a script").unwrap(),
        grant: Grant::parse(&text).unwrap(),
        created_at: NOW,
        expires_at: NOW.plus(HOUR),
        last_used_at: None,
    }
}

/// The batch that adds one entry to each list.
fn one_more(n: usize) -> Batch {
    let user = user(n);
    let token = token(n, user.id);
    records::create_user(&user)
        .unwrap()
        .and(records::create_invitation(&invitation(n)).unwrap())
        .and(records::create_session(&session(n, user.id)).unwrap())
        .put(keys::access_token(&token.id), records::encode(&token).unwrap())
}

/// The batch that takes it away.
fn one_less(n: usize) -> Batch {
    let user = user(n);
    records::delete_user(&user)
        .and(records::delete_session(&session(n, user.id)))
        .delete(keys::invitation(&invitation(n).secret))
        .delete(keys::access_token(&token(n, user.id).id))
}

/// Who has many sessions and tokens, in the tests of walks.
fn owner() -> UserId {
    user(MANY).id
}

/// The batch that adds one more session and one more token of theirs.
fn one_more_of_owner(n: usize) -> Batch {
    let token = token(MANY + n, owner());
    records::create_session(&session(MANY + n, owner()))
        .unwrap()
        .put(keys::access_token(&token.id), records::encode(&token).unwrap())
}

/// The batch that takes them away.
fn one_less_of_owner(n: usize) -> Batch {
    let session = session(MANY + n, owner());
    records::delete_session(&session).delete(keys::access_token(&token(MANY + n, owner()).id))
}

/// A gateway over a store with so many users, invitations, sessions and access tokens.
async fn with_many(many: usize) -> (Stage, Arc<Counting>) {
    let store = Arc::new(Counting::default());
    for some in (0..many).collect::<Vec<_>>().chunks(WRITTEN_AT_ONCE) {
        let batch = some.iter().fold(Batch::default(), |batch, n| match *n {
            n if n < OTHERS => batch.and(one_more(n)),
            n => batch.and(records::create_user(&user(n)).unwrap()),
        });
        store.commit(batch).await.unwrap();
    }
    store.commit(Batch::default().put(keys::directory_made(), records::encode(&()).unwrap())).await.unwrap();
    (Stage::set(Arc::<Counting>::clone(&store)).await.unwrap(), store)
}

/// A page of a list of users, and what it read.
async fn listed(stage: &Stage, store: &Counting, query: Query) -> (Page<String>, usize) {
    store.read_since_asked();
    let Page { items, next } = stage.gateway.administration.list_users(&query).await.unwrap();
    let names = items.into_iter().map(|it| it.user.username.to_string()).collect();
    (Page { items: names, next }, store.read_since_asked())
}

/// Where a page ends that shows this user, as the first page of a list that begins there says it.
async fn after(stage: &Stage, last: usize) -> Option<Cursor> {
    let query = Query { part: Part { after: None, limit: 1 }, ..Query::default() };
    let first = stage.gateway.administration.list_users(&query).await.unwrap().next.unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(first.to_string()).unwrap()).unwrap();
    Cursor::parse(&URL_SAFE_NO_PAD.encode(text.replace("000000", &format!("{last:06}"))))
}

#[tokio::test]
async fn a_page_of_a_hundred_thousand_reads_a_bounded_number_of_entries() {
    let (stage, store) = with_many(MANY).await;
    let users = |n: usize| (n..n + PAGE_ITEMS).map(|n| format!("user{n:06}")).collect::<Vec<_>>();
    let everybody = Query::default;
    let late = Query { part: Part { after: after(&stage, 49_999).await, ..Part::default() }, ..everybody() };
    let disabled = Query { standing: Some(Standing::Disabled), ..everybody() };
    // A step of the list, and each user on the page.
    let plain = STEP + PAGE_ITEMS;
    // Two terms of each user begin like this, and the second one is passed over.
    let twofold = 2 * STEP + 2 * PAGE_ITEMS - 1;
    let looked_at = DISABLED_EVERY * (PAGE_ITEMS - 1) + 1;
    for (what, query, first, reads) in [
        ("the first page", everybody(), 0, plain),
        ("a page in the middle", late, 50_000, plain),
        ("by username", everybody().beginning_with("user07"), 70_000, plain),
        ("by address", everybody().beginning_with("MAIL0700"), 70_000, plain),
        ("by name", everybody().beginning_with("person07"), 70_000, twofold),
        ("by one user's name", everybody().beginning_with("person070000 d"), 70_000, 1 + 1),
        ("by a word of the name", everybody().beginning_with("do"), usize::MAX, plain),
        ("with a filter", disabled, usize::MAX, (looked_at / STEP + 1) * STEP + looked_at),
    ] {
        let (page, read) = listed(&stage, &store, query).await;
        assert_eq!(read, reads, "{what}");
        match first {
            usize::MAX => assert_eq!(page.items.len(), PAGE_ITEMS, "{what}"),
            first if reads == 2 => assert_eq!(page.items, users(first)[..1], "{what}"),
            first => assert_eq!(page.items, users(first), "{what}"),
        }
    }
    let nobody = Query { group: Some(Group::parse("nobody").unwrap()), ..everybody() };
    let (page, read) = listed(&stage, &store, nobody).await;
    assert_eq!((page.items.len(), read), (0, (LOOKED_AT_MAX / STEP + 1) * STEP + LOOKED_AT_MAX));
    assert!(page.next.is_some(), "the next page goes on");
    others_read_one_step(&stage, &store).await;
}

/// Pages of the other lists read one step, and nothing else: what sessions and tokens are is in
/// memory.
async fn others_read_one_step(stage: &Stage, store: &Counting) {
    let administration = &stage.gateway.administration;
    let mut part = Part::default();
    for _ in 0..3 {
        let page = administration.list_invitations(&part).await.unwrap();
        assert_eq!((page.items.len(), store.read_since_asked()), (PAGE_ITEMS, STEP));
        part.after = page.next;
    }
    part.after = None;
    for _ in 0..3 {
        let page = administration.list_sessions(&part).await.unwrap();
        assert_eq!((page.items.len(), store.read_since_asked()), (PAGE_ITEMS, STEP));
        part.after = page.next;
    }
    part.after = None;
    for _ in 0..3 {
        let page = administration.list_tokens(None, &part).await.unwrap();
        assert_eq!((page.items.len(), store.read_since_asked()), (PAGE_ITEMS, STEP));
        part.after = page.next;
    }
    let one = UserId::from_random(bytes(7));
    assert_eq!(administration.list_sessions_of(&one, &Part::default()).items.len(), 1);
    assert_eq!(administration.list_tokens(Some(&one), &Part::default()).await.unwrap().items.len(), 1);
    assert_eq!(administration.count_invitations(99).await.unwrap(), 99);
    assert!(store.read_since_asked() <= 512, "a badge counts no further than it can show");
}

/// The names of what is on a page of one of the lists.
async fn names(stage: &Stage, list: &str, part: &Part) -> Page<String> {
    fn named<T>(page: Page<T>, name: impl Fn(&T) -> String) -> Page<String> {
        Page { items: page.items.iter().map(name).collect(), next: page.next }
    }
    let administration = &stage.gateway.administration;
    let query = Query { part: part.clone(), ..Query::default() };
    match list {
        "users" => named(administration.list_users(&query).await.unwrap(), |it| it.user.username.to_string()),
        "a search" => {
            let found = administration.list_users(&query.beginning_with("user")).await.unwrap();
            named(found, |it| it.user.username.to_string())
        }
        "invitations" => named(administration.list_invitations(part).await.unwrap(), |it| it.id.to_string()),
        "sessions" => {
            named(administration.list_sessions(part).await.unwrap(), |(it, _)| it.record().id.to_string())
        }
        "tokens" => {
            named(administration.list_tokens(None, part).await.unwrap(), |it| it.record().id.to_string())
        }
        "sessions of one" => {
            named(administration.list_sessions_of(&owner(), part), |it| it.record().id.to_string())
        }
        "tokens of one" => {
            let found = administration.list_tokens(Some(&owner()), part).await.unwrap();
            named(found, |it| it.record().id.to_string())
        }
        other => panic!("{other}"),
    }
}

/// Everything on a list, a page after the other; `between` happens between two pages.
async fn walked(stage: &Stage, list: &str, between: impl AsyncFn(usize)) -> Vec<String> {
    let mut part = Part { after: None, limit: 7 };
    let mut met = Vec::new();
    for round in 0.. {
        let page = names(stage, list, &part).await;
        met.extend(page.items);
        match page.next {
            Some(next) => part.after = Some(next),
            None => break,
        }
        between(round).await;
    }
    met
}

/// What is there all the while is met once, and nothing twice, whatever comes and goes meanwhile.
#[tokio::test]
async fn a_walk_over_the_pages_of_a_list_that_changes_meets_everything_once() {
    const THERE: usize = 100;
    for list in ["users", "a search", "invitations", "sessions", "tokens", "sessions of one", "tokens of one"]
    {
        let (stage, store) = with_many(THERE).await;
        store.commit(records::create_user(&user(MANY)).unwrap()).await.unwrap();
        for n in 0..THERE {
            store.commit(one_more_of_owner(n)).await.unwrap();
        }
        let still = async |_| {};
        let before = walked(&stage, list, still).await;
        let met = walked(&stage, list, async |round| {
            for n in [3 * round, THERE - 3 * round - 1].into_iter().filter(|n| *n < THERE) {
                store.commit(one_less(n)).await.unwrap();
                store.commit(one_less_of_owner(n)).await.unwrap();
            }
            store.commit(one_more(THERE + round)).await.unwrap();
            store.commit(one_more_of_owner(THERE + round)).await.unwrap();
        })
        .await;
        let after: BTreeSet<_> = walked(&stage, list, still).await.into_iter().collect();
        let set: BTreeSet<_> = met.iter().cloned().collect();
        assert_eq!(set.len(), met.len(), "{list}: something is met twice");
        let stayed: Vec<_> = before.iter().filter(|name| after.contains(*name)).collect();
        assert!(stayed.len() > THERE / 3 && stayed.len() < before.len(), "{list}: {}", stayed.len());
        assert!(stayed.iter().all(|name| set.contains(*name)), "{list}: something is not met");
    }
}
