//! Limits over the wire: every endpoint that tries a credential is counted, in every dialect, for
//! the network that a request really comes from (S-12, S-34).

use std::collections::BTreeSet;
use std::time::Instant;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::dialect_clients::DialectClient;
use crate::harness::config::Config;
use crate::harness::scene::ALICE;
use crate::harness::{Browser, Scene, port};

/// More than setting the scene takes, and not much more.
const BURST: usize = 8;

fn arrange(config: &mut Config) {
    DialectClient::all_on(config);
    let url = format!("url = \"smtp://localhost:{}\"", port::free());
    config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
    config.table("signin", &["email_code = \"enroll\""]);
    config.table("signup", &["mode = \"open\""]);
    config.table("limits", &[&format!("network_burst = {BURST}"), "network_per_second = 1"]);
}

/// Every endpoint that tries or makes a credential, or an account by name, with a body that could
/// be right.
fn counted() -> Vec<(&'static str, Value)> {
    let exchange = |method: &str| json!({ "method": method, "email": ALICE, "token": "AAAA" });
    let (code, email) = ("AAAA-AAAA", "a@example.org");
    let credential = json!({ "id": "AAAA", "rawId": "AAAA", "response": {}, "type": "public-key" });
    vec![
        ("POST /auth/verify", json!({ "email": ALICE })),
        ("POST /auth/passkeys/register/options", json!({})),
        ("POST /auth/passkeys/register/verify", json!({ "id": "AAAA" })),
        ("POST /auth/passkeys/authenticate/options", json!({})),
        ("POST /auth/passkeys/authenticate/verify", json!({ "id": "AAAA" })),
        ("POST /auth/sessions", exchange("passkey")),
        ("POST /auth/sessions", exchange("otp")),
        ("POST /auth/invitations/preview", json!({ "token": "AAAA" })),
        ("POST /auth/invitations/redeem", json!({ "token": "AAAA" })),
        ("POST /auth/recovery-codes", json!({})),
        ("POST /auth/recovery-codes/redeem", json!({ "identifier": ALICE, "code": "AAAA-AAAA-AAAA-AAAA" })),
        ("POST /auth/recoveries/cancel", json!({ "token": "A".repeat(43) })),
        ("POST /auth/signup", json!({ "email": email })),
        ("POST /auth/signup/confirm", json!({ "email": email, "code": code })),
        ("POST /auth/device-links/ask", json!({ "code": code })),
        ("POST /auth/device-links/join", json!({})),
        ("POST /auth/account/device-link", json!({})),
        ("POST /auth/account/device-link/confirm", json!({ "number": 7 })),
        ("POST /auth/account/address", json!({ "email": email })),
        ("POST /auth/account/address/confirm", json!({ "email": email, "code": code })),
        ("PATCH /auth/account", json!({ "username": "admin" })),
        ("DELETE /auth/account", Value::Null),
        ("POST /auth/tokens", json!({ "name": "n", "routes": ["app"], "expires_in_seconds": 3_600 })),
        ("GET /api/auth/passkey/generate-register-options", Value::Null),
        ("GET /api/auth/passkey/generate-authenticate-options", Value::Null),
        ("POST /api/auth/passkey/generate-authenticate-options", json!({})),
        ("POST /api/auth/passkey/verify-registration", json!({ "response": {} })),
        ("POST /api/auth/passkey/verify-authentication", json!({ "response": {} })),
        ("POST /api/auth/passkey/login/begin", json!({})),
        ("POST /api/auth/passkey/login/finish", json!({ "id": "AAAA" })),
        ("POST /api/user/passkeys/register/begin", json!({})),
        ("POST /api/user/passkeys/register/finish", json!({ "id": "AAAA" })),
        ("POST /v2/me/passkeys/append/start", json!({ "clientInformation": {} })),
        ("POST /v2/me/passkeys/append/finish", json!({ "attestationResponse": "{}" })),
        ("POST /v2/me/identifier", json!({ "identifierType": "email", "value": email })),
        (
            "PATCH /v2/me/identifier",
            json!({ "identifierID": "its username", "identifierType": "username", "value": "admin" }),
        ),
        ("POST /v2/me/identifier/verify/start", json!({ "identifierID": "its address" })),
        ("POST /v2/me/identifier/verify/finish", json!({ "identifierID": "its address", "code": code })),
        ("DELETE /v2/me", Value::Null),
        ("POST /v2/auth/process/init", json!({ "clientInformation": {} })),
        ("POST /v2/auth/login/init", json!({ "identifierValue": ALICE })),
        ("POST /v2/auth/passkey/login/start", json!({})),
        ("GET /v2/auth/process", Value::Null),
        ("POST /v2/auth/process/reset", json!({})),
        ("POST /v2/auth/passkey/login/finish", json!({ "signedChallenge": "{}" })),
        ("POST /v2/auth/passkey/mediation/finish", json!({ "signedChallenge": "{}" })),
        ("POST /auth/v1/users/me/passwordless", json!({})),
        (
            "POST /auth/v1/users/me/passwordless/_verify",
            json!({ "verification": { "publicKeyCredential": credential, "tokenName": "Phone" } }),
        ),
        ("POST /auth/v1/users/me/passwordless/_link", json!({})),
        ("POST /auth/v1/users/me/passwordless/_send_link", json!({})),
    ]
}

/// Every other endpoint, with the reason why it tries no credential.
const UNCOUNTED: [(&str, &[&str]); 5] = [
    (
        "says what every client may know",
        &[
            "GET /.well-known/passkey-endpoints",
            "GET /api/auth/.well-known/webauthn",
            "GET /auth/health",
            "GET /auth/jwks.json",
            "GET /auth/ready",
            "GET /auth/token-keys.json",
            "GET /v2/process-config",
            "GET /v2/session-config",
            "GET /v2/user-details-config",
        ],
    ),
    (
        "asks for a session, which is known by 128 bits and more",
        &[
            "GET /api/auth/get-session",
            "GET /api/auth/passkey/list-user-passkeys",
            "GET /api/user/passkeys",
            "GET /auth/account/audit",
            "GET /auth/account/data",
            "GET /auth/account/device-link",
            "GET /auth/passkeys",
            "GET /auth/recoveries",
            "GET /auth/recovery-codes",
            "GET /auth/sessions",
            "GET /auth/sessions/current",
            "GET /auth/sessions/current/permissions",
            "GET /auth/tokens",
            "GET /v2/me",
            "GET /v2/me/passkeys",
            "POST /auth/v1/users/me/passwordless/_search",
            "POST /v2/auth/process/complete",
            "POST /v2/me/refresh",
        ],
    ),
    ("does nothing", &["POST /v2/auth/events"]),
    (
        "takes something of its caller's away",
        &[
            "DELETE /api/user/passkeys/{id}",
            "DELETE /auth/account/device-link",
            "DELETE /auth/passkeys/{id}",
            "DELETE /auth/recoveries/{id}",
            "DELETE /auth/sessions",
            "DELETE /auth/sessions/current",
            "DELETE /auth/sessions/others",
            "DELETE /auth/sessions/{id}",
            "DELETE /auth/tokens/{id}",
            "DELETE /auth/v1/users/me/passwordless/{token_id}",
            "DELETE /v2/me/identifier",
            "DELETE /v2/me/passkeys/{credentialID}",
            "POST /api/auth/passkey/delete-passkey",
            "POST /api/auth/sign-out",
            "POST /v2/me/logout",
        ],
    ),
    (
        "gives something of its caller's another name",
        &[
            "PATCH /api/user/passkeys/{id}",
            "PATCH /auth/passkeys/{id}",
            "PATCH /v2/me",
            "POST /api/auth/passkey/update-passkey",
        ],
    ),
];

/// Every endpoint of the description but those for administrators with a fresh passkey, which
/// `administration::refusals` walks as a whole.
async fn described(scene: &Scene) -> BTreeSet<String> {
    let description = scene.anonymous().get("openapi.json").await.expect(200).json();
    let methods = ["get", "post", "put", "patch", "delete"];
    let described = description["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let known = methods.into_iter().filter(|method| !item[*method].is_null());
        known.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    });
    described.filter(|endpoint| !endpoint.contains(" /auth/admin/v1/")).collect()
}

/// A developer who adds an endpoint says whether it is counted, and if not, why.
#[tokio::test]
async fn s_12_every_described_endpoint_is_limited_or_exempt() {
    let scene = Scene::with(arrange, |_| {}).await;
    let described = described(&scene).await;
    assert!(described.len() > 80, "{described:?}");
    let counted: BTreeSet<_> = counted().into_iter().map(|(endpoint, _)| endpoint.to_owned()).collect();
    let uncounted: Vec<_> = UNCOUNTED.iter().flat_map(|(_, endpoints)| *endpoints).copied().collect();
    let listed: BTreeSet<_> = uncounted.iter().map(|it| (*it).to_owned()).chain(counted.clone()).collect();
    assert_eq!(listed.len(), counted.len() + uncounted.len(), "something is in both lists");
    let difference: Vec<_> = described.symmetric_difference(&listed).collect();
    assert!(difference.is_empty(), "in the description or in a list alone: {difference:#?}");
}

/// The ids that Corbado's endpoints ask for: of Alice's username, of an address that she has not
/// confirmed, and of a process in which she is named.
struct Named {
    username: String,
    address: String,
    process: String,
}

impl Named {
    async fn by(alice: &Browser) -> Self {
        let ask = async |method, below: &str, process: &str, body: Option<Value>| {
            let request = alice.fetching(method, &format!("{}/v2/{below}", alice.origin()), body.as_ref());
            alice.send(request.header("x-corbado-process-id", process)).await.expect(200).json()
        };
        let new = json!({ "identifierType": "email", "value": "other@example.org" });
        ask(Method::POST, "me/identifier", "", Some(new)).await;
        let me = ask(Method::GET, "me", "", None).await;
        let id_of = |value: &str| {
            let all = me["identifiers"].as_array().unwrap();
            let found = all.iter().find(|it| it["value"] == value).unwrap_or_else(|| panic!("{me}"));
            found["id"].as_str().unwrap().to_owned()
        };
        let begun = json!({ "clientInformation": {} });
        let begun = ask(Method::POST, "auth/process/init", "", Some(begun)).await;
        let process = begun["token"].as_str().unwrap().to_owned();
        ask(Method::POST, "auth/login/init", &process, Some(json!({ "identifierValue": ALICE }))).await;
        Self { username: id_of("alice"), address: id_of("other@example.org"), process }
    }

    fn put_into(&self, body: &Value) -> Value {
        let text =
            body.to_string().replace("its username", &self.username).replace("its address", &self.address);
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn s_12_every_credential_endpoint_is_limited() {
    let scene = Scene::with(arrange, |_| {}).await;
    let named = Named::by(&scene.alice).await;
    for (endpoint, body) in counted() {
        let (method, path) = endpoint.split_once(' ').unwrap();
        let body = Some(named.put_into(&body)).filter(|body| !body.is_null());
        let url = format!("{}{path}", scene.alice.origin());
        let mut refused = false;
        // One attempt comes back each second in the meantime.
        for _ in 0..2 * BURST {
            let request = scene.alice.fetching(method.parse().unwrap(), &url, body.as_ref());
            let reply = scene.alice.send(request.header("x-corbado-process-id", &named.process)).await;
            assert!(reply.status < 500, "{endpoint}: {reply}");
            refused |= reply.status == 429;
            if refused {
                assert!(!reply.header("retry-after").is_empty(), "{endpoint}: {reply}");
                break;
            }
        }
        assert!(refused, "{endpoint} can be tried without end");
    }
    // None of that concerns a user who is signed in and changes nothing.
    for dialect in DialectClient::ALL {
        dialect.ask_for_list(&scene.alice).await.expect(200);
    }
    scene.alice.get("sessions").await.expect(200);
}

/// A request that is counted, and says that it comes from `from`.
fn begin(browser: &Browser, header: &str, from: &str) -> RequestBuilder {
    let url = browser.api("passkeys/authenticate/options");
    browser.request(Method::POST, &url).header(header, from)
}

/// The attempts that come back of a network's share since it was first used, and how many were
/// answered since then.
struct Spending {
    began: Instant,
    answered: usize,
}

impl Spending {
    fn begin() -> Self {
        Self { began: Instant::now(), answered: 0 }
    }

    /// Asks from these addresses in turn until one is refused; they have one share between them.
    async fn all(&mut self, scene: &Scene, header: &str, from: impl Fn(usize) -> String) {
        let anonymous = scene.anonymous();
        for count in 0.. {
            let from = from(count);
            let reply = anonymous.send(begin(&anonymous, header, &from)).await;
            if reply.status == 429 {
                return;
            }
            reply.expect(200);
            self.answered += 1;
            // One comes back each second, however fast this machine is.
            let share = BURST + usize::try_from(self.began.elapsed().as_secs()).unwrap() + 1;
            assert!(self.answered <= share, "{header}: {from}: {} of {share}", self.answered);
        }
    }
}

#[tokio::test]
async fn s_34_forged_forwarded_headers_do_not_evade_limits() {
    let scene = Scene::with(arrange, |_| {}).await;
    let mut spending = Spending::begin();
    for header in ["x-forwarded-for", "x-real-ip", "forwarded", "client-ip", "true-client-ip", "x-client-ip"]
    {
        let claimed = |count: usize| match header {
            "forwarded" => format!("for=10.{count}.1.1"),
            _ => format!("10.{count}.1.1"),
        };
        spending.all(&scene, header, claimed).await;
    }
}

/// Behind a proxy that is believed, networks are told apart as without a proxy: a /24, or a /64,
/// and an IPv4 address in any spelling.
#[tokio::test]
async fn s_34_limits_use_the_client_reported_by_a_trusted_proxy() {
    let arrange = |config: &mut Config| {
        arrange(config);
        config.server.push("trusted_proxies = [\"127.0.0.1/32\"]".to_owned());
    };
    let scene = Scene::with(arrange, |_| {}).await;
    let header = "x-forwarded-for";
    let mut spending = Spending::begin();
    spending.all(&scene, header, |n| format!("198.51.100.{n}")).await;
    assert!(spending.answered >= BURST, "a /24: {}", spending.answered);
    for same in ["::ffff:198.51.100.200", "::ffff:c633:64c8", "198.51.100.7", "203.0.113.9, 198.51.100.8"] {
        spending.all(&scene, header, |_| same.to_owned()).await;
    }
    let mut spending = Spending::begin();
    spending.all(&scene, header, |n| format!("2001:db8:0:1:{n:x}::{n:x}")).await;
    assert!(spending.answered >= BURST, "a /64: {}", spending.answered);
    // Their neighbours are other clients.
    let anonymous = scene.anonymous();
    for neighbour in ["198.51.101.1", "2001:db8:0:2::1"] {
        anonymous.send(begin(&anonymous, header, neighbour)).await.expect(200);
    }
}
