//! Sessions: listing, ending, describing the caller and their rights, and exchanging a token.

use serde_json::{Value, json};

use super::{check_moment, user_shape};
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Reply, Scene, Upstream, shape};

async fn token_of(browser: &Browser) -> String {
    browser.get("sessions/current").await.expect(200).json()["token"].as_str().unwrap().to_owned()
}

async fn exchange(browser: &Browser, email: &str, token: &str) -> Reply {
    browser.post("sessions/", &json!({ "method": "passkey", "email": email, "token": token })).await
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_one_is_current() {
    let mut scene = Scene::set().await;
    let second = scene.anonymous();
    let body = second.sign_in(&mut scene.device).await.expect(201).json();
    let expected = json!({
        "id": "text", "userId": "text", "createdAt": "text", "expiresAt": "text", "lastSeenAt": "text",
        "ipv4": "text", "network": "text", "userAgent": "text", "browser": "text", "passkeyId": "text",
        "current": "flag",
    });
    let script = second.showing(body["token"].as_str().unwrap());
    for (browser, current) in [(&second, 0), (&script, 0), (&scene.alice, 1)] {
        let listed = browser.sessions().await;
        assert!(listed.iter().all(|it| shape(it) == expected), "{listed:?}");
        let marked: Vec<_> = (0..listed.len()).filter(|at| listed[*at]["current"] == true).collect();
        assert_eq!((listed.len(), marked), (2, vec![current]));
        assert!(listed[0]["createdAt"].as_str() >= listed[1]["createdAt"].as_str(), "{listed:?}");
        check_moment(&listed[0]["expiresAt"]);
        assert_eq!(
            (&listed[0]["ipv4"], &listed[0]["network"]),
            (&json!("127.0.0.1"), &json!("127.0.0.0/24"))
        );
    }
    scene.anonymous().get("sessions").await.expect_problem(401);
}

#[tokio::test]
async fn current_is_204_for_anonymous_and_marks_enrolling() {
    let scene = Scene::set().await;
    let anonymous = scene.anonymous();
    for browser in [&anonymous, &anonymous.showing("nonsense"), &anonymous.showing("a.b.c")] {
        let reply = browser.get("sessions/current").await.expect(204);
        assert!(reply.body.is_empty());
    }
    let current = scene.alice.get("sessions/current").await.expect(200).json();
    assert_eq!(shape(&current), json!({ "token": "text", "user": user_shape() }));
    let bob = scene.anonymous();
    let redeemed =
        bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201).json();
    assert_eq!(shape(&redeemed), json!({ "token": "text", "user": user_shape() }));
    let current = bob.get("sessions/current").await.expect(200).json();
    assert_eq!(shape(&current), json!({ "token": "text", "user": user_shape(), "enrolling": "flag" }));
    assert_eq!(current["enrolling"], true);
}

#[tokio::test]
async fn permissions_are_what_groups_and_routes_allow() {
    let app = Upstream::start();
    let others =
        [("staff", "staff.localhost", "group:staff"), ("bobs", "bobs.localhost", "user:bob@example.com")];
    let scene = Scene::before(
        Upstream::start(),
        |config| {
            for (name, host, allow) in others {
                config.route(name, app.port).host(host).allow(&[allow]);
            }
        },
        |_| {},
    )
    .await;
    let permissions = async |browser: &Browser| {
        let body = browser.get("sessions/current/permissions").await.expect(200).json();
        assert_eq!(shape(&body), json!({ "permissions": ["text"] }));
        body["permissions"].clone()
    };
    assert_eq!(permissions(&scene.alice).await, json!(["admin", "passkeys:manage", "route:app"]));
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    assert_eq!(permissions(&bob).await, json!(["passkeys:manage", "route:app", "route:bobs"]));
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    assert_eq!(permissions(&bob).await, json!(["passkeys:manage", "route:app", "route:bobs", "route:staff"]));
    let script = bob.showing(&token_of(&bob).await);
    assert_eq!(permissions(&script).await, permissions(&bob).await);
    scene.anonymous().get("sessions/current/permissions").await.expect_problem(401);
    let eve = scene.anonymous();
    eve.redeem(&scene.gateway.invite("eve@example.com", &[]), None, "Eve").await.expect(201);
    eve.get("sessions/current/permissions").await.expect_problem(401);
}

#[tokio::test]
async fn ending_a_session_is_idempotent() {
    let mut scene = Scene::set().await;
    let second = scene.anonymous();
    second.sign_in(&mut scene.device).await.expect(201);
    let id = second.sessions().await[0]["id"].as_str().unwrap().to_owned();
    scene.anonymous().delete(&format!("sessions/{id}")).await.expect_problem(401);
    for id in [&"ab".repeat(16), "x", "AB", id.as_str(), id.as_str()] {
        let reply = scene.alice.delete(&format!("sessions/{id}")).await.expect(204);
        assert!(reply.body.is_empty(), "{id}");
    }
    assert!(!second.is_signed_in().await);
    // A word that means something in other versions is not taken for an id.
    scene.alice.delete("sessions/all").await.expect_problem(404);
    assert!(scene.alice.is_signed_in().await);
    // The caller's own session, by its id.
    let own = scene.alice.sessions().await[0]["id"].as_str().unwrap().to_owned();
    scene.alice.delete(&format!("sessions/{own}")).await.expect(204);
    assert!(!scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn the_others_are_ended_together() {
    let mut scene = Scene::set().await;
    let others = [scene.anonymous(), scene.anonymous()];
    for other in &others {
        other.sign_in(&mut scene.device).await.expect(201);
    }
    scene.anonymous().delete("sessions/others").await.expect_problem(401);
    scene.alice.delete("sessions/others").await.expect(204);
    for other in &others {
        assert!(!other.is_signed_in().await);
    }
    assert_eq!(scene.alice.sessions().await.len(), 1);
}

/// Both spellings, both carriers; 204 for an anonymous client as well.
#[tokio::test]
async fn signing_out_takes_the_cookie_back_and_ends_the_session() {
    let mut scene = Scene::set().await;
    for below in ["sessions", "sessions/current"] {
        for with_token in [false, true] {
            let browser = scene.anonymous();
            let body = browser.sign_in(&mut scene.device).await.expect(201).json();
            let script = browser.showing(body["token"].as_str().unwrap());
            let leaving = if with_token { &script } else { &browser };
            let reply = leaving.delete(below).await.expect(204);
            assert!(leaving.set_cookies("vestibule").pop().unwrap().removes(), "{reply}");
            assert!(!browser.is_signed_in().await && !script.is_signed_in().await, "{below} {with_token}");
        }
    }
    let anonymous = scene.anonymous();
    anonymous.delete("sessions").await.expect(204);
    assert!(anonymous.set_cookies("vestibule").pop().unwrap().removes());
}

/// `method: "passkey"`: the token of a sign-in becomes a session with a cookie, once.
#[tokio::test]
async fn a_token_becomes_a_session_with_a_cookie() {
    let mut scene = Scene::set().await;
    let program = scene.anonymous().showing("none");
    let token =
        program.sign_in(&mut scene.device).await.expect(201).json()["token"].as_str().unwrap().to_owned();
    assert!(program.session().is_none());
    // Another user's address, an unknown one, and another spelling of the right one.
    scene.invited("bob@example.com", 2).await;
    let browser = scene.anonymous();
    for email in ["bob@example.com", "nobody@example.com"] {
        assert_eq!(exchange(&browser, email, &token).await.expect_problem(401)["code"], "token_invalid");
    }
    let body = exchange(&browser, "Alice@EXAMPLE.com", &token).await.expect(201).json();
    assert_eq!(shape(&body), json!({ "token": "text", "user": user_shape() }));
    assert_eq!(browser.account().await.as_deref(), Some(ALICE), "the cookie is set");
    let rotated = body["token"].as_str().unwrap();
    assert!(!program.showing(&token).is_signed_in().await, "the old token is dead");
    assert!(program.showing(rotated).is_signed_in().await);
    assert_eq!(
        exchange(&scene.anonymous(), ALICE, &token).await.expect_problem(401)["code"],
        "token_invalid"
    );
    // The token of the exchange came with a cookie, and is good beside that cookie alone.
    let third = exchange(&scene.anonymous(), ALICE, rotated).await;
    assert_eq!(third.expect_problem(401)["code"], "token_invalid");
    exchange(&browser, ALICE, rotated).await.expect(201);
}

/// Only the token of a user who has shown a passkey, and no other kind of token.
#[tokio::test]
async fn refuses_exchange_of_other_tokens() {
    let scene = Scene::set().await;
    let bob = scene.anonymous();
    let enrolling =
        bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201).json();
    let browser = scene.anonymous();
    let refused = exchange(&browser, "bob@example.com", enrolling["token"].as_str().unwrap()).await;
    assert_eq!(refused.expect_problem(401)["code"], "token_invalid", "an enrolment is no sign-in");
    for token in [scene.alice.session().unwrap().as_str(), "", "x", "a.b.c"] {
        exchange(&browser, ALICE, token).await.expect_problem(401);
    }
    let token = token_of(&scene.alice).await;
    for body in [
        json!({ "method": "password", "email": ALICE, "token": token }),
        json!({ "email": ALICE, "token": token }),
        json!({ "method": "passkey", "token": token }),
        json!({ "method": "passkey", "email": ALICE }),
        json!({ "method": "passkey", "email": "no address", "token": token }),
        json!({ "method": "passkey", "email": ALICE, "token": 7 }),
        json!({ "method": ["passkey"], "email": ALICE, "token": token }),
        json!(["passkey", ALICE, token]),
        json!({}),
        Value::Null,
    ] {
        browser.post("sessions", &body).await.expect_problem(422);
    }
    assert!(browser.session().is_none());
    assert!(scene.alice.is_signed_in().await, "nothing of that used her token up");
}

/// Where an application shares the auth host over https, a sign-in makes nothing fresh. The
/// exchange is about the ceremony, not about what may be changed.
#[tokio::test]
async fn a_token_is_exchanged_beside_an_application_too() {
    let mut scene = Scene::with(|config: &mut Config| config.tls("auth.example.test"), |_| {}).await;
    let program = scene.anonymous().showing("none");
    let token =
        program.sign_in(&mut scene.device).await.expect(201).json()["token"].as_str().unwrap().to_owned();
    let browser = scene.anonymous();
    exchange(&browser, ALICE, &token).await.expect(201);
    assert!(browser.is_signed_in().await);
    browser.post("passkeys/register/options", &json!({})).await.expect_problem(403);
}
