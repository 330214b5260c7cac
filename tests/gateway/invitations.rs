//! What an invitation is bound to: its purpose, its address and its role (S-14).
//!
//! That it is no code, no bearer token, no cookie and no ceremony is in `confusion`, that it expires in
//! `flows`, and that it works once in `single_use`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Reply, Scene};

const BOB: &str = "bob@example.com";

/// Redeems a link, claiming everything that would be worth having.
async fn redeem_claiming(browser: &Browser, link: &str) -> Reply {
    let body = json!({
        "token": secret_of(link), "email": "root@example.com", "name": "Root",
        "role": "administrator", "admin": true, "isAdmin": true, "kind": "setup", "groups": ["staff"],
        "username": "root", "scope": "full", "invitedBy": "root", "id": "root",
    });
    browser.post("invitations/redeem", &body).await
}

async fn preview(gateway: &Gateway, link: &str) -> Value {
    Browser::new(gateway)
        .post("invitations/preview", &json!({ "token": secret_of(link) }))
        .await
        .expect(200)
        .json()
}

/// Everybody with an account, by address: whether they are administrators, and their groups.
fn people(gateway: &Gateway) -> Vec<(String, bool, Value)> {
    let users: Value = serde_json::from_str(&gateway.operate(&["user", "list", "--json"])).unwrap();
    let person = |user: &Value| {
        let email = user["email"].as_str().unwrap().to_owned();
        (email, user["role"] == "administrator", user["groups"].clone())
    };
    let mut people: Vec<_> = users.as_array().unwrap().iter().map(person).collect();
    people.sort_by(|a, b| a.0.cmp(&b.0));
    people
}

#[tokio::test]
async fn s_14_an_invitation_makes_whom_it_says_and_nobody_else() {
    let scene = Scene::set().await;
    let bob = scene.stranger();
    let redeemed = redeem_claiming(&bob, &scene.gateway.invite(BOB, &[])).await.expect(201).json();
    let user = &redeemed["user"];
    assert_eq!((&user["email"], &user["username"]), (&json!(BOB), &json!("bob")));
    assert_eq!((&user["admin"], &user["groups"]), (&json!(false), &json!([])));
    assert!(!bob.is_signed_in().await, "it may only enrol");
    bob.register(&mut Authenticator::new(2)).await.expect(200);
    let current = bob.get("sessions/current").await.expect(200).json();
    assert_eq!((&current["user"]["admin"], &current["user"]["groups"]), (&json!(false), &json!([])));

    let carol = scene.stranger();
    let options = ["--admin", "--group", "ops", "--username", "cc"];
    let redeemed = redeem_claiming(&carol, &scene.gateway.invite("carol@example.com", &options))
        .await
        .expect(201)
        .json();
    let user = &redeemed["user"];
    assert_eq!((&user["email"], &user["username"]), (&json!("carol@example.com"), &json!("cc")));
    assert_eq!((&user["admin"], &user["groups"]), (&json!(true), &json!(["ops"])));
    let none = json!([]);
    let expected =
        [(ALICE, true, none.clone()), (BOB, false, none), ("carol@example.com", true, json!(["ops"]))];
    assert_eq!(
        people(&scene.gateway),
        expected.map(|(email, admin, groups)| (email.to_owned(), admin, groups))
    );
}

/// An invitation may be older than the account that it finds.
#[tokio::test]
async fn s_14_an_invitation_changes_no_account_that_is_there_already() {
    let scene = Scene::set().await;
    let (plain, grand) =
        (scene.gateway.invite(BOB, &[]), scene.gateway.invite(BOB, &["--admin", "--group", "staff"]));
    let bob = scene.stranger();
    let user = bob.enrol(&plain, BOB, "Bob", &mut Authenticator::new(2)).await;
    let other = scene.stranger();
    let redeemed = redeem_claiming(&other, &grand).await.expect(201).json();
    assert_eq!(redeemed["user"], user, "it is a way back into the account as it is");
    other.register(&mut Authenticator::new(3)).await.expect(200);
    assert_eq!(bob.passkeys().await.len(), 2);
    assert_eq!(people(&scene.gateway)[1], (BOB.to_owned(), false, json!([])));
    // And one that would change it is not even made.
    for options in [vec!["--admin"], vec!["--group", "staff"], vec!["--username", "root"]] {
        let refused = scene.gateway.cli(&[&["invite", BOB], &options[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{options:?}: {refused:?}");
    }
}

#[tokio::test]
async fn s_14_a_set_up_link_and_an_invitation_are_two_things() {
    let gateway = Gateway::start(|_| {}).await;
    let (setup, invited) = (gateway.setup_link(), gateway.invite(BOB, &[]));
    assert_eq!(preview(&gateway, &setup).await["kind"], "setup");
    let offer = preview(&gateway, &invited).await;
    assert_eq!((&offer["kind"], &offer["email"]), (&json!("invitation"), &json!(BOB)));
    // While nobody has set anything up, an invitation is still no way to do it.
    let bob = Browser::new(&gateway);
    let redeemed = redeem_claiming(&bob, &invited).await.expect(201).json();
    assert_eq!((&redeemed["user"]["email"], &redeemed["user"]["admin"]), (&json!(BOB), &json!(false)));
    bob.register(&mut Authenticator::new(2)).await.expect(200);
    // The set-up link names nobody, so it needs to be told; being asked uses nothing up.
    let alice = Browser::new(&gateway);
    let unnamed = alice.redeem(&setup, None, "Alice").await;
    unnamed.expect_problem(422);
    let taken = alice.redeem(&setup, Some(BOB), "Alice").await;
    assert_eq!(taken.expect_problem(409)["code"], "taken", "nor does it make somebody else an administrator");
    let user = alice.enrol(&setup, ALICE, "Alice", &mut Authenticator::new(1)).await;
    assert_eq!(user["admin"], true);
    for used in [&setup, &invited] {
        Browser::new(&gateway).redeem(used, Some("eve@example.com"), "Eve").await.expect_problem(410);
    }
    assert_eq!(people(&gateway).iter().map(|it| it.1).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn s_14_a_link_is_for_its_own_installation() {
    let (one, other) = (Scene::set().await, Scene::set().await);
    let link = one.gateway.invite(BOB, &[]);
    other.stranger().redeem(&link, None, "Bob").await.expect_problem(410);
    one.stranger().redeem(&link, None, "Bob").await.expect(201);
}

/// An application believes the username, so an address alone gives nobody one that means something.
#[tokio::test]
async fn f_04_an_invitation_gives_no_username_that_opens_a_route() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&["user:carol", "user:alice@example.com"]);
        },
    )
    .await;
    for (email, seed, expected) in
        [("carol@freelance.example", 31, "carol2"), ("admin@example.com", 32, "admin2")]
    {
        let (browser, _) = scene.invited(email, seed).await;
        let session = browser.get("sessions/current").await.expect(200).json();
        assert_eq!(session["user"]["username"], expected, "{session}");
        browser.fetch(Method::GET, &scene.url("/page"), None).await.expect_problem(403);
    }
    // An invitation that promises a name keeps it for its owner, and an operator may give any name.
    let promised = scene.gateway.invite("dora@one.example", &["--username", "dora"]);
    let (other, _) = scene.invited("dora@two.example", 33).await;
    let session = other.get("sessions/current").await.expect(200).json();
    assert_eq!(session["user"]["username"], "dora2", "{session}");
    let carol = scene.gateway.invite("carol@example.com", &["--username", "carol"]);
    for (link, email, seed, status) in
        [(promised, "dora@one.example", 34, 403), (carol, "carol@example.com", 35, 200)]
    {
        let browser = scene.stranger();
        browser.enrol(&link, email, "", &mut Authenticator::new(seed)).await;
        let reply = browser.fetch(Method::GET, &scene.url("/page"), None).await;
        assert_eq!(reply.status, status, "{email}: {reply}");
    }
}
