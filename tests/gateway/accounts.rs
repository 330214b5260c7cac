//! Which caller an endpoint is for, what answers tell, and set-up, which ends once (S-08, S-10,
//! S-15).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::domain::place::FORWARD_TEST;

use crate::harness::journey::secret_of;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Gateway, Scene};

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Everyone,
    SignedIn,
    /// A session, or the right to add a first passkey.
    Enrolling,
}

/// Every endpoint of the auth host, below the prefix.
const ENDPOINTS: [(&str, &str, For); 98] = [
    ("GET", "/", For::Everyone),
    ("GET", "/login", For::Everyone),
    ("GET", "/enroll", For::Everyone),
    ("GET", "/account", For::SignedIn),
    ("GET", "/logout", For::Everyone),
    ("POST", "/logout", For::Everyone),
    ("GET", "/hand-off", For::Everyone),
    ("GET", "/assets/{name}", For::Everyone),
    ("GET", "/health", For::Everyone),
    ("GET", "/ready", For::Everyone),
    ("GET", "/jwks.json", For::Everyone),
    ("GET", "/openapi.json", For::Everyone),
    ("GET", "/docs", For::Everyone),
    ("POST", "/verify", For::Everyone),
    ("POST", "/invitations/preview", For::Everyone),
    ("POST", "/invitations/redeem", For::Everyone),
    ("POST", "/passkeys/authenticate/options", For::Everyone),
    ("POST", "/passkeys/authenticate/verify", For::Everyone),
    ("POST", "/passkeys/register/options", For::Enrolling),
    ("POST", "/passkeys/register/verify", For::Enrolling),
    ("GET", "/passkeys", For::SignedIn),
    ("GET", "/passkeys/", For::SignedIn),
    ("PATCH", "/passkeys/{id}", For::SignedIn),
    ("DELETE", "/passkeys/{id}", For::SignedIn),
    ("GET", "/sessions", For::SignedIn),
    ("GET", "/sessions/", For::SignedIn),
    ("POST", "/sessions", For::Everyone),
    ("DELETE", "/sessions", For::Everyone),
    ("GET", "/sessions/current", For::Everyone),
    ("DELETE", "/sessions/current", For::Everyone),
    ("GET", "/sessions/current/permissions", For::SignedIn),
    ("DELETE", "/sessions/others", For::SignedIn),
    ("DELETE", "/sessions/{id}", For::SignedIn),
    ("PUT", "/sessions/{id}", For::Everyone),
    ("TRACE", "/login", For::Everyone),
    ("PUT", "/passkeys/", For::Everyone),
    ("POST", "/account", For::Everyone),
    ("GET", "/nothing", For::Everyone),
    ("GET", "/recovery", For::Everyone),
    ("GET", "/signup", For::Everyone),
    ("POST", "/signup", For::Everyone),
    ("POST", "/signup/confirm", For::Everyone),
    ("POST", "/recoveries/cancel", For::Everyone),
    ("GET", "/recoveries", For::SignedIn),
    ("DELETE", "/recoveries/{id}", For::SignedIn),
    ("GET", "/recovery-codes", For::SignedIn),
    ("POST", "/recovery-codes", For::SignedIn),
    ("POST", "/recovery-codes/redeem", For::Everyone),
    ("GET", "/tokens", For::SignedIn),
    ("POST", "/tokens", For::SignedIn),
    ("DELETE", "/tokens/{id}", For::SignedIn),
    ("GET", "/token-keys.json", For::Everyone),
    ("GET", "/admin/v1/tokens", For::SignedIn),
    ("DELETE", "/admin/v1/tokens/{id}", For::SignedIn),
    ("GET", "/admin/bans", For::SignedIn),
    ("GET", "/admin/v1/bans", For::SignedIn),
    ("POST", "/admin/v1/bans", For::SignedIn),
    ("DELETE", "/admin/v1/bans/{id}", For::SignedIn),
    ("POST", "/admin/v1/policy/explain", For::SignedIn),
    ("PATCH", "/account", For::SignedIn),
    ("DELETE", "/account", For::SignedIn),
    ("POST", "/account/address", For::SignedIn),
    ("POST", "/account/address/confirm", For::SignedIn),
    ("GET", "/account/audit", For::SignedIn),
    ("GET", "/account/data", For::SignedIn),
    ("GET", "/device", For::Everyone),
    ("GET", "/account/device-link", For::SignedIn),
    ("POST", "/account/device-link", For::SignedIn),
    ("DELETE", "/account/device-link", For::SignedIn),
    ("POST", "/account/device-link/confirm", For::SignedIn),
    ("POST", "/device-links/ask", For::Everyone),
    ("POST", "/device-links/join", For::Everyone),
    ("GET", "/admin", For::SignedIn),
    ("GET", "/admin/users", For::SignedIn),
    ("GET", "/admin/users/{id}", For::SignedIn),
    ("GET", "/admin/invitations", For::SignedIn),
    ("GET", "/admin/applications", For::SignedIn),
    ("GET", "/admin/sessions", For::SignedIn),
    ("GET", "/admin/audit", For::SignedIn),
    ("GET", "/admin/settings", For::SignedIn),
    ("POST", "/admin/v1/mail/test", For::SignedIn),
    // Not mounted where no other proxy asks; tests/gateway/forward_auth.rs asks it where one does.
    ("GET", "/forward/test", For::Everyone),
    ("POST", "/login", For::Everyone),
    ("GET", "/admin/v1/overview", For::SignedIn),
    ("GET", "/admin/v1/audit", For::SignedIn),
    ("GET", "/admin/v1/invitations", For::SignedIn),
    ("POST", "/admin/v1/invitations", For::SignedIn),
    ("POST", "/admin/v1/invitations/{id}", For::SignedIn),
    ("DELETE", "/admin/v1/invitations/{id}", For::SignedIn),
    ("GET", "/admin/v1/users", For::SignedIn),
    ("GET", "/admin/v1/users/{id}", For::SignedIn),
    ("PATCH", "/admin/v1/users/{id}", For::SignedIn),
    ("DELETE", "/admin/v1/users/{id}", For::SignedIn),
    ("POST", "/admin/v1/users/{id}/reset", For::SignedIn),
    ("GET", "/admin/v1/users/{id}/sessions", For::SignedIn),
    ("DELETE", "/admin/v1/users/{id}/sessions", For::SignedIn),
    ("DELETE", "/admin/v1/users/{id}/sessions/{session}", For::SignedIn),
    ("DELETE", "/admin/v1/users/{id}/passkeys/{credential}", For::SignedIn),
];

#[tokio::test]
async fn s_08_every_endpoint_requires_its_caller() {
    let scene = Scene::set().await;
    let enrolling = scene.anonymous();
    enrolling.redeem(&scene.gateway.invite("bob@example.com", &[]), None, "Bob").await.expect(201);
    let anonymous = scene.anonymous();
    for (method, path, class) in ENDPOINTS {
        let path = path.replace("{id}", &"ab".repeat(16)).replace("{name}", "page.css");
        let url = scene.url(&format!("/auth{path}"));
        for (browser, who, known) in
            [(&anonymous, "an anonymous client", false), (&enrolling, "an enrolling session", true)]
        {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            if known && path == "/sessions" && method == Method::DELETE
                || path == "/sessions/current"
                || path == "/logout"
            {
                continue; // Would end what the next lines need.
            }
            let reply = browser.fetch(method.clone(), &url, Some(&json!({}))).await;
            let refused = reply.status == 401
                || reply
                    .location()
                    .is_some_and(|to| to.path() == "/auth/login" || to.path() == "/auth/enroll");
            let expected = match class {
                For::Everyone => continue,
                For::SignedIn => true,
                For::Enrolling => !known,
            };
            assert_eq!(refused, expected, "{method} {path} for {who}: {reply}");
        }
    }
}

/// The addresses of pages, which no description has, taken from the sources: each `.route(` below
/// `src/pages`.
fn declared_pages() -> BTreeSet<(String, String)> {
    let mut pages = BTreeSet::new();
    for (file, source) in sources_of_pages() {
        let code = source.split("#[cfg(test)]").next().unwrap();
        // An address that an operator chose leads to an endpoint that also has our own.
        for rest in code.split(".route(").skip(1).filter(|_| !file.ends_with("aliases.rs")) {
            let (path, handlers) = rest.split_once(", ").unwrap();
            let path = match path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
                Some(path) => path,
                None if path == "FORWARD_TEST" => FORWARD_TEST,
                None => panic!("{}: {path} is no address that this test can read", file.display()),
            };
            let handlers = handlers.split('\n').next().unwrap();
            let methods = ["get", "post", "put", "patch", "delete", "any"];
            let is_handled = |method: &&str| {
                [" ", "."].iter().any(|it| format!(" {handlers}").contains(&format!("{it}{method}(")))
            };
            let handled: Vec<_> = methods.into_iter().filter(is_handled).collect();
            assert!(!handled.is_empty(), "{}: {handlers}", file.display());
            pages.extend(handled.iter().map(|method| (method.to_uppercase(), path.to_owned())));
        }
    }
    pages
}

/// Every source below `src/pages`.
fn sources_of_pages() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

#[tokio::test]
async fn s_08_no_endpoint_is_missing_from_the_table() {
    let scene = Scene::set().await;
    let description = scene.anonymous().get("openapi.json").await.expect(200).json();
    let mut described = declared_pages();
    assert!(described.len() >= 8, "{described:?}");
    for (path, operations) in description["paths"].as_object().unwrap() {
        let Some(below) = path.strip_prefix("/auth") else { continue };
        for method in operations.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), below.to_owned()));
        }
    }
    assert!(described.len() > 25, "{described:?}");
    let known = ENDPOINTS.map(|(method, path, _)| (method.to_owned(), path.to_owned())).into();
    let missing: Vec<_> = described.difference(&known).collect();
    assert!(missing.is_empty(), "say whom these are for: {missing:?}");
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

#[tokio::test]
async fn s_10_answers_have_only_their_members() {
    let mut scene = Scene::set().await;
    let alice = &scene.alice;
    let user = [
        "admin",
        "createdAt",
        "email",
        "firstName",
        "groups",
        "id",
        "lastName",
        "name",
        "picture",
        "updatedAt",
        "username",
    ];
    let passkey = [
        "aaguid",
        "authenticator",
        "backedUp",
        "counter",
        "createdAt",
        "deviceType",
        "id",
        "lastUsedAt",
        "name",
        "transports",
        "userId",
    ];
    let session = [
        "browser",
        "createdAt",
        "current",
        "expiresAt",
        "id",
        "ipv4",
        "lastSeenAt",
        "network",
        "passkeyId",
        "userAgent",
        "userId",
    ];
    let current = alice.get("sessions/current").await.json();
    assert_eq!(keys(&current), ["token", "user"].into());
    assert_eq!(keys(&current["user"]), user.into());
    assert_eq!(keys(&alice.sessions().await[0]), session.into());
    let listed = &alice.passkeys().await[0];
    assert_eq!(keys(listed), passkey.into_iter().chain(["publicKey"]).collect());
    let added = alice.register(&mut scene.device).await.expect(200).json();
    assert_eq!(keys(&added), passkey.into());
    let signed_in = scene.anonymous().sign_in(&mut scene.device).await.json();
    assert_eq!((keys(&signed_in), keys(&signed_in["user"])), (["token", "user"].into(), user.into()));
    let link = scene.gateway.invite("bob@example.com", &["--group", "staff"]);
    let preview =
        scene.anonymous().post("invitations/preview", &json!({ "token": secret_of(&link) })).await.json();
    assert_eq!(keys(&preview), ["email", "expiresAt", "invitedBy", "kind", "name"].into());
    let jwks = scene.anonymous().get("jwks.json").await.expect(200).json();
    assert_eq!(keys(&jwks["keys"][0]), ["alg", "crv", "kid", "kty", "use", "x", "y"].into());
    // No listed id is a secret: none of them signs a client in.
    for session in alice.sessions().await {
        let thief = scene.anonymous();
        thief.jar().plant("localhost", "vestibule", session["id"].as_str().unwrap());
        assert!(!thief.is_signed_in().await);
    }
}

#[tokio::test]
async fn s_10_pages_lists_and_metrics_hold_no_secret() {
    let mut scene = Scene::set().await;
    let (bob, _) = scene.invited("bob@example.com", 2).await;
    let link = scene.gateway.invite("eve@example.com", &[]);
    let token = scene.alice.sign_in(&mut scene.device).await.json()["token"].as_str().unwrap().to_owned();
    let cookie = scene.alice.session().unwrap();
    let secrets = [token.as_str(), cookie.as_str(), secret_of(&link), &bob.session().unwrap()];
    let mut told = Vec::new();
    for path in ["/auth/account", "/auth/login", "/auth/logout", "/auth/enroll"] {
        told.push(scene.alice.navigate(&scene.url(path)).await.text());
    }
    for below in ["passkeys/", "sessions/", "health", "ready", "jwks.json"] {
        told.push(scene.alice.get(below).await.text());
    }
    let metrics = format!("http://127.0.0.1:{}/metrics", scene.gateway.metrics_port);
    let metrics = reqwest::Client::builder().no_proxy().build().unwrap().get(metrics).send().await.unwrap();
    told.push(metrics.text().await.unwrap());
    told.push(scene.gateway.operate(&["user", "list", "--json"]));
    told.push(scene.gateway.log());
    for text in &told {
        for secret in secrets {
            assert!(!text.contains(secret), "a secret in {text}");
        }
        for word in ["\"verifier\"", "\"secret\"", "\"hash\"", "\"private"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    // No user's list holds another user. No name of three letters is looked for: random ids spell
    // them now and then.
    for (browser, other) in [(&scene.alice, "bob@example.com"), (&bob, ALICE)] {
        for below in ["passkeys/", "sessions/", "sessions/current"] {
            let list = browser.get(below).await.text();
            assert!(!list.contains(other), "{below} holds {other}: {list}");
        }
    }
}

async fn try_set_up(gateway: &Gateway, link: &str) -> u16 {
    Browser::new(gateway).redeem(link, Some("mallory@example.com"), "Mallory").await.status
}

#[tokio::test]
async fn s_15_set_up_closes_for_good() {
    let mut gateway = Gateway::start(|_| {}).await;
    let first = gateway.setup_link();
    // A restart before the link is used makes a new link, and the old one is void.
    gateway.restart().await;
    let second = gateway.setup_link();
    assert_ne!(first, second);
    assert_eq!(try_set_up(&gateway, &first).await, 410);
    let mut device = Authenticator::new(1);
    let alice = Browser::new(&gateway);
    let user = alice.enrol(&second, ALICE, "Alice", &mut device).await;
    assert_eq!(user["admin"], true);
    assert_eq!(try_set_up(&gateway, &second).await, 410);
    let links = gateway.log().matches("/auth/enroll#").count();
    // There is no new link after a restart, nor when no user can sign in.
    gateway.restart().await;
    gateway.operate(&["user", "reset", ALICE, "--wipe"]);
    gateway.kill9();
    gateway.launch().await;
    assert!(!gateway.setup_file().exists(), "the link is still there");
    assert_eq!(gateway.log().matches("/auth/enroll#").count(), links, "a new link was printed");
    for link in [&first, &second] {
        assert_eq!(try_set_up(&gateway, link).await, 410);
    }
    let users: Value = serde_json::from_str(&gateway.operate(&["user", "list", "--json"])).unwrap();
    assert_eq!(users["users"].as_array().map_or(0, Vec::len), 1, "{users}");
}

#[tokio::test]
async fn s_15_interrupted_set_up_needs_a_new_link_of_the_operator() {
    let mut gateway = Gateway::start(|_| {}).await;
    let link = gateway.setup_link();
    let alice = Browser::new(&gateway);
    alice.redeem(&link, Some(ALICE), "Alice").await.expect(201);
    gateway.kill9();
    gateway.launch().await;
    assert_eq!(try_set_up(&gateway, &link).await, 410, "a used link works again");
    // She goes on where she was.
    alice.register(&mut Authenticator::new(1)).await.expect(200);
    assert_eq!(alice.account().await.as_deref(), Some(ALICE));
    assert_eq!(try_set_up(&gateway, &link).await, 410);
}

#[tokio::test]
async fn s_15_refuses_an_empty_store_beside_its_marker() {
    let mut scene = Scene::set().await;
    scene.gateway.stop();
    let links = scene.gateway.log().matches("/auth/enroll#").count();
    fs::remove_file(scene.gateway.data().join("db")).unwrap();
    scene.gateway.spawn(&[]);
    assert_eq!(scene.gateway.wait_for_end(), Some(1), "it started over without users");
    assert_eq!(scene.gateway.log().matches("/auth/enroll#").count(), links);
}
