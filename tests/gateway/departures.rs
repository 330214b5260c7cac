//! Deleting one's own account: everything ends at once, and an administrator stays.

use std::sync::Arc;
use std::time::Duration;

use vestibule::domain::code::EmailCode;
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::user::{Email, Role};
use vestibule::flows::FlowError;
use vestibule::flows::administration::invitations::Guest;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::registration::Registered;

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};

const ALICE: &str = "alice@example.com";

async fn administrator(stage: &Stage, email: &str, seed: u64) -> Registered {
    let guest = Guest {
        email: Email::parse(email).unwrap(),
        display_name: None,
        username: None,
        groups: [].into(),
        role: Role::Administrator,
        lifetime: Duration::from_secs(3_600),
        invited_by: "a test".to_owned(),
    };
    let invited = stage
        .gateway
        .administration
        .invite(&Authority::of_operator(), guest, LinkDelivery::ByHand)
        .await
        .unwrap();
    let redeemed = stage.redeem(&invited.secret.reveal()).await.unwrap();
    stage.register(&redeemed, &mut Authenticator::new(seed)).await.unwrap()
}

async fn leave(stage: &Stage, person: &Registered) -> Result<(), FlowError> {
    stage.gateway.accounts.delete_account(&person.session, &visit(AUTH_HOST)).await
}

#[tokio::test]
async fn deletion_removes_everything_but_the_username() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let mut device = Authenticator::new(1);
    let alice = stage.enrol(ALICE, &mut device).await.unwrap();
    let elsewhere = stage.sign_in(&mut device).await.unwrap();
    let tokens = [&alice.session, &elsewhere.session].map(|session| stage.cookie(session, APP_HOST));
    assert!(tokens.iter().all(|token| stage.enters(token)));
    let (at, new) = (visit(AUTH_HOST), Email::parse("alice@elsewhere.example").unwrap());
    stage.gateway.accounts.announce_address(&alice.session, &new, &at).await.unwrap();
    stage.gateway.accounts.send_address_code(&alice.session, &new, &at).await.unwrap();
    let before = stage.store.scan(b"", None, 1_000).await.unwrap();
    assert!(before.iter().any(|(key, _)| key.starts_with(b"code/")), "there is something to forget");

    leave(&stage, &alice).await.unwrap();
    assert!(tokens.iter().all(|token| !stage.enters(token)));
    assert!(stage.sign_in(&mut device).await.is_err());
    assert!(matches!(leave(&stage, &alice).await, Err(FlowError::NotPermitted)));
    let left = stage.store.scan(b"", None, 1_000).await.unwrap();
    let hers = left.iter().filter(|(key, value)| {
        let id = alice.user.id.to_string();
        let handle = alice.user.id.as_handle().as_slice();
        key.windows(16).any(|part| part == handle) || String::from_utf8_lossy(value).contains(&id)
    });
    let keys: Vec<_> = hers.map(|(key, _)| key.escape_ascii().to_string()).collect();
    assert_eq!(keys, ["username/alice"]);

    let again = stage.enrol(ALICE, &mut Authenticator::new(2)).await.unwrap();
    assert_ne!(again.user.id, alice.user.id);
    assert_eq!(again.user.username.as_str(), "alice2");
}

#[tokio::test]
async fn refuses_deletion_of_the_last_administrator() {
    let stage = Stage::with_codes(EmailCode::Off).await;
    let first = administrator(&stage, "first@example.com", 1).await;
    stage.enrol(ALICE, &mut Authenticator::new(3)).await.unwrap();
    assert!(matches!(leave(&stage, &first).await, Err(FlowError::LastAdministrator)));
    let second = administrator(&stage, "second@example.com", 2).await;
    stage.disable(&second.user.id).await;
    assert!(matches!(leave(&stage, &first).await, Err(FlowError::LastAdministrator)));
    stage.enable(&second.user.id).await;
    leave(&stage, &first).await.unwrap();
    assert!(stage.gateway.sign_in.issue_setup_secret().await.unwrap().is_none(), "set-up stays closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_simultaneous_deletions_one_administrator_stays() {
    for round in 0..10 {
        let stage = Arc::new(Stage::with_codes(EmailCode::Off).await);
        let both = [
            administrator(&stage, "first@example.com", round).await,
            administrator(&stage, "second@example.com", 100 + round).await,
        ];
        let leaving = both.map(|person| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { leave(&stage, &person).await.is_ok() })
        });
        let mut gone = 0;
        for person in leaving {
            gone += usize::from(person.await.unwrap());
        }
        assert_eq!(gone, 1, "round {round}");
    }
}
