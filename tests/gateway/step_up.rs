//! Sensitive changes need a passkey that was shown a short time ago, in every dialect; nothing
//! weaker is accepted (S-26).

use reqwest::Method;
use serde_json::json;

use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Mode, PostOffice, Reply, Scene, port};

/// All dialects, and codes by mail that are good for `good_for`.
fn arrange(port: u16, good_for: &'static str) -> impl FnOnce(&mut Config) {
    move |config| {
        DialectClient::all_on(config);
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
        config.table("signin", &[&format!("email_code = \"{good_for}\"")]);
    }
}

/// Signs in, in this browser, with a code by mail: the `count`-th message. The owner is told of its
/// use in the one after.
async fn by_code(browser: &Browser, office: &PostOffice, count: usize) -> Reply {
    browser.post("verify", &json!({ "email": ALICE })).await.expect(201);
    let code = office.code(count).await;
    browser.post("sessions", &json!({ "method": "otp", "email": ALICE, "token": code })).await.expect(201)
}

/// Every sensitive change in every dialect, on a host that an application shares. None of them
/// takes effect.
async fn check_changes_nothing(scene: &Scene, browser: &Browser, status: u16) {
    for dialect in DialectClient::ALL {
        let id = dialect.list(&scene.alice).await.remove(0).id;
        let context = |what: &str, reply: &Reply| format!("{what} in {dialect:?}: {reply}");
        let begun = dialect.begin_adding(browser).await;
        assert_eq!(begun.status, status, "{}", context("adding", &begun));
        let removed = dialect.delete(browser, &id).await;
        assert_eq!(removed.status, status, "{}", context("removing", &removed));
        let renamed = dialect.rename(browser, &id, "Mine").await;
        assert_eq!(renamed.status, status, "{}", context("renaming", &renamed));
    }
    let other = scene.alice.sessions().await[0]["id"].as_str().unwrap().to_owned();
    for below in [format!("sessions/{other}"), "sessions/others".to_owned()] {
        let reply = browser.delete(&below).await;
        assert_eq!(reply.status, status, "{below}: {reply}");
    }
    let [passkey] = &scene.alice.passkeys().await[..] else { panic!("something was added or removed") };
    assert_eq!(passkey["name"], "Linux - Firefox");
    assert!(scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn s_26_code_session_changes_nothing_in_any_dialect() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let mut scene = Scene::with(arrange(port, "session"), |_| {}).await.with_alice_as_member().await;
    // In a browser without a session, and in a browser whose user had just shown a passkey.
    let (new, fresh) = (scene.anonymous(), scene.anonymous());
    fresh.sign_in(&mut scene.device).await.expect(201);
    fresh.post("passkeys/register/options", &json!({})).await.expect(200);
    for (count, browser) in [&new, &fresh].into_iter().enumerate() {
        let token =
            by_code(browser, &office, 2 * count + 1).await.json()["token"].as_str().unwrap().to_owned();
        check_changes_nothing(&scene, browser, 403).await;
        check_changes_nothing(&scene, &browser.showing(&token), 403).await;
        // The session cannot be exchanged as a sign-in, and does not say that it was by passkey.
        let body = json!({ "method": "passkey", "email": ALICE, "token": token });
        scene.anonymous().post("sessions", &body).await.expect_problem(401);
        let session = &browser.sessions().await[0];
        assert_eq!((&session["current"], &session["passkeyId"]), (&json!(true), &json!(null)));
    }
    // Another code does not make the session fresh; a passkey does.
    by_code(&new, &office, 5).await;
    check_changes_nothing(&scene, &new, 403).await;
    for dialect in DialectClient::ALL {
        dialect.sign_in(&new, &mut scene.device).await;
        let begun = dialect.begin_adding(&new).await;
        assert_eq!(begun.status, 200, "{dialect:?}: {begun}");
    }
}

#[tokio::test]
async fn s_26_enrolling_code_session_is_refused_in_every_dialect() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(arrange(port, "enroll"), |_| {}).await.with_alice_as_member().await;
    let browser = scene.anonymous();
    by_code(&browser, &office, 1).await;
    for dialect in DialectClient::ALL {
        let id = dialect.list(&scene.alice).await.remove(0).id;
        dialect.ask_for_list(&browser).await.expect(401);
        dialect.rename(&browser, &id, "Mine").await.expect(401);
        dialect.delete(&browser, &id).await.expect(401);
    }
    for below in ["sessions/others", "sessions/abababababababababababababababab"] {
        browser.delete(below).await.expect_problem(401);
    }
    scene.app.take();
    browser.fetch(Method::GET, &scene.url("/page"), None).await.expect_problem(401);
    assert!(scene.app.take().is_empty());
    // The session may add a passkey, in any dialect.
    DialectClient::Ocore.add(&browser, &mut Authenticator::new(9), "New phone").await;
    assert_eq!(DialectClient::BetterAuth.list(&browser).await.len(), 2);
    // The reader of the mail has shown no passkey yet, and may change nothing before they do.
    for dialect in DialectClient::ALL {
        let id = dialect.list(&browser).await.remove(0).id;
        dialect.begin_adding(&browser).await.expect(403);
        dialect.delete(&browser, &id).await.expect(403);
    }
    let link = browser.call(Method::POST, "/auth/v1/users/me/passwordless/_link", Some(&json!({}))).await;
    link.expect(403);
}

/// Over https, beside an application, not even signing in pays: only a passkey that is shown again
/// by a signed-in user does, and for one change.
#[tokio::test]
async fn s_26_beside_an_application_each_change_asks_again_in_every_dialect() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        DialectClient::all_on(config);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    for dialect in DialectClient::ALL {
        let browser = scene.anonymous();
        dialect.sign_in(&browser, &mut scene.device).await;
        check_changes_nothing(&scene, &browser, 403).await;
        let id = dialect.list(&browser).await.remove(0).id;
        dialect.sign_in(&browser, &mut scene.device).await;
        if matches!(dialect, DialectClient::Native | DialectClient::Corbado | DialectClient::Zitadel) {
            // These rename by our own API, which takes no step-up without a change; see f_09.
            dialect.rename(&browser, &id, "Once").await.expect(403);
            let begun = if dialect == DialectClient::Native { 403 } else { 200 };
            dialect.begin_adding(&browser).await.expect(begun);
            continue;
        }
        dialect.rename(&browser, &id, "Once").await.expect(200);
        dialect.rename(&browser, &id, "Twice").await.expect(403);
        dialect.sign_in(&browser, &mut scene.device).await;
        dialect.rename(&browser, &id, "Linux - Firefox").await.expect(200);
    }
}

/// An access token is made to be shown to others, so each of its changes needs a step-up of its
/// own.
#[tokio::test]
async fn f_08_access_token_requires_a_step_up_for_changes() {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let access = |signed_in: &Reply| {
        let tokens = DialectClient::Ocore.tokens(signed_in);
        tokens.into_iter().find(|(form, _)| *form == "access").unwrap().1
    };
    let signed_in = DialectClient::Ocore.sign_in(&scene.anonymous().showing("none"), &mut scene.device).await;
    let mut others = scene.anonymous().showing(&access(&signed_in));
    check_changes_nothing(&scene, &others, 403).await;
    for spoken in DialectClient::ALL {
        // The same person shows the passkey again, and the token that comes of it is good for one
        // change.
        let signed_in = DialectClient::Ocore.sign_in(&others, &mut scene.device).await;
        let stepped_up = scene.anonymous().showing(&access(&signed_in));
        let id = spoken.list(&scene.alice).await.remove(0).id;
        spoken.rename(&stepped_up, &id, "Mine").await.expect(200);
        let again = spoken.rename(&stepped_up, &id, "Yours").await;
        assert_eq!(again.status, 403, "{spoken:?}: {again}");
        others = stepped_up;
        // The cookie, opaque and refresh tokens of a fresh sign-in pay as before.
        let browser = scene.anonymous();
        spoken.sign_in(&browser, &mut scene.device).await;
        spoken.rename(&browser, &id, "Linux - Firefox").await.expect(200);
    }
}

/// Where an application shares the auth host, its script in another tab sends the same cookie. It
/// cannot use the step-up that the owner's page has asked for.
#[tokio::test]
async fn f_09_step_up_is_bound_to_page_and_change() {
    let arrange = |config: &mut Config| {
        config.tls("auth.example.test");
        DialectClient::all_on(config);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let browser = scene.anonymous();
    browser.sign_in(&mut scene.device).await.expect(201);
    let id = browser.passkeys().await[0]["id"].as_str().unwrap().to_owned();
    let below = format!("passkeys/{id}");
    let name = json!({ "name": "Mine" });
    assert_eq!(browser.patch(&below, &name).await.expect_problem(403)["code"], "session_not_fresh");
    let asked = json!({ "change": format!("PATCH {below}") });
    let options = browser.post("passkeys/authenticate/options", &asked).await.expect(200).json();
    let answer = scene.device.get(&options, browser.origin());
    let verified = browser.post("passkeys/authenticate/verify", &answer).await.expect(201).json();
    let nonce = verified["stepUp"].as_str().unwrap().to_owned();
    let paying = |method: Method, below: &str, body: &serde_json::Value| {
        browser.fetching(method, &browser.api(below), Some(body)).header("x-vestibule-step-up", &nonce)
    };
    // The same cookie without the nonce; the nonce for something else; another API.
    browser.patch(&below, &name).await.expect_problem(403);
    browser.send(paying(Method::DELETE, &below, &json!({}))).await.expect_problem(403);
    browser.send(paying(Method::POST, "passkeys/register/options", &json!({}))).await.expect_problem(403);
    DialectClient::Zitadel.begin_adding(&browser).await.expect(403);
    browser.send(paying(Method::PATCH, &below, &name)).await.expect(200);
    browser.send(paying(Method::PATCH, &below, &name)).await.expect_problem(403);
    // Both steps of a registration are one change.
    let asked = json!({ "change": "POST passkeys/register/options" });
    let options = browser.post("passkeys/authenticate/options", &asked).await.expect(200).json();
    let answer = scene.device.get(&options, browser.origin());
    let verified = browser.post("passkeys/authenticate/verify", &answer).await.expect(201).json();
    let nonce = verified["stepUp"].as_str().unwrap();
    let adding = |below: &str, body: &serde_json::Value| {
        let request = browser.fetching(Method::POST, &browser.api(below), Some(body));
        request.header("x-vestibule-step-up", nonce)
    };
    let options = browser.send(adding("passkeys/register/options", &json!({}))).await.expect(200).json();
    let created = Authenticator::new(9).create(&options, browser.origin());
    browser.post("passkeys/register/verify", &created).await.expect_problem(403);
    let options = browser.send(adding("passkeys/register/options", &json!({}))).await.expect(200).json();
    let created = Authenticator::new(9).create(&options, browser.origin());
    browser.send(adding("passkeys/register/verify", &created)).await.expect(200);
    // An invalid change is refused.
    browser.post("passkeys/authenticate/options", &json!({ "change": "nothing" })).await.expect_problem(422);
}
