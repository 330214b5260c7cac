//! Changes that one commit cannot hold: each is one decision, and after a failure of the store the
//! caller finishes it by asking again.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use vestibule::domain::access_token::grant::Grant;
use vestibule::domain::access_token::{AccessToken, TokenName};
use vestibule::domain::credential::{CREDENTIALS_PER_USER_MAX, Credential};
use vestibule::domain::foreign::{ForeignPasskey, ForeignUser};
use vestibule::domain::id::{AccessTokenId, CredentialId, UserId};
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{Email, Role};
use vestibule::flows::FlowError;
use vestibule::flows::administration::invitations::{GUESTS_MAX, Guest, NobodyInvited};
use vestibule::flows::administration::people::OldPasskeys;
use vestibule::flows::administration::trail::TrailQuery;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::registration::Registered;
use vestibule::ports::Batch;
use vestibule::ports::store::BATCH_OPERATIONS_MAX;
use vestibule::records::{self, keys};
use vestibule::store::MemoryStore;

use crate::administration::imports::registered_elsewhere;
use crate::faults::{Fault, Faulty};
use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};

const ALICE: &str = "alice@example.com";
const TOKENS: u8 = 120;
const SESSIONS: usize = 20;

/// A user with as many passkeys, tokens and sessions as a user may have.
struct FullAccount {
    stage: Stage,
    store: Arc<Faulty>,
    user: Registered,
    device: Authenticator,
    cookies: Vec<String>,
}

impl FullAccount {
    async fn new(fault: Fault) -> Self {
        let store = Faulty::at_commits(fault);
        let stage = Stage::set(Arc::<Faulty>::clone(&store)).await.unwrap();
        let mut device = Authenticator::new(1);
        let user = stage.enrol(ALICE, &mut device).await.unwrap();
        let mut cookies = vec![stage.cookie(&user.session, APP_HOST)];
        while cookies.len() < SESSIONS {
            cookies.push(stage.cookie(&stage.sign_in(&mut device).await.unwrap().session, APP_HOST));
        }
        for number in 1..CREDENTIALS_PER_USER_MAX {
            let id = CredentialId::new(vec![u8::try_from(number).unwrap(); 16]).unwrap();
            let more = Credential { id, ..user.credential.clone() };
            put(&stage, records::create_credential(&more).unwrap()).await;
        }
        for number in 0..TOKENS {
            put(&stage, token(&user.user.id, number)).await;
        }
        let rich = Self { stage, store, user, device, cookies };
        assert!(rich.cookies.iter().all(|cookie| rich.stage.enters(cookie)));
        let count = rich.entries(&records_of(&rich.user.user.id)).await;
        assert!(count > 2 * BATCH_OPERATIONS_MAX, "{count} entries");
        rich
    }

    async fn entries(&self, prefixes: &[Vec<u8>]) -> usize {
        let mut count = 0;
        for prefix in prefixes {
            count += self.stage.store.scan(prefix, None, 10_000).await.unwrap().len();
        }
        count
    }

    async fn check_all_ways_in_have_ended(&mut self, context: &str) {
        let left = self.entries(&records_of(&self.user.user.id)).await;
        assert_eq!(left, 0, "{context}");
        for prefix in [b"credential/", keys::SESSIONS, keys::ACCESS_TOKENS] {
            assert_eq!(self.entries(&[prefix.to_vec()]).await, 0, "{context}");
        }
        assert!(!self.cookies.iter().any(|cookie| self.stage.enters(cookie)), "{context}");
        assert!(self.stage.sign_in(&mut self.device).await.is_err(), "{context}");
    }

    async fn events(&self, event: &str) -> usize {
        let query = TrailQuery { event: Some(event.to_owned()), limit: 500, ..TrailQuery::default() };
        self.stage.gateway.administration.read_trail(&query).await.unwrap().items.len()
    }
}

async fn put(stage: &Stage, batch: Batch) {
    stage.store.commit(batch).await.unwrap();
}

fn token(user: &UserId, number: u8) -> Batch {
    let token = AccessToken {
        id: AccessTokenId([number; 16]),
        user: *user,
        name: TokenName::parse("reports").unwrap(),
        grant: Grant::default(),
        created_at: Timestamp::from_millis(1),
        expires_at: Timestamp::from_millis(i64::MAX),
        last_used_at: None,
    };
    Batch::default()
        .put(keys::access_token(&token.id), records::encode(&token).unwrap())
        .put(keys::access_token_of(user, &token.id), records::encode(&()).unwrap())
}

/// The prefixes of a user's records.
fn records_of(user: &UserId) -> [Vec<u8>; 3] {
    [keys::credentials_of(user), keys::sessions_of(user), keys::access_tokens_of(user)]
}

fn guest(email: &str) -> Guest {
    Guest {
        email: Email::parse(email).unwrap(),
        display_name: None,
        username: None,
        groups: [].into(),
        role: Role::Member,
        lifetime: Duration::from_secs(3_600),
        invited_by: "a test".to_owned(),
    }
}

/// Makes one of [`CHANGES`] to an account.
async fn change(rich: &FullAccount, what: &str) -> Result<(), FlowError> {
    let (administration, user) = (&rich.stage.gateway.administration, &rich.user.user.id);
    let operator = Authority::of_operator();
    match what {
        "reset" => administration
            .reset_user(&operator, user, OldPasskeys::Wiped, LinkDelivery::ByHand)
            .await
            .map(drop),
        "deletion" => administration.delete_user(&operator, user).await,
        _ => rich.stage.gateway.accounts.delete_account(&rich.user.session, &visit(AUTH_HOST)).await,
    }
}

const CHANGES: [&str; 3] = ["reset", "deletion", "departure"];

#[tokio::test]
async fn an_account_with_more_than_a_commit_holds_ends_with_all_it_has() {
    for what in CHANGES {
        let mut rich = FullAccount::new(Fault::Before).await;
        let before = rich.store.commits();
        change(&rich, what).await.unwrap();
        assert!(rich.store.commits() - before > 2, "{what}: it cannot have been one commit");
        rich.check_all_ways_in_have_ended(what).await;
        assert_eq!(rich.events("session_ended").await, SESSIONS, "{what}");
        assert_eq!(rich.events("token_revoked").await, usize::from(TOKENS), "{what}");
        let told = if what == "reset" { CREDENTIALS_PER_USER_MAX } else { 0 };
        assert_eq!(rich.events("credential_removed").await, told, "{what}");
    }
}

/// Whichever commit fails, and whether or not it happened: no client gains a way in by it, and
/// asking again finishes the change.
#[tokio::test]
async fn a_long_change_that_fails_in_the_middle_is_finished_by_asking_again() {
    for (what, fault) in CHANGES.into_iter().flat_map(|it| [(it, Fault::Before), (it, Fault::After)]) {
        let mut failures = 0;
        for number in 0.. {
            let context = format!("{what}: commit {number} fails ({fault:?})");
            let mut rich = FullAccount::new(fault).await;
            rich.store.fail_commit(number);
            let first = change(&rich, what).await;
            if first.is_ok() {
                break;
            }
            failures += 1;
            match change(&rich, what).await {
                Ok(()) => {}
                // The change had happened, and its answer was lost.
                Err(FlowError::NotFound | FlowError::NotPermitted) if fault == Fault::After => {}
                // The session that asked is gone: an administrator finishes it.
                Err(FlowError::NotPermitted) if what == "departure" => {
                    change(&rich, "deletion").await.unwrap();
                }
                Err(error) => panic!("{context}: {error:?}"),
            }
            rich.check_all_ways_in_have_ended(&context).await;
        }
        assert!(failures > 2, "{what}: {failures} commits");
    }
}

/// No session, token or passkey has ended where the change was refused.
#[tokio::test]
async fn a_long_change_that_is_refused_ends_nothing() {
    let rich = FullAccount::new(Fault::Before).await;
    rich.stage.clock.forward(Duration::from_secs(301));
    let before = rich.entries(&records_of(&rich.user.user.id)).await;
    assert!(matches!(change(&rich, "departure").await, Err(FlowError::NotFresh)));
    assert_eq!(rich.entries(&records_of(&rich.user.user.id)).await, before);
}

#[tokio::test]
async fn many_guests_are_invited_each_once_although_no_commit_holds_them() {
    let emails: Vec<_> = (0..GUESTS_MAX).map(|number| format!("guest{number}@example.com")).collect();
    let store = Faulty::at_commits(Fault::Before);
    let stage = Stage::set(Arc::<Faulty>::clone(&store)).await.unwrap();
    let guests = || emails.iter().map(|email| guest(email)).collect::<Vec<_>>();
    let invite_all = async || {
        let administration = &stage.gateway.administration;
        administration.invite_all(&Authority::of_operator(), guests(), LinkDelivery::ByHand).await
    };
    store.fail_commit(2);
    invite_all().await.unwrap_err();
    let some = stage.gateway.administration.count_invitations(usize::MAX).await.unwrap();
    assert!(some > 0 && some < GUESTS_MAX, "{some}: it fails in the middle");

    let invited = invite_all().await.unwrap();
    assert_eq!(invited.iter().map(|it| it.invitation.email.to_string()).collect::<Vec<_>>(), emails);
    assert_eq!(stage.gateway.administration.count_invitations(usize::MAX).await.unwrap(), GUESTS_MAX);
    for one in invited.iter().step_by(40) {
        stage.redeem(&one.secret.reveal()).await.unwrap();
    }
}

/// An administrator's freshness is spent by the last commit, after the first links were made.
#[tokio::test]
async fn only_an_operator_invites_more_than_a_commit_holds() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = Authenticator::new(1);
    let set_up = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap();
    let enrolling = stage.redeem(&set_up.reveal()).await.unwrap();
    stage.register(&enrolling, &mut device).await.unwrap();
    let session = stage.sign_in(&mut device).await.unwrap().session;
    let authority = stage.gateway.sessions.authority_of(&session, &visit(AUTH_HOST)).unwrap();
    let administration = &stage.gateway.administration;
    let guests = || vec![guest("bob@example.com")];
    let refused = administration.invite_all(&authority, guests(), LinkDelivery::ByHand).await;
    assert!(matches!(refused, Err(NobodyInvited::Failed(FlowError::NotPermitted))), "{refused:?}");
    assert_eq!(administration.count_invitations(usize::MAX).await.unwrap(), 0);
    let operator = Authority::of_operator();
    administration.invite_all(&operator, guests(), LinkDelivery::ByHand).await.unwrap();
    assert_eq!(administration.count_invitations(usize::MAX).await.unwrap(), 1);
}

#[tokio::test]
async fn a_user_is_imported_with_more_passkeys_than_a_commit_holds() {
    let store = Faulty::at_commits(Fault::Before);
    let stage = Stage::set(Arc::<Faulty>::clone(&store)).await.unwrap();
    let elsewhere = registered_elsewhere(&mut Authenticator::new(1), "example.com");
    let key = STANDARD.decode(elsewhere["publicKey"].as_str().unwrap()).unwrap();
    let passkey = |number: usize| ForeignPasskey {
        id: CredentialId::new(vec![u8::try_from(number).unwrap(); 16]).unwrap(),
        public_key: key.clone(),
        counter: 0,
        aaguid: uuid::Uuid::nil(),
        transports: Vec::new(),
        backup: None,
        user_handle: vec![1; 16],
        rp_id_hash: None,
    };
    let user = || ForeignUser {
        email: Email::parse(ALICE).unwrap(),
        name: None,
        passkeys: (0..CREDENTIALS_PER_USER_MAX).map(passkey).collect(),
    };
    let operator = Authority::of_operator();
    store.fail_commit(2);
    let outcomes = stage.gateway.administration.import(&operator, vec![user()]).await.unwrap();
    assert!(outcomes[0].is_err(), "it fails in the middle");
    let records = records::Records::new(Arc::clone(&stage.store));
    let alice = records.user_by_email(&Email::parse(ALICE).unwrap()).await.unwrap().unwrap();
    let some = records.credentials_of(&alice.id).await.unwrap().len();
    assert!(some > 0 && some < CREDENTIALS_PER_USER_MAX, "{some}");

    let outcomes = stage.gateway.administration.import(&operator, vec![user()]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap().len(), some, "these are known already");
    assert_eq!(records.credentials_of(&alice.id).await.unwrap().len(), CREDENTIALS_PER_USER_MAX);
}
