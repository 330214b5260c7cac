//! One-time codes with the clock in hand: guesses, purposes, browsers and the session that a code
//! gives (S-21, S-26, S-30, S-35).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use vestibule::domain::code::EmailCode;
use vestibule::domain::code::{CODE_ATTEMPTS_MAX, CODE_LIFETIME};
use vestibule::domain::credential::Planned;
use vestibule::domain::id::{CodeId, UserId};
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::limits::{MAIL_TO_ACCOUNT_BURST, MAIL_TO_ACCOUNT_INTERVAL, RateLimits};
use vestibule::domain::message::{Content, Message};
use vestibule::domain::session::Scope;
use vestibule::flows::FlowError;
use vestibule::flows::messages::outbox::{OUTBOX_MAX, OUTBOX_MAX_FOR_ANONYMOUS};
use vestibule::flows::sign_in::Redeemed;
use vestibule::flows::sign_in::codes::Guess;
use vestibule::flows::visit::Device;
use vestibule::flows::visit::Visit;
use vestibule::ports::{Batch, MailError, Mailer};

use crate::harness::Authenticator;
use crate::stage::{APP_HOST, AUTH_HOST, HandClock, ORIGIN, Stage, attempt, visit, visit_from};

const ALICE: &str = "alice@example.com";
/// Fewer than a gateway tries again for, when all of them meet.
const RACERS: usize = 20;
const MALLORY: &str = "mallory@example.com";

/// A mailbox that takes all messages, or none.
#[derive(Default)]
pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    broken: Option<MailError>,
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, message: &Message) -> Result<(), MailError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.messages.lock().unwrap().push(message.clone());
        Ok(())
    }
}

impl Mailbox {
    pub(crate) fn code(&self) -> String {
        let messages = self.messages.lock().unwrap();
        let codes = messages.iter().rev().filter_map(|message| match &message.content {
            Content::Code { code } => Some(code.clone()),
            _ => None,
        });
        codes.into_iter().next().expect("a code has come")
    }

    fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock().unwrap())
    }
}

/// A stage with Alice on it, and her first code.
async fn asked(good_for: EmailCode) -> (Stage, CodeId, String) {
    let stage = Stage::with_codes(good_for).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let (id, code) = ask(&stage, ALICE).await;
    (stage, id, code)
}

pub(crate) async fn ask(stage: &Stage, email: &str) -> (CodeId, String) {
    let id = stage.gateway.sign_in.request_code(email, &visit(AUTH_HOST)).await.unwrap();
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    (id, mailbox.code())
}

pub(crate) async fn guess(
    stage: &Stage,
    id: Option<CodeId>,
    email: &str,
    code: &str,
) -> Result<Redeemed, FlowError> {
    let guess = Guess { id, email, code };
    stage.gateway.sign_in.redeem_code(guess, None, &visit(AUTH_HOST), &Device::default()).await
}

#[track_caller]
fn wrong(redeemed: &Result<Redeemed, FlowError>) {
    assert!(matches!(redeemed, Err(FlowError::WrongCode)), "{redeemed:?}");
}

#[tokio::test]
async fn s_30_a_code_works_once_for_its_browser_and_its_address() {
    let (stage, id, code) = asked(EmailCode::Enroll).await;
    stage.enrol(MALLORY, &mut Authenticator::new(2)).await.unwrap();
    wrong(&guess(&stage, None, ALICE, &code).await);
    let (other_browser, _) = ask(&stage, MALLORY).await;
    wrong(&guess(&stage, Some(other_browser), ALICE, &code).await);
    wrong(&guess(&stage, Some(id), MALLORY, &code).await);
    let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
    let redeemed = guess(&stage, Some(id), "ALICE@example.com", &typed).await.unwrap();
    assert_eq!(redeemed.user.email.as_str(), ALICE);
    wrong(&guess(&stage, Some(id), ALICE, &code).await);
}

#[tokio::test]
async fn s_30_code_allows_a_limited_number_of_guesses() {
    for wrong_guesses in [CODE_ATTEMPTS_MAX - 1, CODE_ATTEMPTS_MAX] {
        let (stage, id, code) = asked(EmailCode::Enroll).await;
        for n in 0..wrong_guesses {
            wrong(&guess(&stage, Some(id), ALICE, &format!("0000000{n}")).await);
        }
        let redeemed = guess(&stage, Some(id), ALICE, &code).await;
        assert_eq!(redeemed.is_ok(), wrong_guesses < CODE_ATTEMPTS_MAX, "{wrong_guesses}");
    }
}

/// Guesses of this code from many tasks at once; how many got in.
async fn race(stage: &Arc<Stage>, id: CodeId, typed: impl Fn(usize) -> String) -> usize {
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let (stage, typed) = (Arc::clone(stage), typed(n));
            tokio::spawn(async move { guess(&stage, Some(id), ALICE, &typed).await })
        })
        .collect();
    let mut right = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => right += 1,
            Err(FlowError::WrongCode) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    right
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_30_guesses_at_the_same_moment_are_all_counted() {
    let stage = Arc::new(Stage::with_codes_and_yielding_store(EmailCode::Enroll).await);
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let (id, code) = ask(&stage, ALICE).await;
    // Every one of them read the code before any of them was counted, if the store let them.
    assert_eq!(race(&stage, id, |n| format!("000000{n:02}")).await, 0);
    wrong(&guess(&stage, Some(id), ALICE, &code).await);

    let (id, code) = ask(&stage, ALICE).await;
    assert_eq!(race(&stage, id, |_| code.clone()).await, 1, "a right code is good once");
}

#[tokio::test]
async fn s_30_a_code_expires_at_its_minute() {
    for (waited, expected) in
        [(CODE_LIFETIME.checked_sub(Duration::from_millis(1)).unwrap(), true), (CODE_LIFETIME, false)]
    {
        let (stage, id, code) = asked(EmailCode::Enroll).await;
        stage.clock.forward(waited);
        assert_eq!(guess(&stage, Some(id), ALICE, &code).await.is_ok(), expected, "after {waited:?}");
    }
}

#[tokio::test]
async fn s_30_limits_codes_requested_anonymously() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let mailbox = Mailbox::default();
    for _ in 0..20 {
        stage.gateway.sign_in.request_code(ALICE, &visit_from("198.51.100.7")).await.unwrap();
        stage.gateway.messages.deliver(&mailbox).await.unwrap();
    }
    assert_eq!(mailbox.count(), 3, "one network has a few messages sent, and the answer stays the same");
    stage.gateway.sign_in.request_code(ALICE, &visit_from("192.0.2.1")).await.unwrap();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    assert_eq!(mailbox.count(), 4, "the owner, elsewhere, is not held up");
}

/// The account is counted, not the text that a client typed.
#[tokio::test]
async fn s_12_spellings_of_an_address_share_one_limit() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let mailbox = Mailbox::default();
    let spellings = ["alice@example.com", "ALICE@EXAMPLE.COM", " alice@example.com ", "Alice@Example.Com"];
    for spelling in spellings.iter().cycle().take(20) {
        stage.gateway.sign_in.request_code(spelling, &visit_from("198.51.100.7")).await.unwrap();
        stage.gateway.messages.deliver(&mailbox).await.unwrap();
    }
    assert_eq!(mailbox.count(), 3);
}

/// Many networks together get no further than a few messages, and so a few codes to guess at; and
/// that is over after a while.
#[tokio::test]
async fn s_30_limits_pending_codes_in_total() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let mailbox = Mailbox::default();
    let ask_from_everywhere = async || {
        for network in 0..40 {
            stage
                .gateway
                .sign_in
                .request_code(ALICE, &visit_from(&format!("10.0.{network}.1")))
                .await
                .unwrap();
            stage.gateway.messages.deliver(&mailbox).await.unwrap();
        }
    };
    ask_from_everywhere().await;
    assert_eq!(mailbox.count(), usize::try_from(MAIL_TO_ACCOUNT_BURST.get()).unwrap());
    stage.clock.forward(MAIL_TO_ACCOUNT_INTERVAL);
    ask_from_everywhere().await;
    assert_eq!(mailbox.count(), usize::try_from(MAIL_TO_ACCOUNT_BURST.get()).unwrap() + 1);
}

/// A client that has used up an account's messages does not keep its owner from one, where the
/// owner signed in lately.
#[tokio::test]
async fn f_14_anonymous_requests_do_not_use_the_owners_mail_limit() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    let at = visit_from("192.0.2.1");
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &at).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    let signed_in =
        stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &Device::default()).await.unwrap();
    for session in stage.gateway.sessions.sessions_of(&signed_in.user.id) {
        stage.gateway.sessions.sign_out(&[session], &at).await.unwrap();
    }
    let mailbox = Mailbox::default();
    let ask = async |client: &str| {
        let before = mailbox.count();
        stage.gateway.sign_in.request_code(ALICE, &visit_from(client)).await.unwrap();
        stage.gateway.messages.deliver(&mailbox).await.unwrap();
        mailbox.count() - before
    };
    stage.clock.forward(Duration::from_hours(20 * 24));
    for network in 0..40 {
        ask(&format!("10.0.{network}.1")).await;
    }
    assert_eq!(ask("10.1.0.1").await, 0, "anonymous clients have used everything up");
    assert_eq!(ask("192.0.2.99").await, 1);
    // The limit does not count for a browser that she has signed in with, wherever it is; another
    // user's mark does not help.
    let mark = stage.gateway.attempts.device_mark(&signed_in.user.id).unwrap().hashed();
    let other = stage.gateway.attempts.device_mark(&UserId::from_random([9; 16])).unwrap().hashed();
    for (device, count) in [(other, 0), (mark, 1)] {
        let before = mailbox.count();
        let at = Visit { device: Some(device), ..visit_from("10.2.0.1") };
        stage.gateway.sign_in.request_code(ALICE, &at).await.unwrap();
        stage.gateway.messages.deliver(&mailbox).await.unwrap();
        assert_eq!(mailbox.count() - before, count);
    }
    // A month after the sign-in, the network is one like any other.
    stage.clock.forward(Duration::from_hours(10 * 24));
    for network in 0..40 {
        ask(&format!("10.0.{network}.1")).await;
    }
    assert_eq!(ask("192.0.2.99").await, 0);
}

/// However many codes there are to try, a network tries no more than its share.
#[tokio::test]
async fn s_30_guesses_are_counted_for_the_network_as_well() {
    let (stage, ..) = asked(EmailCode::Enroll).await;
    let at = visit_from("198.51.100.7");
    let burst = RateLimits::default().network_burst.get();
    let mut guesses = 0;
    loop {
        // There is a code for each guess, so that the limit of a code does not end them.
        let typed = Guess { id: Some(CodeId([7; 16])), email: ALICE, code: "00000000" };
        match stage.gateway.sign_in.redeem_code(typed, None, &at, &Device::default()).await {
            Err(FlowError::WrongCode) => guesses += 1,
            Err(FlowError::RateLimited { .. }) => break,
            other => panic!("{other:?}"),
        }
        assert!(guesses <= burst, "a network guesses without end");
    }
    assert_eq!(guesses, burst);
}

#[tokio::test]
async fn s_26_code_only_allows_adding_a_passkey() {
    let (stage, mut device) = (Stage::with_codes(EmailCode::Enroll).await, Authenticator::new(1));
    stage.enrol(ALICE, &mut device).await.unwrap();
    let (id, code) = ask(&stage, ALICE).await;
    let redeemed = guess(&stage, Some(id), ALICE, &code).await.unwrap();
    assert_eq!(redeemed.session.scope, Scope::Enrol);
    assert!(!stage.enters(&stage.cookie(&redeemed.session, APP_HOST)), "it opens no application");
    let session = stage.live(&redeemed.session).unwrap();
    stage.gateway.sessions.sign_out(&[session], &visit(AUTH_HOST)).await.unwrap();
    let again = stage.sign_in(&mut device).await;
    assert!(again.is_ok(), "an account outlives a recovery that was given up: {again:?}");
    let (id, code) = ask(&stage, ALICE).await;
    let redeemed = guess(&stage, Some(id), ALICE, &code).await.unwrap();
    let registered = stage.register(&redeemed, &mut Authenticator::new(3)).await.unwrap();
    assert_eq!(registered.session.scope, Scope::Full);
    assert!(stage.enters(&stage.cookie(&registered.session, APP_HOST)));
}

#[tokio::test]
async fn s_26_a_code_is_never_a_fresh_passkey() {
    let (stage, id, code) = asked(EmailCode::Session).await;
    let redeemed = guess(&stage, Some(id), ALICE, &code).await.unwrap();
    let session = &redeemed.session;
    assert_eq!(session.scope, Scope::Full);
    assert!(stage.enters(&stage.cookie(session, APP_HOST)));
    let at = visit(AUTH_HOST);
    let begun = stage.gateway.sign_in.begin_registration(session, Planned::default(), &at).await.map(drop);
    let [credential] = &stage.gateway.accounts.credentials_of(&session.user).await.unwrap()[..] else {
        panic!()
    };
    let removed = stage.gateway.accounts.remove_credential(session, &credential.id, &at).await;
    let linked = stage.gateway.accounts.make_own_link(session, &at).await.map(drop);
    let live = stage.live(session).unwrap();
    let exchanged =
        stage.gateway.sessions.exchange_session(&live, None, &at, &Device::default()).await.map(drop);
    for refused in [begun, removed, linked, exchanged] {
        assert!(matches!(refused, Err(FlowError::NotFresh)), "{refused:?}");
    }
}

#[tokio::test]
async fn s_35_an_account_that_is_still_being_made_gets_no_code() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let invited = stage.invite(ALICE, Duration::from_secs(3_600)).await.unwrap();
    stage.redeem(&invited.secret.reveal()).await.unwrap();
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    assert_eq!(mailbox.count(), 0, "the holder of the link makes the account, and no other client joins in");
}

#[tokio::test]
async fn s_21_unknown_address_costs_the_same_work() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let count = async |prefix: &[u8]| stage.store.scan(prefix, None, 100).await.unwrap();
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    stage.gateway.sign_in.request_code("nobody@example.com", &visit(AUTH_HOST)).await.unwrap();
    let (codes, outbox) = (count(b"code/").await, count(b"outbox/").await);
    assert_eq!((codes.len(), outbox.len()), (2, 2), "both leave the same records");
    let sizes: Vec<_> = outbox.iter().map(|(_, value)| value.len()).collect();
    assert!(sizes[0].abs_diff(sizes[1]) < 64, "{sizes:?}");
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    assert_eq!(mailbox.count(), 1);
    // The message without a reader is kept for as long as a mail server takes, so that its end
    // tells nothing.
    assert!(count(b"outbox/").await.len() <= 1);
    stage.clock.forward(Duration::from_secs(1));
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    assert_eq!((mailbox.count(), count(b"outbox/").await.len()), (1, 0));
}

/// A mail server that is slow to take a message.
struct Slow(Arc<HandClock>, Duration);

#[async_trait]
impl Mailer for Slow {
    async fn send(&self, _: &Message) -> Result<(), MailError> {
        self.0.forward(self.1);
        Ok(())
    }
}

#[tokio::test]
async fn s_21_placeholder_message_lives_as_long_as_a_delivery() {
    const SLOWLY: Duration = Duration::from_secs(7);
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let slow = Slow(Arc::clone(&stage.clock), SLOWLY);
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    stage.gateway.messages.deliver(&slow).await.unwrap();
    stage.gateway.sign_in.request_code("nobody@example.com", &visit(AUTH_HOST)).await.unwrap();
    assert_eq!(stage.gateway.messages.deliver(&slow).await.unwrap(), Some(SLOWLY));
    stage.clock.forward(SLOWLY);
    assert_eq!(stage.gateway.messages.deliver(&slow).await.unwrap(), None);
    assert!(stage.store.scan(b"outbox/", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn codes_are_not_stored_in_plain_text() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    let everything = stage.store.scan(b"", None, 1_000).await.unwrap();
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    let code = mailbox.code();
    for (key, value) in everything {
        assert!(!String::from_utf8_lossy(&value).contains(&code), "{}", key.escape_ascii());
    }
}

#[tokio::test]
async fn delivery_is_retried_with_backoff_until_expiry() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    let broken = Mailbox { broken: Some(MailError::Temporary("away".to_owned())), ..Mailbox::default() };
    let mut waits = Vec::new();
    while let Some(wait) = stage.gateway.messages.deliver(&broken).await.unwrap() {
        waits.push(wait);
        stage.clock.forward(wait);
    }
    assert!(waits.is_sorted() && waits.len() > 4, "{waits:?}");
    assert!(waits.iter().sum::<Duration>() >= CODE_LIFETIME);
    let healed = Mailbox::default();
    stage.gateway.messages.deliver(&healed).await.unwrap();
    assert_eq!(healed.count(), 0, "a code that has expired is not sent");
}

#[tokio::test]
async fn messages_survive_a_restart_and_permanent_errors_end_them() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    let again = stage.again().await;
    let mailbox = Mailbox::default();
    assert_eq!(again.gateway.messages.deliver(&mailbox).await.unwrap(), None);
    assert_eq!(mailbox.count(), 1);

    stage.gateway.sign_in.request_code(ALICE, &visit(AUTH_HOST)).await.unwrap();
    let refusing = Mailbox { broken: Some(MailError::Permanent("550".to_owned())), ..Mailbox::default() };
    assert_eq!(stage.gateway.messages.deliver(&refusing).await.unwrap(), None, "it is not tried again");
}

#[tokio::test]
async fn full_outbox_drops_messages_without_failing_callers() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    for n in 0..OUTBOX_MAX_FOR_ANONYMOUS + 10 {
        let from = format!("10.{}.{}.1", n / 250, n % 250);
        stage.gateway.sign_in.request_code("nobody@example.com", &visit_from(&from)).await.unwrap();
    }
    let waiting = stage.store.scan(b"outbox/", None, OUTBOX_MAX + 100).await.unwrap();
    assert_eq!(waiting.len(), OUTBOX_MAX_FOR_ANONYMOUS);
    // There is room left for what people are told of their accounts.
    stage.invite_by(ALICE, Duration::from_secs(3_600), LinkDelivery::ByMail).await.unwrap();
    assert_eq!(stage.store.scan(b"outbox/", None, OUTBOX_MAX).await.unwrap().len(), waiting.len() + 1);
}

/// A message that was sealed with a key which is gone is kept for an operator to look at.
#[tokio::test]
async fn a_message_that_cannot_be_opened_is_set_aside() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.invite_by(ALICE, Duration::from_secs(3_600), LinkDelivery::ByMail).await.unwrap();
    let messages = stage.store.scan(b"outbox/", None, 10).await.unwrap();
    let [(key, sealed)] = messages.as_slice() else { panic!("{messages:?}") };
    // After the version there is JSON; the sealed text in it keeps its length.
    let mut waiting: serde_json::Value = serde_json::from_slice(&sealed[1..]).unwrap();
    let text = waiting["sealed"].as_str().unwrap();
    let other = if text.starts_with('A') { "B" } else { "A" };
    waiting["sealed"] = format!("{other}{}", &text[1..]).into();
    let broken = [&sealed[..1], &serde_json::to_vec(&waiting).unwrap()].concat();
    let second = Batch::default().put(b"outbox/second".to_vec(), broken.clone());
    stage.store.commit(second.put(key.clone(), sealed.clone())).await.unwrap();
    let post = Mailbox::default();
    assert_eq!(stage.gateway.messages.deliver(&post).await.unwrap(), None);
    assert_eq!(post.messages.lock().unwrap().len(), 1, "the one that opens is sent");
    assert_eq!(stage.store.scan(b"outbox/", None, 10).await.unwrap(), []);
    let kept = stage.store.scan(b"set-aside/", None, 10).await.unwrap();
    assert_eq!(kept.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [broken]);
}

/// An entry that was copied by hand is sent once, and does not stay because its name says another
/// id.
#[tokio::test]
async fn a_message_is_removed_under_the_name_it_was_read_from() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.invite_by(ALICE, Duration::from_secs(3_600), LinkDelivery::ByMail).await.unwrap();
    let messages = stage.store.scan(b"outbox/", None, 10).await.unwrap();
    let [(key, sealed)] = messages.as_slice() else { panic!("{messages:?}") };
    let moved = Batch::default().delete(key.clone()).put(b"outbox/copy".to_vec(), sealed.clone());
    stage.store.commit(moved).await.unwrap();
    let post = Mailbox::default();
    for _ in 0..2 {
        stage.gateway.messages.deliver(&post).await.unwrap();
    }
    assert_eq!(post.messages.lock().unwrap().len(), 1);
    assert_eq!(stage.store.scan(b"outbox/", None, 10).await.unwrap(), []);
}

/// A damaged entry, or one of a newer version, keeps no later message from going out.
#[tokio::test]
async fn unreadable_message_is_set_aside() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    for (key, bytes) in [(&b"outbox/0"[..], &b"\x01{}"[..]), (b"outbox/1", b"\xff"), (b"outbox/2", b"")] {
        stage.store.commit(Batch::default().put(key.to_vec(), bytes.to_vec())).await.unwrap();
    }
    // They do not keep a gateway from starting, either.
    drop(stage.again().await);
    let (_, code) = ask(&stage, ALICE).await;
    assert!(!code.is_empty());
    assert_eq!(stage.store.scan(b"outbox/", None, 10).await.unwrap(), []);
    let kept = stage.store.scan(b"set-aside/", None, 10).await.unwrap();
    assert_eq!(
        kept.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(),
        [&b"\x01{}"[..], b"\xff", b""]
    );
}
