//! Enrolments that end before their first passkey, which leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, Stage, visit};
use vestibule::domain::credential::Planned;
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::session::ENROL_LIFETIME;
use vestibule::flows::FlowError;
use vestibule::flows::administration::directory::Query;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::enroll::Introduction;
use vestibule::flows::visit::Device;
use vestibule::ports::store::{Entry, Follower, Told};
use vestibule::ports::{Batch, CommitError, KeyValue, StoreError};
use vestibule::store::MemoryStore;

#[tokio::test]
async fn s_15_abandoned_set_up_can_be_repeated() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    for turn_back in ["by signing out", "by going away"] {
        let secret = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap();
        let redeemed = stage.redeem(&secret.reveal()).await.unwrap();
        assert!(
            stage.gateway.sign_in.issue_setup_secret().await.unwrap().is_none(),
            "a person is going through set-up"
        );
        if turn_back == "by signing out" {
            let live = stage.live(&redeemed.session).unwrap();
            stage.gateway.sessions.sign_out(&[live], &visit(AUTH_HOST)).await.unwrap();
        } else {
            stage.clock.forward(ENROL_LIFETIME);
            stage.gateway.sweep().await;
        }
        assert_eq!(stage.gateway.administration.user_count(), 0, "{turn_back}");
        assert!(stage.gateway.sign_in.is_setup_abandoned().await.unwrap(), "{turn_back}");
    }
    // The same address, and this time for good.
    let secret = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap();
    let redeemed = stage.redeem(&secret.reveal()).await.unwrap();
    stage.register(&redeemed, &mut Authenticator::new(1)).await.unwrap();
    assert!(stage.gateway.sign_in.is_setup_done().await.unwrap());
    assert!(stage.gateway.sign_in.issue_setup_secret().await.unwrap().is_none());
}

#[tokio::test]
async fn late_passkey_is_refused_and_sweep_keeps_a_finished_enrolment() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let invited = stage.invite("late@example.com", Duration::from_secs(3_600)).await.unwrap();
    let late = stage.redeem(&invited.secret.reveal()).await.unwrap();
    let invited = stage.invite("early@example.com", Duration::from_secs(3_600)).await.unwrap();
    let early = stage.redeem(&invited.secret.reveal()).await.unwrap();
    stage.register(&early, &mut Authenticator::new(2)).await.unwrap();

    let (id, options) = stage
        .gateway
        .sign_in
        .begin_registration(&late.session, Planned::default(), &visit(AUTH_HOST))
        .await
        .unwrap();
    let answer = Authenticator::new(1).create(&options.0, crate::stage::ORIGIN);
    stage.clock.forward(ENROL_LIFETIME);
    stage.gateway.sweep().await;
    let at = visit(AUTH_HOST);
    let refused =
        stage.gateway.sign_in.finish_registration(&late.session, Some(id), &answer, None, &at).await;
    assert!(refused.is_err(), "{refused:?}");
    let users = stage.gateway.administration.list_users(&Query::default()).await.unwrap().items;
    assert_eq!(users.iter().map(|it| it.user.email.as_str()).collect::<Vec<_>>(), ["early@example.com"]);
}

#[tokio::test]
async fn s_28_redeeming_ends_the_session_that_the_browser_had() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let before = stage.sign_in(&mut device).await.unwrap().session;
    let invited = stage.invite("bob@example.com", Duration::from_secs(3_600)).await.unwrap();
    let (who, secret) = (Introduction::default(), invited.secret.reveal());
    let had = stage.live(&before);
    stage.gateway.sign_in.redeem(&secret, &who, had, &visit(AUTH_HOST), &Device::default()).await.unwrap();
    assert!(stage.live(&before).is_none());
}

#[tokio::test]
async fn refuses_an_invitation_that_changes_an_account() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    stage.enrol("alice@example.com", &mut Authenticator::new(1)).await.unwrap();
    let guest = |groups: &[&str]| vestibule::flows::administration::invitations::Guest {
        email: vestibule::domain::user::Email::parse("alice@example.com").unwrap(),
        display_name: None,
        username: None,
        groups: groups.iter().map(|g| vestibule::domain::user::Group::parse(g).unwrap()).collect(),
        role: vestibule::domain::user::Role::Member,
        lifetime: Duration::from_secs(60),
        invited_by: "a test".to_owned(),
    };
    let refused = stage
        .gateway
        .administration
        .invite(&Authority::of_operator(), guest(&["staff"]), LinkDelivery::ByHand)
        .await;
    assert!(matches!(refused, Err(FlowError::HasAccount)), "{refused:?}");
    assert!(
        stage
            .gateway
            .administration
            .invite(&Authority::of_operator(), guest(&[]), LinkDelivery::ByHand)
            .await
            .is_ok(),
        "without more it is a way back in"
    );
}

/// An account that was disabled and opened again has no session.
#[tokio::test]
async fn s_18_reenabled_account_has_no_sessions() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let mut device = Authenticator::new(1);
    let enrolled = stage.enrol("alice@example.com", &mut device).await.unwrap();
    let session = stage.sign_in(&mut device).await.unwrap().session;
    stage.disable(&enrolled.user.id).await;
    assert!(matches!(stage.sign_in(&mut device).await, Err(FlowError::Refused(_))));
    stage.enable(&enrolled.user.id).await;
    assert!(stage.live(&session).is_none());
    assert!(stage.sign_in(&mut device).await.is_ok());
}

/// A thief has found a link to Bob's account and begun with it; Bob is given another one. When he
/// has made the account his, what the thief has begun is worth nothing.
#[tokio::test]
async fn s_35_finished_enrolment_ends_the_others() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    // Before there is a passkey, and when there is one already: the way back in.
    for round in 0..2 {
        let hour = Duration::from_secs(3_600);
        let found = stage.invite("bob@example.com", hour).await.unwrap();
        let eve = stage.redeem(&found.secret.reveal()).await.unwrap();
        let mut device = Authenticator::new(10 + round);
        let at = visit(AUTH_HOST);
        let (id, options) =
            stage.gateway.sign_in.begin_registration(&eve.session, Planned::default(), &at).await.unwrap();
        let answer = device.create(&options.0, crate::stage::ORIGIN);

        let given = stage.invite("bob@example.com", hour).await.unwrap();
        let bob = stage.redeem(&given.secret.reveal()).await.unwrap();
        assert_eq!(bob.user.id, eve.user.id);
        let enrolled = stage.register(&bob, &mut Authenticator::new(20 + round)).await.unwrap();

        assert!(stage.live(&eve.session).is_none(), "round {round}");
        let late =
            stage.gateway.sign_in.finish_registration(&eve.session, Some(id), &answer, None, &at).await;
        assert!(matches!(late, Err(FlowError::NotPermitted)), "round {round}: {late:?}");
        assert!(stage.register(&eve, &mut device).await.is_err(), "round {round}");
        let passkeys = stage.gateway.accounts.credentials_of(&bob.user.id).await.unwrap();
        assert_eq!(passkeys.len(), 1 + usize::try_from(round).unwrap(), "round {round}: {passkeys:?}");
        assert!(stage.live(&enrolled.session).is_some(), "round {round}");
    }
    // A signed-in user is not enrolling, and stays.
    assert_eq!(stage.gateway.sessions.session_count(), 2);
}

/// Routes and applications know names before any user has them, and the set-up link is the
/// operator's.
#[tokio::test]
async fn f_04_set_up_accepts_any_username_that_is_not_promised() {
    for (promised, expected) in [("somebody", "root"), ("root", "root2")] {
        let stage = Stage::with_applications(&[APP_HOST]).await;
        let guest = vestibule::flows::administration::invitations::Guest {
            email: vestibule::domain::user::Email::parse("bob@example.com").unwrap(),
            display_name: None,
            username: Some(vestibule::domain::user::Username::parse(promised).unwrap()),
            groups: [].into(),
            role: vestibule::domain::user::Role::Member,
            lifetime: Duration::from_secs(60),
            invited_by: "a test".to_owned(),
        };
        stage
            .gateway
            .administration
            .invite(&Authority::of_operator(), guest, LinkDelivery::ByHand)
            .await
            .unwrap();
        let secret = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap().reveal();
        let who = Introduction { email: Some("root@example.com".to_owned()), name: None };
        let (at, device) = (visit(AUTH_HOST), Device::default());
        let redeemed = stage.gateway.sign_in.redeem(&secret, &who, None, &at, &device).await.unwrap();
        assert_eq!(redeemed.user.username.as_str(), expected);
    }
}

/// A store that shows a change at once and tells followers of it much later; in this test, never.
struct UnnotifyingStore(MemoryStore);

#[async_trait]
impl KeyValue for UnnotifyingStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.0.scan(prefix, after, limit).await
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.take(key).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.0.commit(batch).await
    }

    async fn follow(&self, _prefix: &[u8], follower: Follower) -> Result<(), StoreError> {
        let told = follower(Told::Reset { entries: &mut std::iter::empty(), revision: 0 });
        told.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.0.health()
    }
}

/// The task that renews the set-up link runs beside the person who uses it. In the moment between
/// the claim and the index hearing of it, set-up must not be opened for another person.
#[tokio::test]
async fn s_15_claim_unknown_to_the_index_is_not_abandoned() {
    let stage = Stage::set(Arc::new(UnnotifyingStore(MemoryStore::new()))).await.unwrap();
    let secret = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap();
    stage.redeem(&secret.reveal()).await.unwrap();
    assert!(!stage.gateway.sign_in.is_setup_abandoned().await.unwrap());
    assert!(stage.gateway.sign_in.issue_setup_secret().await.unwrap().is_none());
}

#[tokio::test]
async fn s_15_invited_administrator_closes_set_up() {
    let stage = Stage::with_applications(&[APP_HOST]).await;
    let link = stage.gateway.sign_in.issue_setup_secret().await.unwrap().unwrap();
    stage.enrol("member@example.com", &mut Authenticator::new(1)).await.unwrap();
    assert!(!stage.gateway.sign_in.is_setup_done().await.unwrap(), "a member is no administrator");
    let guest = vestibule::flows::administration::invitations::Guest {
        email: vestibule::domain::user::Email::parse("root@example.com").unwrap(),
        display_name: None,
        username: None,
        groups: [].into(),
        role: vestibule::domain::user::Role::Administrator,
        lifetime: Duration::from_secs(60),
        invited_by: "a test".to_owned(),
    };
    let invited = stage
        .gateway
        .administration
        .invite(&Authority::of_operator(), guest, LinkDelivery::ByHand)
        .await
        .unwrap();
    let redeemed = stage.redeem(&invited.secret.reveal()).await.unwrap();
    stage.register(&redeemed, &mut Authenticator::new(2)).await.unwrap();
    assert!(stage.gateway.sign_in.issue_setup_secret().await.unwrap().is_none());
    assert!(stage.gateway.sign_in.is_setup_done().await.unwrap());
    assert!(matches!(stage.redeem(&link.reveal()).await, Err(FlowError::NoSuchInvitation)));
}
