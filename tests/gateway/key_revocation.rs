//! Signing keys: replaced in time, and burnt after a leak (F10).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Mode, PostOffice, Scene, port, raw};

fn part(jwt: &str, number: usize) -> Value {
    let part = jwt.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn published(scene: &Scene) -> Vec<String> {
    let jwks = scene.anonymous().get("jwks.json").await.expect(200).json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The assertion that the application is told of Alice, on this path.
async fn assertion(scene: &Scene, path: &str) -> String {
    scene.app.take();
    scene.alice.fetch(Method::GET, &scene.url(path), None).await.expect(200);
    scene.app.take_one().value("x-vestibule-assertion")
}

#[tokio::test]
async fn f_10_after_a_rotation_both_keys_are_published_and_sessions_go_on() {
    let mut scene = Scene::set().await;
    let [before] = published(&scene).await.try_into().unwrap();
    assert_eq!(part(&assertion(&scene, "/page").await, 0)["kid"], before);
    scene.gateway.operate(&["key", "rotate"]);
    let [now, earlier] = published(&scene).await.try_into().unwrap();
    assert_eq!(earlier, before);
    assert!(scene.alice.is_signed_in().await);
    scene.gateway.restart().await;
    assert_eq!(published(&scene).await, [now.clone(), before], "the keys are kept");
    assert_eq!(part(&assertion(&scene, "/page").await, 0)["kid"], now);
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

#[tokio::test]
async fn f_10_burn_invalidates_everything_signed_before() {
    let mut scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    let bearer = scene.alice.get("sessions/current").await.json()["token"].as_str().unwrap().to_owned();
    let before = published(&scene).await;
    // A message from before counts as signed before: a waiting message is thrown away, and one
    // session ends.
    let told = scene.gateway.operate(&["key", "rotate", "--burn"]);
    assert!(told.contains("burnt") && told.contains("1 sessions ended"), "{told}");
    let after = published(&scene).await;
    assert_eq!(after.len(), 1);
    assert!(!before.contains(&after[0]));
    scene.app.take();
    let line = format!("Cookie: vestibule={cookie}");
    let refused = raw::get(scene.gateway.port, "localhost", "/page", &[line, "Accept: */*".to_owned()]);
    assert_eq!(refused.status(), 401);
    assert!(scene.app.take().is_empty());
    assert!(!scene.anonymous().showing(&bearer).is_signed_in().await);
    // The gateway has only the public key of a passkey, so it signs in as before, also after a
    // restart.
    let browser = scene.anonymous();
    browser.sign_in(&mut scene.device).await.expect(201);
    scene.gateway.restart().await;
    assert!(browser.is_signed_in().await);
    assert_eq!(published(&scene).await, after);
}

/// A code, a message and the address of a sign-in page from before a burn do not work after it.
#[tokio::test]
async fn f_10_after_a_burn_codes_messages_and_sealed_addresses_are_good_for_nothing() {
    let mail = port::free();
    let arrange = move |config: &mut Config| {
        let url = format!("url = \"smtp://localhost:{mail}\"");
        config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
        config.table("signin", &["email_code = \"session\""]);
        config.route("elsewhere", 9).host("app.localhost");
    };
    let scene = Scene::with(arrange, |_| {}).await.with_alice_as_member().await;
    let port = scene.gateway.port;
    // No mail server runs yet, so the message with the code waits.
    let browser = scene.anonymous();
    browser.post("verify", &json!({ "email": ALICE })).await.expect(201);
    let page = vec!["Accept: text/html".to_owned(), "Sec-Fetch-Mode: navigate".to_owned()];
    let sent = raw::get(port, "app.localhost", "/page", &page);
    let to = sent.values("location").pop().unwrap();
    let (_, sealed) = to.split_once("?to=").unwrap();
    let host_named = |sealed: &str| {
        let reply = raw::get(port, "localhost", &format!("/auth/login?to={sealed}"), &page);
        reply.0.replace("<wbr>", "").contains("app.localhost")
    };
    assert!(host_named(sealed), "the page names where it leads");
    let told = scene.gateway.operate(&["key", "rotate", "--burn"]);
    assert!(told.contains("2 waiting messages"), "{told}");
    assert!(!host_named(sealed));
    let office = PostOffice::open(mail, &Mode::Plain);
    // A message sent after the burn arrives, so one sent before would have arrived, too.
    let other = scene.anonymous();
    other.post("verify", &json!({ "email": ALICE })).await.expect(201);
    let code = office.code(1).await;
    let guess = json!({ "method": "otp", "email": ALICE, "token": code });
    browser.post("sessions", &guess).await.expect_problem(401);
    other.post("sessions", &guess).await.expect(201);
}

#[tokio::test]
async fn f_10_session_id_differs_per_application() {
    let other = crate::harness::Upstream::start();
    let port = other.port;
    let scene = Scene::with(
        |config| {
            config.route("other", port).path("/other");
        },
        |_| {},
    )
    .await;
    let sessions = scene.alice.sessions().await;
    let id = sessions[0]["id"].as_str().unwrap();
    let first = part(&assertion(&scene, "/page").await, 1)["sid"].clone();
    assert_eq!(part(&assertion(&scene, "/again").await, 1)["sid"], first);
    scene.alice.fetch(Method::GET, &scene.url("/other"), None).await.expect(200);
    let second = part(&other.take_one().value("x-vestibule-assertion"), 1)["sid"].clone();
    assert_ne!(first, second);
    for sid in [first, second] {
        let sid = sid.as_str().unwrap().to_owned();
        assert_eq!(sid.len(), 22, "{sid}");
        assert!(!sid.contains(id) && !id.contains(&sid));
    }
}
