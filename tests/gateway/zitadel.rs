//! The Zitadel dialect: each of its methods, each of its failures, in proto3's JSON form.
//!
//! Here are the passkeys; `links` and `refusals` have files of their own.

mod links;
mod refusals;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Reply, Scene};

const ERROR_DETAIL: &str = "type.googleapis.com/zitadel.v1.ErrorDetail";

fn zitadel(config: &mut Config) {
    config.table("dialects", &["zitadel = true"]);
}

async fn scene() -> Scene {
    Scene::with(zitadel, |_| {}).await
}

/// A program that calls the methods with a bearer token, and no cookie.
struct Program {
    browser: Browser,
    token: String,
}

impl Program {
    async fn of(browser: &Browser, device: &mut Authenticator) -> Self {
        let own = browser.another();
        let token = own.sign_in(device).await.expect(201).json()["token"].as_str().unwrap().to_owned();
        Self { browser: own.another(), token }
    }

    async fn of_alice(scene: &mut Scene) -> Self {
        Self::of(&scene.anonymous(), &mut scene.device).await
    }

    fn request(&self, method: Method, below: &str) -> RequestBuilder {
        self.browser.request(method, &url(&self.browser, below)).bearer_auth(&self.token)
    }

    async fn post(&self, below: &str, body: &Value) -> Reply {
        self.browser.send(self.request(Method::POST, below).json(body)).await
    }

    async fn delete(&self, id: &str) -> Reply {
        self.browser.send(self.request(Method::DELETE, &format!("/{id}"))).await
    }

    /// Creation options, with their wrapping.
    async fn add(&self) -> Value {
        options_in(&self.post("", &json!({})).await.expect(200).json())
    }

    async fn verify(&self, credential: &Value, name: &str) -> Reply {
        self.post("/_verify", &verification(credential, name)).await
    }

    /// Adds a passkey of a new device; the answer that made it.
    async fn enrol(&self, seed: u64, name: &str) -> Value {
        let answer = Authenticator::new(seed).create(&self.add().await, self.browser.origin());
        self.verify(&encoded(&answer), name).await.expect(200);
        answer
    }

    async fn list(&self) -> Vec<Value> {
        let listed = self.post("/_search", &json!({})).await.expect(200).json();
        listed["result"].as_array().unwrap().clone()
    }

    async fn names(&self) -> Vec<String> {
        self.list().await.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn url(browser: &Browser, below: &str) -> String {
    format!("{}/auth/v1/users/me/passwordless{below}", browser.origin())
}

fn options_in(added: &Value) -> Value {
    let text = STANDARD.decode(added["key"]["publicKey"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn encoded(answer: &Value) -> Value {
    json!(STANDARD.encode(answer.to_string()))
}

fn verification(credential: &Value, name: &str) -> Value {
    json!({ "verification": { "publicKeyCredential": credential, "tokenName": name } })
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// `details` with exactly these members beside the sequence and the owner.
#[track_caller]
fn check_details(details: &Value, dates: &[&str]) {
    let mut expected = [&["resourceOwner", "sequence"], dates].concat();
    expected.sort_unstable();
    let mut found = keys(details);
    found.sort_unstable();
    assert_eq!(found, expected, "{details}");
    assert_eq!(details["resourceOwner"], "localhost");
    let sequence = details["sequence"].as_str().unwrap();
    assert!(sequence.parse::<u64>().unwrap() > 0 && !sequence.starts_with(['0', '+']), "{details}");
    for date in dates {
        let date = details[date].as_str().unwrap();
        assert_eq!((date.len(), &date[10..11], &date[23..]), (24, "T", "Z"), "RFC 3339 in UTC: {date}");
    }
}

/// Refused with a `google.rpc.Status` that has one detail; its id.
#[track_caller]
fn refused(reply: Reply, status: u16, code: u64) -> String {
    let body = reply.expect(status).json();
    assert_eq!((keys(&body).len(), &body["code"]), (3, &json!(code)), "{body}");
    let details = body["details"].as_array().unwrap();
    assert_eq!((details.len(), keys(&details[0]).len(), &details[0]["@type"]), (1, 3, &json!(ERROR_DETAIL)));
    let [id, message] = ["id", "message"].map(|member| details[0][member].as_str().unwrap());
    assert_eq!(body["message"], format!("{message} ({id})"));
    id.to_owned()
}

/// Refused before any method was asked.
#[track_caller]
fn refused_plainly(reply: Reply, status: u16, code: u64, message: &str) {
    let reply = reply.expect(status);
    assert_eq!(reply.header("content-type"), "application/json", "{reply}");
    assert_eq!(reply.json(), json!({ "code": code, "message": message }), "{reply}");
}

#[tokio::test]
async fn add_gives_options_as_bytes() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let reply = alice.post("", &json!({})).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    let added = reply.json();
    assert_eq!(keys(&added), ["details", "key"]);
    check_details(&added["details"], &["creationDate", "changeDate"]);
    assert_eq!(keys(&added["key"]), ["publicKey"]);
    let options = options_in(&added);
    assert_eq!(keys(&options), ["publicKey"]);
    let inner = &options["publicKey"];
    assert_eq!(inner["rp"]["id"], "localhost");
    assert_eq!(
        (&inner["user"]["name"], &inner["user"]["displayName"]),
        (&json!(ALICE), &json!("Alice Ample"))
    );
    assert!(URL_SAFE_NO_PAD.decode(inner["challenge"].as_str().unwrap()).unwrap().len() >= 32);
    let selection = &inner["authenticatorSelection"];
    assert_eq!(
        (&selection["residentKey"], &selection["userVerification"]),
        (&json!("required"), &json!("required"))
    );
    assert_eq!(selection["requireResidentKey"], true);
    assert_eq!(inner["attestation"], "none");
    let excluded = inner["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.len(), 1, "{excluded:?}");
    assert_eq!(excluded[0]["transports"], json!(["hybrid", "internal"]));
    assert_eq!(
        inner["user"]["id"],
        alice.add().await["publicKey"]["user"]["id"],
        "one handle for one person"
    );

    // A message without members may say anything, or not be there at all.
    for body in [json!({ "unknown": [1, { "a": null }] }), json!({ "userId": null })] {
        alice.post("", &body).await.expect(200);
    }
    alice.browser.send(alice.request(Method::POST, "")).await.expect(200);
}

#[tokio::test]
async fn verify_stores_a_passkey_that_signs_in_everywhere() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let mut phone = Authenticator::new(7);
    let answer = phone.create(&alice.add().await, scene.alice.origin());
    let verified = alice.verify(&encoded(&answer), " My phone ").await.expect(200).json();
    assert_eq!(keys(&verified), ["details"]);
    check_details(&verified["details"], &["changeDate"]);
    assert_eq!(alice.names().await, ["Linux - Firefox", "My phone"]);
    let anonymous = scene.anonymous();
    anonymous.sign_in(&mut phone).await.expect(201);
    assert_eq!(anonymous.account().await.as_deref(), Some(ALICE));
    let listed = scene.alice.passkeys().await;
    assert_eq!(listed[1]["name"], "My phone", "the native API lists it too");
    assert_eq!(listed[1]["transports"], "hybrid,internal");
}

#[tokio::test]
async fn verify_takes_a_credential_in_every_form_that_clients_send() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let origin = scene.alice.origin().to_owned();
    let forms: [fn(&str) -> Value; 6] = [
        |text| json!(STANDARD.encode(text)),
        |text| json!(STANDARD_NO_PAD.encode(text)),
        |text| json!(URL_SAFE.encode(text)),
        |text| json!(URL_SAFE_NO_PAD.encode(text)),
        |text| json!(text),
        |text| serde_json::from_str(text).unwrap(),
    ];
    for (seed, form) in (10..).zip(forms) {
        let answer = Authenticator::new(seed).create(&alice.add().await, &origin);
        alice.verify(&form(&answer.to_string()), &format!("Form {seed}")).await.expect(200);
    }
    // Only members that the document names, as upstream's clients build it; named as in the proto
    // file.
    let answer = Authenticator::new(20).create(&alice.add().await, &origin);
    let response = &answer["response"];
    let bare = json!({
        "id": answer["id"], "rawId": answer["rawId"], "type": answer["type"],
        "response": {
            "attestationObject": response["attestationObject"], "clientDataJSON": response["clientDataJSON"],
        },
        "clientExtensionResults": null,
    });
    let body = json!({
        "verification": { "public_key_credential": encoded(&bare), "token_name": "Bare", "unknown": 1 },
        "userId": null,
        "unknown": {},
    });
    alice.post("/_verify", &body).await.expect(200);
    assert_eq!(alice.list().await.len(), 8);
}

#[tokio::test]
async fn search_ignores_the_body() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    alice.enrol(7, "Phone").await;
    let listed = alice.post("/_search", &json!({})).await.expect(200).json();
    assert_eq!(keys(&listed), ["result"]);
    let tokens = listed["result"].as_array().unwrap();
    for (token, name) in tokens.iter().zip(["Linux - Firefox", "Phone"]) {
        assert_eq!(keys(token), ["id", "name", "state"]);
        let id = token["id"].as_str().unwrap();
        assert!(id.parse::<i64>().unwrap() > 0, "{id}");
        assert_eq!((&token["name"], &token["state"]), (&json!(name), &json!("AUTH_FACTOR_STATE_READY")));
    }
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0]["id"], tokens[1]["id"]);
    for body in ["", "{", "[1]", "null", "{\"query\":{\"limit\":1}}"] {
        let request = alice.request(Method::POST, "/_search").body(body);
        assert_eq!(alice.browser.send(request).await.expect(200).json(), listed, "{body}");
    }
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    assert_eq!(bob.names().await, ["Linux - Firefox"], "each user sees their own");
}

#[tokio::test]
async fn remove_only_removes_own_passkeys() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    alice.enrol(7, "Phone").await;
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    let id = |token: &Value| token["id"].as_str().unwrap().to_owned();
    let ids: Vec<_> = alice.list().await.iter().map(id).collect();
    let bobs = id(&bob.list().await[0]);

    for unknown in [bobs.as_str(), "1", "_nothing", "%20", "%5Fverify", &"9".repeat(200)] {
        assert_eq!(refused(alice.delete(unknown).await, 404, 5), "unknown_credential", "{unknown}");
    }
    for malformed in [&"9".repeat(201), "%FF"] {
        refused(alice.delete(malformed).await, 400, 3);
    }
    let removed = alice.delete(&ids[1]).await.expect(200).json();
    assert_eq!(keys(&removed), ["details"]);
    check_details(&removed["details"], &["changeDate"]);
    assert_eq!(alice.names().await, ["Linux - Firefox"]);
    refused(alice.delete(&ids[1]).await, 404, 5);
    assert_eq!(refused(alice.delete(&ids[0]).await, 400, 9), "last_passkey");
    assert_eq!((alice.list().await.len(), bob.list().await.len()), (1, 1));
}

#[tokio::test]
async fn sequences_only_grow() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let sequence = |answer: &Value| answer["details"]["sequence"].as_str().unwrap().parse::<u64>().unwrap();
    let added = alice.post("", &json!({})).await.expect(200).json();
    let answer = Authenticator::new(7).create(&options_in(&added), scene.alice.origin());
    let verified = alice.verify(&encoded(&answer), "Phone").await.expect(200).json();
    let id = alice.list().await[1]["id"].as_str().unwrap().to_owned();
    let removed = alice.delete(&id).await.expect(200).json();
    let sequences = [&added, &verified, &removed].map(sequence);
    assert!(sequences.is_sorted(), "{sequences:?}");
}
