//! The list of bans: over the admin API, at its limit, past the end of a ban, and its metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vestibule::domain::ban::{AUTOMATIC_BANS_MAX, AutomaticBans, BANS_MAX, Ban, CannotBan};
use vestibule::domain::network::Network;
use vestibule::domain::time::Timestamp;
use vestibule::flows::FlowError;
use vestibule::flows::administration::bans::NewBan;
use vestibule::flows::authority::Authority;
use vestibule::ports::store::BATCH_OPERATIONS_MAX;
use vestibule::ports::{Batch, KeyValue};
use vestibule::records::{self, keys};
use vestibule::store::MemoryStore;

use super::automatic::{is_refused, rule, try_nothing};
use super::{BANNED, is_banned, proxied};
use crate::harness::Scene;
use crate::stage::{Stage, visit_from};

const HOUR: Duration = Duration::from_hours(1);

fn network(text: &str) -> Network {
    Network::parse(text).unwrap()
}

async fn add(stage: &Stage, text: &str, length: Option<Duration>) -> Result<Ban, FlowError> {
    let asked = NewBan { network: network(text), length, reason: None };
    stage.gateway.administration.add_ban(&Authority::of_operator(), asked).await
}

/// How long the refusal says that it lasts.
async fn ends_in(stage: &Stage, client: &str) -> Option<Option<Duration>> {
    match stage.gateway.sign_in.begin_sign_in(None, &visit_from(client)).await {
        Ok(_) => None,
        Err(FlowError::Banned { ends_in }) => Some(ends_in),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_administrator_adds_lists_and_removes_bans_over_the_api() {
    let scene = Scene::with(proxied, |_| {}).await;
    let alice = scene.alice.reported_as("198.51.100.1");
    let asked = json!({ "network": "192.0.2.0/24", "expires_in_seconds": 3_600, "reason": "tries doors" });
    let made = alice.post("admin/v1/bans", &asked).await.expect(201).json();
    assert_eq!((&made["id"], &made["network"]), (&json!("192.0.2.0-24"), &json!("192.0.2.0/24")));
    assert_eq!((&made["by"], &made["reason"]), (&json!("Alice Ample"), &json!("tries doors")));
    let made = alice.post("admin/v1/bans", &json!({ "network": "2001:db8::/48" })).await.expect(201).json();
    assert_eq!((&made["id"], &made["expires_at"]), (&json!("2001:db8::-48"), &Value::Null));
    let listed = alice.get("admin/v1/bans").await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0], made);
    is_banned(scene.anonymous().reported_as(BANNED).post("passkeys/authenticate/options", &json!({})).await);

    for (body, words) in [
        (json!({ "network": "0.0.0.0/0" }), "too wide"),
        (json!({ "network": "127.0.0.1" }), "this machine itself"),
        (json!({ "network": "10.0.0.1/8" }), "10.0.0.0/8 for the whole network"),
        (json!({ "network": "nowhere" }), "not an address or a network"),
        (json!({ "network": "198.51.100.0/24" }), "your own address, 198.51.100.1"),
        (json!({ "network": "192.0.2.7", "expires_in_seconds": 0 }), "longer than zero"),
        (json!({ "network": "192.0.2.7", "expires_in_seconds": 316_224_001 }), "at most ten years"),
        (json!({ "network": "192.0.2.7", "reason": "x".repeat(201) }), "1 to 200 characters"),
        (json!({ "network": "192.0.2.7", "until": "Monday" }), "unknown field"),
    ] {
        let problem = alice.post("admin/v1/bans", &body).await.expect_problem(422);
        assert_eq!(problem["code"], "malformed_request");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{body}: {problem}");
    }
    let problem = alice.delete("admin/v1/bans/192.0.2.7").await.expect_problem(404);
    assert!(problem["detail"].as_str().unwrap().contains("the banned network 192.0.2.0/24"), "{problem}");
    for nothing in ["192.0.3.0-24", "nowhere", "192.0.2.0-24-", "192.0.2.1-24"] {
        alice.delete(&format!("admin/v1/bans/{nothing}")).await.expect_problem(404);
    }
    alice.delete("admin/v1/bans/192.0.2.0-24").await.expect(204);
    alice.delete("admin/v1/bans/192.0.2.0-24").await.expect_problem(404);
    alice.delete("admin/v1/bans/2001:db8::-48").await.expect(204);
    assert_eq!(alice.get("admin/v1/bans").await.expect(200).json(), json!([]));
    scene.anonymous().reported_as(BANNED).post("passkeys/authenticate/options", &json!({})).await.expect(200);

    let trail = alice.get("admin/v1/audit?event=ban_added").await.expect(200).json();
    let me = alice.get("sessions/current").await.expect(200).json()["user"]["id"].clone();
    let entry = &trail["entries"][1];
    assert_eq!((&entry["actor"], &entry["subject"]), (&me, &json!("192.0.2.0/24")));
}

#[tokio::test]
async fn expired_ban_is_ignored_before_the_sweep() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let second = Duration::from_secs(1);
    add(&stage, BANNED, Some(HOUR)).await.unwrap();
    assert_eq!(ends_in(&stage, BANNED).await, Some(Some(HOUR)));
    // Of two bans, the ban that ends last counts.
    add(&stage, "192.0.2.0/24", Some(HOUR + second)).await.unwrap();
    assert_eq!(ends_in(&stage, BANNED).await, Some(Some(HOUR + second)));
    stage.clock.forward(HOUR);
    assert_eq!(ends_in(&stage, BANNED).await, Some(Some(second)));
    assert_eq!(stage.gateway.administration.list_bans().len(), 1);
    stage.clock.forward(second);
    assert_eq!(ends_in(&stage, BANNED).await, None);
    assert!(stage.gateway.administration.list_bans().is_empty());
    let removing = stage.gateway.administration.remove_ban(&Authority::of_operator(), &network(BANNED)).await;
    assert!(matches!(removing, Err(FlowError::NoSuchBan { wider: None })));

    // A restart does not bring it back either, and then it is swept.
    let stage = stage.again().await;
    assert_eq!(ends_in(&stage, BANNED).await, None);
    let kept = async || stage.store.scan(keys::BANS, None, 10).await.unwrap().len();
    assert_eq!(kept().await, 2);
    add(&stage, NOT_OVER, None).await.unwrap();
    stage.gateway.sweep().await;
    assert_eq!(kept().await, 1);
    assert_eq!(ends_in(&stage, NOT_OVER).await, Some(None));
}

const NOT_OVER: &str = "203.0.113.1";

/// A store with this many bans without an end.
async fn crowded(count: usize) -> Arc<dyn KeyValue> {
    let store: Arc<dyn KeyValue> = Arc::new(MemoryStore::new());
    let all: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
    for some in all.chunks(BATCH_OPERATIONS_MAX) {
        let mut batch = Batch::default();
        for n in some {
            let network = Network::only((0x0a00_0000 + n).to_be_bytes().into());
            let at = Timestamp::from_millis(0);
            let ban = Ban { network, by: "a test".to_owned(), reason: None, at, expires_at: None };
            batch = batch.put(keys::ban(&network), records::encode(&ban).unwrap());
        }
        store.commit(batch).await.unwrap();
    }
    store
}

#[tokio::test]
async fn number_of_bans_is_limited_with_a_reserve_for_manual_ones() {
    let three = AutomaticBans { after: 3.try_into().unwrap(), ..rule() };
    let stage = Stage::banning(crowded(AUTOMATIC_BANS_MAX - 1).await, Some(three), &[]).await.unwrap();
    for attacker in ["198.51.100.1", "198.51.100.2"] {
        for _ in 0..3 {
            try_nothing(&stage, attacker).await;
        }
    }
    assert!(is_refused(&stage, "198.51.100.1").await, "one was left");
    assert!(!is_refused(&stage, "198.51.100.2").await, "that is all that makes itself");
    let left = BANS_MAX - AUTOMATIC_BANS_MAX;
    for n in 0..left {
        add(&stage, &format!("2001:db8:{n:x}::/48"), Some(HOUR)).await.unwrap();
    }
    assert!(matches!(add(&stage, NOT_OVER, None).await, Err(FlowError::CannotBan(CannotBan::TooMany))));
    // An existing ban is changed all the same, and expired bans make room.
    add(&stage, "2001:db8:1::/48", None).await.unwrap();
    stage.clock.forward(HOUR);
    add(&stage, NOT_OVER, None).await.unwrap();
    assert!(is_refused(&stage, NOT_OVER).await);
}

#[tokio::test]
async fn concurrent_bans_stay_within_the_limit() {
    let stage = Stage::banning(crowded(BANS_MAX - 5).await, None, &[]).await.unwrap();
    let stage = Arc::new(stage);
    let adding = (0..20).map(|n| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { add(&stage, &format!("203.0.113.{n}"), None).await.is_ok() })
    });
    let mut made = 0;
    for one in adding.collect::<Vec<_>>() {
        made += usize::from(one.await.unwrap());
    }
    assert_eq!((made, stage.gateway.administration.list_bans().len()), (5, BANS_MAX));
}

#[tokio::test]
async fn bans_and_banned_attempts_are_in_the_metrics() {
    let mut scene = Scene::with(proxied, |_| {}).await;
    super::ban(&scene, BANNED);
    // The gauge is set when the sweeper comes by, which it does at the start as well.
    scene.gateway.restart().await;
    is_banned(scene.anonymous().reported_as(BANNED).post("passkeys/authenticate/options", &json!({})).await);
    let url = format!("http://127.0.0.1:{}/metrics", scene.gateway.metrics_port);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = client.get(&url).send().await.unwrap().text().await.unwrap();
        assert!(text.lines().any(|it| it == "vestibule_banned_total 1"), "{text}");
        if text.lines().any(|it| it == "vestibule_bans 1") {
            break;
        }
        assert!(Instant::now() < deadline, "the ban is not measured: {text}");
        tokio::task::yield_now().await;
    }
    let log = scene.gateway.log();
    let line = log.lines().find(|line| line.contains("\"event\":\"banned\"")).expect("a line about it");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["client"], &line["subject"]), (&json!(BANNED), &json!(BANNED)));
    // A banned client can repeat it at will, so the trail does not have it.
    assert!(!scene.gateway.operate(&["audit"]).contains(" banned "));
}
