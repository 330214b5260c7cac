//! Signing in with Corbado's process.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, claims, get, members, post, refused, scene, url};
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Config, Reply, Scene};

const LOGIN_INIT: [&str; 8] = [
    "blockType",
    "conditionalUIChallenge",
    "identifierValue",
    "isEmailAvailable",
    "isPhone",
    "isPhoneAvailable",
    "isUsernameAvailable",
    "socialData",
];
const PASSKEY_VERIFY: [&str; 3] = ["blockType", "challenge", "identifierValue"];
const COMPLETED: [&str; 4] = ["blockType", "passkeyOperation", "sessionToken", "shortSession"];

/// One process of one browser.
struct Process<'a> {
    browser: &'a Browser,
    id: String,
    /// The answer of process/init.
    begun: Value,
}

impl<'a> Process<'a> {
    async fn begin(browser: &'a Browser) -> Self {
        let asked = json!({ "clientInformation": {}, "preferredBlock": "login-init" });
        let begun = post(browser, "auth/process/init", &asked).await.expect(200).json();
        assert_eq!(members(&begun), ["expiresAt", "processResponse", "token"]);
        let id = begun["token"].as_str().unwrap().to_owned();
        Self { browser, id, begun: begun["processResponse"].clone() }
    }

    async fn ask(&self, method: Method, below: &str, body: Option<&Value>) -> Reply {
        let request = self.browser.fetching(method, &url(self.browser, below), body);
        self.browser.send(request.header("x-corbado-process-id", &self.id)).await
    }

    async fn post(&self, below: &str, body: &Value) -> Reply {
        self.ask(Method::POST, below, Some(body)).await
    }

    /// Says who is signing in; returns the options.
    async fn name(&self, email: &str) -> Value {
        let named = json!({ "identifierValue": email, "isPhone": false });
        let said = self.post("auth/login/init", &named).await.expect(200).json();
        let data = block(&said, "passkey-verify", &PASSKEY_VERIFY);
        assert_eq!(data["blockType"], "generalBlockPasskeyVerify");
        assert_eq!(data["identifierValue"], email);
        read(&data["challenge"])
    }

    async fn finish(&self, below: &str, answer: &Value) -> Reply {
        self.post(below, &json!({ "signedChallenge": answer.to_string() })).await
    }
}

/// The data of the block that a process is at.
#[track_caller]
fn block(response: &Value, kind: &str, data: &[&str]) -> Value {
    assert_eq!(members(response), ["blockBody", "common"], "{response}");
    let body = &response["blockBody"];
    assert_eq!(members(body), ["alternatives", "authType", "block", "data"], "{body}");
    assert_eq!((&body["block"], &body["authType"]), (&json!(kind), &json!("login")), "{body}");
    assert_eq!(members(&response["common"]), ["appName", "environment", "frontendApiUrl", "hideBadge"]);
    assert_eq!(members(&body["data"]), data, "{body}");
    body["data"].clone()
}

fn read(challenge: &Value) -> Value {
    let options: Value = serde_json::from_str(challenge.as_str().unwrap()).unwrap();
    assert_eq!(members(&options), ["publicKey"]);
    assert_eq!(options["publicKey"]["userVerification"], "required");
    assert!(options["publicKey"].get("allowCredentials").is_none(), "no user's passkeys are named");
    options
}

fn conditional(response: &Value) -> Value {
    read(&block(response, "login-init", &LOGIN_INIT)["conditionalUIChallenge"])
}

#[tokio::test]
async fn signs_in_with_address_and_passkey() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let process = Process::begin(&browser).await;
    let first = block(&process.begun, "login-init", &LOGIN_INIT);
    let expected = json!({
        "blockType": "generalBlockLoginInit",
        "conditionalUIChallenge": first["conditionalUIChallenge"],
        "identifierValue": "",
        "isEmailAvailable": true,
        "isPhone": false,
        "isPhoneAvailable": false,
        "isUsernameAvailable": false,
        "socialData": { "providers": [], "status": "initial" },
    });
    assert_eq!(first, expected);
    assert_eq!(process.begun["common"]["frontendApiUrl"], browser.origin());

    process.name(ALICE).await;
    let shown = process.ask(Method::GET, "auth/process", None).await.expect(200).json();
    assert_eq!(block(&shown, "passkey-verify", &PASSKEY_VERIFY)["identifierValue"], ALICE);
    let started = process.post("auth/passkey/login/start", &json!({})).await.expect(200).json();
    let options = read(&block(&started, "passkey-verify", &PASSKEY_VERIFY)["challenge"]);
    let answer = scene.device.get(&options, browser.origin());
    let finished = process.finish("auth/passkey/login/finish", &answer).await.expect(200);
    let cookie = finished.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("vestibule=") && cookie.contains("; HttpOnly"), "{cookie}");
    let data = block(&finished.json(), "completed", &COMPLETED);
    assert_eq!(
        (&data["blockType"], &data["shortSession"]),
        (&json!("generalBlockCompleted"), &data["sessionToken"])
    );
    let operation = json!({
        "operationType": "verify",
        "identifierValue": ALICE,
        "identifierType": "email",
        "ceremonyType": "local",
        "aaguidDetails": { "name": "Linux - Firefox", "iconLight": "", "iconDark": "" },
    });
    assert_eq!(data["passkeyOperation"], operation);
    assert_eq!(claims(data["sessionToken"].as_str().unwrap())["email"], ALICE);
    assert_eq!(get(&browser, "me").await.expect(200).json()["fullName"], "Alice Ample");
    ask(&browser, Method::POST, "me/refresh", None).await.expect(200);
    browser.navigate(&scene.url("/page")).await.expect(200);
    super::done(super::append(&browser, &mut scene.device, &json!({})).await);
}

#[tokio::test]
async fn signs_in_with_a_discoverable_passkey() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let process = Process::begin(&browser).await;
    let options = conditional(&process.begun);
    let answer = scene.device.get(&options, browser.origin());
    let finished = process.finish("auth/passkey/mediation/finish", &answer).await.expect(200).json();
    block(&finished, "completed", &COMPLETED);
    assert_eq!(browser.account().await.as_deref(), Some(ALICE));
}

#[tokio::test]
async fn s_21_unknown_address_gets_the_same_answers() {
    let scene = scene().await;
    let (_, mut bobs) = scene.invited("bob@example.com", 2).await;
    let mut errors = Vec::new();
    for email in [ALICE, "nobody@example.com", "no address at all"] {
        let browser = scene.anonymous();
        let process = Process::begin(&browser).await;
        let answer = bobs.get(&process.name(email).await, browser.origin());
        let refused =
            refused(process.finish("auth/passkey/login/finish", &answer).await, 400, "validation_error");
        errors.push(refused);
        assert!(browser.session().is_none());
    }
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

#[tokio::test]
async fn w_02_ceremony_works_once_in_its_own_process() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let (mine, other) = (Process::begin(&browser).await, Process::begin(&browser).await);
    let answer = scene.device.get(&mine.name(ALICE).await, browser.origin());
    let finish = "auth/passkey/login/finish";
    refused(other.finish(finish, &answer).await, 400, "validation_error");
    refused(mine.finish(finish, &answer).await, 400, "validation_error");
    let native = scene.device.get(&browser.sign_in_options().await, browser.origin());
    refused(mine.finish(finish, &native).await, 400, "validation_error");
    refused(mine.post(finish, &json!({ "signedChallenge": "{}" })).await, 400, "validation_error");

    // The process goes on after a failure, with a new challenge.
    let started = mine.post("auth/passkey/login/start", &json!({})).await.expect(200).json();
    let options = read(&block(&started, "passkey-verify", &PASSKEY_VERIFY)["challenge"]);
    let unverified = scene.device.get_with(&options, browser.origin(), |knobs| {
        knobs.flags &= !crate::harness::flag::UV;
    });
    refused(mine.finish(finish, &unverified).await, 400, "validation_error");
    let answer = scene.device.get(&mine.name(ALICE).await, browser.origin());
    block(&mine.finish(finish, &answer).await.expect(200).json(), "completed", &COMPLETED);
    refused(mine.finish(finish, &answer).await, 404, "process_not_available");

    let mut unknown = crate::harness::Authenticator::new(99);
    unknown.create(&scene.alice.registration_options().await, browser.origin());
    let answer = unknown.get(&conditional(&other.begun), browser.origin());
    refused(other.finish("auth/passkey/mediation/finish", &answer).await, 404, "not_found");
}

#[tokio::test]
async fn refresh_token_only_for_non_browser_clients() {
    let mut scene = scene().await;
    let (browser, program) = (scene.anonymous(), scene.anonymous());
    let process = Process::begin(&browser).await;
    let answer = scene.device.get(&conditional(&process.begun), browser.origin());
    let page = process.finish("auth/passkey/mediation/finish", &answer).await.expect(200).json();
    block(&page, "completed", &COMPLETED);

    let send = |below: &str, id: Option<&str>, body: Value| {
        let request = program.request(Method::POST, &url(&program, below)).json(&body);
        let request = id.into_iter().fold(request, |request, id| request.header("x-corbado-process-id", id));
        program.send(request)
    };
    let begun = send("auth/process/init", None, json!({ "clientInformation": {} })).await.expect(200).json();
    let id = begun["token"].as_str().unwrap();
    let answer = scene.device.get(&conditional(&begun["processResponse"]), program.origin());
    let signed = json!({ "signedChallenge": answer.to_string() });
    let done = send("auth/passkey/mediation/finish", Some(id), signed).await.expect(200).json();
    let all =
        ["blockType", "longSession", "passkeyOperation", "refreshToken", "sessionToken", "shortSession"];
    let data = block(&done, "completed", &all);
    assert_eq!(data["longSession"], data["refreshToken"]);
    let token = data["refreshToken"].as_str().unwrap();
    super::with_bearer(&program, Method::POST, "me/refresh", token).await.expect(200);
    super::with_bearer(&program, Method::GET, "me", token).await.expect(200);
}

/// A browser sends our cookie from no page of another site, so a front end there gets the refresh
/// token.
#[tokio::test]
async fn refresh_token_only_for_related_origins() {
    const FRIEND: &str = "https://shop.example.org";
    let arrange = |config: &mut Config| {
        config.tls("auth.example.com");
        config.table("dialects", &["corbado = true"]);
        config.related_origins = vec![FRIEND.to_owned()];
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    for (site, told) in [("cross-site", true), ("same-site", false)] {
        let page = scene.anonymous();
        let send = |below: &str, id: Option<&str>, body: Value| {
            let request = page.request(Method::POST, &url(&page, below)).json(&body);
            let request = request.header("origin", FRIEND).header("sec-fetch-site", site);
            page.send(id.into_iter().fold(request, |request, id| request.header("x-corbado-process-id", id)))
        };
        let begun = send("auth/process/init", None, json!({ "clientInformation": {} })).await;
        let begun = begun.expect(200).json();
        let answer = scene.device.get(&conditional(&begun["processResponse"]), FRIEND);
        let signed = json!({ "signedChallenge": answer.to_string() });
        let done = send("auth/passkey/mediation/finish", begun["token"].as_str(), signed).await;
        let data = &done.expect(200).json()["blockBody"]["data"];
        assert_eq!(data["refreshToken"].is_string(), told, "{site}: {data}");
    }
}

#[tokio::test]
async fn the_id_of_a_process_never_opens_a_session() {
    let mut scene = scene().await;
    let browser = scene.anonymous();
    let process = Process::begin(&browser).await;
    let complete = "auth/process/complete";
    refused(process.post(complete, &json!({})).await, 401, "login_error");
    let answer = scene.device.get(&conditional(&process.begun), browser.origin());
    let finished = process.finish("auth/passkey/mediation/finish", &answer).await.expect(200).json();
    let data = block(&finished, "completed", &COMPLETED);
    let again = process.post(complete, &json!({})).await.expect(200).json();
    block(&again, "completed", &["blockType", "sessionToken", "shortSession"]);

    let thief = scene.anonymous();
    let stolen = Process { browser: &thief, id: process.id.clone(), begun: Value::Null };
    refused(stolen.post(complete, &json!({})).await, 404, "process_not_available");
    refused(stolen.ask(Method::GET, "auth/process", None).await, 404, "process_not_available");
    let jwt = data["sessionToken"].as_str().unwrap();
    refused(super::with_bearer(&thief, Method::POST, complete, jwt).await, 404, "process_not_available");
}

#[tokio::test]
async fn process_can_be_reset() {
    let scene = scene().await;
    let browser = scene.anonymous();
    let process = Process::begin(&browser).await;
    process.name(ALICE).await;
    let reset = process.post("auth/process/reset", &json!({})).await.expect(200).json();
    assert_eq!(block(&reset, "login-init", &LOGIN_INIT)["identifierValue"], "");
    refused(process.post("auth/passkey/login/start", &json!({})).await, 400, "validation_error");
    assert_ne!(conditional(&reset), conditional(&process.begun), "every challenge is new");
}

async fn refused_without_process(scene: &Scene, method: Method, below: &str, body: &Value) {
    let anonymous = scene.anonymous();
    let body = (method != Method::GET).then_some(body);
    refused(ask(&anonymous, method.clone(), below, body).await, 404, "process_not_available");
    for id in ["", "nonsense", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let process = Process { browser: &anonymous, id: id.to_owned(), begun: Value::Null };
        refused(process.ask(method.clone(), below, body).await, 404, "process_not_available");
    }
}

#[tokio::test]
async fn unsupported_process_endpoints_are_refused() {
    let scene = scene().await;
    let answer = json!({ "signedChallenge": "{}" });
    for (below, body) in [
        ("auth/login/init", json!({ "identifierValue": ALICE, "isPhone": false })),
        ("auth/passkey/login/start", json!({})),
        ("auth/passkey/login/finish", answer.clone()),
        ("auth/passkey/mediation/finish", answer),
        ("auth/process/complete", json!({})),
        ("auth/process/reset", json!({})),
    ] {
        refused_without_process(&scene, Method::POST, below, &body).await;
        refused(ask(&scene.alice, Method::DELETE, below, None).await, 405, "method_not_allowed");
        let foreign = scene.alice.request(Method::POST, &url(&scene.alice, below)).json(&body);
        let foreign = scene.alice.send(foreign.header("origin", "https://evil.example")).await;
        refused(foreign, 403, "invalid_origin");
    }
    refused_without_process(&scene, Method::GET, "auth/process", &Value::Null).await;
    for below in [
        "auth/signup/init",
        "auth/block/skip",
        "auth/passkey/append/start",
        "auth/passkey/append/finish",
        "auth/identifier/verify/start",
        "auth/identifier/update",
        "auth/social/verify/start",
        "connect/login/init",
    ] {
        refused(post(&scene.alice, below, &json!({})).await, 404, "not_found");
    }
    let process = Process::begin(&scene.alice).await;
    for wrong in [
        json!({ "identifierValue": " ", "isPhone": false }),
        json!({ "identifierValue": "x".repeat(255) }),
        json!({ "identifierValue": "+49170", "isPhone": true }),
        json!({}),
    ] {
        refused(process.post("auth/login/init", &wrong).await, 400, "validation_error");
    }
    refused(post(&scene.alice, "auth/process/init", &json!([])).await, 400, "validation_error");
    let event = json!({ "eventType": "login-error", "challenge": "{}" });
    assert!(process.post("auth/events", &event).await.expect(204).body.is_empty());
    refused(process.post("auth/events", &json!({})).await, 400, "validation_error");
}
