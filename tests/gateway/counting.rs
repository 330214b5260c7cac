//! Limits over the wire: every endpoint that tries a credential is counted, in every dialect, for the network
//! that a request really comes from (S-12, S-34).

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Scene, port};
use crate::tongues::Tongue;

/// More than setting the scene takes, and not much more.
const BURST: usize = 8;

fn arrange(config: &mut Config) {
    Tongue::all_on(config);
    let url = format!("url = \"smtp://localhost:{}\"", port::free());
    config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
    config.table("limits", &[&format!("network_burst = {BURST}"), "network_per_second = 1"]);
}

/// Every endpoint that tries or makes a credential, with a body that could be one.
fn credential_endpoints() -> Vec<(Method, &'static str, Value)> {
    let (get, post) = (Method::GET, Method::POST);
    let exchange = |method: &str| json!({ "method": method, "email": ALICE, "token": "AAAA" });
    vec![
        (post.clone(), "/auth/verify", json!({ "email": ALICE })),
        (post.clone(), "/auth/passkeys/register/options", json!({})),
        (post.clone(), "/auth/passkeys/register/verify", json!({ "id": "AAAA" })),
        (post.clone(), "/auth/passkeys/authenticate/options", json!({})),
        (post.clone(), "/auth/passkeys/authenticate/verify", json!({ "id": "AAAA" })),
        (post.clone(), "/auth/sessions", exchange("passkey")),
        (post.clone(), "/auth/sessions", exchange("otp")),
        (post.clone(), "/auth/invitations/preview", json!({ "token": "AAAA" })),
        (post.clone(), "/auth/invitations/redeem", json!({ "token": "AAAA" })),
        (get.clone(), "/api/auth/passkey/generate-register-options", Value::Null),
        (get, "/api/auth/passkey/generate-authenticate-options", Value::Null),
        (post.clone(), "/api/auth/passkey/generate-authenticate-options", json!({})),
        (post.clone(), "/api/auth/passkey/verify-registration", json!({ "response": {} })),
        (post.clone(), "/api/auth/passkey/verify-authentication", json!({ "response": {} })),
        (post.clone(), "/api/auth/passkey/login/begin", json!({})),
        (post.clone(), "/api/auth/passkey/login/finish", json!({ "id": "AAAA" })),
        (post.clone(), "/api/user/passkeys/register/begin", json!({})),
        (post.clone(), "/api/user/passkeys/register/finish", json!({ "id": "AAAA" })),
        (post.clone(), "/v2/me/passkeys/append/start", json!({ "clientInformation": {} })),
        (post.clone(), "/v2/me/passkeys/append/finish", json!({ "attestationResponse": "{}" })),
        (post.clone(), "/v2/me/identifier", json!({ "identifierType": "email", "value": "a@example.org" })),
        (post.clone(), "/v2/auth/process/init", json!({ "clientInformation": {} })),
        (post.clone(), "/auth/v1/users/me/passwordless", json!({})),
        (post.clone(), "/auth/v1/users/me/passwordless/_verify", {
            let credential = json!({ "id": "AAAA", "rawId": "AAAA", "response": {}, "type": "public-key" });
            json!({ "verification": { "publicKeyCredential": credential, "tokenName": "Phone" } })
        }),
        (post.clone(), "/auth/v1/users/me/passwordless/_link", json!({})),
        (post, "/auth/v1/users/me/passwordless/_send_link", json!({})),
    ]
}

#[tokio::test]
async fn s_12_every_endpoint_that_tries_a_credential_is_counted() {
    let scene = Scene::with(arrange, |_| {}).await;
    for (method, path, body) in credential_endpoints() {
        let mut refused = false;
        // What comes back in the meantime is one each second.
        for _ in 0..2 * BURST {
            let body = Some(&body).filter(|body| !body.is_null());
            let reply = scene.alice.call(method.clone(), path, body).await;
            assert!(reply.status < 500, "{path}: {reply}");
            refused |= reply.status == 429;
            if refused {
                assert!(!reply.header("retry-after").is_empty(), "{path}: {reply}");
                break;
            }
        }
        assert!(refused, "{method} {path} can be tried without end");
    }
    // None of that is anything to somebody who is signed in and changes nothing.
    for tongue in Tongue::ALL {
        tongue.ask_for_list(&scene.alice).await.expect(200);
    }
    scene.alice.get("sessions").await.expect(200);
}

/// A request that is counted, and says that it comes from `from`.
fn begin(browser: &Browser, header: &str, from: &str) -> RequestBuilder {
    let url = browser.api("passkeys/authenticate/options");
    browser.request(Method::POST, &url).header(header, from)
}

/// How many of these are answered before one is refused.
async fn answered(scene: &Scene, header: &str, from: impl Fn(usize) -> String) -> usize {
    let stranger = scene.stranger();
    for count in 0..4 * BURST {
        let reply = stranger.send(begin(&stranger, header, &from(count))).await;
        if reply.status == 429 {
            return count;
        }
        reply.expect(200);
    }
    4 * BURST
}

#[tokio::test]
async fn s_34_what_a_stranger_says_of_their_address_gives_them_nothing() {
    let scene = Scene::with(arrange, |_| {}).await;
    for header in ["x-forwarded-for", "x-real-ip", "forwarded", "client-ip", "true-client-ip", "x-client-ip"]
    {
        let claimed = |count: usize| match header {
            "forwarded" => format!("for=10.{count}.1.1"),
            _ => format!("10.{count}.1.1"),
        };
        let count = answered(&scene, header, claimed).await;
        assert!(count <= BURST, "{header}: {count}");
    }
}

/// Behind a proxy that is believed, networks are told apart as they are without one: a /24, or a /64, and an
/// IPv4 address in whichever clothes.
#[tokio::test]
async fn s_34_behind_a_trusted_proxy_a_network_is_what_the_proxy_saw() {
    let arrange = |config: &mut Config| {
        arrange(config);
        config.server.push("trusted_proxies = [\"127.0.0.1/32\"]".to_owned());
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let stranger = scene.stranger();
    let is_let_in = async |from: &str| {
        let reply = stranger.send(begin(&stranger, "x-forwarded-for", from)).await;
        assert!([200, 429].contains(&reply.status), "{from}: {reply}");
        reply.status == 200
    };
    // One comes back each second, so a slow machine may see one or two more.
    let whole = BURST..=BURST + 2;
    let count = answered(&scene, "x-forwarded-for", |n| format!("198.51.100.{n}")).await;
    assert!(whole.contains(&count), "a /24: {count}");
    for same in ["::ffff:198.51.100.200", "::ffff:c633:64c8", "198.51.100.7", "203.0.113.9, 198.51.100.8"] {
        let first = is_let_in(same).await;
        assert!(!first || !is_let_in(same).await, "{same} is the same network");
    }
    assert!(is_let_in("198.51.101.1").await, "the neighbour is somebody else");
    let count = answered(&scene, "x-forwarded-for", |n| format!("2001:db8:0:1:{n:x}::{n:x}")).await;
    assert!(whole.contains(&count), "a /64: {count}");
    assert!(is_let_in("2001:db8:0:2::1").await);
}
