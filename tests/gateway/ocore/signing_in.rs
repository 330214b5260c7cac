//! login/begin and login/finish.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CEREMONY, LOGIN_BEGIN, LOGIN_FINISH, PASSKEYS, check_refused, post, scene};
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Knobs, Reply, Scene, flag, shape};

async fn begin(browser: &Browser, body: &Value) -> Value {
    post(browser, LOGIN_BEGIN, body).await.expect(200).json()
}

/// Alice's answer to new options.
async fn answer(scene: &mut Scene, browser: &Browser) -> Value {
    let options = begin(browser, &json!({})).await;
    scene.device.get(&options, browser.origin())
}

/// A request of a program without a page, cookies or a token.
async fn from_nowhere(scene: &Scene, path: &str, body: &Value) -> Reply {
    let program = scene.anonymous();
    program.send(program.request(Method::POST, &scene.url(path)).json(body)).await
}

fn signed_in_shape() -> Value {
    json!({
        "user": { "id": "text", "email": "text", "name": "text" }, "token": "text", "access_token": "text",
        "refresh_token": "text", "token_type": "text", "expires_in": "number",
    })
}

#[tokio::test]
async fn request_options_are_wrapped_and_reveal_nothing() {
    let scene = scene().await;
    let browser = scene.anonymous();
    let url = scene.url(LOGIN_BEGIN);
    let without_body = browser.send(browser.fetching(Method::POST, &url, None)).await.expect(200).json();
    let mut seen = vec![without_body];
    for body in [
        json!({}),
        json!(null),
        json!({ "email": null }),
        json!({ "email": "" }),
        json!({ "email": ALICE }),
        json!({ "email": "nobody@example.com" }),
        json!({ "email": "no address" }),
        json!({ "email": ALICE, "device": "something else" }),
    ] {
        seen.push(begin(&browser, &body).await);
    }
    for options in &mut seen {
        assert_eq!(options.as_object().unwrap().len(), 1, "{options}");
        let bare = &mut options["publicKey"];
        assert!(bare["challenge"].as_str().unwrap().len() >= 43, "{bare}");
        assert_eq!((&bare["rpId"], &bare["userVerification"]), (&json!("localhost"), &json!("required")));
        assert_eq!(bare.get("allowCredentials"), None);
        bare["challenge"] = Value::Null;
    }
    assert!(seen.iter().all(|options| *options == seen[0]), "{seen:#?}");
    let cookie = browser.set_cookies(CEREMONY).pop().unwrap();
    for (name, value) in [("max-age", "300"), ("path", "/"), ("samesite", "Strict"), ("httponly", "")] {
        assert_eq!(cookie.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    let request = browser.fetching(Method::POST, &url, None).header("content-type", "application/json");
    check_refused(browser.send(request.body("{")).await, 400);
    check_refused(post(&browser, LOGIN_BEGIN, &json!({ "email": 7 })).await, 400);
    check_refused(post(&browser, LOGIN_BEGIN, &json!([ALICE])).await, 400);
    let form = browser.fetching(Method::POST, &url, None).header("content-type", "text/plain");
    check_refused(browser.send(form.body("{}")).await, 415);
}

#[tokio::test]
async fn a_sign_in_answers_with_every_kind_of_token() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let response = answer(&mut scene, &browser).await;
    let reply = post(&browser, LOGIN_FINISH, &response).await.expect(200);
    let body = reply.json();
    assert_eq!(shape(&body), signed_in_shape());
    assert_eq!((&body["user"]["email"], &body["user"]["name"]), (&json!(ALICE), &json!("Alice Ample")));
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert!(browser.set_cookies(CEREMONY).pop().unwrap().removes());
    assert_eq!(browser.account().await.as_deref(), Some(ALICE), "a browser has the cookie as well");
    let sessions = scene.alice.sessions().await.len();
    for kind in ["token", "access_token", "refresh_token"] {
        let token = body[kind].as_str().unwrap();
        let script = browser.showing(token);
        script.call(Method::GET, PASSKEYS, None).await.expect(200);
        assert_eq!(script.account().await.as_deref(), Some(ALICE), "{kind}");
        assert_eq!(token.matches('.').count(), if kind == "access_token" { 2 } else { 0 }, "{kind}");
    }
    assert_eq!(scene.alice.sessions().await.len(), sessions, "they are one session");
}

/// The document knows no cookie: a program's ceremony is found by the challenge alone, and it gets
/// no cookie.
#[tokio::test]
async fn a_program_signs_in_without_a_cookie() {
    let mut scene = scene().await;
    let options = from_nowhere(&scene, LOGIN_BEGIN, &json!({ "email": ALICE })).await.expect(200).json();
    let origin = scene.gateway.origin();
    let response = scene.device.get(&options, &origin);
    let reply = from_nowhere(&scene, LOGIN_FINISH, &response).await.expect(200);
    assert_eq!(shape(&reply.json()), signed_in_shape());
    let mut cookies = reply.headers.get_all("set-cookie").iter();
    assert!(cookies.all(|cookie| !cookie.to_str().unwrap().starts_with("vestibule=")), "{reply}");
    check_refused(from_nowhere(&scene, LOGIN_FINISH, &response).await, 400);
}

#[tokio::test]
async fn a_credential_is_read_bare_and_wrapped() {
    let mut scene = scene().await;
    let wrap: [fn(Value) -> Value; 6] = [
        |it| it,
        |it| json!({ "credential": it }),
        |it| json!({ "publicKeyCredential": it }),
        |it| json!({ "response": it }),
        |it| json!({ "credential": it.to_string() }),
        |mut it| {
            it["clientExtensionResults"] = Value::Null;
            it["authenticatorAttachment"] = Value::Null;
            it
        },
    ];
    for wrap in wrap {
        let browser = scene.anonymous();
        let response = wrap(answer(&mut scene, &browser).await);
        post(&browser, LOGIN_FINISH, &response).await.expect(200);
    }
}

/// With an address, only that person's passkey is accepted; an empty address counts as none.
#[tokio::test]
async fn an_address_has_to_be_the_passkeys_owners() {
    let mut scene = scene().await;
    scene.invited("bob@example.com", 2).await;
    for (query, begun_with, status) in [
        ("?email=alice@example.com", json!({}), 200),
        ("?email=ALICE%40Example.com", json!({ "email": ALICE }), 200),
        ("?email=", json!({ "email": "" }), 200),
        ("", json!({ "email": ALICE }), 200),
        ("?email=bob@example.com", json!({}), 401),
        ("?email=nobody@example.com", json!({}), 401),
        ("?email=no%20address", json!({}), 401),
        ("", json!({ "email": "bob@example.com" }), 401),
        ("", json!({ "email": "nobody@example.com" }), 401),
        ("?email=alice@example.com", json!({ "email": "bob@example.com" }), 401),
    ] {
        let browser = scene.anonymous();
        let options = begin(&browser, &begun_with).await;
        let response = scene.device.get(&options, browser.origin());
        let reply = post(&browser, &format!("{LOGIN_FINISH}{query}"), &response).await;
        assert_eq!(reply.status, status, "{query} {begun_with}: {reply}");
        assert_eq!(browser.session().is_some(), status == 200, "{query} {begun_with}");
        if status != 200 {
            check_refused(reply, status);
            // The attempt has used the ceremony up.
            check_refused(post(&browser, LOGIN_FINISH, &response).await, 400);
        }
    }
    let browser = scene.anonymous();
    let response = answer(&mut scene, &browser).await;
    let twice = format!("{LOGIN_FINISH}?email=bob@example.com&email={ALICE}");
    post(&browser, &twice, &response).await.expect(400);
    assert!(browser.session().is_none(), "two addresses are none");
}

#[tokio::test]
async fn a_ceremony_is_used_once_and_a_cookie_that_comes_back_has_to_match() {
    let mut scene = scene().await;
    let (mine, other) = (scene.anonymous(), scene.anonymous());
    let response = answer(&mut scene, &mine).await;
    // In a browser with a ceremony of its own, the answer belongs to another one.
    begin(&other, &json!({})).await;
    check_refused(post(&other, LOGIN_FINISH, &response).await, 400);
    assert!(other.session().is_none());
    // That has used up only its own ceremony.
    post(&mine, LOGIN_FINISH, &response).await.expect(200);
    super::forget_ceremony(&mine);
    check_refused(post(&mine, LOGIN_FINISH, &response).await, 400);
    // A ceremony that was never begun; a registration's; a ceremony begun in another dialect.
    let unasked = scene.device.get(&json!({ "challenge": "AAAA", "rpId": "localhost" }), mine.origin());
    check_refused(post(&other, LOGIN_FINISH, &unasked).await, 400);
    let creation = post(&scene.alice, super::REGISTER_BEGIN, &json!({})).await.expect(200).json();
    let request = json!({ "challenge": creation["publicKey"]["challenge"], "rpId": "localhost" });
    let response = scene.device.get(&request, scene.alice.origin());
    check_refused(post(&scene.alice, LOGIN_FINISH, &response).await, 400);
    let native = scene.device.get(&scene.alice.sign_in_options().await, scene.alice.origin());
    check_refused(post(&scene.alice, LOGIN_FINISH, &native).await, 400);
}

#[tokio::test]
async fn a_passkey_that_is_not_accepted_is_401_and_an_answer_that_cannot_be_read_is_400() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let mut unknown = Authenticator::new(77);
    let made = json!({ "challenge": "AAAA", "rp": { "id": "localhost" }, "user": { "id": "AAECAwQFBgcICQoLDA0ODw" } });
    unknown.create(&made, browser.origin());
    let response = unknown.get(&begin(&browser, &json!({})).await, browser.origin());
    check_refused(post(&browser, LOGIN_FINISH, &response).await, 401);
    let turns: [fn(&mut Knobs); 2] =
        [|knobs| knobs.signature = Some(vec![0; 70]), |knobs| knobs.flags &= !flag::UV];
    for turn in turns {
        let options = begin(&browser, &json!({})).await;
        let response = scene.device.get_with(&options, browser.origin(), turn);
        check_refused(post(&browser, LOGIN_FINISH, &response).await, 401);
    }
    for broken in [json!({}), json!([]), json!(7), json!("{"), json!({ "credential": {} })] {
        begin(&browser, &json!({})).await;
        check_refused(post(&browser, LOGIN_FINISH, &broken).await, 400);
    }
    let mut response = answer(&mut scene, &browser).await;
    response["response"]["authenticatorData"] = json!("!");
    check_refused(post(&browser, LOGIN_FINISH, &response).await, 400);
    let url = scene.url(LOGIN_FINISH);
    let raw = |kind: &str| browser.fetching(Method::POST, &url, None).header("content-type", kind);
    check_refused(browser.send(raw("application/json").body("{")).await, 400);
    check_refused(browser.send(raw("text/plain").body("{}")).await, 415);
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn a_request_that_cannot_be_read_uses_its_ceremony_up() {
    let mut scene = scene().await;
    for broken in ["{", "[]", "{}"] {
        let browser = scene.anonymous();
        let response = answer(&mut scene, &browser).await;
        let request = browser.fetching(Method::POST, &scene.url(LOGIN_FINISH), None);
        let request = request.header("content-type", "application/json").body(broken);
        check_refused(browser.send(request).await, 400);
        check_refused(post(&browser, LOGIN_FINISH, &response).await, 400);
        assert!(browser.session().is_none());
    }
}

#[tokio::test]
async fn refuses_cross_site_sign_ins() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let response = answer(&mut scene, &browser).await;
    for (header, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")]
    {
        for path in [LOGIN_BEGIN, LOGIN_FINISH] {
            let request =
                browser.request(Method::POST, &scene.url(path)).json(&response).header(header, value);
            check_refused(browser.send(request).await, 403);
        }
    }
    assert!(browser.session().is_none());
}
