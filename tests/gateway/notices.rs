//! Notices: what users are told of their own accounts, and that every way of recovery tells them,
//! shows in their open sessions, and ends when they sign in with a passkey.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::domain::code::EmailCode;
use vestibule::domain::message::Content;
use vestibule::domain::time::Timestamp;
use vestibule::domain::user::{Role, TOLD_BEFORE_END};
use vestibule::flows::administration::people::UserEdit;
use vestibule::flows::administration::trail::TrailQuery;
use vestibule::flows::authority::Authority;
use vestibule::flows::sign_in::registration::Registered;
use vestibule::flows::visit::Device;

use crate::codes::Mailbox;
use crate::harness::{Authenticator, Browser, Config, Mode, PostOffice, Scene, port};
use crate::stage::{ORIGIN, Stage, attempt, visit_from};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36";
const DAY: Duration = Duration::from_hours(24);

/// Signs in with a program that has this `User-Agent`.
async fn sign_in_with(stage: &Stage, device: &mut Authenticator, user_agent: &str) {
    let at = visit_from("192.0.2.7");
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &at).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    let program = Device { user_agent: Some(user_agent.to_owned()), is_shared: false };
    stage.gateway.sign_in.finish_sign_in(attempt(id, &answer), &at, &program).await.unwrap();
}

/// The messages sent since the last call.
async fn sent(stage: &Stage) -> Vec<Content> {
    let mailbox = Mailbox::default();
    stage.gateway.messages.deliver(&mailbox).await.unwrap();
    mailbox.take().into_iter().map(|message| message.content).collect()
}

/// A stage with mail, and Alice on it.
async fn with_alice() -> (Stage, Registered, Authenticator) {
    let (stage, mut device) = (Stage::with_codes(EmailCode::Enroll).await, Authenticator::new(1));
    let alice = stage.enrol(ALICE, &mut device).await.unwrap();
    assert!(sent(&stage).await.is_empty(), "a user who has just made an account has no news");
    (stage, alice, device)
}

#[tokio::test]
async fn new_browser_is_noticed_once() {
    let (stage, alice, mut device) = with_alice().await;
    sign_in_with(&stage, &mut device, &format!("CALL-555-1 <b>{FIREFOX}")).await;
    let told = sent(&stage).await;
    let [Content::NewDevice { program, about }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(program.in_words(), "Firefox on Linux");
    assert_eq!(about.network.unwrap().to_string(), "192.0.2.0/24");
    for (user_agent, is_new) in [(FIREFOX, false), (CHROME, true), (FIREFOX, false), ("CALL-555-1", false)] {
        sign_in_with(&stage, &mut device, user_agent).await;
        // Alice enrolled with a program that does not name itself, so that is known, too.
        assert_eq!(sent(&stage).await.len(), usize::from(is_new), "{user_agent}");
    }
    let query = TrailQuery { user: Some(alice.user.id), limit: 50, ..TrailQuery::default() };
    let trail = stage.gateway.administration.read_trail(&query).await.unwrap().items;
    assert_eq!(trail.iter().filter(|kept| kept.entry.event == "new_device").count(), 2);
    // Another user's device is not news to Alice.
    let mut other = Authenticator::new(2);
    stage.enrol(BOB, &mut other).await.unwrap();
    sign_in_with(&stage, &mut other, FIREFOX).await;
    assert_eq!(sent(&stage).await.len(), 1);
}

#[tokio::test]
async fn remembered_programs_are_limited() {
    let (stage, alice, mut device) = with_alice().await;
    for system in ["Linux", "Windows", "Mac OS X", "Android", "CrOS"] {
        for browser in ["Firefox/1", "OPR/1", "Chrome/1"] {
            sign_in_with(&stage, &mut device, &format!("{system} {browser}")).await;
        }
    }
    let user = stage.gateway.administration.find_user(ALICE).await.unwrap();
    assert_eq!((user.id, user.programs.len()), (alice.user.id, 8));
}

#[tokio::test]
async fn role_change_sends_a_notice() {
    let (stage, alice, _) = with_alice().await;
    let edit = UserEdit { role: Some(Role::Administrator), ..UserEdit::default() };
    for expected in [1, 0] {
        stage
            .gateway
            .administration
            .edit_user(&Authority::of_operator(), &alice.user.id, &edit)
            .await
            .unwrap();
        let told = sent(&stage).await;
        assert_eq!(told.len(), expected, "{told:?}");
        assert!(told.iter().all(|it| matches!(it, Content::RoleChanged { role: Role::Administrator, .. })));
    }
}

async fn ends_at(stage: &Stage, alice: &Registered, at: Option<Timestamp>) {
    let edit = UserEdit { expires_at: Some(at), ..UserEdit::default() };
    stage.gateway.administration.edit_user(&Authority::of_operator(), &alice.user.id, &edit).await.unwrap();
}

#[tokio::test]
async fn account_expiry_is_noticed_once_in_advance() {
    let (stage, alice, _) = with_alice().await;
    let now = stage.gateway.ground.clock().now();
    let end = now.plus(TOLD_BEFORE_END + DAY);
    ends_at(&stage, &alice, Some(end)).await;
    stage.gateway.sweep().await;
    assert_eq!(sent(&stage).await, [], "it is far away");
    stage.clock.forward(DAY);
    stage.gateway.sweep().await;
    assert_eq!(sent(&stage).await, [Content::AccountEnds { at: end }]);
    for _ in 0..3 {
        stage.clock.forward(DAY);
        stage.gateway.sweep().await;
        assert_eq!(sent(&stage).await, [], "once");
    }
    stage.again().await.gateway.sweep().await;
    assert_eq!(sent(&stage).await, [], "also after a restart");
    let sooner = end.minus(DAY);
    ends_at(&stage, &alice, Some(sooner)).await;
    stage.gateway.sweep().await;
    assert_eq!(sent(&stage).await, [Content::AccountEnds { at: sooner }], "another end is news");
    stage.clock.forward(TOLD_BEFORE_END);
    ends_at(&stage, &alice, Some(now)).await;
    stage.gateway.sweep().await;
    assert_eq!(sent(&stage).await, [], "what has ended does not end soon");
}

#[tokio::test]
async fn unsent_expiry_notice_stays_pending() {
    let (stage, mut device) = (Stage::with_codes(EmailCode::Off).await, Authenticator::new(1));
    let alice = stage.enrol(ALICE, &mut device).await.unwrap();
    ends_at(&stage, &alice, Some(stage.gateway.ground.clock().now().plus(DAY))).await;
    stage.gateway.sweep().await;
    assert_eq!(stage.gateway.administration.find_user(ALICE).await.unwrap().told_of_end, None);
}

fn with_mail(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
        config.table("signin", &["email_code = \"enroll\""]);
    }
}

/// The text of a message: as quoted-printable, lines are broken anywhere.
async fn message(office: &PostOffice, count: usize) -> String {
    let message = office.message(count).await;
    assert_eq!(message["to"], json!([BOB]), "{message}");
    message["message"].as_str().unwrap().replace("=\r\n", "").replace("\r\n", " ").replace("=3D", "=")
}

fn secret_in(message: &str) -> String {
    let (_, rest) = message.split_once("/auth/recovery#").expect("a link that cancels");
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

/// Bob, who is signed in, and a thief who uses a link that an administrator made for him.
async fn reset(scene: &Scene) -> (Browser, Authenticator, Browser) {
    let (bob, device) = scene.invited(BOB, 2).await;
    let said: Value =
        serde_json::from_str(&scene.gateway.operate(&["user", "reset", BOB, "--json"])).unwrap();
    let finder = scene.anonymous();
    finder.redeem(said["link"].as_str().unwrap(), None, "").await.expect(201);
    (bob, device, finder)
}

#[tokio::test]
async fn reset_link_sends_notices_and_can_be_cancelled() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(with_mail(port), |_| {}).await;
    let (bob, _, finder) = reset(&scene).await;
    let made = message(&office, 1).await;
    assert!(made.contains("An administrator made a link") && made.contains("24 hours"), "{made}");
    assert!(!made.contains("/enroll#"), "a notice gives no reader a way in: {made}");
    let used = message(&office, 2).await;
    assert!(used.contains("A link from an administrator was used to get into your account"), "{used}");
    assert!(used.contains("127.0.0.0/24") && used.contains("UTC"), "{used}");
    finder.register(&mut Authenticator::new(66)).await.expect(200);
    let listed = bob.get("recoveries").await.expect(200).json();
    assert_eq!((&listed[0]["by"], listed.as_array().unwrap().len()), (&json!("link"), 1));
    let page = bob.navigate(&scene.url("/auth/account")).await.expect(200).text();
    assert!(page.contains("A link from an administrator was used to get into your account"), "{page}");
    let cancel = json!({ "token": secret_in(&used) });
    scene.anonymous().post("recoveries/cancel", &cancel).await.expect(204);
    finder.get("sessions").await.expect_problem(401);
    assert_eq!(bob.passkeys().await.len(), 1);
    assert!(message(&office, 3).await.contains("A passkey was added to your account"));
    assert!(message(&office, 4).await.contains("A passkey was removed from your account"));
}

#[tokio::test]
async fn a_sign_in_with_a_passkey_ends_a_link_that_is_being_used() {
    let scene = Scene::set().await;
    let (bob, mut device, finder) = reset(&scene).await;
    scene.anonymous().sign_in(&mut device).await.expect(201);
    finder.post("passkeys/register/options", &json!({})).await.expect_problem(401);
    assert_eq!(bob.get("recoveries").await.expect(200).json(), json!([]));
    assert_eq!(bob.passkeys().await.len(), 1);
    let told = scene.gateway.operate(&["audit", "--user", BOB, "--event", "user_changed"]);
    assert!(told.contains("reason=recovery_cancelled"), "{told}");
}

#[tokio::test]
async fn a_sign_in_with_a_passkey_ends_a_recovery_by_mail_that_is_under_way() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(with_mail(port), |_| {}).await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    let thief = scene.anonymous();
    thief.post("verify", &json!({ "email": BOB })).await.expect(201);
    let code = office.code(1).await;
    let given = json!({ "method": "otp", "email": BOB, "token": code });
    thief.post("sessions", &given).await.expect(201);
    assert!(message(&office, 2).await.contains("A code by mail was used"));
    assert_eq!(bob.get("recoveries").await.expect(200).json()[0]["by"], "mailed_code");
    scene.anonymous().sign_in(&mut device).await.expect(201);
    thief.post("passkeys/register/options", &json!({})).await.expect_problem(401);
    assert_eq!(bob.get("recoveries").await.expect(200).json(), json!([]));
}

/// The link was made with a passkey, and its owner was told then.
#[tokio::test]
async fn own_link_is_not_a_recovery() {
    let (stage, _, mut device) = with_alice().await;
    let alice = stage.sign_in(&mut device).await.unwrap();
    let made = stage.gateway.accounts.make_own_link(&alice.session, &visit_from("192.0.2.7")).await.unwrap();
    assert_eq!(sent(&stage).await, [Content::LinkMade]);
    let redeemed = stage.redeem(&made.secret.reveal()).await.unwrap();
    assert_eq!(sent(&stage).await, []);
    assert_eq!(stage.gateway.sign_in.recoveries_of(&alice.user.id).await.unwrap(), []);
    stage.sign_in(&mut device).await.unwrap();
    stage.register(&redeemed, &mut Authenticator::new(66)).await.unwrap();
    assert!(matches!(sent(&stage).await[..], [Content::PasskeyAdded { .. }]));
}

#[tokio::test]
async fn removal_by_an_administrator_sends_a_notice() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(with_mail(port), |_| {}).await;
    let (bob, _) = scene.invited(BOB, 2).await;
    let id = bob.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    bob.register(&mut Authenticator::new(3)).await.expect(200);
    assert!(message(&office, 1).await.contains("A passkey was added"));
    scene.gateway.operate(&["user", "remove-passkey", BOB, &id]);
    let removed = message(&office, 2).await;
    assert!(
        removed.contains("A passkey was removed from your account") && removed.contains("UTC"),
        "{removed}"
    );
    assert!(!removed.contains("127.0.0"), "a notice does not say where an administrator sits: {removed}");
    scene.gateway.operate(&["user", "reset", BOB, "--wipe"]);
    let [wiped, linked] = [message(&office, 3).await, message(&office, 4).await];
    let both = format!("{wiped}{linked}");
    assert!(both.contains("removed every passkey of your account"), "{both}");
    assert!(both.contains("An administrator made a link"), "{both}");
}
