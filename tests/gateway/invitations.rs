//! An invitation is bound to its purpose, its address and its role (S-14).
//!
//! That it is no code, no bearer token, no cookie and no ceremony is in `confusion`, that it
//! expires in `flows`, and that it works once in `single_use`.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::domain::code::EmailCode;
use vestibule::domain::invitation::LinkDelivery;
use vestibule::domain::user::Email;
use vestibule::flows::administration::paging::Part;
use vestibule::flows::administration::people::OldPasskeys;
use vestibule::flows::authority::Authority;

use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Reply, Scene};
use crate::stage::Stage;

const BOB: &str = "bob@example.com";

/// Redeems a link, claiming every right that an attacker would want.
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

/// All users, by address: whether they are administrators, and their groups.
fn people(gateway: &Gateway) -> Vec<(String, bool, Value)> {
    let users: Value = serde_json::from_str(&gateway.operate(&["user", "list", "--json"])).unwrap();
    let person = |user: &Value| {
        let email = user["email"].as_str().unwrap().to_owned();
        (email, user["role"] == "administrator", user["groups"].clone())
    };
    let mut people: Vec<_> = users["users"].as_array().unwrap().iter().map(person).collect();
    people.sort_by(|a, b| a.0.cmp(&b.0));
    people
}

#[tokio::test]
async fn s_14_invitation_creates_the_promised_account() {
    let scene = Scene::set().await;
    let bob = scene.anonymous();
    let redeemed = redeem_claiming(&bob, &scene.gateway.invite(BOB, &[])).await.expect(201).json();
    let user = &redeemed["user"];
    assert_eq!((&user["email"], &user["username"]), (&json!(BOB), &json!("bob")));
    assert_eq!((&user["admin"], &user["groups"]), (&json!(false), &json!([])));
    assert!(!bob.is_signed_in().await, "it may only enrol");
    bob.register(&mut Authenticator::new(2)).await.expect(200);
    let current = bob.get("sessions/current").await.expect(200).json();
    assert_eq!((&current["user"]["admin"], &current["user"]["groups"]), (&json!(false), &json!([])));

    let carol = scene.anonymous();
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
async fn s_14_invitation_does_not_change_an_existing_account() {
    let scene = Scene::set().await;
    // The link for Bob's address was made when he had no account, and he got one in between.
    let grand = scene.gateway.invite(BOB, &["--admin", "--group", "staff"]);
    let late = scene.gateway.invite("late@example.com", &["--admin", "--group", "staff"]);
    let plain = scene.gateway.invite(BOB, &[]);
    let (bob, other) = (scene.anonymous(), scene.anonymous());
    bob.enrol(&plain, BOB, "Bob", &mut Authenticator::new(2)).await;
    redeem_claiming(&other, &grand).await.expect_problem(410);
    // A link for an existing account is a way back into it, without changing it.
    let back = scene.gateway.invite(BOB, &[]);
    let redeemed = redeem_claiming(&other, &back).await.expect(201).json();
    assert_eq!(redeemed["user"]["email"], BOB);
    other.register(&mut Authenticator::new(3)).await.expect(200);
    assert_eq!(bob.passkeys().await.len(), 2);
    assert_eq!(people(&scene.gateway)[1], (BOB.to_owned(), false, json!([])));
    assert!(is_live(&scene, &late).await, "another address is not touched");
    // And an invitation that would change it is not even made.
    for options in [vec!["--admin"], vec!["--group", "staff"], vec!["--username", "root"]] {
        let refused = scene.gateway.cli(&[&["invite", BOB], &options[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{options:?}: {refused:?}");
    }
}

#[tokio::test]
async fn s_14_set_up_link_and_invitation_are_not_interchangeable() {
    let gateway = Gateway::start(|_| {}).await;
    let (setup, invited) = (gateway.setup_link(), gateway.invite(BOB, &[]));
    assert_eq!(preview(&gateway, &setup).await["kind"], "setup");
    let offer = preview(&gateway, &invited).await;
    assert_eq!((&offer["kind"], &offer["email"]), (&json!("invitation"), &json!(BOB)));
    // Before set-up, an invitation is no way to do it.
    let bob = Browser::new(&gateway);
    let redeemed = redeem_claiming(&bob, &invited).await.expect(201).json();
    assert_eq!((&redeemed["user"]["email"], &redeemed["user"]["admin"]), (&json!(BOB), &json!(false)));
    bob.register(&mut Authenticator::new(2)).await.expect(200);
    // The set-up link names no person, so the browser has to; the question uses nothing up.
    let alice = Browser::new(&gateway);
    let unnamed = alice.redeem(&setup, None, "Alice").await;
    unnamed.expect_problem(422);
    let taken = alice.redeem(&setup, Some(BOB), "Alice").await;
    assert_eq!(taken.expect_problem(409)["code"], "taken", "nor does it make another user an administrator");
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
    other.anonymous().redeem(&link, None, "Bob").await.expect_problem(410);
    one.anonymous().redeem(&link, None, "Bob").await.expect(201);
}

/// An application believes the username, so an address alone gives no user a username that means
/// something.
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
        let browser = scene.anonymous();
        browser.enrol(&link, email, "", &mut Authenticator::new(seed)).await;
        let reply = browser.fetch(Method::GET, &scene.url("/page"), None).await;
        assert_eq!(reply.status, status, "{email}: {reply}");
    }
}

/// Whether a link works for a browser that has never been here.
async fn is_live(scene: &Scene, link: &str) -> bool {
    let token = secret_of(link);
    let reply = scene.anonymous().post("invitations/preview", &json!({ "token": token })).await;
    assert!([200, 410].contains(&reply.status), "{reply}");
    reply.status == 200
}

fn listed(scene: &Scene) -> Vec<Value> {
    let text = scene.gateway.operate(&["invitation", "list", "--json"]);
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

#[tokio::test]
async fn f_17_invitations_can_be_listed_and_revoked() {
    let scene = Scene::set().await;
    assert_eq!(listed(&scene), Vec::<Value>::new());
    let bob = scene.gateway.invite(BOB, &["--admin"]);
    let carol = scene.gateway.invite("carol@example.com", &[]);
    let all = listed(&scene);
    let emails: Vec<_> = all.iter().map(|it| it["email"].as_str().unwrap()).collect();
    assert_eq!(emails, [BOB, "carol@example.com"]);
    assert!(all.iter().all(|it| it["by"] == "the administrator" && it["expires_at"].is_string()), "{all:?}");
    assert!(!all.iter().any(|it| it.to_string().contains(secret_of(&bob))), "a secret is listed");

    let id = all[0]["id"].as_str().unwrap();
    scene.gateway.operate(&["invitation", "revoke", id]);
    assert!(!is_live(&scene, &bob).await, "the link of an invitation that was taken back is live");
    redeem_claiming(&scene.anonymous(), &bob).await.expect_problem(410);
    assert!(is_live(&scene, &carol).await);
    assert_eq!(listed(&scene).len(), 1);
    let again = scene.gateway.cli(&["invitation", "revoke", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no such invitation"));
}

#[tokio::test]
async fn f_17_new_link_voids_the_one_before() {
    let scene = Scene::set().await.with_alice_as_member().await;
    let first = scene.gateway.invite(BOB, &["--admin"]);
    let other = scene.gateway.invite("carol@example.com", &[]);
    let second = scene.gateway.invite("BOB@example.com", &[]);
    assert!(!is_live(&scene, &first).await && is_live(&scene, &second).await);
    assert!(is_live(&scene, &other).await, "another address has its link still");
    // The same holds for a link that adds a passkey to an account.
    let first = scene.gateway.invite(ALICE, &[]);
    let second = scene.gateway.invite(ALICE, &[]);
    assert!(!is_live(&scene, &first).await && is_live(&scene, &second).await);

    // A closed account has no links, and opening it again brings none back.
    scene.gateway.operate(&["user", "disable", "alice"]);
    scene.gateway.operate(&["user", "enable", "alice"]);
    assert!(!is_live(&scene, &second).await, "a link outlives the closing of its account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_17_of_concurrent_links_one_is_live() {
    let stage = Arc::new(Stage::with_codes_and_yielding_store(EmailCode::Off).await);
    let account = stage.enrol(ALICE, &mut Authenticator::new(9)).await.unwrap().user.id;
    // An invitation of a user who has an account is a link like that of a reset.
    for (address, resets) in [(BOB, 0), (ALICE, 0), (ALICE, 4), (ALICE, 8)] {
        let made = (0..8).map(|number| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let administration = &stage.gateway.administration;
                if number < resets {
                    let operator = Authority::of_operator();
                    administration
                        .reset_user(&operator, &account, OldPasskeys::Stay, LinkDelivery::ByHand)
                        .await
                } else {
                    stage.invite(address, Duration::from_hours(1)).await
                }
            })
        });
        let mut secrets = Vec::new();
        for made in made.collect::<Vec<_>>() {
            secrets.extend(made.await.unwrap().map(|invited| invited.secret.reveal().clone()));
        }
        assert!(!secrets.is_empty(), "{address}: no link was made");
        let email = Email::parse(address).unwrap();
        let live = stage.gateway.administration.list_invitations(&Part::default()).await.unwrap();
        let live = live.items.iter().filter(|it| it.email == email).count();
        let mut redeemed = 0;
        for secret in secrets {
            redeemed += usize::from(stage.redeem(&secret).await.is_ok());
        }
        assert_eq!((live, redeemed), (1, 1), "{address}, {resets} resets");
    }
}

#[tokio::test]
async fn f_04_invite_prints_the_username() {
    let scene = Scene::set().await;
    let told = |email: &str, options: &[&str]| {
        let text = scene.gateway.operate(&[&["invite", email, "--json"], options].concat());
        serde_json::from_str::<Value>(&text).unwrap()["username"].clone()
    };
    assert_eq!(told("carol@example.com", &[]), "carol");
    assert_eq!(told("admin@example.com", &[]), "admin2");
    assert_eq!(told("dora@example.com", &["--username", "root"]), "root");
    assert_eq!(told(ALICE, &[]), Value::Null, "her account has a name");
}

#[tokio::test]
async fn a9_another_user_can_be_made_an_administrator() {
    let scene = Scene::set().await;
    let refused = scene.gateway.cli(&["user", "role", "alice", "member"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("user role NAME administrator"));
    let (_, _) = scene.invited(BOB, 5).await;
    scene.gateway.operate(&["user", "role", "bob", "administrator"]);
    scene.gateway.operate(&["user", "role", "alice", "member"]);
    let users: Value = serde_json::from_str(&scene.gateway.operate(&["user", "list", "--json"])).unwrap();
    let role = |name: &str| {
        let users = users["users"].as_array().unwrap().iter();
        users.clone().find(|user| user["username"] == name).unwrap()["role"].clone()
    };
    assert_eq!((role("alice"), role("bob")), (json!("member"), json!("administrator")));
    let refused = scene.gateway.cli(&["user", "role", "bob", "member"]);
    assert_eq!(refused.status.code(), Some(1), "the last administrator stays one");
}
