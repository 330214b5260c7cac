//! The caller's own account: names, address, trail, data and its end.

use serde_json::{Value, json};

use super::user_shape;
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Mode, PostOffice, Scene, port, shape};

const NEW: &str = "alice@elsewhere.example";

fn by_mail(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
    }
}

#[tokio::test]
async fn user_changes_name_and_username() {
    let scene = Scene::set().await;
    let changed =
        scene.alice.patch("account", &json!({ "name": "Alice \u{c5}ngstr\u{f6}m" })).await.expect(200);
    assert_eq!(shape(&changed.json()), user_shape());
    scene.alice.navigate(&scene.url("/")).await.expect(200);
    let seen = scene.app.take();
    assert!(seen.last().unwrap().value("remote-name").contains("Alice"), "{seen:?}");
    let fixed = scene.alice.patch("account", &json!({ "username": "queen" })).await.expect_problem(403);
    assert_eq!(fixed["code"], "not_permitted");
    for wrong in [json!({ "name": "" }), json!({ "email": NEW }), json!({ "name": "a\u{202e}b" })] {
        scene.alice.patch("account", &wrong).await.expect_problem(422);
    }
    scene.anonymous().patch("account", &json!({ "name": "X" })).await.expect_problem(401);
    let allowed = |config: &mut Config| config.table("account", &["change_username = true"]);
    let scene = Scene::with(allowed, |_| {}).await;
    let changed = scene.alice.patch("account", &json!({ "username": "queen", "name": "Q" })).await;
    let changed = changed.expect(200).json();
    assert_eq!((&changed["username"], &changed["name"]), (&json!("queen"), &json!("Q")));
}

#[tokio::test]
async fn an_address_is_changed_by_a_code_that_came_to_it() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(by_mail(port), |_| {}).await;
    scene.alice.post("account/address", &json!({ "email": NEW })).await.expect(202);
    let code = office.code(1).await;
    let confirm = |code: &str| json!({ "email": NEW, "code": code });
    let wrong = scene.alice.post("account/address/confirm", &confirm("AAAA-AAAA")).await.expect_problem(401);
    assert_eq!(wrong["code"], "token_invalid");
    let other = json!({ "email": "other@example.com", "code": code });
    scene.alice.post("account/address/confirm", &other).await.expect_problem(404);
    let changed = scene.alice.post("account/address/confirm", &confirm(&code)).await.expect(200).json();
    assert_eq!(changed["email"], NEW);
    let told = office.message(2).await;
    assert_eq!(told["to"], json!([ALICE]), "the address before is told");
    scene.alice.post("account/address/confirm", &confirm(&code)).await.expect_problem(404);

    let scene = Scene::set().await;
    scene.alice.post("account/address", &json!({ "email": NEW })).await.expect_problem(404);
    scene.alice.post("account/address", &json!({ "email": "new" })).await.expect_problem(422);
}

#[tokio::test]
async fn s_33_user_sees_only_their_own_data() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    scene.gateway.operate(&["user", "note", "bob", "a secret of the administrators"]);
    scene
        .alice
        .patch(
            &format!(
                "admin/v1/users/{}",
                bob.get("account/data").await.json()["user"]["id"].as_str().unwrap()
            ),
            &json!({ "name": "Bob" }),
        )
        .await
        .expect(200);
    bob.sign_in(&mut device).await.expect(201);
    let trail = bob.get("account/audit").await.expect(200).json();
    let said: Vec<_> = trail["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["event"].clone(), it["by"].clone()))
        .collect();
    assert!(said.contains(&(json!("user_changed"), json!("administrator"))), "{said:?}");
    assert_eq!(said[0], (json!("signed_in"), json!("self")));
    let data = bob.get("account/data").await.expect(200);
    assert_eq!(data.header("content-disposition"), "attachment; filename=\"account.json\"");
    let data: Value = data.json();
    assert_eq!(
        (data["user"]["email"].as_str(), data["passkeys"].as_array().map(Vec::len)),
        (Some("bob@example.com"), Some(1))
    );
    let text = data.to_string();
    assert!(!text.contains(ALICE) && !text.contains("a secret of"), "{text}");
    for below in ["account/audit", "account/data"] {
        scene.anonymous().get(below).await.expect_problem(401);
    }
}

#[tokio::test]
async fn a_user_deletes_their_account_and_the_last_administrator_cannot() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    bob.delete("account").await.expect(204);
    assert_eq!(bob.session(), None);
    bob.sign_in(&mut device).await.expect_problem(401);
    let kept = scene.alice.delete("account").await.expect_problem(403);
    assert!(kept["detail"].as_str().unwrap().contains("only administrator"), "{kept}");
}

#[tokio::test]
async fn shared_device_gets_a_short_session() {
    let mut scene = Scene::with(|config| config.session.push("short = \"1h\"".to_owned()), |_| {}).await;
    for (keep, seconds) in [(json!(true), 7 * 86_400), (json!(false), 3_600), (json!(null), 7 * 86_400)] {
        let browser = scene.anonymous();
        let options = browser.sign_in_options().await;
        let mut answer = scene.device.get(&options, browser.origin());
        answer["keepSignedIn"] = keep;
        let signed_in = browser.post("passkeys/authenticate/verify", &answer).await.expect(201);
        let cookie = signed_in.headers.get_all("set-cookie").iter().find_map(|it| {
            let text = it.to_str().unwrap();
            text.split("Max-Age=").nth(1)?.split(';').next()?.parse::<i64>().ok().filter(|age| *age > 0)
        });
        let age = cookie.unwrap();
        assert!((seconds - 5..=seconds).contains(&age), "{age}, not {seconds}");
    }
}

#[tokio::test]
async fn oldest_session_ends_beyond_the_limit() {
    let mut scene = Scene::with(|config| config.session.push("max_sessions = 2".to_owned()), |_| {}).await;
    let (second, third) = (scene.anonymous(), scene.anonymous());
    second.sign_in(&mut scene.device).await.expect(201);
    scene.alice.get("sessions").await.expect(200);
    third.sign_in(&mut scene.device).await.expect(201);
    scene.alice.get("sessions").await.expect_problem(401);
    assert_eq!(second.sessions().await.len(), 2);
}
