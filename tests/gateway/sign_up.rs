//! Signing up: who may sign up, what the answers tell, and what a pending account may do (S-03,
//! S-21).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Mode, PostOffice, Reply, Scene, port};

const CAROL: &str = "carol@example.com";

/// Sign-up in this mode, with mail.
fn signing_up(port: u16, lines: &'static [&'static str]) -> impl FnOnce(&mut Config) {
    move |config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
        config.table("signup", lines);
    }
}

async fn ask(browser: &Browser, email: &str) -> Reply {
    browser.post("signup", &json!({ "email": email })).await
}

async fn confirm(browser: &Browser, email: &str, code: &str) -> Reply {
    browser.post("signup/confirm", &json!({ "email": email, "code": code, "name": "Carol" })).await
}

#[tokio::test]
async fn sign_up_creates_an_account_with_default_groups() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let lines = &["mode = \"open\"", "groups = [\"guests\"]"];
    let scene = Scene::with(signing_up(port, lines), |route| {
        route.allow(&["group:guests"]);
    })
    .await;
    let (carol, mut device) = (scene.anonymous(), Authenticator::new(5));
    ask(&carol, CAROL).await.expect(201);
    let code = office.code(1).await;
    let elsewhere = scene.anonymous();
    confirm(&elsewhere, CAROL, &code).await.expect_problem(401);
    confirm(&carol, "other@example.com", &code).await.expect_problem(401);
    let made = confirm(&carol, CAROL, &code).await.expect(201).json();
    assert_eq!((&made["user"]["email"], &made["user"]["groups"]), (&json!(CAROL), &json!(["guests"])));
    confirm(&carol, CAROL, &code).await.expect_problem(401);
    carol.get("sessions").await.expect_problem(401);
    carol.register(&mut device).await.expect(200);
    carol.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-name"), "Carol");
    let later = scene.anonymous();
    later.sign_in(&mut device).await.expect(201);
}

#[tokio::test]
async fn s_21_sign_up_does_not_reveal_accounts() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(signing_up(port, &["mode = \"open\""]), |_| {}).await;
    let mut told = Vec::new();
    for email in [ALICE, "nobody@example.com"] {
        let browser = scene.anonymous();
        let asked = ask(&browser, email).await.expect(201);
        assert!(asked.body.is_empty());
        let wrong = confirm(&browser, email, "00000000").await.expect_problem(401);
        told.push((asked.headers.len(), wrong));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(office.message(1).await["to"], json!(["nobody@example.com"]), "Alice is sent nothing");
    // A code for signing up signs no user in, and the other way round.
    let code = office.code(1).await;
    let other = scene.anonymous();
    ask(&other, "nobody@example.com").await.expect(201);
    let body = json!({ "method": "otp", "email": "nobody@example.com", "token": code });
    other.post("sessions", &body).await.expect_problem(401);
}

#[tokio::test]
async fn s_03_sign_up_accepts_only_its_domains() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let lines = &["mode = \"domain\"", "domains = [\"Example.com\"]"];
    let scene = Scene::with(signing_up(port, lines), |_| {}).await;
    for email in ["a@badexample.com", "a@sub.example.com", "a@example.com.evil.example"] {
        let refused = ask(&scene.anonymous(), email).await.expect_problem(403);
        assert_eq!(refused["code"], "not_permitted", "{email}");
    }
    ask(&scene.anonymous(), "not an address").await.expect_problem(422);
    ask(&scene.anonymous(), CAROL).await.expect(201);
    assert_eq!(office.message(1).await["to"], json!([CAROL]));
    let page = scene.anonymous().navigate(&scene.url("/auth/signup")).await.expect(200).text();
    assert!(page.contains("example.com"), "{page}");

    // Where people are invited, there is no sign-up.
    let scene = Scene::set().await;
    ask(&scene.anonymous(), CAROL).await.expect_problem(404);
    scene.anonymous().navigate(&scene.url("/auth/signup")).await.expect(404);
    let page = scene.anonymous().navigate(&scene.url("/auth/login")).await.expect(200).text();
    assert!(!page.contains("Create an account"), "{page}");
}

#[tokio::test]
async fn pending_account_is_refused_until_approved() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let lines = &["mode = \"open\"", "approval = true"];
    let scene = Scene::with(signing_up(port, lines), |_| {}).await;
    let (carol, mut device) = (scene.anonymous(), Authenticator::new(5));
    ask(&carol, CAROL).await.expect(201);
    confirm(&carol, CAROL, &office.code(1).await).await.expect(201);
    carol.register(&mut device).await.expect(200);
    let told = office.message(2).await;
    assert_eq!(told["to"], json!([ALICE]), "the administrator is told");
    carol.navigate(&scene.url("/page")).await.expect(403);
    assert!(scene.app.take().is_empty());
    let page = carol.navigate(&scene.url("/auth/account")).await.expect(200).text();
    assert!(page.contains("has to approve your account"), "{page}");
    carol.sign_in(&mut device).await.expect(201);
    carol.get("admin/v1/users").await.expect_problem(403);

    let waiting = scene.alice.get("admin/v1/users?standing=pending").await.expect(200).json();
    assert_eq!(waiting["users"][0]["email"], CAROL);
    let at = format!("admin/v1/users/{}", waiting["users"][0]["id"].as_str().unwrap());
    scene.alice.patch(&at, &json!({ "standing": "pending" })).await.expect_problem(422);
    scene.alice.patch(&at, &json!({ "standing": "active" })).await.expect(200);
    // The session goes on, and opens the application now.
    carol.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(office.message(3).await["to"], json!([CAROL]));
    let trail = scene.gateway.operate(&["audit", "--json", "--user", "carol"]);
    let approved = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(approved.into_iter().any(|it| it["reason"] == "approved"), "{trail}");
}

#[tokio::test]
async fn s_35_abandoned_sign_up_leaves_nothing() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(signing_up(port, &["mode = \"open\""]), |_| {}).await;
    let first = scene.anonymous();
    ask(&first, CAROL).await.expect(201);
    confirm(&first, CAROL, &office.code(1).await).await.expect(201);
    first.fetch(Method::DELETE, &first.api("sessions"), None).await.expect(204);
    let again = scene.anonymous();
    ask(&again, CAROL).await.expect(201);
    confirm(&again, CAROL, &office.code(2).await).await.expect(201);
}
