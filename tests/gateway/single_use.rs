//! A secret that works once works once, also when many clients try at the same moment (S-32).

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::journey::secret_of;
use crate::harness::{Browser, Gateway, Scene};

const RACERS: usize = 50;

/// Posts the same body from many browsers at once and counts those that got `success`.
async fn race(gateway: &Gateway, below: &str, body: &Value, success: u16) -> usize {
    let racers: Vec<_> = (0..RACERS)
        .map(|_| {
            let browser = Browser::new(gateway);
            let request = browser.fetching(Method::POST, &browser.api(below), Some(body));
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for racer in racers {
        statuses.push(racer.await.unwrap());
    }
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
    statuses.iter().filter(|status| **status == success).count()
}

#[tokio::test]
async fn s_32_the_set_up_link_makes_one_administrator() {
    let gateway = Gateway::start(|_| {}).await;
    let link = gateway.setup_link();
    let body = json!({ "token": secret_of(&link), "email": "alice@example.com", "name": "Alice" });
    assert_eq!(race(&gateway, "invitations/redeem", &body, 201).await, 1);
    let users: Value = serde_json::from_str(&gateway.operate(&["user", "list", "--json"])).unwrap();
    assert_eq!(users["users"].as_array().map_or(0, Vec::len), 1, "{users}");
}

#[tokio::test]
async fn s_32_invitation_is_redeemed_once() {
    let scene = Scene::set().await;
    let link = scene.gateway.invite("bob@example.com", &[]);
    let body = json!({ "token": secret_of(&link), "name": "Bob" });
    assert_eq!(race(&scene.gateway, "invitations/redeem", &body, 201).await, 1);
    scene
        .anonymous()
        .post("invitations/preview", &json!({ "token": secret_of(&link) }))
        .await
        .expect_problem(410);
}

#[tokio::test]
async fn s_32_a_token_is_exchanged_once() {
    let mut scene = Scene::set().await;
    let browser = scene.anonymous().showing("none");
    let token = browser.sign_in(&mut scene.device).await.json()["token"].clone();
    let before = scene.alice.sessions().await.len();
    let body = json!({ "method": "passkey", "email": "alice@example.com", "token": token });
    assert_eq!(race(&scene.gateway, "sessions/", &body, 201).await, 1);
    assert_eq!(scene.alice.sessions().await.len(), before);
}

#[tokio::test]
async fn s_32_two_invitations_for_one_name_make_one_account() {
    let scene = Scene::set().await;
    let options = ["--username", "bob"];
    let links = [
        scene.gateway.invite("bob@example.com", &options),
        scene.gateway.invite("rob@example.com", &options),
    ];
    let racers = links.map(|link| {
        let browser = scene.anonymous();
        tokio::spawn(async move { browser.redeem(&link, None, "Bob").await.status })
    });
    let mut statuses = Vec::new();
    for racer in racers {
        statuses.push(racer.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn a_passkey_can_be_named_while_it_is_being_used() {
    let mut scene = Scene::set().await;
    let id = scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    let mut answers = Vec::new();
    for _ in 0..10 {
        let browser = scene.anonymous();
        let options = browser.sign_in_options().await;
        answers.push((scene.device.get(&options, browser.origin()), browser));
    }
    let signing_in =
        answers.iter().map(|(answer, browser)| browser.post("passkeys/authenticate/verify", answer));
    let below = format!("passkeys/{id}");
    let body = json!({ "name": "Phone" });
    let naming = (0..10).map(|_| scene.alice.patch(&below, &body));
    let (signed_in, named) = join(join_all(signing_in), join_all(naming)).await;
    assert!(signed_in.iter().all(|reply| reply.status == 201), "{signed_in:?}");
    assert!(named.iter().all(|reply| reply.status == 200), "{named:?}");
    assert_eq!(scene.alice.passkeys().await[0]["name"], "Phone");
}
