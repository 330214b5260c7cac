//! Names, addresses and usernames through Corbado's API, and leaving.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, claims, done, get, post, refused, scene, switched_on};
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Mode, PostOffice, Scene, port};

const NEW: &str = "alice@elsewhere.example";

async fn with_mail() -> (Scene, PostOffice) {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let arrange = |config: &mut Config| {
        switched_on(config);
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
        config.table("signin", &["email_code = \"enroll\""]);
    };
    (Scene::with(arrange, |_| {}).await, office)
}

/// The identifiers of the caller: type, value and status of each.
async fn known_by(browser: &Browser) -> Vec<[String; 3]> {
    let me = get(browser, "me").await.expect(200).json();
    let text = |identifier: &Value, name: &str| identifier[name].as_str().unwrap().to_owned();
    let all = me["identifiers"].as_array().unwrap().iter();
    all.map(|it| [text(it, "type"), text(it, "value"), text(it, "status")]).collect()
}

fn known(kind: &str, value: &str, status: &str) -> [String; 3] {
    [kind, value, status].map(str::to_owned)
}

/// The id of the identifier with this value.
async fn id(browser: &Browser, value: &str) -> String {
    let me = get(browser, "me").await.expect(200).json();
    let mut all = me["identifiers"].as_array().unwrap().iter();
    let meant = all.find(|it| it["value"] == value).unwrap_or_else(|| panic!("{value} is not in {me}"));
    meant["id"].as_str().unwrap().to_owned()
}

async fn add(browser: &Browser, kind: &str, value: &str) -> crate::harness::Reply {
    post(browser, "me/identifier", &json!({ "identifierType": kind, "value": value })).await
}

async fn remove(browser: &Browser, id: &str) -> crate::harness::Reply {
    ask(browser, Method::DELETE, "me/identifier", Some(&json!({ "identifierID": id }))).await
}

#[tokio::test]
async fn a_name_changes_everywhere() {
    let scene = scene().await;
    done(ask(&scene.alice, Method::PATCH, "me", Some(&json!({ "fullName": " Alice B. " }))).await);
    assert_eq!(get(&scene.alice, "me").await.json()["fullName"], "Alice B.");
    let native = scene.alice.get("sessions/current").await.json();
    assert_eq!(native["user"]["firstName"].as_str().unwrap(), "Alice");
    let jwt = ask(&scene.alice, Method::POST, "me/refresh", None).await.json();
    assert_eq!(claims(jwt["sessionToken"].as_str().unwrap())["name"], "Alice B.");
    scene.app.take();
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-name"), "Alice B.");
    for wrong in [json!({ "fullName": "" }), json!({ "fullName": "x".repeat(201) }), json!({})] {
        let error =
            refused(ask(&scene.alice, Method::PATCH, "me", Some(&wrong)).await, 400, "validation_error");
        assert_eq!(error["validation"][0]["field"], "fullName");
    }
    let named = json!({ "fullName": "Eve" });
    refused(ask(&scene.anonymous(), Method::PATCH, "me", Some(&named)).await, 401, "login_error");
}

#[tokio::test]
async fn s_35_an_address_is_pending_until_its_code_comes_back() {
    let (scene, office) = with_mail().await;
    let alice = &scene.alice;
    done(add(alice, "email", "Alice@Elsewhere.example").await);
    let confirmed = [known("email", ALICE, "verified"), known("username", "alice", "verified")];
    let waiting = [&confirmed[..], &[known("email", NEW, "pending")]].concat();
    assert_eq!(known_by(alice).await, waiting);
    let pending = id(alice, NEW).await;
    let named = json!({ "identifierID": pending, "clientInformation": {} });
    done(post(alice, "me/identifier/verify/start", &named).await);
    let message = office.message(1).await;
    assert_eq!(message["to"], json!([NEW]));
    let code = office.code(1).await;

    let wrong = json!({ "identifierID": pending, "code": "00000000" });
    let error = refused(post(alice, "me/identifier/verify/finish", &wrong).await, 400, "validation_error");
    assert_eq!(error["validation"][0]["field"], "code");
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let right = json!({ "identifierID": pending, "code": code });
    refused(post(&bob, "me/identifier/verify/finish", &right).await, 404, "not_found");
    assert_eq!(known_by(alice).await, waiting);
    done(post(alice, "me/identifier/verify/finish", &right).await);
    assert_eq!(known_by(alice).await, [known("email", NEW, "verified"), confirmed[1].clone()]);
    assert_eq!(id(alice, NEW).await, pending, "an address keeps its id");
    let notice = office.message(2).await;
    assert_eq!(notice["to"], json!([ALICE]));
    assert!(notice["message"].as_str().unwrap().contains(NEW), "{notice}");
    assert_eq!(alice.account().await.as_deref(), Some(NEW));
    for below in ["me/identifier/verify/start", "me/identifier/verify/finish"] {
        let again = json!({ "identifierID": pending, "code": code });
        refused(post(alice, below, &again).await, 400, "validation_error");
    }
}

#[tokio::test]
async fn s_21_taken_address_looks_like_any_other() {
    let (scene, office) = with_mail().await;
    let (mallory, _) = scene.invited("mallory@example.com", 2).await;
    for address in [ALICE, "nobody@example.com"] {
        done(add(&mallory, "email", address).await);
        assert_eq!(known_by(&mallory).await[2], known("email", address, "pending"));
        let pending = id(&mallory, address).await;
        done(post(&mallory, "me/identifier/verify/start", &json!({ "identifierID": pending })).await);
        let guess = json!({ "identifierID": pending, "code": "00000000" });
        refused(post(&mallory, "me/identifier/verify/finish", &guess).await, 400, "validation_error");
    }
    assert_eq!(office.message(1).await["to"], json!(["nobody@example.com"]), "Alice is not written to");
}

#[tokio::test]
async fn confirmed_identifiers_are_replaced_and_not_removed() {
    let scene = scene().await;
    let alice = &scene.alice;
    let (email, username) = (id(alice, ALICE).await, id(alice, "alice").await);
    for id in [&email, &username] {
        let error = refused(remove(alice, id).await, 400, "validation_error");
        assert_eq!(error["validation"][0]["field"], "identifierID");
        let named = json!({ "identifierID": id });
        refused(post(alice, "me/identifier/verify/start", &named).await, 400, "validation_error");
    }
    refused(remove(alice, "ide-unknown").await, 404, "not_found");
    done(add(alice, "email", NEW).await);
    let pending = id(alice, NEW).await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    refused(remove(&bob, &pending).await, 404, "not_found");
    done(remove(alice, &pending).await);
    refused(remove(alice, &pending).await, 404, "not_found");
    assert_eq!(known_by(alice).await.len(), 2);
    for (kind, value) in [("email", "nonsense"), ("username", "-"), ("phone", "+491701234567"), ("fax", "1")]
    {
        refused(add(alice, kind, value).await, 400, "validation_error");
    }
    refused(add(&scene.anonymous(), "email", NEW).await, 401, "login_error");
}

#[tokio::test]
async fn refuses_taken_or_privileged_usernames() {
    let scene = Scene::with(switched_on, |route| {
        route.allow(&["user", "user:carol", "user:alice"]);
    })
    .await;
    let alice = &scene.alice;
    let before = id(alice, "alice").await;
    let change = |id: String, kind: &'static str, value: &'static str| async move {
        let body = json!({ "identifierID": id, "identifierType": kind, "value": value });
        ask(alice, Method::PATCH, "me/identifier", Some(&body)).await
    };
    done(change(before.clone(), "username", "al").await);
    assert_eq!(known_by(alice).await[1], known("username", "al", "verified"));
    let after = id(alice, "al").await;
    assert_ne!(after, before, "its id changes");
    refused(change(before, "username", "alice").await, 404, "not_found");
    done(add(alice, "username", "alice").await);
    done(add(alice, "username", "al").await);
    scene.app.take();
    alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-user"), "al");

    let (bob, _) = scene.invited("bob@example.com", 2).await;
    for taken in ["al", "alice", "carol"] {
        refused(add(&bob, "username", taken).await, 400, "validation_error");
    }
    done(add(&bob, "username", "bobby").await);
    assert_eq!(known_by(&bob).await[1], known("username", "bobby", "verified"));
    let email = id(alice, ALICE).await;
    for (id, kind) in [(&email, "email"), (&email, "username"), (&after, "email"), (&after, "phone")] {
        refused(change(id.clone(), kind, "x").await, 400, "validation_error");
    }
}

#[tokio::test]
async fn without_mail_an_address_cannot_be_verified() {
    let scene = scene().await;
    done(add(&scene.alice, "email", NEW).await);
    let pending = id(&scene.alice, NEW).await;
    let started = post(&scene.alice, "me/identifier/verify/start", &json!({ "identifierID": pending })).await;
    let error = refused(started, 400, "validation_error");
    assert!(error["details"].as_str().unwrap().contains("mail"), "{error}");
    let guess = json!({ "identifierID": pending, "code": "00000000" });
    refused(post(&scene.alice, "me/identifier/verify/finish", &guess).await, 400, "validation_error");
}

#[tokio::test]
async fn s_26_identifier_changes_require_a_fresh_passkey() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.com");
        switched_on(config);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let alice = scene.alice.clone();
    refused(add(&alice, "email", NEW).await, 403, "login_error");
    refused(add(&alice, "username", "al").await, 403, "login_error");
    refused(ask(&alice, Method::PATCH, "me", Some(&json!({ "fullName": "A" }))).await, 403, "login_error");
    refused(ask(&alice, Method::DELETE, "me", None).await, 403, "login_error");
    alice.sign_in(&mut scene.device).await.expect(201);
    done(add(&alice, "email", NEW).await);
    refused(add(&alice, "username", "al").await, 403, "login_error");
}

#[tokio::test]
async fn owner_deletes_the_account_unless_last_administrator() {
    let scene = scene().await;
    refused(ask(&scene.alice, Method::DELETE, "me", None).await, 403, "login_error");
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    bob.navigate(&scene.url("/page")).await.expect(200);
    let jwt = ask(&bob, Method::POST, "me/refresh", None).await.json();
    let stale = bob.session().unwrap();
    let left = ask(&bob, Method::DELETE, "me", None).await;
    assert!(left.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"), "{left}");
    done(left);
    assert!(bob.session().is_none());
    bob.jar().plant("localhost", "vestibule", &stale);
    refused(get(&bob, "me").await, 401, "login_error");
    let token = jwt["sessionToken"].as_str().unwrap();
    refused(super::with_bearer(&bob, Method::GET, "me", token).await, 401, "login_error");
    scene.anonymous().sign_in(&mut device).await.expect_problem(401);
    refused(ask(&scene.anonymous(), Method::DELETE, "me", None).await, 401, "login_error");
    get(&scene.alice, "me").await.expect(200);
}

#[tokio::test]
async fn refuses_username_changes_by_default() {
    let scene = Scene::with(|config| config.table("dialects", &["corbado = true"]), |_| {}).await;
    let before = id(&scene.alice, "alice").await;
    refused(add(&scene.alice, "username", "admin").await, 403, "login_error");
    let change = json!({ "identifierID": before, "identifierType": "username", "value": "admin" });
    let reply =
        scene.alice.fetch(Method::PATCH, &super::url(&scene.alice, "me/identifier"), Some(&change)).await;
    refused(reply, 403, "login_error");
    scene.app.take();
    scene.alice.navigate(&scene.url("/page")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-user"), "alice");
}
