//! Links with which the caller adds a passkey on another device, told and sent by mail.

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::domain::limits::MAIL_BURST;

use super::{Program, check_details, keys, refused, scene, zitadel};
use crate::harness::config::Config;
use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Mode, PostOffice, Scene, port};

#[tokio::test]
async fn s_19_link_adds_one_passkey() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let made = alice.post("/_link", &json!({})).await.expect(200);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    assert_eq!(keys(&made), ["details", "expiration", "link"]);
    check_details(&made["details"], &["creationDate"]);
    assert_eq!(made["expiration"], "3600s");
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/auth/enroll#", scene.gateway.origin())), "{link}");
    assert!(!scene.gateway.log().contains(secret_of(link)), "the log knows no secret");
    assert!(scene.gateway.log().contains("invited"), "and that there is a link");

    let mut tablet = Authenticator::new(9);
    let elsewhere = scene.anonymous();
    let person = elsewhere.enrol(link, "ignored@example.com", "Ignored", &mut tablet).await;
    let current = scene.alice.get("sessions/current").await.expect(200).json();
    assert_eq!((&person["email"], &person["id"]), (&json!(ALICE), &current["user"]["id"]));
    elsewhere.redeem(link, None, "").await.expect_problem(410);
    assert_eq!(alice.list().await.len(), 2);
    scene.anonymous().sign_in(&mut tablet).await.expect(201);
    assert!(elsewhere.is_signed_in().await && scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn s_19_new_link_voids_the_one_before() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    let mut links = Vec::new();
    for program in [&bob, &alice, &alice, &alice] {
        let made = program.browser.send(program.request(Method::POST, "/_link")).await.expect(200).json();
        links.push(made["link"].as_str().unwrap().to_owned());
    }
    let redeemed = async |link: &str| scene.anonymous().redeem(link, None, "").await;
    redeemed(&links[1]).await.expect_problem(410);
    redeemed(&links[2]).await.expect_problem(410);
    assert_eq!(redeemed(&links[3]).await.expect(201).json()["user"]["email"], ALICE);
    let bobs = redeemed(&links[0]).await.expect(201).json();
    assert_eq!(bobs["user"]["email"], "bob@example.com", "another user's link is another matter");
}

#[tokio::test]
async fn s_32_of_concurrent_links_one_is_live() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let request = alice.request(Method::POST, "/_link");
            tokio::spawn(async move { request.send().await.unwrap().json::<Value>().await.unwrap() })
        })
        .collect();
    let mut links = Vec::new();
    for racer in racers {
        let made = racer.await.unwrap();
        links.push(made["link"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned());
    }
    assert_eq!(good_among(&scene, &links).await, 1);
}

/// How many of these links can still be used.
async fn good_among(scene: &Scene, links: &[String]) -> usize {
    let mut good = 0;
    for link in links {
        let secret = json!({ "token": secret_of(link) });
        good += usize::from(scene.anonymous().post("invitations/preview", &secret).await.status == 200);
    }
    good
}

fn with_mail(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        zitadel(config);
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
        config.table("signin", &["email_code = \"enroll\""]);
    }
}

/// The link in a message, as its reader sees it.
fn link_in(message: &Value, origin: &str) -> String {
    let text = message["message"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
    let begin = text.find(&format!("{origin}/auth/enroll#")).unwrap_or_else(|| panic!("no link in {text}"));
    text[begin..].split(|c: char| c.is_whitespace() || c == '"' || c == '<').next().unwrap().to_owned()
}

#[tokio::test]
async fn send_link_mails_the_owner_only() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let mut scene = Scene::with(with_mail(port), |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let request = alice.request(Method::POST, "/_send_link").json(&json!({ "email": "mallory@example.com" }));
    let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
    let sent = alice.browser.send(request).await.expect(200);
    assert_eq!(keys(&sent.json()), ["details"]);
    check_details(&sent.json()["details"], &["creationDate"]);
    let message = office.message(1).await;
    assert_eq!(message["to"], json!([ALICE]));
    let link = link_in(&message, &scene.gateway.origin());
    assert!(!sent.text().contains(secret_of(&link)) && !scene.gateway.log().contains(secret_of(&link)));
    assert!(!message["message"].as_str().unwrap().contains("evil.example"), "{message}");

    let elsewhere = scene.anonymous();
    elsewhere.enrol(&link, ALICE, "", &mut Authenticator::new(9)).await;
    assert_eq!(alice.list().await.len(), 2);
    assert!(office.message(2).await["message"].as_str().unwrap().contains("passkey was added"));
}

#[tokio::test]
async fn s_12_limits_links_per_mailbox() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let mut scene = Scene::with(with_mail(port), |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let burst = usize::try_from(MAIL_BURST.get()).unwrap();
    for _ in 0..burst {
        alice.post("/_send_link", &json!({})).await.expect(200);
    }
    let too_many = alice.post("/_send_link", &json!({})).await;
    let wait: u64 = too_many.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused(too_many, 429, 8), "rate_limited");
    // The messages come in any order.
    office.message(burst).await;
    let links: Vec<_> =
        office.taken().iter().map(|message| link_in(message, &scene.gateway.origin())).collect();
    assert_eq!((links.len(), good_among(&scene, &links).await), (burst, 1));
    // A link in the answer does not count as a message.
    alice.post("/_link", &json!({})).await.expect(200);
}

#[tokio::test]
async fn send_link_needs_mail() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    assert_eq!(refused(alice.post("/_send_link", &json!({})).await, 400, 9), "no_mail");
}
