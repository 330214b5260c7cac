//! Another device: who may offer, bring and confirm a code, how often, how long, and the answers to
//! each side (S-12, S-14, S-17, S-26).

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::domain::code::EmailCode;
use vestibule::domain::device_link::{DEVICE_LINK_LIFETIME, Number};
use vestibule::domain::session::{Scope, Session};
use vestibule::flows::FlowError;
use vestibule::flows::administration::trail::TrailQuery;
use vestibule::flows::sign_in::Redeemed;
use vestibule::flows::sign_in::device_links::{JoinStatus, WaitingDevice};
use vestibule::flows::visit::Device;

use crate::harness::{Authenticator, Browser, Reply, Scene};
use crate::stage::{AUTH_HOST, FRESH, Stage, visit, visit_from};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// Alice, who has just shown her passkey.
async fn stage() -> (Stage, Session) {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    let session = signed_in(&stage, ALICE, 1).await;
    (stage, session)
}

async fn signed_in(stage: &Stage, email: &str, seed: u64) -> Session {
    let mut device = Authenticator::new(seed);
    stage.enrol(email, &mut device).await.unwrap();
    stage.sign_in(&mut device).await.unwrap().session
}

async fn offer(stage: &Stage, session: &Session) -> Result<String, FlowError> {
    let offered = stage.gateway.sign_in.offer_device_link(session, &visit(AUTH_HOST)).await?;
    Ok(offered.code.reveal().to_owned())
}

/// A phone brings a code. Returns the number that it shows, and the nonce that its browser keeps.
async fn ask(stage: &Stage, code: &str) -> Result<(Number, String), FlowError> {
    let phone = Device { user_agent: Some("Mozilla/5.0 (iPhone) Safari/605".to_owned()), is_shared: false };
    let (WaitingDevice { number, .. }, nonce) =
        stage.gateway.sign_in.ask_with_code(code, &phone, &visit_from("192.0.2.9")).await?;
    Ok((number, nonce.reveal()))
}

async fn confirm(stage: &Stage, session: &Session, number: Number) -> Result<(), FlowError> {
    stage.gateway.sign_in.confirm_device(session, number.get(), &visit(AUTH_HOST)).await.map(drop)
}

/// `None` while the first device has not answered.
async fn join(stage: &Stage, nonce: &str) -> Result<Option<Redeemed>, FlowError> {
    let (at, phone) = (visit_from("192.0.2.9"), Device::default());
    match stage.gateway.sign_in.join_by_device_link(Some(nonce), None, &at, &phone).await? {
        JoinStatus::Waiting(_) => Ok(None),
        JoinStatus::Admitted(redeemed) => Ok(Some(*redeemed)),
    }
}

async fn kept(stage: &Stage) -> usize {
    let links = stage.store.scan(b"device-link/", None, 100).await.unwrap().len();
    let by = stage.store.scan(b"device-link-by/", None, 100).await.unwrap().len();
    assert_eq!(links, by, "each link is found in one way");
    links
}

fn is_wrong_code<T>(result: &Result<T, FlowError>) -> bool {
    matches!(result, Err(FlowError::WrongCode))
}

fn is_over<T>(result: &Result<T, FlowError>) -> bool {
    matches!(result, Err(FlowError::NoSuchInvitation))
}

#[tokio::test]
async fn s_12_confirmed_device_adds_one_passkey_with_a_notice() {
    let (stage, session) = stage().await;
    let code = offer(&stage, &session).await.unwrap();
    let (number, nonce) = ask(&stage, &code).await.unwrap();
    assert!(join(&stage, &nonce).await.unwrap().is_none(), "nothing before the first device has confirmed");
    assert_eq!(
        stage.gateway.sessions.sessions_of(&session.user).len(),
        2,
        "the enrolment's and the sign-in's"
    );
    confirm(&stage, &session, number).await.unwrap();
    let redeemed = join(&stage, &nonce).await.unwrap().unwrap();
    assert_eq!((redeemed.session.user, redeemed.session.scope), (session.user, Scope::Enrol));
    assert!(is_over(&join(&stage, &nonce).await), "the way in is good once");
    assert_eq!(kept(&stage).await, 0);
    let messages = stage.store.scan(b"outbox/", None, 100).await.unwrap().len();
    let registered = stage.register(&redeemed, &mut Authenticator::new(2)).await.unwrap();
    assert_eq!(registered.session.fresh_since, None, "a code is no passkey that was shown");
    assert_eq!(stage.gateway.accounts.credentials_of(&session.user).await.unwrap().len(), 2);
    assert_eq!(stage.store.scan(b"outbox/", None, 100).await.unwrap().len(), messages + 1);
}

#[tokio::test]
async fn s_14_a_code_is_used_up_by_the_first_browser_that_brings_it() {
    let (stage, session) = stage().await;
    let code = offer(&stage, &session).await.unwrap();
    let (number, nonce) = ask(&stage, &code.to_lowercase()).await.unwrap();
    assert!(is_wrong_code(&ask(&stage, &code).await));
    // The browser that was first is not disturbed.
    confirm(&stage, &session, number).await.unwrap();
    assert!(join(&stage, &nonce).await.unwrap().is_some());
    assert!(is_wrong_code(&ask(&stage, &code).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_14_of_simultaneous_devices_one_wins() {
    for _ in 0..20 {
        let stage = Stage::with_codes_and_yielding_store(EmailCode::Enroll).await;
        let session = signed_in(&stage, ALICE, 1).await;
        let code = offer(&stage, &session).await.unwrap();
        let all = futures_util::future::join_all((0..4).map(|_| ask(&stage, &code))).await;
        let (first, late): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!((first.len(), late.len()), (1, 3));
        assert!(late.iter().all(is_wrong_code));
        let (number, nonce) = first.into_iter().next().unwrap().unwrap();
        confirm(&stage, &session, number).await.unwrap();
        // And of its simultaneous requests, one gets in.
        let joined = futures_util::future::join_all((0..4).map(|_| join(&stage, &nonce))).await;
        assert_eq!(joined.iter().filter(|it| matches!(it, Ok(Some(_)))).count(), 1, "{joined:?}");
        assert_eq!(stage.gateway.sessions.sessions_of(&session.user).len(), 3);
    }
}

#[tokio::test]
async fn s_14_every_step_has_to_be_made_within_five_minutes() {
    let last = DEVICE_LINK_LIFETIME.checked_sub(Duration::from_millis(1)).unwrap();
    for (waited, good) in [(last, true), (DEVICE_LINK_LIFETIME, false)] {
        let (world, session) = stage().await;
        let code = offer(&world, &session).await.unwrap();
        world.clock.forward(waited);
        let asked = ask(&world, &code).await;
        assert_eq!((asked.is_ok(), is_wrong_code(&asked)), (good, !good), "asking after {waited:?}");

        let (world, session) = stage().await;
        let (number, nonce) = ask(&world, &offer(&world, &session).await.unwrap()).await.unwrap();
        world.clock.forward(waited);
        let confirmed = confirm(&world, &session, number).await;
        assert_eq!(confirmed.is_ok(), good, "confirming after {waited:?}: {confirmed:?}");
        assert_eq!(join(&world, &nonce).await.is_ok(), good);

        let (world, session) = stage().await;
        let (number, nonce) = ask(&world, &offer(&world, &session).await.unwrap()).await.unwrap();
        confirm(&world, &session, number).await.unwrap();
        world.clock.forward(waited);
        world.gateway.sweep().await;
        assert_eq!(kept(&world).await, usize::from(good), "what is over is not kept");
        let joined = join(&world, &nonce).await;
        assert_eq!((joined.is_ok(), is_over(&joined)), (good, !good), "joining after {waited:?}");
    }
}

#[tokio::test]
async fn s_14_a_new_code_or_a_withdrawal_ends_the_one_before() {
    let (stage, session) = stage().await;
    let first = offer(&stage, &session).await.unwrap();
    let second = offer(&stage, &session).await.unwrap();
    assert!(is_wrong_code(&ask(&stage, &first).await));
    assert_eq!(kept(&stage).await, 1);
    stage.gateway.sign_in.withdraw_device_link(&session, &visit(AUTH_HOST)).await.unwrap();
    assert!(is_wrong_code(&ask(&stage, &second).await));
    assert_eq!(kept(&stage).await, 0);
    let third = offer(&stage, &session).await.unwrap();
    assert!(ask(&stage, &third).await.is_ok());
}

#[tokio::test]
async fn s_17_only_the_session_that_offered_confirms() {
    let (stage, session) = stage().await;
    let mut second = Authenticator::new(7);
    stage.enrol(BOB, &mut second).await.unwrap();
    let bob = stage.sign_in(&mut second).await.unwrap().session;
    let others = stage.gateway.sessions.sessions_of(&session.user);
    let hers = others.iter().map(|it| it.record()).find(|it| it.id != session.id).unwrap();
    let code = offer(&stage, &session).await.unwrap();
    let (number, nonce) = ask(&stage, &code).await.unwrap();
    for (who, other) in [("herself elsewhere", &*hers), ("Bob", &bob)] {
        assert!(stage.gateway.sign_in.device_link(other).await.unwrap().is_none(), "{who}");
        let confirmed = confirm(&stage, other, number).await;
        assert!(matches!(confirmed, Err(FlowError::NotFound)), "{who}: {confirmed:?}");
        stage.gateway.sign_in.withdraw_device_link(other, &visit(AUTH_HOST)).await.unwrap();
    }
    for wrong in [0, number.get() - 1, number.get() + 1, u8::MAX] {
        let confirmed =
            stage.gateway.sign_in.confirm_device(&session, wrong, &visit(AUTH_HOST)).await.map(drop);
        assert!(matches!(confirmed, Err(FlowError::NotFound)), "{wrong}: {confirmed:?}");
    }
    assert!(join(&stage, &nonce).await.unwrap().is_none());
    let anonymous = "A".repeat(43);
    confirm(&stage, &session, number).await.unwrap();
    for nonce in ["", "x", &anonymous] {
        assert!(is_over(&join(&stage, nonce).await), "{nonce}");
    }
    assert!(join(&stage, &nonce).await.unwrap().is_some());
}

#[tokio::test]
async fn s_17_refused_or_ended_links_add_nothing() {
    let at = visit(AUTH_HOST);
    for end in ["refused", "refused after all", "signed out", "closed", "another code"] {
        let (stage, session) = stage().await;
        let code = offer(&stage, &session).await.unwrap();
        let (number, nonce) = ask(&stage, &code).await.unwrap();
        match end {
            "refused" => stage.gateway.sign_in.withdraw_device_link(&session, &at).await.unwrap(),
            "refused after all" => {
                confirm(&stage, &session, number).await.unwrap();
                stage.gateway.sign_in.withdraw_device_link(&session, &at).await.unwrap();
            }
            "signed out" => {
                confirm(&stage, &session, number).await.unwrap();
                let live = stage.live(&session).unwrap();
                stage.gateway.sessions.sign_out(&[live], &at).await.unwrap();
            }
            "closed" => {
                confirm(&stage, &session, number).await.unwrap();
                stage.disable(&session.user).await;
                stage.enable(&session.user).await;
            }
            _ => drop(offer(&stage, &session).await.unwrap()),
        }
        let joined = join(&stage, &nonce).await;
        assert!(is_over(&joined), "{end}: {joined:?}");
        assert_eq!(stage.gateway.accounts.credentials_of(&session.user).await.unwrap().len(), 1, "{end}");
    }
}

#[tokio::test]
async fn s_26_a_code_needs_a_fresh_passkey() {
    let (stage, session) = stage().await;
    stage.clock.forward(FRESH);
    assert!(matches!(offer(&stage, &session).await, Err(FlowError::NotFresh)));
    assert_eq!(kept(&stage).await, 0);

    // Beside an application each code has to be paid for.
    let stage = Stage::with_applications(&[AUTH_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    let session = stage.sign_in(&mut device).await.unwrap().session;
    assert!(matches!(offer(&stage, &session).await, Err(FlowError::NotFresh)));
    let (session, paying) = stage.step_up(&session, &mut device, "POST account/device-link").await;
    let offered = stage.gateway.sign_in.offer_device_link(&session, &paying).await.unwrap();
    assert!(matches!(
        stage.gateway.sign_in.offer_device_link(&session, &paying).await,
        Err(FlowError::NotFresh)
    ));
    let (number, nonce) = ask(&stage, offered.code.reveal()).await.unwrap();
    confirm(&stage, &session, number).await.unwrap();
    assert!(join(&stage, &nonce).await.unwrap().is_some());
}

#[tokio::test]
async fn every_step_is_audited_and_the_asking_device_is_anonymous() {
    let (stage, session) = stage().await;
    let code = offer(&stage, &session).await.unwrap();
    assert!(is_wrong_code(&ask(&stage, "00000000").await));
    let (number, nonce) = ask(&stage, &code).await.unwrap();
    confirm(&stage, &session, number).await.unwrap();
    join(&stage, &nonce).await.unwrap().unwrap();
    offer(&stage, &session).await.unwrap();
    stage.gateway.sign_in.withdraw_device_link(&session, &visit(AUTH_HOST)).await.unwrap();
    stage.gateway.administration.write_trail().await.unwrap();
    let query = TrailQuery { limit: 100, ..TrailQuery::default() };
    let mut entries: Vec<_> = stage
        .gateway
        .administration
        .read_trail(&query)
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|kept| kept.entry)
        .collect();
    entries.reverse();
    let her = session.user.to_string();
    let steps: Vec<_> = entries
        .iter()
        .filter(|entry| entry.event == "device_link")
        .map(|entry| {
            (entry.reason.as_deref().unwrap(), *entry.actor == *her, entry.user == Some(session.user))
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("offered", true, true),
            ("asked", false, true),
            ("confirmed", true, true),
            ("joined", true, true),
            ("offered", true, true),
            ("withdrawn", true, true),
        ]
    );
    assert_eq!(entries.iter().filter(|entry| entry.event == "code_refused").count(), 1);
    assert!(!format!("{entries:?}").contains(&code));
}

/// Over HTTP: the answers to each side, with status and code.
async fn offered(browser: &Browser) -> Value {
    browser.post("account/device-link", &json!({})).await.expect(201).json()
}

async fn asked(browser: &Browser, code: &str) -> Reply {
    browser.post("device-links/ask", &json!({ "code": code })).await
}

fn word(problem: &Value) -> &str {
    problem["code"].as_str().unwrap()
}

#[tokio::test]
async fn s_12_device_link_works_between_two_browsers() {
    let scene = Scene::set().await;
    let (alice, phone) = (&scene.alice, scene.anonymous());
    alice.get("account/device-link").await.expect_problem(404);
    let offer = offered(alice).await;
    let code = offer["code"].as_str().unwrap();
    assert_eq!(offer["link"], scene.url(&format!("/auth/device#{code}")));
    assert!(offer["qr"].as_str().unwrap().starts_with("<svg "));
    assert_eq!(alice.get("account/device-link").await.expect(200).json()["stage"], "offered");

    let asking = asked(&phone, code).await.expect(201).json();
    assert!(!asking.to_string().contains("alice"), "{asking}");
    let late = asked(&scene.anonymous(), code).await.expect_problem(401);
    assert_eq!(word(&late), "token_invalid");
    let waiting = phone.post("device-links/join", &json!({})).await.expect(202).json();
    assert_eq!(waiting["number"], asking["number"]);
    let seen = alice.get("account/device-link").await.expect(200).json();
    assert_eq!((&seen["stage"], &seen["number"]), (&json!("asking"), &asking["number"]));
    assert!(seen["network"].is_string() && seen["browser"].is_string(), "{seen}");

    // Another browser has no way in, before or after.
    let thief = scene.anonymous();
    let refused = thief.post("device-links/join", &json!({})).await.expect_problem(410);
    assert_eq!(word(&refused), "invitation_invalid");
    let number = asking["number"].as_u64().unwrap();
    let wrong = json!({ "number": number ^ 1 });
    let refused = alice.post("account/device-link/confirm", &wrong).await.expect_problem(404);
    assert_eq!(word(&refused), "not_found");
    let right = json!({ "number": number });
    let (bob, _) = scene.invited(BOB, 5).await;
    bob.post("account/device-link/confirm", &right).await.expect_problem(404);
    thief.post("account/device-link/confirm", &right).await.expect_problem(401);
    alice.post("account/device-link/confirm", &right).await.expect(200);
    thief.post("device-links/join", &json!({})).await.expect_problem(410);

    let joined = phone.post("device-links/join", &json!({})).await.expect(201).json();
    assert_eq!((&joined["enrolling"], &joined["user"]["email"]), (&json!(true), &json!(ALICE)));
    phone.post("device-links/join", &json!({})).await.expect_problem(410);
    phone.register(&mut Authenticator::new(9)).await.expect(200);
    assert_eq!(phone.account().await.as_deref(), Some(ALICE));
    assert_eq!(alice.passkeys().await.len(), 2);
    alice.get("account/device-link").await.expect_problem(404);
}

#[tokio::test]
async fn s_17_refused_device_gets_410() {
    let scene = Scene::set().await;
    let (alice, phone) = (&scene.alice, scene.anonymous());
    let offer = offered(alice).await;
    asked(&phone, offer["code"].as_str().unwrap()).await.expect(201);
    phone.post("device-links/join", &json!({})).await.expect(202);
    alice.delete("account/device-link").await.expect(204);
    alice.delete("account/device-link").await.expect(204);
    phone.post("device-links/join", &json!({})).await.expect_problem(410);
    assert_eq!(alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn s_25_limits_guesses_of_device_codes() {
    let scene = Scene::with(
        |config| config.table("limits", &["network_burst = 40", "network_per_second = 1"]),
        |_| {},
    )
    .await;
    let anonymous = scene.anonymous();
    let mut answers = Vec::new();
    for n in 0..60 {
        answers.push(asked(&anonymous, &format!("{n:08}")).await.status);
    }
    assert!(answers.iter().all(|status| [401, 429].contains(status)), "{answers:?}");
    assert_eq!(answers.first(), Some(&401));
    assert!(answers.contains(&429), "{answers:?}");
}
