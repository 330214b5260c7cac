//! Accounts: changed from the API and the terminal, in effect at the next request.

use reqwest::Method;
use serde_json::json;

use super::{BOB, bob, id_of, told, user};
use crate::harness::{Authenticator, Scene};

#[tokio::test]
async fn s_09_change_applies_on_the_next_request() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&["group:staff"]);
        },
    )
    .await;
    let bob = bob(&scene).await;
    let address = user(&scene, "bob");
    bob.navigate(&scene.url("/")).await.expect(403);
    let seen = scene.alice.patch(&address, &json!({ "groups": ["staff"], "name": "Bobby" })).await;
    let seen = seen.expect(200).json();
    assert_eq!((&seen["groups"], &seen["name"]), (&json!(["staff"]), &json!("Bobby")));
    bob.navigate(&scene.url("/")).await.expect(200);
    assert_eq!(scene.app.take_one().value("remote-name"), "Bobby");
    scene.alice.patch(&address, &json!({ "groups": [] })).await.expect(200);
    bob.navigate(&scene.url("/")).await.expect(403);
    scene.alice.patch(&address, &json!({ "standing": "disabled" })).await.expect(200);
    assert_eq!(bob.navigate(&scene.url("/")).await.expect(303).location().unwrap().path(), "/auth/login");
    // The terminal shows the change of the page.
    let shown = told(&scene, &["user", "show", BOB]);
    assert_eq!((&shown["standing"], &shown["sessions"]), (&json!("disabled"), &json!([])));
}

#[tokio::test]
async fn expired_account_ends_with_its_sessions() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    let address = user(&scene, "bob");
    let passed = json!({ "expires_at": "2020-01-01T00:00:00Z" });
    bob.get("sessions").await.expect(200);
    let seen = scene.alice.patch(&address, &passed).await.expect(200).json();
    assert_eq!(seen["expires_at"], "2020-01-01T00:00:00.000Z");
    bob.get("sessions").await.expect_problem(401);
    let refused = bob.sign_in(&mut device).await.expect_problem(401);
    assert_eq!(refused["code"], "passkey_refused");
    scene.alice.patch(&address, &json!({ "expires_at": null })).await.expect(200);
    bob.sign_in(&mut device).await.expect(201);
    scene.gateway.operate(&["user", "expires", "bob", "30d"]);
    bob.get("sessions").await.expect(200);
    assert!(told(&scene, &["user", "show", "bob"])["expires_at"].is_string());
}

#[tokio::test]
async fn refuses_to_remove_the_last_administrator() {
    let scene = Scene::set().await;
    let alice = user(&scene, "alice");
    for body in [
        json!({ "role": "member" }),
        json!({ "standing": "disabled" }),
        json!({ "expires_at": "2099-01-01T00:00:00Z" }),
    ] {
        let problem = scene.alice.patch(&alice, &body).await.expect_problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("only administrator"), "{problem}");
    }
    scene.alice.delete(&alice).await.expect_problem(403);
    scene.alice.post(&format!("{alice}/reset"), &json!({ "wipe": true })).await.expect_problem(403);
    let passkey = scene.alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    scene.alice.delete(&format!("{alice}/passkeys/{passkey}")).await.expect_problem(403);
    for command in [["user", "disable", "alice"], ["user", "lock", "alice"], ["user", "delete", "alice"]] {
        assert_eq!(scene.gateway.cli(&command).status.code(), Some(1), "{command:?}");
    }
    // With a second administrator who can sign in, the first may go.
    scene.invited(BOB, 2).await;
    scene.gateway.operate(&["user", "role", "bob", "administrator"]);
    scene.alice.patch(&alice, &json!({ "role": "member" })).await.expect(200);
    scene.alice.get("admin/v1/overview").await.expect_problem(403);
}

#[tokio::test]
async fn s_33_a_reset_makes_a_link_and_a_wipe_ends_the_old_passkeys() {
    let scene = Scene::set().await;
    let (bob, mut old) = scene.invited(BOB, 2).await;
    let address = user(&scene, "bob");
    let reset = scene.alice.post(&format!("{address}/reset"), &json!({})).await.expect(201).json();
    assert_eq!((&reset["email"], &reset["username"]), (&json!(BOB), &json!(null)));
    bob.get("sessions").await.expect(200);

    let reset =
        scene.alice.post(&format!("{address}/reset"), &json!({ "wipe": true })).await.expect(201).json();
    bob.get("sessions").await.expect_problem(401);
    assert_eq!(bob.sign_in(&mut old).await.expect_problem(401)["code"], "unknown_credential");
    let (browser, mut new) = (scene.anonymous(), Authenticator::new(77));
    browser.enrol(reset["link"].as_str().unwrap(), BOB, "", &mut new).await;
    let seen = scene.alice.get(&address).await.expect(200).json();
    assert_eq!(seen["credentials"].as_array().unwrap().len(), 1);
    assert_eq!(seen["id"], id_of(&scene, BOB), "it is the same account");
}

/// Where an application shares the auth host, a step-up is for one change. A wipe and the link that
/// follows it are one change: a wipe without its link would lock the user out.
#[tokio::test]
async fn s_33_beside_an_application_one_step_up_is_enough_for_a_wipe_and_its_link() {
    let mut scene = Scene::with(|config| config.tls("auth.example.test"), |_| {}).await;
    let (_, mut old) = scene.invited(BOB, 2).await;
    let reset = format!("{}/reset", user(&scene, "bob"));
    let browser = scene.anonymous();
    browser.sign_in(&mut scene.device).await.expect(201);
    browser.post(&reset, &json!({ "wipe": true })).await.expect_problem(401);
    let asked = json!({ "change": format!("POST {reset}") });
    let options = browser.post("passkeys/authenticate/options", &asked).await.expect(200).json();
    let answer = scene.device.get(&options, browser.origin());
    let verified = browser.post("passkeys/authenticate/verify", &answer).await.expect(201).json();
    let nonce = verified["stepUp"].as_str().unwrap();
    let wipe = || {
        let request = browser.fetching(Method::POST, &browser.api(&reset), Some(&json!({ "wipe": true })));
        request.header("x-vestibule-step-up", nonce)
    };
    let link = browser.send(wipe()).await.expect(201).json()["link"].as_str().unwrap().to_owned();
    browser.send(wipe()).await.expect_problem(401);
    assert_eq!(scene.anonymous().sign_in(&mut old).await.expect_problem(401)["code"], "unknown_credential");
    scene.anonymous().enrol(&link, BOB, "", &mut Authenticator::new(77)).await;
}

/// "I am the only administrator and lost everything": a root shell is enough.
#[tokio::test]
async fn an_operator_resets_the_last_administrator_also_without_a_running_gateway() {
    let mut scene = Scene::set().await;
    scene.gateway.stop();
    let reset = told(&scene, &["user", "reset", "alice", "--wipe"]);
    scene.gateway.launch().await;
    scene.alice.get("sessions").await.expect_problem(401);
    let (browser, mut new) = (scene.anonymous(), Authenticator::new(77));
    browser.enrol(reset["link"].as_str().unwrap(), "", "", &mut new).await;
    browser.get("admin/v1/overview").await.expect(200);
}

#[tokio::test]
async fn a_passkey_and_sessions_of_a_user_are_ended_one_by_one_and_all() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    let other = scene.anonymous();
    other.sign_in(&mut device).await.expect(201);
    let address = user(&scene, "bob");
    let sessions = scene.alice.get(&format!("{address}/sessions")).await.expect(200).json();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let newest = sessions[0]["id"].as_str().unwrap();
    scene.alice.delete(&format!("{address}/sessions/{newest}")).await.expect(204);
    scene.alice.delete(&format!("{address}/sessions/{newest}")).await.expect_problem(404);
    other.get("sessions").await.expect_problem(401);
    bob.get("sessions").await.expect(200);
    // Another user's session is not among Bob's.
    let alices = told(&scene, &["session", "list", "alice"])[0]["id"].as_str().unwrap().to_owned();
    scene.alice.delete(&format!("{address}/sessions/{alices}")).await.expect_problem(404);

    other.sign_in(&mut device).await.expect(201);
    let passkey = bob.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    scene.alice.delete(&format!("{address}/passkeys/{passkey}")).await.expect(204);
    other.get("sessions").await.expect_problem(401);
    let ended = scene.alice.delete(&format!("{address}/sessions")).await.expect(200).json();
    assert_eq!(ended, json!({ "ended": 0 }), "both were opened with the passkey");
}

#[tokio::test]
async fn deleted_username_is_not_reused() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    let address = user(&scene, "bob");
    scene.alice.delete(&address).await.expect(204);
    scene.alice.delete(&address).await.expect_problem(404);
    bob.get("sessions").await.expect_problem(401);
    bob.sign_in(&mut device).await.expect_problem(401);
    let taken = scene.alice.post("admin/v1/invitations", &json!({ "email": BOB, "username": "bob" })).await;
    assert_eq!(taken.expect_problem(409)["code"], "taken");
    let again = scene.alice.post("admin/v1/invitations", &json!({ "email": BOB })).await.expect(201).json();
    assert_eq!(again["username"], "bob2");
}

#[tokio::test]
async fn an_invitation_is_made_listed_renewed_and_revoked() {
    let scene = Scene::set().await;
    let asked = json!({ "email": BOB, "name": "Bob", "groups": ["staff"], "role": "administrator" });
    let made = scene.alice.post("admin/v1/invitations", &asked).await.expect(201).json();
    let listed = scene.alice.get("admin/v1/invitations").await.expect(200).json();
    assert_eq!((&listed[0]["email"], &listed[0]["by"]), (&json!(BOB), &json!("Alice Ample")));
    assert!(!listed.to_string().contains("enroll#"), "a list tells a link");
    let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let renewed = scene.alice.post(&format!("admin/v1/invitations/{}", id(&made)), &json!({})).await;
    let renewed = renewed.expect(201).json();
    scene.anonymous().redeem(made["link"].as_str().unwrap(), None, "Bob").await.expect_problem(410);
    let (browser, mut device) = (scene.anonymous(), Authenticator::new(5));
    browser.enrol(renewed["link"].as_str().unwrap(), BOB, "", &mut device).await;
    let seen = scene.alice.get(&user(&scene, "bob")).await.expect(200).json();
    assert_eq!((&seen["role"], &seen["groups"]), (&json!("administrator"), &json!(["staff"])));

    let made = scene.alice.post("admin/v1/invitations", &json!({ "email": "c@example.com" })).await;
    let made = made.expect(201).json();
    scene.alice.delete(&format!("admin/v1/invitations/{}", id(&made))).await.expect(204);
    scene.alice.delete(&format!("admin/v1/invitations/{}", id(&made))).await.expect_problem(410);
    scene.anonymous().redeem(made["link"].as_str().unwrap(), None, "C").await.expect_problem(410);
}

/// Two administrators who demote one another at the same moment: one of them stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_mutual_demotions_one_is_refused() {
    for seed in 0..8 {
        let scene = Scene::set().await;
        let (bob, _) = scene.invited(BOB, 10 + seed).await;
        scene.gateway.operate(&["user", "role", "bob", "administrator"]);
        let (alice_at, bob_at) = (user(&scene, "alice"), user(&scene, "bob"));
        let member = json!({ "role": "member" });
        let (one, other) = tokio::join!(scene.alice.patch(&bob_at, &member), bob.patch(&alice_at, &member));
        let done = [&one, &other].iter().filter(|reply| reply.status == 200).count();
        assert_eq!(done, 1, "{one}\n{other}");
    }
}
