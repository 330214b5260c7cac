//! Related origins on other domains (WebAuthn Level 3, section 5.11): which origins may use our
//! passkeys, and the document in which browsers find them.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Authenticator, Config, Scene};

const FRIEND: &str = "https://app.example.org";
const UNRELATED: &str = "https://app.example.net";

fn arrange(config: &mut Config) {
    config.tls("auth.example.com");
    config.rp_id = Some("example.com".to_owned());
    config.related_origins = vec![FRIEND.to_owned()];
    config.table("dialects", &["better_auth = true", "corbado = true", "ocore = true"]);
}

/// People sign in at auth.example.com, for the RP ID example.com, which is an application's host.
async fn scene() -> Scene {
    Scene::with(arrange, |route| {
        route.host("example.com");
    })
    .await
}

#[tokio::test]
async fn related_origins_are_public_on_the_rp_host() {
    let scene = scene().await;
    scene.app.take();
    for host in ["example.com", "auth.example.com"] {
        let url = format!("{}/.well-known/webauthn", scene.gateway.origin_of(host));
        let anonymous = scene.anonymous();
        let document = anonymous.send(anonymous.request(Method::GET, &url)).await.expect(200);
        assert_eq!(document.header("content-type"), "application/json");
        assert_eq!(document.json(), json!({ "origins": [scene.gateway.origin(), FRIEND] }));
    }
    assert!(scene.app.take().is_empty(), "the application is not asked");
}

#[tokio::test]
async fn accepts_ceremonies_from_related_origins_only() {
    let mut scene = scene().await;
    for (origin, registered, signed_in) in [(FRIEND, 200, 201), (UNRELATED, 401, 401)] {
        let options = scene.alice.registration_options().await;
        let answer = Authenticator::new(7).create(&options, origin);
        let reply = scene.alice.post("passkeys/register/verify", &answer).await;
        assert_eq!(reply.status, registered, "{origin}: {reply}");
        let browser = scene.anonymous();
        let answer = scene.device.get(&browser.sign_in_options().await, origin);
        let reply = browser.post("passkeys/authenticate/verify", &answer).await;
        assert_eq!(reply.status, signed_in, "{origin}: {reply}");
    }
}

/// Pages that can read answers can also read refusals from before any API was asked.
#[tokio::test]
async fn related_origins_can_read_refusals() {
    let scene = scene().await;
    let huge = vec![b' '; 1 << 20];
    for (origin, may_read) in [(FRIEND, FRIEND), (UNRELATED, "")] {
        for (path, body, status) in [
            ("/v2/me/identifier", huge.clone(), 413),
            ("/api/auth/passkey/delete-passkey", huge.clone(), 413),
            ("/v2/me/%zz", Vec::new(), 400),
            ("/v2/nothing", Vec::new(), 404),
        ] {
            let anonymous = scene.anonymous();
            let request = anonymous.request(Method::POST, &scene.url(path)).header("origin", origin);
            let reply = anonymous.send(request.body(body)).await.expect(status);
            assert_eq!(reply.header("access-control-allow-origin"), may_read, "{path} from {origin}");
        }
    }
    // An endpoint that no page of another origin may call says so in every case.
    let anonymous = scene.anonymous();
    let request = anonymous.request(Method::POST, &scene.url("/api/user/passkeys")).header("origin", FRIEND);
    let reply = anonymous.send(request.body(huge)).await.expect(413);
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

/// A cookie that a page of another site sends along is refused, and not just ignored.
#[tokio::test]
async fn other_sites_get_wrong_origin() {
    let scene = scene().await;
    for (method, path) in [
        (Method::PATCH, "/v2/me"),
        (Method::POST, "/v2/me/passkeys/append/start"),
        (Method::DELETE, "/v2/me"),
        (Method::DELETE, "/api/user/passkeys/x"),
    ] {
        let request = scene.alice.request(method.clone(), &scene.url(path)).header("origin", UNRELATED);
        let reply = scene.alice.send(request.json(&json!({}))).await.expect(403);
        if path.starts_with("/v2") {
            assert_eq!(reply.json()["error"]["type"], "invalid_origin", "{method} {path}");
        }
    }
}

/// On the hosts of applications, only the prefix is ours.
#[tokio::test]
async fn application_hosts_serve_no_dialects() {
    let scene = scene().await;
    let origin = scene.gateway.origin_of("example.com");
    for path in ["/v2/me", "/v2/session-config", "/api/auth/get-session", "/api/user/passkeys"] {
        let anonymous = scene.anonymous();
        let reply = anonymous.fetch(Method::GET, &format!("{origin}{path}"), None).await.expect_problem(401);
        assert!(reply["login_url"].is_string(), "{path} is the application's: {reply}");
    }
    for path in ["/auth/sessions/current", "/auth/openapi.json", "/auth/docs", "/auth/passkeys"] {
        let reply = scene.anonymous().fetch(Method::GET, &format!("{origin}{path}"), None).await;
        assert_eq!(reply.status, 404, "{path} on an application's host: {reply}");
    }
}
