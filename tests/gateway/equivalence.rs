//! One core behind every dialect: the same journey leaves the same stored state, and a session is
//! the same session wherever it was begun, in whatever form it is shown, and wherever it is ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::ports::KeyValue;
use vestibule::store::{CommitTimer, SledOptions, SledStore};

use crate::dialect_clients::DialectClient;
use crate::harness::scene::ALICE;
use crate::harness::{Authenticator, Browser, Scene};

const BOB: &str = "bob@example.com";
/// More than there are entries.
const ENTRIES_MAX: usize = 1_000;

async fn labels(dialect: DialectClient, browser: &Browser) -> Vec<String> {
    dialect.list(browser).await.into_iter().map(|passkey| passkey.label).collect()
}

/// Bob's whole journey in one dialect, and the state that it leaves.
async fn travel(dialect: DialectClient) -> BTreeMap<String, Value> {
    let scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let browser = scene.anonymous();
    browser.redeem(&scene.gateway.invite(BOB, &[]), None, "Bob Baker").await.expect(201);
    let (mut phone, mut key) = (Authenticator::new(2), Authenticator::counting(3));
    dialect.add(&browser, &mut phone, "Phone").await;
    assert_eq!(labels(dialect, &browser).await, ["Phone"]);
    dialect.add(&browser, &mut key, "Key").await;
    let [first, second] = &dialect.list(&browser).await[..] else { panic!("two passkeys") };
    dialect.rename(&browser, &second.id, "Blue key").await.expect(200);
    assert_eq!(labels(dialect, &browser).await, ["Phone", "Blue key"]);
    dialect.sign_out(&browser).await.expect(dialect.statuses().signed_out);
    dialect.ask_for_list(&browser).await.expect(401);
    dialect.sign_in(&browser, &mut key).await;
    dialect.delete(&browser, &first.id).await.expect(dialect.statuses().deleted);
    assert_eq!(labels(dialect, &browser).await, ["Blue key"]);
    observe(scene, &browser).await
}

/// The state without regard to dialects: the native API, the operator, and the store itself.
async fn observe(mut scene: Scene, bob: &Browser) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    let mut names = Vec::new();
    for (whose, browser) in [("alice", &scene.alice), ("bob", bob)] {
        let current = browser.get("sessions/current").await.expect(200).json();
        let sessions = browser.sessions().await;
        names.push((current["user"]["id"].clone(), format!("id of {whose}")));
        for (at, session) in sessions.iter().enumerate() {
            names.push((session["id"].clone(), format!("session {at} of {whose}")));
        }
        seen.insert(format!("{whose}'s account"), current["user"].clone());
        seen.insert(format!("{whose}'s passkeys"), json!(browser.passkeys().await));
        seen.insert(format!("{whose}'s sessions"), json!(sessions));
    }
    let users = scene.gateway.operate(&["user", "list", "--json"]);
    seen.insert("what the operator sees".to_owned(), serde_json::from_str(&users).unwrap());
    scene.gateway.stop();
    let nobody_counts = CommitTimer { now: Arc::new(|| Duration::ZERO), committed: Arc::new(|_| {}) };
    let store = SledStore::open(&scene.gateway.data(), &SledOptions::default(), nobody_counts).unwrap();
    for (key, value) in store.scan(b"", None, ENTRIES_MAX).await.unwrap() {
        // The trail says when, and through which API.
        if key.starts_with(b"audit") {
            continue;
        }
        // A word, a slash and an id, which may be any bytes; a version byte and JSON.
        let slash = key.iter().position(|byte| *byte == b'/').unwrap();
        let (word, id) = (String::from_utf8_lossy(&key[..slash]), &key[slash + 1..]);
        let id = id.iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        let value = if value.is_empty() { Value::Null } else { serde_json::from_slice(&value[1..]).unwrap() };
        seen.insert(format!("{word} {id}"), value);
    }
    seen.into_iter().map(|(key, value)| (named(&key, &names), normalised(&value, &names))).collect()
}

/// Ids of people and of sessions are drawn at random for each installation, so each gets a name
/// after its owner. No other value is drawn at random: credential ids come from the test's own
/// devices.
fn named(text: &str, names: &[(Value, String)]) -> String {
    names.iter().fold(text.to_owned(), |text, (id, name)| {
        let id = id.as_str().unwrap();
        text.replace(id, name).replace(&id.replace('-', ""), name)
    })
}

/// Moments depend on when each journey happened: their presence is compared, their value is not.
/// Only Corbado's front ends keep a handle for their browser, whose hash is the environment.
fn normalised(value: &Value, names: &[(Value, String)]) -> Value {
    let is_moment = |name: &str| {
        ["createdAt", "updatedAt", "lastUsedAt", "lastSeenAt", "expiresAt", "at", "fresh_since"]
            .contains(&name)
            || name.ends_with("_at")
    };
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "environment")
            .map(|(name, value)| match value {
                Value::String(_) | Value::Number(_) if is_moment(name) => (name.clone(), json!("a moment")),
                other => (name.clone(), normalised(other, names)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| normalised(item, names)).collect(),
        Value::String(text) => json!(named(text, names)),
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_same_journey_in_every_dialect_leaves_the_same_state() {
    let expected = travel(DialectClient::Native).await;
    // There are records to compare, and no ceremony is left over.
    let of = |word: &str| expected.keys().filter(|key| key.starts_with(&format!("{word} "))).count();
    assert_eq!((of("user"), of("credential"), of("session"), of("ceremony")), (2, 2, 2, 0), "{expected:#?}");
    let [passkey] = &expected["bob's passkeys"].as_array().unwrap()[..] else { panic!("{expected:#?}") };
    assert_eq!((&passkey["name"], &passkey["counter"]), (&json!("Blue key"), &json!(1)));
    for dialect in DialectClient::ALL {
        let seen = travel(dialect).await;
        let keys = |seen: &BTreeMap<String, Value>| seen.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&seen), keys(&expected), "{dialect:?}");
        for (key, value) in &seen {
            assert_eq!(*value, expected[key], "{key} after the journey in {dialect:?}");
        }
    }
}

/// A new session of Alice's, in each form that it can be shown in: the cookie, and every token.
async fn begin(scene: &mut Scene, dialect: DialectClient) -> Vec<(&'static str, Browser)> {
    let browser = scene.anonymous();
    let signed_in = dialect.sign_in(&browser, &mut scene.device).await;
    let tokens = dialect.tokens(&signed_in).into_iter();
    let scripts: Vec<_> = tokens.map(|(name, token)| (name, browser.showing(&token))).collect();
    [("cookie", browser)].into_iter().chain(scripts).collect()
}

#[tokio::test]
async fn a_session_of_one_dialect_manages_passkeys_in_every_other() {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let mut seed = 100;
    for begun in DialectClient::ALL {
        // An access token pays for no change with its sign-in, which another test shows.
        for (form, browser) in
            begin(&mut scene, begun).await.into_iter().filter(|(form, _)| *form != "access")
        {
            for spoken in DialectClient::ALL {
                let context = format!("{form} of {begun:?} in {spoken:?}");
                spoken.add(&browser, &mut Authenticator::new(seed), "New").await;
                let new = spoken.list(&browser).await.pop().unwrap();
                assert_eq!(new.label, "New", "{context}");
                spoken.rename(&browser, &new.id, "Renamed").await.expect(200);
                assert_eq!(labels(spoken, &scene.alice).await, ["Linux - Firefox", "Renamed"], "{context}");
                spoken.delete(&browser, &new.id).await.expect(spoken.statuses().deleted);
                assert_eq!(scene.alice.passkeys().await.len(), 1, "{context}");
                seed += 1;
            }
        }
    }
}

/// Who ends it, and how.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The holder, by signing out in this dialect, showing it in this form.
    SignOut(DialectClient, &'static str),
    /// The owner, from another browser: this session, and all others.
    ById,
    Others,
    Operator,
    /// By removing the passkey that opened it.
    Passkey,
}

#[tokio::test]
async fn a_session_that_is_ended_anywhere_is_ended_everywhere_in_every_form() {
    let mut scene = Scene::with(DialectClient::all_on, |_| {}).await;
    let spare = scene.device.clone();
    scene.alice.register(&mut scene.device).await.expect(200);
    let forms = ["cookie", "opaque", "access", "refresh"];
    let signing_out = [DialectClient::Native, DialectClient::BetterAuth]
        .map(|dialect| forms.map(|form| End::SignOut(dialect, form)));
    let others = [End::ById, End::Others, End::Operator, End::Passkey];
    let mut ended = Vec::new();
    for end in signing_out.into_iter().flatten().chain(others) {
        // oCore answers with a session in every form.
        let session = begin(&mut scene, DialectClient::Ocore).await;
        assert_eq!(session.iter().map(|(form, _)| *form).collect::<Vec<_>>(), forms);
        check(&session, 200, end).await;
        finish(&mut scene, end, &session).await;
        check(&session, 401, end).await;
        ended.push((end, session));
        if !scene.alice.is_signed_in().await {
            scene.alice.sign_in(&mut spare.clone()).await.expect(201);
        }
    }
    scene.gateway.restart().await;
    for (end, session) in &ended {
        check(session, 401, *end).await;
    }
    assert_eq!(scene.alice.account().await.as_deref(), Some(ALICE));
}

/// Every form of a session in every dialect.
async fn check(session: &[(&'static str, Browser)], status: u16, end: End) {
    for (form, browser) in session {
        for dialect in DialectClient::ALL {
            let reply = dialect.ask_for_list(browser).await;
            assert_eq!(reply.status, status, "{form} in {dialect:?}, {end:?}: {reply}");
        }
    }
}

async fn finish(scene: &mut Scene, end: End, session: &[(&'static str, Browser)]) {
    match end {
        End::SignOut(dialect, shown) => {
            let (_, browser) = session.iter().find(|(form, _)| *form == shown).unwrap();
            // The browser forgets its cookie; a thief who copied it does not.
            let cookie = browser.session();
            dialect.sign_out(browser).await.expect(dialect.statuses().signed_out);
            if let Some(cookie) = cookie {
                browser.jar().plant("localhost", browser.session_cookie_name(), &cookie);
            }
        }
        End::ById => {
            let sessions = scene.alice.sessions().await;
            let other = sessions.iter().find(|session| session["current"] == false).unwrap();
            scene.alice.delete(&format!("sessions/{}", other["id"].as_str().unwrap())).await.expect(204);
        }
        End::Others => drop(scene.alice.delete("sessions/others").await.expect(204)),
        End::Operator => drop(scene.gateway.operate(&["session", "end", ALICE])),
        End::Passkey => {
            let newest = scene.alice.passkeys().await.pop().unwrap();
            scene.alice.delete(&format!("passkeys/{}", newest["id"].as_str().unwrap())).await.expect(204);
        }
    }
}
