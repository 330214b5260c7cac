//! Ceremonies as conversations: order, purpose, browser, account, single use and what they leave
//! behind (W-01 to W-04, W-09 to W-11, W-15, W-19).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Scene, flag};

const RACERS: usize = 50;

#[tokio::test]
async fn w_01_refuses_a_finish_without_a_begin() {
    let scene = Scene::set().await;
    let finishes =
        ["passkeys/register/verify", "passkeys/authenticate/verify", "sessions/", "invitations/redeem"];
    let bodies = [json!({}), json!([]), json!(null), json!({ "id": "AA", "rawId": "AA", "response": {} })];
    for finish in finishes {
        let anonymous = scene.anonymous();
        for body in &bodies {
            anonymous.post(finish, body).await.expect_one_of(&[401, 422]);
        }
        let url = anonymous.api(finish);
        anonymous.fetch(Method::POST, &url, None).await.expect_one_of(&[401, 415]);
        assert!(anonymous.session().is_none(), "{finish} gave a session");
        assert!(!anonymous.is_signed_in().await);
    }
    assert_eq!((scene.alice.sessions().await.len(), scene.alice.passkeys().await.len()), (1, 1));
}

#[tokio::test]
async fn w_01_enrolling_session_is_not_signed_in() {
    let scene = Scene::set().await;
    let bob = scene.anonymous();
    bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    assert!(bob.session().is_some());
    assert!(!bob.is_signed_in().await, "half an enrolment is no sign-in");
    for listing in ["passkeys/", "sessions/"] {
        bob.get(listing).await.expect_problem(401);
    }
    scene.app.take();
    bob.fetch(Method::GET, &scene.url("/page"), None).await.expect_problem(401);
    assert!(scene.app.take().is_empty(), "it opened the application");
    // Finished before it was begun, and with an empty answer afterwards.
    let mut device = Authenticator::new(2);
    bob.post("passkeys/register/verify", &json!({})).await.expect(400);
    let options = bob.registration_options().await;
    bob.post("passkeys/register/verify", &json!({})).await.expect(422);
    let late = device.create(&options, bob.origin());
    bob.post("passkeys/register/verify", &late).await.expect_problem(400);
    assert!(!bob.is_signed_in().await);
    bob.register(&mut device).await.expect(200);
    assert_eq!(bob.account().await.as_deref(), Some("bob@example.com"));
}

#[tokio::test]
async fn w_02_one_response_posted_many_times_gives_one_session() {
    let mut scene = Scene::set().await;
    let before = scene.alice.sessions().await.len();
    let thief = scene.anonymous();
    let options = thief.sign_in_options().await;
    let answer = scene.device.get(&options, thief.origin());
    let requests: Vec<_> = (0..RACERS)
        .map(|_| {
            let url = thief.api("passkeys/authenticate/verify");
            let request = thief.fetching(Method::POST, &url, Some(&answer));
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(request.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 401].contains(status)), "{statuses:?}");
    assert_eq!(scene.alice.sessions().await.len(), before + 1);
    thief.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
}

#[tokio::test]
async fn w_03_registration_belongs_to_the_session_owner() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    let alice = scene.alice.get("sessions/current").await.json()["user"].clone();
    let anonymous = scene.anonymous();
    let claim = json!({ "userId": alice["id"], "user": alice, "email": ALICE, "username": "alice" });
    anonymous.post("passkeys/register/options", &claim).await.expect_problem(401);
    anonymous.post("passkeys/register/verify", &claim).await.expect_problem(401);

    let options = bob.post("passkeys/register/options", &claim).await.expect(200).json();
    assert_eq!(options["user"]["name"], "bob@example.com");
    let mut answer = device.create(&options, bob.origin());
    for (name, value) in claim.as_object().unwrap() {
        answer[name] = value.clone();
    }
    bob.post("passkeys/register/verify", &answer).await.expect(200);
    assert_eq!(bob.passkeys().await.len(), 2);
    assert_eq!(scene.alice.passkeys().await.len(), 1, "a passkey was slipped into another account");

    // An invitation is for the address it was made for.
    let eve = scene.anonymous();
    let link = scene.gateway.invite("eve@example.com", &[]);
    let redeemed = eve.redeem(&link, Some(ALICE), "Eve").await.expect(201).json();
    assert_eq!(redeemed["user"]["email"], "eve@example.com");
}

#[tokio::test]
async fn w_04_a_pending_ceremony_keeps_its_policy_across_a_restart() {
    let mut scene = Scene::set().await;
    let (with, without) = (scene.anonymous(), scene.anonymous());
    let options = [with.sign_in_options().await, without.sign_in_options().await];
    let registration = scene.alice.registration_options().await;
    scene.gateway.restart().await;
    let answer = scene.device.get_with(&options[1], without.origin(), |knobs| knobs.flags &= !flag::UV);
    without.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    let answer = scene.device.get(&options[0], with.origin());
    with.post("passkeys/authenticate/verify", &answer).await.expect(201);
    let mut second = Authenticator::new(9);
    let answer = second.create_with(&registration, with.origin(), |knobs| knobs.flags &= !flag::UV);
    scene.alice.post("passkeys/register/verify", &answer).await.expect_problem(401);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn w_09_a_challenge_is_for_one_purpose() {
    let mut scene = Scene::set().await;
    // A sign-in's ceremony does not register.
    let options = scene.alice.sign_in_options().await;
    let creation =
        json!({ "challenge": options["challenge"], "rp": { "id": "localhost" }, "user": { "id": "AAAA" } });
    let answer = Authenticator::new(9).create(&creation, scene.alice.origin());
    scene.alice.post("passkeys/register/verify", &answer).await.expect(400);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
    // A registration's ceremony does not sign in, and is used up by the attempt.
    let options = scene.alice.registration_options().await;
    let request = json!({ "challenge": options["challenge"], "rpId": "localhost" });
    let answer = scene.device.get(&request, scene.alice.origin());
    scene.alice.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    let answer = Authenticator::new(9).create(&options, scene.alice.origin());
    scene.alice.post("passkeys/register/verify", &answer).await.expect(400);
    assert_eq!(scene.alice.passkeys().await.len(), 1);
}

#[tokio::test]
async fn w_09_a_challenge_is_for_one_browser_and_one_account() {
    let mut scene = Scene::set().await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    // Alice's registration, finished in Bob's browser: with his cookies, and with hers beside his
    // session.
    let options = scene.alice.registration_options().await;
    let cookie = scene.alice.jar().get("localhost", "challenge").expect("the cookie of a ceremony");
    let answer = Authenticator::new(9).create(&options, bob.origin());
    bob.post("passkeys/register/verify", &answer).await.expect_problem(400);
    bob.jar().plant("localhost", "challenge", &cookie);
    bob.post("passkeys/register/verify", &answer).await.expect_problem(400);
    scene.alice.post("passkeys/register/verify", &answer).await.expect_problem(400);
    assert_eq!((bob.passkeys().await.len(), scene.alice.passkeys().await.len()), (1, 1));
    // A registration whose session has ended since it was begun.
    let options = scene.alice.registration_options().await;
    let answer = Authenticator::new(9).create(&options, bob.origin());
    let challenge = scene.alice.jar().get("localhost", "challenge").unwrap();
    scene.alice.delete("sessions/").await.expect(204);
    scene.alice.jar().plant("localhost", "challenge", &challenge);
    scene.alice.post("passkeys/register/verify", &answer).await.expect_problem(401);
    // And the next session of the same person in another browser does not continue it.
    let other = scene.anonymous();
    other.sign_in(&mut scene.device).await.expect(201);
    other.post("passkeys/register/verify", &answer).await.expect_problem(400);
    assert_eq!(other.passkeys().await.len(), 1);
}

#[tokio::test]
async fn w_10_refuses_a_registered_credential_id() {
    let mut scene = Scene::set().await;
    let taken = scene.device.held()[0].id.clone();
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let reply =
        bob.register_with(&mut Authenticator::new(3), |knobs| knobs.credential_id = taken.clone()).await;
    reply.expect(409);
    // The same person cannot register it a second time either: it would replace their key.
    let reply =
        scene.alice.register_with(&mut Authenticator::new(4), |knobs| knobs.credential_id = taken).await;
    reply.expect(409);
    assert_eq!((bob.passkeys().await.len(), scene.alice.passkeys().await.len()), (1, 1));
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn w_11_of_two_registrations_of_one_id_one_wins() {
    let scene = Scene::set().await;
    let mut answers: Vec<(Browser, Value)> = Vec::new();
    for number in 0..4 {
        let (browser, _) = scene.invited(&format!("p{number}@example.com"), 10 + number).await;
        let options = browser.registration_options().await;
        let mut device = Authenticator::new(20 + number);
        let answer =
            device.create_with(&options, browser.origin(), |knobs| knobs.credential_id = vec![7; 32]);
        answers.push((browser, answer));
    }
    let racers: Vec<_> = answers
        .into_iter()
        .map(|(browser, answer)| {
            tokio::spawn(async move { browser.post("passkeys/register/verify", &answer).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for racer in racers {
        statuses.push(racer.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
}

#[tokio::test]
async fn w_15_refuses_to_remove_the_last_passkey() {
    let mut scene = Scene::set().await;
    let only = scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    let problem = scene.alice.delete(&format!("passkeys/{only}")).await.expect_problem(409);
    assert_eq!(problem["code"], "last_passkey");
    scene.alice.register(&mut scene.device).await.expect(200);
    let ids: Vec<_> =
        scene.alice.passkeys().await.iter().map(|p| p["id"].as_str().unwrap().to_owned()).collect();
    let [first, second] = [&ids[0], &ids[1]].map(|id| {
        let (alice, below) = (scene.alice.clone(), format!("passkeys/{id}"));
        tokio::spawn(async move { alice.delete(&below).await.status })
    });
    let statuses = [first.await.unwrap(), second.await.unwrap()];
    assert!(statuses.contains(&204), "{statuses:?}");
    assert_eq!(scene.alice.passkeys().await.len(), 1, "{statuses:?}");
}

#[tokio::test]
async fn w_19_answers_do_not_reveal_accounts() {
    let scene = Scene::set().await;
    let mut seen = Vec::new();
    for email in [ALICE, "nobody@example.com", "not an address"] {
        let anonymous = scene.anonymous();
        let body = json!({ "email": email });
        let reply = anonymous.post("passkeys/authenticate/options", &body).await;
        let mut options = reply.json();
        assert!(options["challenge"].is_string(), "{reply}");
        options["challenge"] = Value::Null;
        let names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        seen.push((reply.status, names, options, reply.body.len()));
    }
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");

    let mut refused = Vec::new();
    for email in [ALICE, "nobody@example.com"] {
        let body = json!({ "method": "passkey", "email": email, "token": "AAAA" });
        let reply = scene.anonymous().post("sessions/", &body).await;
        refused.push((reply.status, reply.text()));
    }
    assert_eq!(refused[0], refused[1]);
}

#[tokio::test]
async fn w_19_an_unknown_passkey_has_the_status_of_a_wrong_one() {
    let mut scene = Scene::set().await;
    let mut unknown = Authenticator::new(77);
    let made = json!({ "challenge": "AAAA", "rp": { "id": "localhost" }, "user": { "id": "AAECAwQFBgcICQoLDA0ODw" } });
    unknown.create(&made, scene.alice.origin());
    let anonymous = scene.anonymous();
    let reply = anonymous.sign_in(&mut unknown).await;
    let wrong = anonymous.sign_in_with(&mut scene.device, |knobs| knobs.signature = Some(vec![0; 70])).await;
    assert_eq!((reply.status, wrong.status), (401, 401));
    assert!(anonymous.session().is_none());
}

#[tokio::test]
async fn options_require_verification_and_discoverability() {
    let gateway = Gateway::start(|_| {}).await;
    let browser = Browser::new(&gateway);
    let request = browser.sign_in_options().await;
    assert_eq!(request["userVerification"], "required");
    assert_eq!(request.get("allowCredentials"), None);
    browser.redeem(&gateway.setup_link(), Some(ALICE), "Alice").await.expect(201);
    let creation = browser.registration_options().await;
    let selection = &creation["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required");
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(creation["attestation"], "none");
    assert_ne!(browser.sign_in_options().await["challenge"], request["challenge"]);
}
