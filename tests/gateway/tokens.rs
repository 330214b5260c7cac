//! Tokens and secrets in every spelling but their own (S-31), and `Authorization`, which belongs to
//! the application (P-24).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::dialect_clients::DialectClient;
use crate::harness::journey::secret_of;
use crate::harness::{Browser, Scene};

/// Every way of not being `token`: cut at either end, another case, a flipped character, padding.
fn misspelt(token: &str, step: usize) -> Vec<String> {
    let mut wrong = vec![
        token.to_uppercase(),
        token.to_lowercase(),
        format!("{token}="),
        format!("{token}A"),
        format!("A{token}"),
        token.replace('_', "/").replace('-', "+") + "==",
        format!("{token}{token}"),
        String::new(),
    ];
    for at in (0..token.len()).step_by(step).chain([token.len() - 1]) {
        wrong.push(token[..at].to_owned());
        wrong.push(token[at + 1..].to_owned());
        let mut flipped = token.as_bytes().to_vec();
        for replacement in [b'A', b'B', flipped[at] ^ 1, flipped[at] ^ 0x20] {
            flipped[at] = replacement;
            if replacement.is_ascii_alphanumeric() {
                wrong.push(String::from_utf8(flipped.clone()).unwrap());
            }
        }
    }
    wrong.retain(|spelling| spelling != token);
    wrong
}

async fn signed_in_with_bearer(browser: &Browser, token: &str) -> bool {
    let request = browser.request(Method::GET, &browser.api("sessions/current"));
    match browser.send(request.header("authorization", format!("Bearer {token}"))).await.status {
        200 => true,
        204 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn s_31_refuses_other_spellings_of_a_cookie() {
    let scene = Scene::set().await;
    let token = scene.alice.session().unwrap();
    assert!(token.len() < 1_024, "{} characters", token.len());
    scene.app.take();
    for wrong in misspelt(&token, 9) {
        let browser = scene.anonymous();
        browser.jar().plant("localhost", "vestibule", &wrong);
        assert!(!browser.is_signed_in().await, "{wrong}");
        browser.fetch(Method::GET, &scene.url("/page"), None).await.expect_problem(401);
    }
    assert!(scene.app.take().is_empty());
    assert!(scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn s_31_refuses_other_spellings_of_a_bearer_token() {
    let mut scene = Scene::set().await;
    let browser = scene.anonymous();
    let token = browser.sign_in(&mut scene.device).await.json()["token"].as_str().unwrap().to_owned();
    let cookie = browser.session().unwrap();
    let anonymous = scene.anonymous();
    for wrong in misspelt(&token, 9) {
        assert!(!signed_in_with_bearer(&anonymous, &wrong).await, "{wrong}");
    }
    assert!(signed_in_with_bearer(&anonymous, &token).await);
    assert!(!signed_in_with_bearer(&anonymous, &cookie).await, "a cookie as a bearer token");
    anonymous.jar().plant("localhost", "vestibule", &token);
    assert!(!anonymous.is_signed_in().await, "a bearer token as a cookie");
}

/// A JWT names its algorithm; ours are checked with one algorithm alone.
#[tokio::test]
async fn s_31_an_access_token_is_checked_in_one_way() {
    let mut scene = Scene::with(|config| config.table("dialects", &["ocore = true"]), |_| {}).await;
    let anonymous = scene.anonymous();
    let signed_in = DialectClient::Ocore.sign_in(&scene.anonymous(), &mut scene.device).await.json();
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    assert!(signed_in_with_bearer(&anonymous, &token).await);
    for wrong in misspelt(&token, 29) {
        assert!(!signed_in_with_bearer(&anonymous, &wrong).await, "{wrong}");
    }
    let [head, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let decoded =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    assert_eq!((&decoded(head)["typ"], &decoded(head)["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let key = anonymous.get("jwks.json").await.json()["keys"][0].to_string();
    let mut forged =
        vec![format!("{head}.{claims}."), format!("{head}.{claims}"), format!("{head}..{signature}")];
    for (name, value) in
        [("alg", "none"), ("alg", "HS256"), ("alg", "ES384"), ("typ", "JWT"), ("jku", "http://evil.example/")]
    {
        let mut head = decoded(head);
        head[name] = json!(value);
        forged.push(format!("{}.{claims}.{signature}", encoded(&head)));
        forged.push(format!("{}.{claims}.", encoded(&head)));
        // Signed with the public key as the secret.
        let signed = format!("{}.{claims}", encoded(&head));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        forged.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())));
    }
    let mut longer = decoded(claims);
    longer["exp"] = json!(4_000_000_000_u64);
    forged.push(format!("{head}.{}.{signature}", encoded(&longer)));
    // The assertion that an application was told, as it is and under another name.
    scene.app.take();
    scene.alice.fetch(Method::GET, &scene.url("/page"), None).await.expect(200);
    let assertion = scene.app.take_one().value("x-vestibule-assertion");
    let (_, signed) = assertion.split_once('.').unwrap();
    forged.extend([format!("{head}.{signed}"), assertion]);
    for wrong in forged {
        assert!(!signed_in_with_bearer(&anonymous, &wrong).await, "{wrong}");
    }
}

#[tokio::test]
async fn s_31_refuses_other_spellings_of_secrets() {
    let mut scene = Scene::with(|config| config.table("limits", &["network_burst = 10000"]), |_| {}).await;
    let link = scene.gateway.invite("bob@example.com", &[]);
    let secret = secret_of(&link);
    let anonymous = scene.anonymous();
    for wrong in misspelt(secret, 1) {
        let reply = anonymous.post("invitations/preview", &json!({ "token": wrong })).await;
        reply.expect_problem(410);
    }
    anonymous
        .post("invitations/redeem", &json!({ "token": misspelt(secret, 1)[9] }))
        .await
        .expect_problem(410);
    anonymous.post("invitations/preview", &json!({ "token": secret })).await.expect(200);

    let options = anonymous.sign_in_options().await;
    let ceremony = anonymous.jar().get("localhost", "challenge").unwrap();
    let answer = scene.device.get(&options, anonymous.origin());
    for wrong in misspelt(&ceremony, 3) {
        anonymous.jar().plant("localhost", "challenge", &wrong);
        anonymous.post("passkeys/authenticate/verify", &answer).await.expect_problem(401);
    }
    anonymous.jar().plant("localhost", "challenge", &ceremony);
    anonymous.post("passkeys/authenticate/verify", &answer).await.expect(201);
}

#[tokio::test]
async fn p_24_forwards_authorization_unchanged() {
    let mut scene = Scene::with(
        |_| {},
        |route| {
            route.public(&["/open"]);
        },
    )
    .await;
    let anonymous = scene.anonymous();
    let token = scene.alice.sign_in(&mut scene.device).await.json()["token"].as_str().unwrap().to_owned();
    scene.app.take();
    let values = [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        "Basic dXNlcjpwYXNz".to_owned(),
        "Bearer  two  spaces".to_owned(),
        "Digest username=\"a\", realm=\"b\"".to_owned(),
        "nonsense".to_owned(),
    ];
    for value in &values {
        // An access token never opens an application.
        let request = anonymous.request(Method::GET, &scene.url("/page")).header("authorization", value);
        anonymous.send(request).await.expect_problem(401);
        assert!(scene.app.take().is_empty(), "{value}");
        // Beside our cookie it goes through as it is, and no user loses their session for it.
        for (browser, path) in [(&scene.alice, "/page"), (&anonymous, "/open")] {
            let request = browser.request(Method::GET, &scene.url(path)).header("authorization", value);
            browser.send(request).await.expect(200);
            assert_eq!(scene.app.take_one().value("authorization"), *value);
        }
    }
    // At our own endpoints only a bearer token of ours counts; any other value is an anonymous
    // client's.
    for value in &values[2..] {
        let request =
            anonymous.request(Method::GET, &anonymous.api("sessions/")).header("authorization", value);
        anonymous.send(request).await.expect_problem(401);
    }
}
