//! The Zitadel dialect: each of its methods, each of its failures, in proto3's JSON form.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use vestibule::domain::limits::MAIL_BURST;

use crate::harness::config::Config;
use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Mode, PostOffice, Reply, Scene, flag, port};

const ERROR_DETAIL: &str = "type.googleapis.com/zitadel.v1.ErrorDetail";

/// Every method, with an id where one is called for.
const METHODS: [(Method, &str); 6] = [
    (Method::POST, ""),
    (Method::POST, "/_verify"),
    (Method::POST, "/_search"),
    (Method::DELETE, "/1234"),
    (Method::POST, "/_link"),
    (Method::POST, "/_send_link"),
];

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
        Self::of(&scene.stranger(), &mut scene.device).await
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
    assert_eq!(alice.names().await, ["Passkey", "My phone"]);
    let stranger = scene.stranger();
    stranger.sign_in(&mut phone).await.expect(201);
    assert_eq!(stranger.account().await.as_deref(), Some(ALICE));
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
    // Only what the document names, as upstream's clients build it; members as in the proto file.
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
async fn search_lists_what_there_is_whatever_the_body_says() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    alice.enrol(7, "Phone").await;
    let listed = alice.post("/_search", &json!({})).await.expect(200).json();
    assert_eq!(keys(&listed), ["result"]);
    let tokens = listed["result"].as_array().unwrap();
    for (token, name) in tokens.iter().zip(["Passkey", "Phone"]) {
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
    assert_eq!(bob.names().await, ["Passkey"], "everybody sees their own");
}

#[tokio::test]
async fn remove_takes_ones_own_passkeys_and_no_others() {
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
    assert_eq!(alice.names().await, ["Passkey"]);
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

#[tokio::test]
async fn s_19_a_link_adds_one_passkey_to_ones_own_account() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let made = alice.post("/_link", &json!({})).await.expect(200);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    assert_eq!(keys(&made), ["details", "expiration", "link"]);
    check_details(&made["details"], &["creationDate"]);
    assert_eq!(made["expiration"], "3600s");
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/auth/enroll#", scene.gateway.origin())), "{link}");
    assert!(!scene.gateway.log().contains(secret_of(link)), "the log knows no secret");
    assert!(scene.gateway.log().contains("invited"), "and that there is a link");

    let mut tablet = Authenticator::new(9);
    let elsewhere = scene.stranger();
    let person = elsewhere.enrol(link, "ignored@example.com", "Ignored", &mut tablet).await;
    let current = scene.alice.get("sessions/current").await.expect(200).json();
    assert_eq!((&person["email"], &person["id"]), (&json!(ALICE), &current["user"]["id"]));
    elsewhere.redeem(link, None, "").await.expect_problem(410);
    assert_eq!(alice.list().await.len(), 2);
    scene.stranger().sign_in(&mut tablet).await.expect(201);
    assert!(elsewhere.is_signed_in().await && scene.alice.is_signed_in().await);
}

#[tokio::test]
async fn s_19_a_new_link_ends_the_one_before() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    let mut links = Vec::new();
    for program in [&bob, &alice, &alice, &alice] {
        let made = program.browser.send(program.request(Method::POST, "/_link")).await.expect(200).json();
        links.push(made["link"].as_str().unwrap().to_owned());
    }
    let redeemed = async |link: &str| scene.stranger().redeem(link, None, "").await;
    redeemed(&links[1]).await.expect_problem(410);
    redeemed(&links[2]).await.expect_problem(410);
    assert_eq!(redeemed(&links[3]).await.expect(201).json()["user"]["email"], ALICE);
    let bobs = redeemed(&links[0]).await.expect(201).json();
    assert_eq!(bobs["user"]["email"], "bob@example.com", "somebody else's link is another matter");
}

fn with_mail(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        zitadel(config);
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
    }
}

/// The link in a message, as its reader sees it.
fn link_in(message: &Value, origin: &str) -> String {
    let text = message["message"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
    let begin = text.find(&format!("{origin}/auth/enroll#")).unwrap_or_else(|| panic!("no link in {text}"));
    text[begin..].split(|c: char| c.is_whitespace() || c == '"' || c == '<').next().unwrap().to_owned()
}

#[tokio::test]
async fn send_link_tells_the_link_to_the_owners_mailbox_alone() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let mut scene = Scene::with(with_mail(port), |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let request = alice.request(Method::POST, "/_send_link").json(&json!({ "email": "mallory@example.com" }));
    let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
    let sent = alice.browser.send(request).await.expect(200);
    assert_eq!(keys(&sent.json()), ["details"]);
    check_details(&sent.json()["details"], &["creationDate"]);
    let message = office.message(1).await;
    assert_eq!(message["to"], json!([ALICE]));
    let link = link_in(&message, &scene.gateway.origin());
    assert!(!sent.text().contains(secret_of(&link)) && !scene.gateway.log().contains(secret_of(&link)));
    assert!(!message["message"].as_str().unwrap().contains("evil.example"), "{message}");

    let elsewhere = scene.stranger();
    elsewhere.enrol(&link, ALICE, "", &mut Authenticator::new(9)).await;
    assert_eq!(alice.list().await.len(), 2);
    assert!(office.message(2).await["message"].as_str().unwrap().contains("passkey was added"));
}

#[tokio::test]
async fn s_12_only_so_many_links_are_sent_to_one_mailbox() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let mut scene = Scene::with(with_mail(port), |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let burst = usize::try_from(MAIL_BURST.get()).unwrap();
    for _ in 0..burst {
        alice.post("/_send_link", &json!({})).await.expect(200);
    }
    let too_many = alice.post("/_send_link", &json!({})).await;
    let wait: u64 = too_many.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused(too_many, 429, 8), "rate_limited");
    let last = link_in(&office.message(burst).await, &scene.gateway.origin());
    assert_eq!(office.taken().len(), burst);
    scene.stranger().redeem(&last, None, "").await.expect(201);
    // A link that is told is no message.
    alice.post("/_link", &json!({})).await.expect(200);
}

#[tokio::test]
async fn send_link_needs_mail() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    assert_eq!(refused(alice.post("/_send_link", &json!({})).await, 400, 9), "no_mail");
}

#[tokio::test]
async fn nobody_is_told_what_is_missing() {
    let scene = scene().await;
    let stranger = scene.stranger();
    for (method, below) in METHODS {
        let body = json!({});
        let request = || stranger.request(method.clone(), &url(&stranger, below)).json(&body);
        refused_plainly(stranger.send(request()).await, 401, 16, "auth header missing");
        for value in ["Bearer nonsense", "Bearer ", "Basic YTpi", "nonsense"] {
            let reply = stranger.send(request().header("authorization", value)).await;
            assert_eq!(refused(reply, 401, 16), "token_invalid", "{method} {below} with {value}");
        }
    }
    // A page of another site has the cookie, and is nobody.
    let request = scene.alice.request(Method::POST, &url(&scene.alice, "/_search"));
    let request = request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    refused_plainly(scene.alice.send(request).await, 401, 16, "auth header missing");
    // One of our own pages may use the cookie.
    let reply = scene.alice.fetch(Method::POST, &url(&scene.alice, "/_search"), None).await.expect(200);
    assert_eq!(reply.json()["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_enrolment_can_add_its_passkey_and_do_nothing_else() {
    let scene = scene().await;
    let browser = scene.stranger();
    let link = scene.gateway.invite("bob@example.com", &[]);
    let token = browser.redeem(&link, None, "Bob").await.expect(201).json()["token"].clone();
    let bob = Program { browser: browser.another(), token: token.as_str().unwrap().to_owned() };
    for below in ["/_search", "/_link", "/_send_link"] {
        assert_eq!(refused(bob.post(below, &json!({})).await, 401, 16), "token_invalid");
    }
    refused(bob.delete("1").await, 401, 16);
    bob.enrol(7, "First").await;
    assert_eq!(bob.names().await, ["First"], "the passkey has made the session a full one");
}

#[tokio::test]
async fn what_is_not_there_is_told_plainly() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    alice.enrol(7, "Phone").await;
    let ask = async |method: &Method, below: &str| {
        let request = alice.request(method.clone(), below).json(&json!({}));
        alice.browser.send(request).await
    };
    // A fixed word is never taken for an id.
    for (allowed, below) in METHODS {
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::POST, Method::DELETE] {
            if method != allowed {
                let reply = ask(&method, below).await;
                refused_plainly(reply, 405, 12, "Method Not Allowed");
            }
        }
    }
    for below in ["/1/2", "/_verify/1", "/", "/_search/"] {
        refused_plainly(ask(&Method::POST, below).await, 404, 5, "Not Found");
    }
    for path in ["/auth/v1/users/me", "/auth/v1/users/me/mfa/_search", "/auth/v1/nothing"] {
        let request = alice.browser.request(Method::POST, &scene.url(path)).bearer_auth(&alice.token);
        refused_plainly(alice.browser.send(request).await, 404, 5, "Not Found");
    }
    assert_eq!(alice.list().await.len(), 2);
}

#[tokio::test]
async fn a_verification_has_to_be_whole() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let origin = scene.alice.origin().to_owned();
    let answer = Authenticator::new(7).create(&alice.add().await, &origin);
    let credential = encoded(&answer);
    let long = "x".repeat(60);
    let object = |members: &[(&str, &Value)]| {
        let members: Map<String, Value> =
            members.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
        json!({ "verification": members })
    };
    let phone = json!("Phone");
    for body in [
        json!({}),
        json!({ "verification": null }),
        json!({ "verification": "text" }),
        json!([]),
        json!(null),
        object(&[("tokenName", &phone)]),
        object(&[("tokenName", &phone), ("publicKeyCredential", &json!(null))]),
        object(&[("tokenName", &json!(7)), ("publicKeyCredential", &json!(long))]),
        object(&[("tokenName", &phone), ("token_name", &phone), ("publicKeyCredential", &json!(long))]),
        verification(&json!(""), "Phone"),
        verification(&json!(7), "Phone"),
        verification(&json!("not base64!"), "Phone"),
        verification(&json!(STANDARD.encode("{\"id\":\"too short\"}")), "Phone"),
        verification(&json!({ "id": "too short" }), "Phone"),
        verification(&json!(STANDARD.encode(&long)), "Phone"),
        verification(&json!(format!("{{{long}")), "Phone"),
    ] {
        assert_eq!(refused(alice.post("/_verify", &body).await, 400, 3), "malformed_request", "{body}");
    }
    // None of these named the attempt, so it is still under way.
    alice.verify(&credential, "Phone").await.expect(200);

    for name in [json!(null), json!(""), json!("  "), json!("x".repeat(201)), json!("a\nb")] {
        let answer = encoded(&Authenticator::new(8).create(&alice.add().await, &origin));
        let body = object(&[("publicKeyCredential", &answer), ("tokenName", &name)]);
        refused(alice.post("/_verify", &body).await, 400, 3);
        let again = alice.verify(&answer, "Phone").await;
        assert_eq!(refused(again, 400, 9), "ceremony_expired", "that was an attempt");
    }
    let answer = Authenticator::new(8).create(&alice.add().await, &origin);
    alice.verify(&encoded(&answer), &"ü".repeat(200)).await.expect(200);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    for below in ["", "/_verify", "/_link", "/_send_link"] {
        let send = async |kind: &str, body: String| {
            alice
                .browser
                .send(alice.request(Method::POST, below).header("content-type", kind).body(body))
                .await
        };
        for body in ["{", "{}{}", "nonsense", "[]", "null", "\u{feff}{}"] {
            refused(send("application/json", body.to_owned()).await, 400, 3);
        }
        refused(send("application/x-www-form-urlencoded", "{}".to_owned()).await, 415, 3);
        refused(send("text/plain", "{}".to_owned()).await, 415, 3);
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        assert_eq!(refused(send("application/json", large).await, 413, 8), "body_too_large");
    }
    refused(alice.browser.send(alice.request(Method::POST, "/_verify")).await, 415, 3);
}

#[tokio::test]
async fn w_02_an_attempt_is_good_once_for_its_person_and_its_dialect() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let (bob, mut device) = scene.invited("bob@example.com", 8).await;
    let bob = Program::of(&bob, &mut device).await;
    let origin = scene.alice.origin().to_owned();
    let expired = |reply| assert_eq!(refused(reply, 400, 9), "ceremony_expired");

    let answer = encoded(&Authenticator::new(7).create(&alice.add().await, &origin));
    alice.verify(&answer, "Phone").await.expect(200);
    expired(alice.verify(&answer, "Phone").await);

    // Somebody else's attempt is used up by trying it, and makes nothing.
    let answer = encoded(&Authenticator::new(9).create(&alice.add().await, &origin));
    expired(bob.verify(&answer, "Mine").await);
    expired(alice.verify(&answer, "Mine").await);

    // One that was begun elsewhere, or never.
    let options = scene.alice.registration_options().await;
    expired(alice.verify(&encoded(&Authenticator::new(10).create(&options, &origin)), "Native").await);
    let mut options = alice.add().await;
    options["publicKey"]["challenge"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    expired(alice.verify(&encoded(&Authenticator::new(11).create(&options, &origin)), "Own").await);

    // Several may be under way, and be finished in any order.
    let begun = [alice.add().await, alice.add().await];
    for (seed, options) in (20..).zip(begun.iter().rev()) {
        let answer = encoded(&Authenticator::new(seed).create(options, &origin));
        alice.verify(&answer, "Parallel").await.expect(200);
    }
    assert_eq!((alice.list().await.len(), bob.list().await.len()), (4, 1));
}

#[tokio::test]
async fn a_passkey_that_is_not_accepted_is_the_callers_mistake() {
    let mut scene = scene().await;
    let alice = Program::of_alice(&mut scene).await;
    let origin = scene.alice.origin().to_owned();
    let mut device = Authenticator::new(7);
    let answer = encoded(&device.create_with(&alice.add().await, "https://evil.example", |_| {}));
    assert_eq!(refused(alice.verify(&answer, "Phone").await, 400, 3), "passkey_refused");
    let answer =
        device.create_with(&alice.add().await, &origin, |knobs| "other.example".clone_into(&mut knobs.rp_id));
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "passkey_refused");
    let answer = device.create_with(&alice.add().await, &origin, |knobs| knobs.flags &= !flag::UV);
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "not_verified");
    let answer =
        device.create_with(&alice.add().await, &origin, |knobs| knobs.object = Some(b"nonsense".to_vec()));
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 400, 3), "malformed_request");
    let alices = scene.device.held()[0].id.clone();
    let answer = device.create_with(&alice.add().await, &origin, |knobs| knobs.credential_id = alices);
    assert_eq!(refused(alice.verify(&encoded(&answer), "Phone").await, 409, 6), "duplicate_credential");
    assert_eq!(alice.list().await.len(), 1);
}

#[tokio::test]
async fn s_26_changes_need_a_fresh_passkey() {
    // Beside an application, over https, a sign-in pays for nothing.
    let arrange = |config: &mut Config| {
        zitadel(config);
        config.tls("auth.example.com");
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let browser = scene.stranger();
    let signed_in = browser.sign_in(&mut scene.device).await.expect(201).json();
    let stale =
        Program { browser: browser.another(), token: signed_in["token"].as_str().unwrap().to_owned() };
    let id = stale.list().await[0]["id"].as_str().unwrap().to_owned();
    for below in ["", "/_link"] {
        assert_eq!(refused(stale.post(below, &json!({})).await, 403, 7), "session_not_fresh");
    }
    assert_eq!(refused(stale.delete(&id).await, 403, 7), "session_not_fresh");
    // Shown again by somebody who is signed in, it pays once.
    let again = browser.sign_in(&mut scene.device).await.expect(201).json();
    let fresh = Program { token: again["token"].as_str().unwrap().to_owned(), ..stale };
    fresh.post("/_link", &json!({})).await.expect(200);
    assert_eq!(refused(fresh.post("/_link", &json!({})).await, 403, 7), "session_not_fresh");
}

#[tokio::test]
async fn s_34_too_many_requests_are_told_how_long_to_wait() {
    let arrange = |config: &mut Config| {
        zitadel(config);
        config.table("limits", &["network_burst = 12", "network_per_second = 1"]);
    };
    let mut scene = Scene::with(arrange, |_| {}).await;
    let alice = Program::of_alice(&mut scene).await;
    let mut limited = None;
    for _ in 0..40 {
        let reply = alice.post("/_link", &json!({})).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
        reply.expect(200);
    }
    let limited = limited.expect("the network is held up");
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused(limited, 429, 8), "rate_limited");
    assert_eq!(alice.list().await.len(), 1, "looking is not counted");
}
