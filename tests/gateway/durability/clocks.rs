//! Clocks that jump (D-11): a day back, ten years ahead, and to and fro. No session is revived,
//! everything expires in time, and a limit gives back its share. With a clock moved by hand, and
//! once with the real program, whose clock `faketime` sets while it runs.

use std::time::{Duration, Instant};

use serde_json::json;
use vestibule::domain::ceremony::CEREMONY_LIFETIME;
use vestibule::domain::code::EmailCode;
use vestibule::domain::event::Refusal;
use vestibule::flows::FlowError;
use vestibule::flows::visit::Device;

use crate::codes::{ask, guess};
use crate::harness::{Authenticator, Browser, Gateway, Reply};
use crate::stage::{APP_HOST, AUTH_HOST, ORIGIN, Stage, attempt, visit, visit_from};

const ALICE: &str = "alice@example.com";
const DAY: Duration = Duration::from_secs(86_400);
const DECADE: Duration = Duration::from_secs(3_650 * 86_400);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Jump {
    Ahead(Duration),
    /// Within a process the clock never goes back, so this is tested with a restart.
    Back(Duration),
}

const JUMPS: [Jump; 9] = [
    Jump::Back(DAY),
    Jump::Ahead(DECADE),
    Jump::Back(DAY),
    Jump::Back(DECADE),
    Jump::Ahead(DECADE),
    Jump::Ahead(DECADE),
    Jump::Back(DECADE),
    Jump::Back(DAY),
    Jump::Ahead(DECADE),
];

#[tokio::test]
async fn d_11_clock_jumps_revive_nothing_and_expiry_goes_on() {
    let mut stage = Stage::with_applications(&[APP_HOST]).await;
    let mut device = Authenticator::new(1);
    stage.enrol(ALICE, &mut device).await.unwrap();
    let mut ended = Vec::new();
    for (number, jump) in JUMPS.into_iter().enumerate() {
        let context = format!("jump {number}, {jump:?}");
        let session = stage.sign_in(&mut device).await.unwrap().session;
        let token = stage.cookie(&session, APP_HOST);
        assert!(stage.enters(&token), "{context}");
        let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await.unwrap();
        let answer = device.get(&options.0, ORIGIN);
        match jump {
            Jump::Ahead(by) => {
                stage.clock.forward(by);
                assert!(!stage.enters(&token), "{context}: a session outlives its time");
                let (asked, at) = (attempt(id, &answer), visit(AUTH_HOST));
                let late = stage.gateway.sign_in.finish_sign_in(asked, &at, &Device::default()).await;
                let refused = matches!(late, Err(FlowError::Refused(Refusal::NoSuchCeremony)));
                assert!(refused, "{context}: {late:?}");
                stage.gateway.sweep().await;
            }
            Jump::Back(by) => {
                stage.clock.back(by);
                stage = stage.again().await;
                assert!(stage.enters(&token), "{context}: no user is signed out for it");
                let live = stage.gateway.sessions.sessions_of(&session.user);
                stage.gateway.sessions.sign_out(&live, &visit(AUTH_HOST)).await.unwrap();
            }
        }
        ended.push(token);
        for token in &ended {
            assert!(!stage.enters(token), "{context}: a session is revived");
        }
        limits_give_back(&stage, &context).await;
        challenges_run_out(&stage, &mut device, &context).await;
    }
}

/// A network that has spent its share has an attempt again a second later.
async fn limits_give_back(stage: &Stage, context: &str) {
    let at = visit_from("192.0.2.7");
    let mut begun = 0;
    let refused = loop {
        match stage.gateway.sign_in.begin_sign_in(None, &at).await {
            Ok(_) => begun += 1,
            Err(error) => break error,
        }
        assert!(begun < 10_000, "{context}: nothing is ever refused");
    };
    assert!(begun > 0, "{context}: nothing is let through");
    let FlowError::RateLimited { retry_after } = refused else { panic!("{context}: {refused}") };
    assert!(retry_after <= Duration::from_secs(1), "{context}: {retry_after:?}");
    stage.clock.forward(Duration::from_secs(1));
    assert!(stage.gateway.sign_in.begin_sign_in(None, &at).await.is_ok(), "{context}: the limit is stuck");
    stage.clock.forward(Duration::from_secs(60));
}

async fn challenges_run_out(stage: &Stage, device: &mut Authenticator, context: &str) {
    let (id, options) = stage.gateway.sign_in.begin_sign_in(None, &visit(AUTH_HOST)).await.unwrap();
    let answer = device.get(&options.0, ORIGIN);
    stage.clock.forward(CEREMONY_LIFETIME);
    let (asked, at) = (attempt(id, &answer), visit(AUTH_HOST));
    let late = stage.gateway.sign_in.finish_sign_in(asked, &at, &Device::default()).await;
    assert!(matches!(late, Err(FlowError::Refused(Refusal::NoSuchCeremony))), "{context}: {late:?}");
}

#[tokio::test]
async fn d_11_expired_code_stays_expired_when_the_clock_goes_back() {
    let stage = Stage::with_codes(EmailCode::Enroll).await;
    stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let (id, code) = ask(&stage, ALICE).await;
    stage.clock.forward(DECADE);
    let late = guess(&stage, Some(id), ALICE, &code).await;
    assert!(matches!(late, Err(FlowError::WrongCode)), "{late:?}");
    stage.clock.back(DECADE);
    let stage = stage.again().await;
    let late = guess(&stage, Some(id), ALICE, &code).await;
    assert!(matches!(late, Err(FlowError::WrongCode)), "{late:?}");
    let (id, code) = ask(&stage, ALICE).await;
    assert!(guess(&stage, Some(id), ALICE, &code).await.is_ok(), "the control");
}

async fn options(browser: &Browser) -> Reply {
    browser.post("passkeys/authenticate/options", &json!({})).await
}

/// Begins sign-ins until one is refused, and again until one is not.
async fn spent_comes_back(browser: &Browser, context: &str) {
    let deadline = Instant::now() + PATIENCE;
    for wanted in [429, 200] {
        while options(browser).await.expect_one_of(&[200, 429]).status != wanted {
            assert!(Instant::now() < deadline, "{context}: no answer is {wanted}");
            tokio::time::sleep(Duration::from_millis(if wanted == 200 { 50 } else { 0 })).await;
        }
    }
}

#[tokio::test]
async fn d_11_running_gateway_survives_clock_changes() {
    let mut gateway = Gateway::start(|config| {
        config.own_clock = true;
        config.table("limits", &["network_burst = 30", "network_per_second = 10"]);
    })
    .await;
    let (alice, mut device) = (Browser::new(&gateway), Authenticator::new(1));
    alice.enrol(&gateway.setup_link(), ALICE, "Alice", &mut device).await;
    let begun = alice.another();
    let answer = device.get(&begun.sign_in_options().await, begun.origin());

    gateway.clock().set("-1d");
    assert!(alice.is_signed_in().await, "no user is signed out for a clock that is set back");
    spent_comes_back(&alice, "a day back").await;
    sign_in(&alice.another(), &mut device).await;

    gateway.clock().set("+3650d");
    assert!(!alice.is_signed_in().await, "a session outlives its time");
    let late = begun.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    assert_eq!(late["code"], "ceremony_expired", "{late}");
    spent_comes_back(&alice, "ten years on").await;

    let again = alice.another();
    sign_in(&again, &mut device).await;
    for to in ["+0", "-1d", "+3650d", "-1d", "+3651d", "+0"] {
        gateway.clock().set(to);
        assert!(!alice.is_signed_in().await, "at {to}: a session is revived");
        sign_in(&again.another(), &mut device).await;
        again.get("ready").await.expect(200);
    }
    // A gateway that ends in good order has removed expired records.
    gateway.stop();
    for to in ["+0", "-1d"] {
        gateway.clock().set(to);
        gateway.launch().await;
        assert!(!alice.is_signed_in().await, "started at {to}: a session is revived");
        sign_in(&again.another(), &mut device).await;
        gateway.stop();
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

/// Signs in, waiting for a share of the limit.
async fn sign_in(browser: &Browser, device: &mut Authenticator) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = options(browser).await.expect_one_of(&[200, 429]);
        if asked.status == 200 {
            let answer = device.get(&asked.json(), browser.origin());
            let reply = browser.post("passkeys/authenticate/verify", &answer).await;
            if reply.expect_one_of(&[201, 429]).status == 201 {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no user gets in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
