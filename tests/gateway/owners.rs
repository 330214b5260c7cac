//! Objects and their owners: every person, every object, every verb, in every dialect (S-33).
//!
//! Another user's things are answered as if they did not exist, to the byte, and stay as they are.

use reqwest::Method;
use serde_json::{Value, json};

use crate::dialect_clients::DialectClient;
use crate::harness::{Authenticator, Browser, Reply, Scene};

/// The requests about one passkey.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Rename,
    Delete,
}

const VERBS: [Verb; 2] = [Verb::Rename, Verb::Delete];

async fn ask(dialect: DialectClient, verb: Verb, browser: &Browser, id: &str) -> Reply {
    match verb {
        Verb::Rename => dialect.rename(browser, id, "Mine now").await,
        Verb::Delete => dialect.delete(browser, id).await,
    }
}

/// Every id that a user's passkeys have anywhere.
async fn ids(browser: &Browser) -> Vec<String> {
    let mut ids = Vec::new();
    for dialect in DialectClient::ALL {
        ids.extend(dialect.list(browser).await.into_iter().map(|passkey| passkey.id));
    }
    ids.sort();
    ids.dedup();
    ids
}

/// Alice, who is an administrator, and Bob, who is not; both fresh, each with two passkeys.
async fn alice_and_bob() -> (Scene, Browser) {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    bob.register(&mut device).await.expect(200);
    scene.alice.register(&mut scene.device).await.expect(200);
    (scene, bob)
}

#[tokio::test]
async fn s_33_passkey_of_another_user_is_404() {
    let (mut scene, bob) = alice_and_bob().await;
    let alice = scene.alice.clone();
    for (actor, victim) in [(&bob, &alice), (&alice, &bob)] {
        let before = victim.passkeys().await;
        let theirs = ids(victim).await;
        assert_eq!(theirs.len(), 8, "two passkeys, with four ids each: {theirs:?}");
        for dialect in DialectClient::ALL {
            for verb in VERBS {
                let nothing = ask(dialect, verb, actor, dialect.id_of_nothing()).await.telling();
                for id in &theirs {
                    let seen = ask(dialect, verb, actor, id).await.telling();
                    assert_eq!(seen, nothing, "{verb:?} {id} in {dialect:?}");
                }
            }
            let list = dialect.ask_for_list(actor).await.expect(200).text();
            assert!(theirs.iter().all(|id| !list.contains(id.as_str())), "{dialect:?}: {list}");
        }
        assert_eq!(victim.passkeys().await, before);
        assert_eq!(actor.passkeys().await.len(), 2);
    }
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
}

/// The matrix proves something only if the same requests work for the owner.
#[tokio::test]
async fn s_33_same_requests_work_for_the_owner() {
    for dialect in DialectClient::ALL {
        let (_scene, bob) = alice_and_bob().await;
        let own = dialect.list(&bob).await.remove(0).id;
        ask(dialect, Verb::Rename, &bob, &own).await.expect(200);
        assert_eq!(bob.passkeys().await[0]["name"], "Mine now");
        ask(dialect, Verb::Delete, &bob, &own).await.expect(dialect.statuses().deleted);
        assert_eq!(bob.passkeys().await.len(), 1);
    }
}

#[tokio::test]
async fn s_33_anonymous_requests_reveal_nothing() {
    let (scene, bob) = alice_and_bob().await;
    let anonymous = scene.anonymous();
    let enrolling = scene.anonymous();
    enrolling.redeem(&scene.gateway.invite("eve@example.com", &[]), None, "Eve").await.expect(201);
    let before = bob.passkeys().await;
    for actor in [&anonymous, &enrolling, &anonymous.showing("nonsense")] {
        for dialect in DialectClient::ALL {
            dialect.ask_for_list(actor).await.expect(401);
            for verb in VERBS {
                let nothing = ask(dialect, verb, actor, dialect.id_of_nothing()).await.expect(401).telling();
                for id in ids(&bob).await {
                    assert_eq!(
                        ask(dialect, verb, actor, &id).await.telling(),
                        nothing,
                        "{verb:?} in {dialect:?}"
                    );
                }
            }
        }
    }
    assert_eq!(bob.passkeys().await, before);
}

#[tokio::test]
async fn s_33_session_of_another_user_is_404() {
    let (scene, bob) = alice_and_bob().await;
    for (actor, victim) in [(&bob, &scene.alice), (&scene.alice, &bob)] {
        let theirs = victim.sessions().await[0]["id"].as_str().unwrap().to_owned();
        let end = async |id: &str| actor.delete(&format!("sessions/{id}")).await.telling();
        let nothing = end(&"00".repeat(16)).await;
        for id in [theirs.as_str(), "nonsense"] {
            assert_eq!(end(id).await, nothing, "{id}");
        }
        actor.delete("sessions/others").await.expect(204);
        assert!(victim.is_signed_in().await);
        assert!(!actor.get("sessions/").await.text().contains(&theirs));
    }
}

/// Members that mean a user in other APIs; here only the session identifies the user.
fn claims(whose: &Value) -> Vec<(&'static str, Value)> {
    let (id, email, username) = (&whose["id"], &whose["email"], &whose["username"]);
    let all = [
        ("userId", id),
        ("user_id", id),
        ("userID", id),
        ("sub", id),
        ("email", email),
        ("username", username),
        ("owner", username),
        ("user", whose),
    ];
    all.map(|(name, value)| (name, value.clone())).to_vec()
}

/// Claims to be another user in the body, in the query and in headers.
async fn ask_claiming(bob: &Browser, whose: &Value, method: Method, path: &str, body: Value) -> Reply {
    let mut body = body;
    for (name, value) in claims(whose) {
        let members = body.as_object_mut().unwrap();
        members.entry(name).or_insert(value);
    }
    let id = whose["id"].as_str().unwrap();
    let separator = if path.contains('?') { '&' } else { '?' };
    let url = format!("{}{path}{separator}userId={id}&user_id={id}&sub={id}", bob.origin());
    let has_body = method != Method::GET;
    let request = bob.fetching(method, &url, has_body.then_some(&body));
    let request =
        request.header("remote-user", "alice").header("x-user-id", id).header("x-forwarded-user", "alice");
    bob.send(request).await
}

#[tokio::test]
async fn s_33_requests_cannot_name_another_account() {
    let (scene, bob) = alice_and_bob().await;
    let alice = scene.alice.get("sessions/current").await.json()["user"].clone();
    let before = (scene.alice.passkeys().await, scene.alice.sessions().await);
    let (get, post) = (Method::GET, Method::POST);
    for (seed, dialect, method, begin, finish) in [
        (
            200,
            DialectClient::Native,
            &post,
            "/auth/passkeys/register/options",
            "/auth/passkeys/register/verify",
        ),
        (
            201,
            DialectClient::BetterAuth,
            &get,
            "/api/auth/passkey/generate-register-options",
            "/api/auth/passkey/verify-registration",
        ),
        (
            202,
            DialectClient::Ocore,
            &post,
            "/api/user/passkeys/register/begin",
            "/api/user/passkeys/register/finish",
        ),
    ] {
        let options = ask_claiming(&bob, &alice, method.clone(), begin, json!({})).await.expect(200).json();
        let bare = options.get("publicKey").unwrap_or(&options);
        assert_eq!(bare["user"]["name"], "bob@example.com", "{dialect:?}");
        let answer = Authenticator::new(seed).create(&options, bob.origin());
        let body = if dialect == DialectClient::BetterAuth { json!({ "response": answer }) } else { answer };
        ask_claiming(&bob, &alice, post.clone(), finish, body).await.expect(dialect.statuses().added);
    }
    assert_eq!(bob.passkeys().await.len(), 5, "all of them became his");
    let own = newest(&bob).await;
    for (method, path, body) in [
        (Method::GET, "/auth/passkeys".to_owned(), json!({})),
        (Method::GET, "/auth/sessions".to_owned(), json!({})),
        (Method::GET, "/auth/sessions/current".to_owned(), json!({})),
        (Method::GET, "/api/auth/passkey/list-user-passkeys".to_owned(), json!({})),
        (Method::GET, "/api/auth/get-session".to_owned(), json!({})),
        (Method::GET, "/api/user/passkeys".to_owned(), json!({})),
        (Method::PATCH, format!("/auth/passkeys/{}", own[0]), json!({ "name": "x" })),
        (Method::POST, "/api/auth/passkey/update-passkey".to_owned(), json!({ "id": own[1], "name": "x" })),
        (Method::PATCH, format!("/api/user/passkeys/{}", own[2]), json!({ "device_name": "x" })),
    ] {
        let reply = ask_claiming(&bob, &alice, method, &path, body).await.expect(200);
        assert!(!reply.text().contains("alice"), "{path}: {reply}");
        assert!(!reply.text().contains(alice["id"].as_str().unwrap()), "{path}: {reply}");
    }
    for (method, path) in [(Method::DELETE, "/auth/sessions/others"), (Method::POST, "/api/auth/sign-out")] {
        let body = json!({ "sessionId": before.1[0]["id"], "session": before.1[0] });
        let status = ask_claiming(&bob, &alice, method, path, body).await.status;
        assert!([200, 204].contains(&status), "{path}: {status}");
    }
    assert!(!bob.is_signed_in().await, "he signed himself out");
    let mut after = scene.alice.sessions().await;
    // The time of her last use has changed by her own request.
    after[0]["lastSeenAt"] = before.1[0]["lastSeenAt"].clone();
    after[0]["expiresAt"] = before.1[0]["expiresAt"].clone();
    assert_eq!((scene.alice.passkeys().await, after), before);
}

/// The id of a user's newest passkey in each dialect.
async fn newest(browser: &Browser) -> Vec<String> {
    let mut ids = Vec::new();
    for dialect in DialectClient::ALL {
        ids.push(dialect.list(browser).await.pop().unwrap().id);
    }
    ids
}
