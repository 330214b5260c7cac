//! Changing an address or a username, with a clock moved by hand: a pending address opens and
//! reserves nothing (S-35), codes (S-30), what an anonymous client can learn (S-21), and names that
//! stay their owner's.

use std::sync::Arc;
use std::time::Duration;

use vestibule::domain::code::EmailCode;
use vestibule::domain::code::{CODE_ATTEMPTS_MAX, CODE_LIFETIME};
use vestibule::domain::identifier::{Identifier, PENDING_ADDRESS_LIFETIME, USERNAMES_PER_USER_MAX};
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::message::{Content, Message};
use vestibule::domain::session::Session;
use vestibule::domain::user::{DisplayName, Email, Role, User, Username};
use vestibule::flows::FlowError;
use vestibule::flows::administration::invitations::Guest;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::codes::Guess;
use vestibule::flows::sign_in::registration::Registered;
use vestibule::flows::visit::Device;

use crate::codes::Mailbox;
use crate::harness::Authenticator;
use crate::stage::{AUTH_HOST, FRESH, Stage, visit, visit_from};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";
const NEW: &str = "alice@elsewhere.example";

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn username(text: &str) -> Username {
    Username::parse(text).unwrap()
}

/// A stage with Alice on it.
async fn stage() -> (Stage, Registered) {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let alice = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    (stage, alice)
}

async fn announce(stage: &Stage, session: &Session, address: &str) {
    stage.gateway.accounts.announce_address(session, &email(address), &visit(AUTH_HOST)).await.unwrap();
}

/// Has a code sent, and returns the messages.
async fn sent(stage: &Stage, session: &Session, address: &str) -> Vec<Message> {
    stage.gateway.accounts.send_address_code(session, &email(address), &visit(AUTH_HOST)).await.unwrap();
    delivered(stage).await
}

async fn delivered(stage: &Stage) -> Vec<Message> {
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    mailbox.take()
}

fn code_in(messages: &[Message]) -> String {
    match messages {
        [Message { content: Content::Code { code }, .. }] => code.clone(),
        other => panic!("{other:?}"),
    }
}

async fn confirm(stage: &Stage, session: &Session, address: &str, code: &str) -> Result<User, FlowError> {
    stage.gateway.accounts.confirm_address(session, &email(address), code, &visit(AUTH_HOST)).await
}

#[track_caller]
fn wrong(confirmed: &Result<User, FlowError>) {
    assert!(matches!(confirmed, Err(FlowError::WrongCode)), "{confirmed:?}");
}

async fn pending(stage: &Stage, user: &User) -> Option<String> {
    let all = stage.gateway.accounts.identifiers_of(user).await.unwrap();
    all.into_iter().find_map(|it| match it {
        Identifier::PendingEmail(email) => Some(email.to_string()),
        Identifier::Email(_) | Identifier::Username(_) => None,
    })
}

/// Asks for a code that signs in, and returns the messages.
async fn sign_in_code(stage: &Stage, address: &str) -> (vestibule::domain::id::CodeId, Vec<Message>) {
    let id = stage.gateway.sign_in.request_code(address, &visit(AUTH_HOST)).await.unwrap();
    (id, delivered(stage).await)
}

#[tokio::test]
async fn s_35_unconfirmed_address_has_no_effect() {
    let (stage, alice) = stage().await;
    announce(&stage, &alice.session, NEW).await;
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    assert_eq!(sign_in_code(&stage, NEW).await.1, [], "it opens no account");
    assert_eq!(sign_in_code(&stage, ALICE).await.1.len(), 1, "and the one before still does");
    // The person who really has the address enrols with it meanwhile.
    stage.enrol(NEW, &mut Authenticator::new(2)).await.unwrap();
    let late = confirm(&stage, &alice.session, NEW, &code).await;
    assert!(matches!(late, Err(FlowError::Taken("address"))), "{late:?}");
    let owner = stage.gateway.administration.find_user(NEW).await.unwrap();
    assert_ne!(owner.id, alice.user.id);
    assert_eq!(stage.gateway.administration.find_user(ALICE).await.unwrap().id, alice.user.id);
}

#[tokio::test]
async fn confirmed_address_replaces_the_old_one_with_a_notice() {
    let (stage, alice) = stage().await;
    let (old_code, messages) = sign_in_code(&stage, ALICE).await;
    let old = code_in(&messages);
    announce(&stage, &alice.session, NEW).await;
    let messages = sent(&stage, &alice.session, NEW).await;
    assert_eq!(messages[0].to, email(NEW));
    let code = code_in(&messages);
    let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
    let user = confirm(&stage, &alice.session, NEW, &typed).await.unwrap();
    assert_eq!((user.id, user.email.as_str()), (alice.user.id, NEW));
    assert_eq!(pending(&stage, &user).await, None);
    let notice = Message { to: email(ALICE), content: Content::AddressChanged { new: email(NEW) } };
    assert_eq!(delivered(&stage).await, [notice]);

    let gone = confirm(&stage, &alice.session, NEW, &code).await;
    assert!(matches!(gone, Err(FlowError::NotFound)), "{gone:?}");
    let guess = Guess { id: Some(old_code), email: ALICE, code: &old };
    let opened = stage.gateway.sign_in.redeem_code(guess, None, &visit(AUTH_HOST), &Device::default()).await;
    assert!(matches!(opened, Err(FlowError::WrongCode)), "what went to the old address opens nothing");
    assert_eq!(sign_in_code(&stage, ALICE).await.1, []);
    assert_eq!(sign_in_code(&stage, NEW).await.1.len(), 1);
    stage.enrol(ALICE, &mut Authenticator::new(2)).await.unwrap();
    let again = stage.again().await;
    assert_eq!(again.gateway.administration.find_user(NEW).await.unwrap().id, alice.user.id);
}

#[tokio::test]
async fn one_pending_address_for_one_day() {
    let (stage, alice) = stage().await;
    let second = "alice@third.example";
    announce(&stage, &alice.session, NEW).await;
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    announce(&stage, &alice.session, second).await;
    assert_eq!(pending(&stage, &alice.user).await.as_deref(), Some(second));
    for address in [NEW, second] {
        let refused = confirm(&stage, &alice.session, address, &code).await;
        assert!(matches!(refused, Err(FlowError::NotFound | FlowError::WrongCode)), "{refused:?}");
    }
    let moment = Duration::from_millis(1);
    stage.clock.forward(PENDING_ADDRESS_LIFETIME.checked_sub(moment).unwrap());
    assert!(pending(&stage, &alice.user).await.is_some());
    stage.clock.forward(moment);
    assert_eq!(pending(&stage, &alice.user).await, None, "nothing swept");
    stage.gateway.sweep().await;
    assert!(stage.store.scan(b"pending-address/", None, 10).await.unwrap().is_empty());

    let device = &mut Authenticator::new(9);
    let bob = stage.enrol("bob@example.com", device).await.unwrap();
    announce(&stage, &bob.session, NEW).await;
    announce(&stage, &bob.session, "BOB@example.com").await;
    assert_eq!(pending(&stage, &bob.user).await, None, "his own is confirmed already");
    announce(&stage, &bob.session, NEW).await;
    stage.gateway.accounts.withdraw_address(&bob.session, &email(NEW), &visit(AUTH_HOST)).await.unwrap();
    assert_eq!(pending(&stage, &bob.user).await, None);
    let again = stage.gateway.accounts.withdraw_address(&bob.session, &email(NEW), &visit(AUTH_HOST)).await;
    assert!(matches!(again, Err(FlowError::NotFound)), "{again:?}");
}

#[tokio::test]
async fn s_30_a_code_is_for_one_account_and_one_address() {
    let (stage, alice) = stage().await;
    let mallory = stage.enrol(MALLORY, &mut Authenticator::new(2)).await.unwrap();
    announce(&stage, &alice.session, NEW).await;
    announce(&stage, &mallory.session, NEW).await;
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    wrong(&confirm(&stage, &mallory.session, NEW, &code).await);
    let mine = code_in(&sent(&stage, &mallory.session, NEW).await);
    wrong(&confirm(&stage, &alice.session, NEW, &mine).await);
    // A code that signs in is no code for an address, and the other way round.
    let (id, messages) = sign_in_code(&stage, ALICE).await;
    wrong(&confirm(&stage, &alice.session, NEW, &code_in(&messages)).await);
    let guess = Guess { id: Some(id), email: ALICE, code: &code };
    assert!(
        stage.gateway.sign_in.redeem_code(guess, None, &visit(AUTH_HOST), &Device::default()).await.is_err()
    );
    let newest = code_in(&sent(&stage, &alice.session, NEW).await);
    wrong(&confirm(&stage, &alice.session, NEW, &code).await);
    confirm(&stage, &alice.session, NEW, &newest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_30_wrong_guesses_end_the_code_and_not_the_address() {
    let stage = Arc::new(Stage::with_codes_and_yielding_store(EmailCode::Enroll).await);
    let alice = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    announce(&stage, &alice.session, NEW).await;
    wrong(&confirm(&stage, &alice.session, NEW, "00000000").await);
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    let racers: Vec<_> = (0..20)
        .map(|n| {
            let (stage, session) = (Arc::clone(&stage), alice.session.clone());
            tokio::spawn(async move { confirm(&stage, &session, NEW, &format!("000000{n:02}")).await })
        })
        .collect();
    for racer in racers {
        wrong(&racer.await.unwrap());
    }
    wrong(&confirm(&stage, &alice.session, NEW, &code).await);
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    for n in 1..CODE_ATTEMPTS_MAX {
        wrong(&confirm(&stage, &alice.session, NEW, &format!("0000000{n}")).await);
    }
    stage.clock.forward(CODE_LIFETIME);
    wrong(&confirm(&stage, &alice.session, NEW, &code).await);
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    confirm(&stage, &alice.session, NEW, &code).await.unwrap();
}

#[tokio::test]
async fn s_30_limits_codes_to_a_new_address() {
    let (stage, alice) = stage().await;
    announce(&stage, &alice.session, NEW).await;
    let mut arrived = 0;
    for _ in 0..20 {
        let at = visit_from("198.51.100.7");
        match stage.gateway.accounts.send_address_code(&alice.session, &email(NEW), &at).await {
            Ok(()) => {}
            Err(FlowError::RateLimited { retry_after }) => assert!(retry_after > Duration::ZERO),
            Err(other) => panic!("{other:?}"),
        }
        arrived += delivered(&stage).await.len();
    }
    assert_eq!(arrived, 3);
}

#[tokio::test]
async fn s_21_taken_address_is_not_revealed() {
    let (stage, alice) = stage().await;
    let mallory = stage.enrol(MALLORY, &mut Authenticator::new(2)).await.unwrap();
    let mut sizes = Vec::new();
    for address in [ALICE, "nobody@example.com"] {
        announce(&stage, &mallory.session, address).await;
        assert_eq!(pending(&stage, &mallory.user).await.as_deref(), Some(address));
        let messages = sent(&stage, &mallory.session, address).await;
        assert_eq!(messages.len(), usize::from(address != ALICE), "the message is not sent");
        wrong(&confirm(&stage, &mallory.session, address, "00000000").await);
        let codes = stage.store.scan(b"code/", None, 10).await.unwrap();
        assert_eq!(codes.len(), 1, "both leave the same records");
        sizes.push(codes[0].1.len());
    }
    assert!(sizes[0].abs_diff(sizes[1]) < 64, "{sizes:?}");
    assert_eq!(stage.gateway.administration.find_user(ALICE).await.unwrap().id, alice.user.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_32_of_two_confirmations_of_one_address_one_wins() {
    let (stage, _) = stage().await;
    let stage = Arc::new(stage);
    for round in 0..10 {
        let address = format!("both{round}@example.com");
        let mut ready = Vec::new();
        for who in 0..2 {
            let (name, seed) = (format!("p{round}-{who}@example.com"), 100 + round * 2 + who);
            let person = stage.enrol(&name, &mut Authenticator::new(seed)).await.unwrap();
            announce(&stage, &person.session, &address).await;
            let code = code_in(&sent(&stage, &person.session, &address).await);
            ready.push((person.session, code));
        }
        let racers = ready.into_iter().map(|(session, code)| {
            let (stage, address) = (Arc::clone(&stage), address.clone());
            tokio::spawn(async move { confirm(&stage, &session, &address, &code).await })
        });
        let mut won = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(FlowError::Taken("address")) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1, "round {round}");
        delivered(&stage).await;
    }
}

#[tokio::test]
async fn s_26_address_and_username_changes_require_a_fresh_passkey() {
    let (stage, alice) = stage().await;
    stage.clock.forward(FRESH);
    let (session, at) = (&alice.session, visit(AUTH_HOST));
    let address = stage.gateway.accounts.announce_address(session, &email(NEW), &at).await;
    let name = stage.gateway.accounts.change_username(session, &username("al"), &at).await.map(drop);
    let left = stage.gateway.accounts.delete_account(session, &at).await;
    for refused in [address, name, left] {
        assert!(matches!(refused, Err(FlowError::NotFresh)), "{refused:?}");
    }
    let called = DisplayName::parse("Alice B.").unwrap();
    let renamed = stage.gateway.accounts.rename_person(session, &called, &at).await.unwrap();
    assert_eq!(renamed.display_name, called, "a name is not what one is known by");
    assert_eq!(stage.gateway.administration.find_user(ALICE).await.unwrap(), renamed);
}

#[tokio::test]
async fn usernames_are_never_reused() {
    let (stage, alice) = stage().await;
    let at = visit(AUTH_HOST);
    let change = |session: &Session, name: &str| {
        let (session, name, at) = (session.clone(), username(name), at.clone());
        let gateway = Arc::clone(&stage.gateway);
        async move { gateway.accounts.change_username(&session, &name, &at).await }
    };
    let renamed = change(&alice.session, "Al").await.unwrap();
    assert_eq!(renamed.username, username("al"));
    assert!(
        stage.gateway.administration.find_user("alice").await.is_err(),
        "she is not called that any more"
    );
    assert_eq!(stage.gateway.administration.find_user("al").await.unwrap().id, alice.user.id);
    let other = stage.enrol("alice@third.example", &mut Authenticator::new(2)).await.unwrap();
    assert_eq!(other.user.username, username("alice2"), "no other user is given the old one");
    for taken in ["alice", "al"] {
        let refused = change(&other.session, taken).await;
        assert!(matches!(refused, Err(FlowError::Taken("username"))), "{refused:?}");
    }
    change(&alice.session, "alice").await.unwrap();
    change(&alice.session, "alice").await.unwrap();
    for number in 3..=USERNAMES_PER_USER_MAX {
        change(&alice.session, &format!("alias{number}")).await.unwrap();
    }
    let refused = change(&alice.session, "one-more").await;
    assert!(matches!(refused, Err(FlowError::TooManyUsernames)), "{refused:?}");
    change(&alice.session, "al").await.unwrap();
}

/// A link that a user made for themselves is for their account, not for the next user of its
/// address; and it ends with the address, which may have been given up because others read its
/// mail.
#[tokio::test]
async fn s_14_own_link_follows_the_account() {
    let (stage, alice) = stage().await;
    let at = visit(AUTH_HOST);
    let link = stage.gateway.accounts.make_own_link(&alice.session, &at).await.unwrap();
    assert_eq!(delivered(&stage).await[0].content, Content::LinkMade, "the owner is told");
    announce(&stage, &alice.session, NEW).await;
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    confirm(&stage, &alice.session, NEW, &code).await.unwrap();
    let refused = stage.redeem(&link.secret.reveal()).await.map(drop);
    assert!(matches!(refused, Err(FlowError::NoSuchInvitation)), "{refused:?}");

    let link = stage.gateway.accounts.make_own_link(&alice.session, &at).await.unwrap();
    let by_operator = stage.invite(NEW, Duration::from_secs(3_600)).await.unwrap();
    stage.gateway.accounts.delete_account(&alice.session, &at).await.unwrap();
    for dead in [link, by_operator] {
        let refused = stage.redeem(&dead.secret.reveal()).await.map(drop);
        assert!(matches!(refused, Err(FlowError::NoSuchInvitation)), "{refused:?}");
    }
}

/// Applications know people by username, and some have names of their own that mean something.
#[tokio::test]
async fn refuses_a_promised_username() {
    let (stage, alice) = stage().await;
    let guest = Guest {
        email: email("carol@example.com"),
        display_name: None,
        username: Some(username("carol")),
        groups: [].into(),
        role: Role::Member,
        lifetime: Duration::from_secs(60),
        invited_by: "a test".to_owned(),
    };
    stage
        .gateway
        .administration
        .invite(&Authority::of_operator(), guest, LinkDelivery::ByHand)
        .await
        .unwrap();
    let taken =
        stage.gateway.accounts.change_username(&alice.session, &username("carol"), &visit(AUTH_HOST)).await;
    assert!(matches!(taken, Err(FlowError::Taken(_))), "{taken:?}");
    stage.clock.forward(Duration::from_secs(61));
    stage
        .gateway
        .accounts
        .change_username(&alice.session, &username("carol"), &visit(AUTH_HOST))
        .await
        .unwrap();
}

#[tokio::test]
async fn s_14_refuses_an_invitation_after_the_address_moved() {
    let (stage, alice) = stage().await;
    stage.clock.forward(Duration::from_secs(1));
    let invited = stage.invite(NEW, Duration::from_secs(3_600)).await.unwrap();
    announce(&stage, &alice.session, NEW).await;
    let code = code_in(&sent(&stage, &alice.session, NEW).await);
    confirm(&stage, &alice.session, NEW, &code).await.unwrap();
    let redeemed = stage.redeem(&invited.secret.reveal()).await.map(drop);
    assert!(matches!(redeemed, Err(FlowError::NoSuchInvitation)), "{redeemed:?}");
}

#[tokio::test]
async fn refuses_an_address_named_in_allow() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let alice = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    announce(&stage, &alice.session, crate::stage::ON_CALL).await;
    let nothing = sent(&stage, &alice.session, crate::stage::ON_CALL).await;
    assert!(nothing.is_empty(), "the answer is as for any other, and no mail is sent");
}
