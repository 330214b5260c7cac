//! Recovery codes, which a user prints for the day on which every passkey is lost.

use std::sync::Arc;

use serde_json::{Value, json};
use vestibule::domain::code::EmailCode;
use vestibule::flows::FlowError;
use vestibule::flows::sign_in::recovery_codes::Printed;
use vestibule::flows::visit::Device;

use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Mode, PostOffice, Reply, Scene, port};
use crate::stage::{AUTH_HOST, FRESH, Stage, visit};

const BOB: &str = "bob@example.com";
const RACERS: usize = 20;

async fn printed(browser: &Browser) -> Vec<String> {
    let made = browser.post("recovery-codes", &json!({})).await.expect(201).json();
    made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

async fn left(browser: &Browser) -> Value {
    browser.get("recovery-codes").await.expect(200).json()["left"].clone()
}

async fn redeem(browser: &Browser, who: &str, code: &str) -> Reply {
    browser.post("recovery-codes/redeem", &json!({ "identifier": who, "code": code })).await
}

#[tokio::test]
async fn a_printed_code_leads_to_a_new_passkey_once() {
    let scene = Scene::set().await;
    assert_eq!(left(&scene.alice).await, 0);
    let codes = printed(&scene.alice).await;
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 19 && code.matches('-').count() == 3), "{codes:?}");

    let lost = scene.anonymous();
    let opened = redeem(&lost, ALICE, &codes[0].to_lowercase()).await.expect(201).json();
    assert_eq!(opened["enrolling"], true);
    assert_eq!(opened["user"]["email"], ALICE);
    assert!(!lost.is_signed_in().await, "it may only add a passkey");
    lost.get("passkeys").await.expect(401);
    lost.register(&mut Authenticator::new(77)).await.expect(200);
    assert!(lost.is_signed_in().await);
    assert_eq!(lost.passkeys().await.len(), 2);
    assert_eq!(left(&scene.alice).await, 9);

    let problem = redeem(&scene.anonymous(), ALICE, &codes[0]).await.expect_problem(401);
    assert_eq!(problem["code"], "token_invalid");
    // The username works as well, and the order does not matter.
    let username = opened["user"]["username"].as_str().unwrap();
    redeem(&scene.anonymous(), username, &codes[5].replace('-', " ")).await.expect(201);
    assert_eq!(left(&scene.alice).await, 8);

    for code in &codes {
        assert!(!scene.gateway.log().contains(code.as_str()), "a code is in the log");
    }
    let said = scene.gateway.operate(&["audit"]);
    assert!(said.contains("recovery_code_redeemed") && said.contains("recovery_codes"), "{said}");
}

#[tokio::test]
async fn wrong_recovery_code_reveals_nothing() {
    let scene = Scene::set().await;
    let (bob, _) = scene.invited(BOB, 2).await;
    let codes = printed(&scene.alice).await;
    let others = printed(&bob).await;
    let mut answers = Vec::new();
    for (who, code) in [
        (ALICE, others[0].as_str()),
        (BOB, &codes[0]),
        ("nobody@example.com", &codes[0]),
        ("nobody", &codes[0]),
        ("", &codes[0]),
        (ALICE, "0000-0000-0000-0000"),
        (ALICE, "short"),
        (ALICE, ""),
    ] {
        let mut problem = redeem(&scene.anonymous(), who, code).await.expect_problem(401);
        problem.as_object_mut().unwrap().remove("requestId");
        answers.push(problem);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    redeem(&scene.anonymous(), BOB, &others[0]).await.expect(201);
}

#[tokio::test]
async fn only_the_owner_makes_recovery_codes() {
    let scene = Scene::set().await;
    scene.anonymous().post("recovery-codes", &json!({})).await.expect_problem(401);
    scene.anonymous().get("recovery-codes").await.expect_problem(401);
    let codes = printed(&scene.alice).await;
    let lost = scene.anonymous();
    redeem(&lost, ALICE, &codes[0]).await.expect(201);
    // A person who has yet to make a passkey makes no codes.
    lost.post("recovery-codes", &json!({})).await.expect_problem(401);
}

#[tokio::test]
async fn recovery_codes_end_with_replacement_reset_and_deletion() {
    let scene = Scene::set().await;
    let (bob, _) = scene.invited(BOB, 2).await;
    let old = printed(&bob).await;
    let new = printed(&bob).await;
    redeem(&scene.anonymous(), BOB, &old[0]).await.expect_problem(401);
    redeem(&scene.anonymous(), BOB, &new[0]).await.expect(201);

    scene.gateway.operate(&["user", "disable", BOB]);
    redeem(&scene.anonymous(), BOB, &new[1]).await.expect_problem(401);
    scene.gateway.operate(&["user", "enable", BOB]);
    redeem(&scene.anonymous(), BOB, &new[1]).await.expect(201);

    scene.gateway.operate(&["user", "reset", BOB]);
    redeem(&scene.anonymous(), BOB, &new[2]).await.expect(201);
    scene.gateway.operate(&["user", "reset", BOB, "--wipe"]);
    redeem(&scene.anonymous(), BOB, &new[3]).await.expect_problem(401);
}

#[tokio::test]
async fn a_sign_in_with_a_passkey_ends_a_recovery_that_is_under_way() {
    let mut scene = Scene::set().await;
    let codes = printed(&scene.alice).await;
    let thief = scene.anonymous();
    redeem(&thief, ALICE, &codes[0]).await.expect(201);
    let seen = scene.alice.get("recoveries").await.expect(200).json();
    assert_eq!(seen.as_array().unwrap().len(), 1, "open sessions are told");
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    let options = thief.post("passkeys/register/options", &json!({})).await;
    options.expect_problem(401);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
    assert_eq!(scene.alice.get("recoveries").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn recovery_sends_a_notice_and_can_be_cancelled() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let url = format!("url = \"smtp://localhost:{port}\"");
    let arrange = |config: &mut crate::harness::Config| {
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let codes = printed(&scene.alice).await;
    let made = office.message(1).await["message"].as_str().unwrap().to_owned();
    assert!(made.contains("New recovery codes were made"), "{made}");
    let thief = scene.anonymous();
    redeem(&thief, ALICE, &codes[0]).await.expect(201);
    let used = office.message(2).await["message"].as_str().unwrap().replace("=\r\n", "").replace("=\n", "");
    assert!(used.contains("A recovery code was used") && used.contains("9 codes are left"), "{used}");
    for code in &codes {
        assert!(!used.contains(code.as_str()) && !made.contains(code.as_str()));
    }
    thief.register(&mut Authenticator::new(66)).await.expect(200);
    assert!(thief.is_signed_in().await);
    let link = used.split_once("/auth/recovery#").expect("a link that cancels").1;
    let secret: String =
        link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    scene.anonymous().post("recoveries/cancel", &json!({ "token": secret })).await.expect(204);
    assert!(!thief.is_signed_in().await);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_redemptions_one_succeeds() {
    let stage = Arc::new(Stage::with_codes_and_yielding_store(EmailCode::Off).await);
    let enrolled = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    let code = {
        let made =
            stage.gateway.sign_in.make_recovery_codes(&enrolled.session, &visit(AUTH_HOST)).await.unwrap();
        made[0].reveal()
    };
    let racers: Vec<_> = (0..RACERS)
        .map(|_| {
            let (stage, code) = (Arc::clone(&stage), code.clone());
            tokio::spawn(async move {
                let printed = Printed { who: ALICE, code: &code };
                let visit = visit(AUTH_HOST);
                stage.gateway.sign_in.redeem_recovery_code(printed, None, &visit, &Device::default()).await
            })
        })
        .collect();
    let mut right = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => right += 1,
            Err(FlowError::WrongCode | FlowError::RateLimited { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(right, 1);
}

/// Making codes is as sensitive as adding a passkey.
#[tokio::test]
async fn s_26_making_recovery_codes_requires_a_fresh_passkey() {
    let stage = Stage::with_codes(EmailCode::Off).await;
    let enrolled = stage.enrol(ALICE, &mut Authenticator::new(1)).await.unwrap();
    stage.gateway.sign_in.make_recovery_codes(&enrolled.session, &visit(AUTH_HOST)).await.unwrap();
    stage.clock.forward(FRESH);
    let made = stage.gateway.sign_in.make_recovery_codes(&enrolled.session, &visit(AUTH_HOST)).await;
    assert!(matches!(made, Err(FlowError::NotFresh)), "{made:?}");
}
