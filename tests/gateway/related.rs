//! Related origins on other domains (WebAuthn Level 3, section 5.11): who may use our passkeys, and where
//! browsers find that out.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Authenticator, Scene};

const FRIEND: &str = "https://app.example.org";
const STRANGER: &str = "https://app.example.net";

/// People sign in at auth.example.com, for the RP ID example.com, which is an application's host.
async fn scene() -> Scene {
    let arrange = |config: &mut crate::harness::Config| {
        config.tls("auth.example.com");
        let related = format!("related_origins = [{FRIEND:?}]");
        config.table("relying_party", &["id = \"example.com\"", &related]);
    };
    Scene::with(arrange, |route| {
        route.host("example.com");
    })
    .await
}

#[tokio::test]
async fn the_relying_partys_own_host_lists_them_to_anybody() {
    let scene = scene().await;
    scene.app.take();
    for host in ["example.com", "auth.example.com"] {
        let url = format!("{}/.well-known/webauthn", scene.gateway.origin_of(host));
        let stranger = scene.stranger();
        let document = stranger.send(stranger.request(Method::GET, &url)).await.expect(200);
        assert_eq!(document.header("content-type"), "application/json");
        assert_eq!(document.json(), json!({ "origins": [scene.gateway.origin(), FRIEND] }));
    }
    assert!(scene.app.take().is_empty(), "the application is not asked");
}

#[tokio::test]
async fn a_passkey_is_taken_from_a_page_of_theirs_and_of_nobody_else() {
    let mut scene = scene().await;
    for (origin, registered, signed_in) in [(FRIEND, 200, 201), (STRANGER, 401, 401)] {
        let options = scene.alice.registration_options().await;
        let answer = Authenticator::new(7).create(&options, origin);
        let reply = scene.alice.post("passkeys/register/verify", &answer).await;
        assert_eq!(reply.status, registered, "{origin}: {reply}");
        let browser = scene.stranger();
        let answer = scene.device.get(&browser.sign_in_options().await, origin);
        let reply = browser.post("passkeys/authenticate/verify", &answer).await;
        assert_eq!(reply.status, signed_in, "{origin}: {reply}");
    }
}
