//! generate-authenticate-options, verify-authentication, get-session and sign-out.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CHALLENGE, check_moment, check_refused, check_signed_in, get, post, scene, session_shape, user_shape,
};
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Reply, Scene, shape};

const OPTIONS: &str = "passkey/generate-authenticate-options";
const VERIFY: &str = "passkey/verify-authentication";

async fn options(browser: &Browser) -> Value {
    get(browser, OPTIONS).await.expect(200).json()
}

async fn verify(browser: &Browser, response: &Value) -> Reply {
    post(browser, VERIFY, &json!({ "response": response })).await
}

/// Signs Alice in, in this browser.
async fn sign_in(scene: &mut Scene, browser: &Browser) -> Reply {
    let response = scene.device.get(&options(browser).await, browser.origin());
    verify(browser, &response).await.expect(200)
}

/// Older clients post, with neither body nor content type; newer ones get.
#[tokio::test]
async fn options_are_the_same_for_clients_old_and_new() {
    let mut scene = scene().await;
    for method in [Method::POST, Method::GET] {
        let browser = scene.anonymous();
        let url = scene.url(&format!("/api/auth/{OPTIONS}"));
        let request = browser.fetching(method.clone(), &url, None);
        let built = request.try_clone().unwrap().build().unwrap();
        assert!(built.body().is_none() && !built.headers().contains_key("content-type"));
        let options = browser.send(request).await.expect(200).json();
        let expected = json!({
            "challenge": "text", "timeout": "number", "rpId": "text", "userVerification": "text",
        });
        let mut seen = shape(&options);
        seen.as_object_mut().unwrap().remove("extensions");
        assert_eq!(seen, expected, "{method}: {options}");
        assert_eq!(
            (&options["rpId"], &options["userVerification"]),
            (&json!("localhost"), &json!("required"))
        );
        let cookie = browser.set_cookies(CHALLENGE).pop().unwrap();
        assert_eq!(cookie.attributes.get("max-age").map(String::as_str), Some("300"));
        let response = scene.device.get(&options, browser.origin());
        verify(&browser, &response).await.expect(200);
    }
    // With an empty object it is the same.
    post(&scene.anonymous(), OPTIONS, &json!({})).await.expect(200);
}

#[tokio::test]
async fn sign_in_options_list_passkeys_of_a_signed_in_user() {
    let scene = scene().await;
    let known = scene.alice.passkeys().await[0]["id"].clone();
    let allowed = json!([{ "type": "public-key", "id": known, "transports": ["hybrid", "internal"] }]);
    assert_eq!(options(&scene.alice).await["allowCredentials"], allowed);
    let posted = post(&scene.alice, OPTIONS, &json!({})).await.expect(200).json();
    assert_eq!(posted["allowCredentials"], allowed);
    assert_eq!(options(&scene.anonymous()).await.get("allowCredentials"), None);
    // A person who is still enrolling has none.
    let bob = scene.anonymous();
    bob.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    assert_eq!(options(&bob).await.get("allowCredentials"), None);
}

#[tokio::test]
async fn sign_in_answer_has_every_member() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let reply = sign_in(&mut scene, &browser).await;
    let body = reply.json();
    assert_eq!(shape(&body), json!({ "session": session_shape(), "user": user_shape() }));
    check_signed_in(&browser, &reply).await;
    let user = &body["user"];
    let expected = json!({
        "email": ALICE, "name": "Alice Ample", "emailVerified": true, "username": "alice",
        "displayUsername": "alice", "role": "admin", "banned": false,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(user[name], *value, "{name}");
    }
    for moment in ["expiresAt", "createdAt", "updatedAt"] {
        check_moment(&body["session"][moment]);
    }
    check_moment(&user["createdAt"]);
    assert_eq!(body["session"]["ipAddress"], "127.0.0.1");
    assert!(browser.set_cookies(CHALLENGE).pop().unwrap().removes(), "the challenge is taken back");
    // The cookie, the token of the body and the header are all good.
    assert_eq!(browser.account().await.as_deref(), Some(ALICE));
    let script = browser.showing(body["session"]["token"].as_str().unwrap());
    assert_eq!(script.account().await.as_deref(), Some(ALICE));
    let (bob, mut bobs) = scene.invited("bob@example.com", 2).await;
    let response = bobs.get(&options(&bob).await, bob.origin());
    assert_eq!(verify(&bob, &response).await.expect(200).json()["user"]["role"], "user");
}

#[tokio::test]
async fn a_sign_in_without_its_own_challenge_is_refused() {
    let mut scene = scene().await;
    let request = json!({ "challenge": "AAAA", "rpId": "localhost" });
    let unasked = scene.device.get(&request, scene.alice.origin());
    let anonymous = scene.anonymous();
    check_refused(verify(&anonymous, &unasked).await, 400, "CHALLENGE_NOT_FOUND");
    // Used before.
    let response = scene.device.get(&options(&anonymous).await, anonymous.origin());
    verify(&anonymous, &response).await.expect(200);
    check_refused(verify(&anonymous, &response).await, 400, "CHALLENGE_NOT_FOUND");
    // Used up by a request that could not be read, and by a request that proved nothing.
    for broken in [json!({}), json!({ "response": unasked })] {
        let browser = scene.anonymous();
        let response = scene.device.get(&options(&browser).await, browser.origin());
        post(&browser, VERIFY, &broken).await.expect_one_of(&[400, 401]);
        check_refused(verify(&browser, &response).await, 400, "CHALLENGE_NOT_FOUND");
        assert!(browser.session().is_none());
    }
    // Another browser's ceremony, a registration's, and a ceremony begun in another dialect.
    let (mine, other) = (scene.anonymous(), scene.anonymous());
    let response = scene.device.get(&options(&mine).await, mine.origin());
    check_refused(verify(&other, &response).await, 400, "CHALLENGE_NOT_FOUND");
    verify(&mine, &response).await.expect(200);
    let creation = get(&scene.alice, "passkey/generate-register-options").await.expect(200).json();
    let request = json!({ "challenge": creation["challenge"], "rpId": "localhost" });
    let response = scene.device.get(&request, scene.alice.origin());
    check_refused(verify(&scene.alice, &response).await, 400, "CHALLENGE_NOT_FOUND");
    let native = other.sign_in_options().await;
    let cookie = other.jar().get("localhost", "challenge").unwrap();
    other.jar().plant("localhost", CHALLENGE, &cookie);
    let response = scene.device.get(&native, other.origin());
    check_refused(verify(&other, &response).await, 400, "CHALLENGE_NOT_FOUND");
    assert!(other.session().is_none());
}

#[tokio::test]
async fn a_passkey_that_is_not_accepted_is_refused() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let mut unknown = Authenticator::new(77);
    let made = json!({ "challenge": "AAAA", "rp": { "id": "localhost" }, "user": { "id": "AAECAwQFBgcICQoLDA0ODw" } });
    unknown.create(&made, browser.origin());
    let response = unknown.get(&options(&browser).await, browser.origin());
    check_refused(verify(&browser, &response).await, 401, "PASSKEY_NOT_FOUND");
    let wrong = options(&browser).await;
    let response = scene.device.get_with(&wrong, browser.origin(), |knobs| {
        knobs.signature = Some(vec![0; 70]);
    });
    check_refused(verify(&browser, &response).await, 401, "AUTHENTICATION_FAILED");
    let asked = options(&browser).await;
    let response =
        scene.device.get_with(&asked, browser.origin(), |knobs| knobs.flags &= !crate::harness::flag::UV);
    check_refused(verify(&browser, &response).await, 401, "AUTHENTICATION_FAILED");
    let (_, mut bobs) = scene.invited("bob@example.com", 2).await;
    scene.gateway.operate(&["user", "disable", "bob@example.com"]);
    let response = bobs.get(&options(&browser).await, browser.origin());
    check_refused(verify(&browser, &response).await, 401, "AUTHENTICATION_FAILED");
    // A signed-in user shows their own passkey again, not another user's.
    scene.gateway.operate(&["user", "enable", "bob@example.com"]);
    let mut bare = options(&scene.alice).await;
    bare.as_object_mut().unwrap().remove("allowCredentials");
    let response = bobs.get(&bare, browser.origin());
    check_refused(verify(&scene.alice, &response).await, 401, "AUTHENTICATION_FAILED");
    assert_eq!(scene.alice.account().await.as_deref(), Some(ALICE));
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn a_sign_in_needs_a_body() {
    let scene = scene().await;
    let browser = scene.anonymous();
    for (body, field) in [(json!({}), "[body.response]"), (json!([]), "[body")] {
        let message = check_refused(post(&browser, VERIFY, &body).await, 400, "VALIDATION_ERROR");
        assert!(message.starts_with(field), "{body}: {message}");
    }
    for response in [json!({}), json!(7), json!("{"), json!(null)] {
        options(&browser).await;
        let reply = verify(&browser, &response).await.expect(400);
        assert_eq!(shape(&reply.json()), json!({ "message": "text", "code": "text" }), "{response}");
    }
    let request = browser.fetching(Method::POST, &scene.url(&format!("/api/auth/{VERIFY}")), None);
    let reply = browser.send(request.try_clone().unwrap()).await;
    check_refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE");
    let request = request.header("content-type", "application/json; charset=utf-8").body("nonsense");
    check_refused(browser.send(request).await, 400, "BAD_REQUEST");
}

#[tokio::test]
async fn get_session_returns_the_user() {
    let mut scene = scene().await;
    let anonymous = scene.anonymous();
    let reply = get(&anonymous, "get-session").await.expect(200);
    assert_eq!((reply.json(), reply.header("cache-control")), (Value::Null, "no-store"));
    let signed_in = sign_in(&mut scene, &anonymous).await.json();
    let reply = get(&anonymous, "get-session").await.expect(200);
    let session = reply.json();
    assert_eq!(shape(&session), json!({ "session": session_shape(), "user": user_shape() }));
    assert_eq!(session["session"]["id"], signed_in["session"]["id"]);
    assert_eq!((&session["user"], reply.header("cache-control")), (&signed_in["user"], "no-store"));
    // With a token instead of the cookie, and with an invalid token.
    let token = signed_in["session"]["token"].as_str().unwrap();
    let told = get(&anonymous.showing(token), "get-session").await.expect(200).json();
    assert_eq!(told["session"]["id"], signed_in["session"]["id"]);
    assert_eq!(get(&anonymous.showing("nonsense"), "get-session").await.expect(200).json(), Value::Null);
}

#[tokio::test]
async fn sign_out_ends_the_session_however_it_was_shown() {
    let mut scene = scene().await;
    for with_token in [false, true] {
        let browser = scene.anonymous();
        let token = sign_in(&mut scene, &browser).await.json()["session"]["token"].clone();
        let script = browser.showing(token.as_str().unwrap());
        let leaving = if with_token { &script } else { &browser };
        let reply = post(leaving, "sign-out", &json!({})).await.expect(200);
        assert_eq!(reply.json(), json!({ "success": true }));
        assert!(leaving.set_cookies("vestibule").pop().unwrap().removes(), "{reply}");
        for before in [&browser, &script] {
            assert_eq!(get(before, "get-session").await.expect(200).json(), Value::Null);
            assert!(!before.is_signed_in().await);
        }
    }
    let reply = post(&scene.anonymous(), "sign-out", &json!({})).await.expect(200);
    assert_eq!(reply.json(), json!({ "success": true }), "anonymous clients get the same answer");
}
