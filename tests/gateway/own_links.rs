//! Links that people make for their own account, with a clock moved by hand: their lifetime, their
//! number, and the freshness that they need (S-12, S-14, S-26).

use std::time::Duration;

use async_trait::async_trait;
use vestibule::domain::code::EmailCode;
use vestibule::domain::invitation::{LinkDelivery, OWN_LINK_LIFETIME};
use vestibule::domain::limits::{MAIL_BURST, MAIL_TO_ACCOUNT_BURST};
use vestibule::domain::message::Message;
use vestibule::domain::session::{Scope, Session};
use vestibule::flows::FlowError;
use vestibule::flows::authority::Authority;
use vestibule::flows::messages::outbox::OUTBOX_MAX;
use vestibule::flows::sign_in::Redeemed;
use vestibule::flows::sign_in::enroll::Offer;
use vestibule::ports::{MailError, Mailer};

use crate::harness::Authenticator;
use crate::stage::{AUTH_HOST, Stage, visit, visit_from};

const ALICE: &str = "alice@example.com";

/// A mail server that does not answer.
struct UnreachableMailer;

#[async_trait]
impl Mailer for UnreachableMailer {
    async fn send(&self, _: &Message) -> Result<(), MailError> {
        Err(MailError::Temporary("away".to_owned()))
    }
}

/// Alice, who has just shown her passkey.
async fn alice_on(stage: &Stage) -> Session {
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    stage.sign_in(&mut device).await.unwrap().session
}

async fn stage() -> (Stage, Session) {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let session = alice_on(&stage).await;
    (stage, session)
}

async fn link(stage: &Stage, session: &Session) -> Result<String, FlowError> {
    Ok(stage.gateway.accounts.make_own_link(session, &visit(AUTH_HOST)).await?.secret.reveal())
}

async fn mail(stage: &Stage, session: &Session, from: &str) -> Result<(), FlowError> {
    stage.gateway.accounts.mail_own_link(session, &visit_from(from)).await.map(drop)
}

async fn count(stage: &Stage, prefix: &[u8]) -> usize {
    stage.store.scan(prefix, None, OUTBOX_MAX + 100).await.unwrap().len()
}

#[tokio::test]
async fn s_14_own_link_adds_a_passkey_and_expires() {
    for (waited, good) in
        [(OWN_LINK_LIFETIME.checked_sub(Duration::from_millis(1)).unwrap(), true), (OWN_LINK_LIFETIME, false)]
    {
        let (stage, session) = stage().await;
        let secret = link(&stage, &session).await.unwrap();
        match stage.gateway.sign_in.offer(&secret).await.unwrap() {
            Offer::Invitation(invitation) => assert_eq!(invitation.email.as_str(), ALICE),
            Offer::Setup { .. } => panic!("not this one"),
        }
        stage.clock.forward(waited);
        match stage.redeem(&secret).await {
            Ok(redeemed) => {
                assert!(good, "after {waited:?}");
                assert_eq!((redeemed.user.id, redeemed.session.scope), (session.user, Scope::Enrol));
                stage.register(&redeemed, &mut Authenticator::new(2)).await.unwrap();
                let passkeys = stage.gateway.accounts.credentials_of(&session.user).await.unwrap();
                assert_eq!(passkeys.len(), 2);
                assert!(matches!(stage.redeem(&secret).await, Err(FlowError::NoSuchInvitation)));
            }
            Err(FlowError::NoSuchInvitation) => assert!(!good, "after {waited:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn s_14_a_person_has_one_link_and_a_new_one_ends_the_one_before() {
    let (stage, session) = stage().await;
    let mut before = link(&stage, &session).await.unwrap();
    for _ in 0..20 {
        let secret = link(&stage, &session).await.unwrap();
        assert!(matches!(stage.gateway.sign_in.offer(&before).await, Err(FlowError::NoSuchInvitation)));
        assert!(stage.gateway.sign_in.offer(&secret).await.is_ok());
        assert_eq!((count(&stage, b"invitation/").await, count(&stage, b"own-link/").await), (1, 1));
        before = secret;
    }
    // The administrator's invitations are not touched.
    let invited = stage.invite(ALICE, Duration::from_secs(3_600)).await.unwrap();
    link(&stage, &session).await.unwrap();
    assert!(stage.gateway.sign_in.offer(&invited.secret.reveal()).await.is_ok());
}

#[tokio::test]
async fn s_26_own_link_requires_a_live_fresh_session() {
    let (stage, session) = stage().await;
    stage.clock.forward(crate::stage::FRESH);
    assert!(matches!(link(&stage, &session).await, Err(FlowError::NotFresh)));
    assert!(matches!(mail(&stage, &session, "192.0.2.1").await, Err(FlowError::NotFresh)));
    assert_eq!((count(&stage, b"invitation/").await, count(&stage, b"outbox/").await), (0, 0));

    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let session = alice_on(&stage).await;
    let live = stage.live(&session).unwrap();
    stage.gateway.sessions.sign_out(&[live], &visit(AUTH_HOST)).await.unwrap();
    assert!(matches!(link(&stage, &session).await, Err(FlowError::NotPermitted)));

    let stage = Stage::with_applications(&[AUTH_HOST]).await;
    let first = alice_on(&stage).await;
    assert!(
        matches!(link(&stage, &first).await, Err(FlowError::NotFresh)),
        "a sign-in pays for nothing here"
    );
}

#[tokio::test]
async fn refuses_a_link_of_a_disabled_account() {
    let (stage, session) = stage().await;
    let secret = link(&stage, &session).await.unwrap();
    stage.disable(&session.user).await;
    assert!(matches!(stage.redeem(&secret).await, Err(FlowError::NoSuchInvitation)));
}

#[tokio::test]
async fn s_34_own_links_by_mail_have_their_own_limit() {
    let (stage, session) = stage().await;
    // Anonymous clients have used up all messages that they can have sent to an account.
    for n in 0..2 * MAIL_TO_ACCOUNT_BURST.get() {
        stage.gateway.sign_in.request_code(ALICE, &visit_from(&format!("10.0.{n}.1"))).await.unwrap();
    }
    let by_anonymous_clients = count(&stage, b"outbox/").await;
    for n in 0..MAIL_BURST.get() {
        mail(&stage, &session, &format!("10.1.{n}.1")).await.unwrap();
    }
    match mail(&stage, &session, "192.0.2.200").await {
        Err(FlowError::RateLimited { retry_after }) => assert!(retry_after > Duration::ZERO),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        count(&stage, b"outbox/").await,
        by_anonymous_clients + usize::try_from(MAIL_BURST.get()).unwrap()
    );
    assert_eq!(count(&stage, b"invitation/").await, 1);
    link(&stage, &session).await.unwrap();
}

#[tokio::test]
async fn without_mail_no_link_is_made() {
    let stage = Stage::with_codes(EmailCode::Off).await;
    let session = alice_on(&stage).await;
    assert!(matches!(mail(&stage, &session, "192.0.2.1").await, Err(FlowError::NoMail)));
    assert_eq!(count(&stage, b"invitation/").await, 0);
}

#[tokio::test]
async fn full_outbox_fails_and_makes_no_link() {
    let (stage, session) = stage().await;
    for n in 0..OUTBOX_MAX {
        let email = format!("guest{n}@example.com");
        stage.invite_by(&email, Duration::from_secs(3_600), LinkDelivery::ByMail).await.unwrap();
    }
    let before = count(&stage, b"invitation/").await;
    assert!(matches!(mail(&stage, &session, "192.0.2.1").await, Err(FlowError::OutboxFull)));
    assert_eq!(count(&stage, b"invitation/").await, before);
}

#[tokio::test]
async fn a_link_is_not_sent_any_more_once_it_has_expired() {
    let (stage, session) = stage().await;
    mail(&stage, &session, "192.0.2.1").await.unwrap();
    let mut waited = Duration::ZERO;
    while let Some(wait) = stage.gateway.messages.deliver(&UnreachableMailer).await.unwrap() {
        waited += wait;
        stage.clock.forward(wait);
    }
    assert!(waited >= OWN_LINK_LIFETIME && waited < OWN_LINK_LIFETIME * 2, "{waited:?}");
    assert_eq!(count(&stage, b"outbox/").await, 0);
}

/// Every step by which a user keeps others out of their account ends a link to it as well.
#[tokio::test]
async fn s_17_own_link_ends_with_sessions_and_passkeys() {
    let at = visit(AUTH_HOST);
    for end in ["others", "passkey", "operator", "closed and opened"] {
        let stage = Stage::with_codes(EmailCode::Enroll).await;
        let (mut lost, mut kept) = (Authenticator::new(1), Authenticator::new(2));
        let registered = stage.enrol(ALICE, &mut lost).await.unwrap();
        let owner = Redeemed { session: registered.session, user: registered.user };
        let second = stage.register(&owner, &mut kept).await.unwrap();
        let session = owner.session;
        let secret = link(&stage, &session).await.unwrap();
        let (gateway, user) = (&stage.gateway, session.user);
        match end {
            "others" => gateway.sessions.end_other_sessions(&session, &at).await.unwrap(),
            "passkey" => {
                gateway.accounts.remove_credential(&session, &second.credential.id, &at).await.unwrap();
            }
            "operator" => {
                gateway.administration.end_sessions_of(&Authority::of_operator(), &user).await.unwrap();
            }
            _ => {
                stage.disable(&user).await;
                stage.enable(&user).await;
            }
        }
        let redeemed = stage.redeem(&secret).await.map(drop);
        assert!(matches!(redeemed, Err(FlowError::NoSuchInvitation)), "{end}: {redeemed:?}");
    }
}
