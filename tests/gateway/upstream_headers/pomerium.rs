//! `headers = "pomerium"`, for applications that are set up for Pomerium.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::{Gateway, Scene};

const KEYS: &str = "/.well-known/pomerium/jwks.json";

#[tokio::test]
async fn pomerium_assertion_verifies_with_its_hosts_jwks() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.line("headers = \"pomerium\"");
        },
    )
    .await;
    scene.gateway.operate(&["user", "groups", "alice", "ops", "staff"]);
    let forged =
        scene.alice.navigation(&scene.url("/page")).header("X-Pomerium-Jwt-Assertion", "e30.e30.e30");
    scene.alice.send(forged).await.expect(200);
    let seen = scene.app.take_one();
    let [jwt] = seen.values("x-pomerium-jwt-assertion").try_into().unwrap();
    let id = scene.alice.get("sessions/current").await.json()["user"]["id"].clone();
    assert_eq!(seen.value("x-pomerium-claim-user"), id.as_str().unwrap());
    assert_eq!(seen.value("x-pomerium-claim-email"), "alice@example.com");
    assert_eq!(seen.value("x-pomerium-claim-name"), "Alice Ample");
    assert_eq!(seen.value("x-pomerium-claim-groups"), "ops,staff");

    // As such an application does: it reads the public keys from its own host, without a cookie.
    let keys = scene.anonymous().navigate(&scene.url(KEYS)).await.expect(200);
    let keys: JwkSet = serde_json::from_value(keys.json()).unwrap();
    let key = keys.find(&decode_header(&jwt).unwrap().kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["localhost"]);
    validation.set_issuer(&["localhost"]);
    let claims = decode::<Value>(&jwt, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims;
    assert_eq!((&claims["sub"], &claims["user"]), (&id, &id));
    assert_eq!(claims["email"], "alice@example.com");
    assert_eq!(claims["name"], "Alice Ample");
    assert_eq!(claims["groups"], json!(["ops", "staff"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert!(claims["sid"].as_str().unwrap() != claims["jti"].as_str().unwrap());
    let session = scene.alice.get("sessions/current").await.json()["id"].clone();
    assert_ne!(claims["sid"], session, "no lookup finds the session by it");
}

#[tokio::test]
async fn pomerium_jwks_path_belongs_to_the_application_by_default() {
    let scene = Scene::set().await;
    scene.anonymous().navigate(&scene.url(KEYS)).await.expect(303);
    scene.alice.navigate(&scene.url(KEYS)).await.expect(200);
    assert_eq!(scene.app.take_one().target(), KEYS);
}

#[test]
fn refuses_pomerium_assertions_on_a_wildcard() {
    let gateway = Gateway::prepare(|config: &mut Config| {
        config.tls("auth.example.com");
        config.route("app", 1).host("*.example.org").line("headers = \"pomerium\"");
    });
    let output = gateway.cli(&["check"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("a wildcard has many"), "{text}");
}
