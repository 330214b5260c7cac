//! The audit trail: what happened, and who did it (S-22).

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::flows::administration::trail::{Kept, TrailQuery};
use vestibule::store::MemoryStore;

use super::{BOB, id_of, told, user};
use crate::harness::{Authenticator, Scene};
use crate::stage::Stage;

pub(super) fn told_lines(scene: &Scene, arguments: &[&str]) -> Vec<Value> {
    let text = scene.gateway.operate(&[&["audit", "--json"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn s_22_trail_names_events_and_actors() {
    let mut scene = Scene::set().await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    let (alice_id, bob_id) = (id_of(&scene, "alice"), id_of(&scene, "bob"));
    scene.alice.patch(&user(&scene, "bob"), &json!({ "groups": ["staff"] })).await.expect(200);
    scene.gateway.operate(&["user", "groups", "bob"]);
    bob.sign_in(&mut device).await.expect(201);

    let page = scene.alice.get(&format!("admin/v1/audit?user={bob_id}")).await.expect(200).json();
    let entries = page["entries"].as_array().unwrap();
    let said: Vec<_> =
        entries.iter().map(|it| (it["event"].as_str().unwrap(), it["actor"].as_str().unwrap())).collect();
    let bob_text = bob_id.as_str();
    assert_eq!(
        said,
        [
            ("signed_in", bob_text),
            ("session_ended", bob_text),
            ("user_changed", "operator"),
            ("user_changed", alice_id.as_str()),
            ("credential_added", bob_text),
            ("invitation_redeemed", bob_text),
        ]
    );
    for entry in entries {
        assert_eq!((&entry["outcome"], &entry["user"]), (&json!("done"), &json!(bob_id)), "{entry}");
    }
    assert_eq!(entries[3]["client"], "127.0.0.1");
    assert_eq!(entries[2]["client"], Value::Null, "an operator comes over the socket");

    // The terminal reads the same, also after a restart and without a gateway.
    scene.gateway.restart().await;
    let lines = told_lines(&scene, &["--user", "bob", "--limit", "500"]);
    assert_eq!(
        lines.iter().map(|line| &line["id"]).collect::<Vec<_>>(),
        entries.iter().map(|it| &it["id"]).collect::<Vec<_>>()
    );
    scene.gateway.stop();
    assert_eq!(told_lines(&scene, &["--user", &bob_id, "--event", "signed_in"]).len(), 1);
    assert_eq!(told_lines(&scene, &["--event", "no_such_event"]).len(), 0);
}

#[tokio::test]
async fn refusals_are_audited_with_an_anonymous_actor() {
    let scene = Scene::with(
        |_| {},
        |route| {
            route.allow(&["group:staff"]);
        },
    )
    .await;
    let (bob, mut device) = scene.invited(BOB, 2).await;
    bob.navigate(&scene.url("/secret?token=x")).await.expect(403);
    let refused = scene.anonymous().sign_in_with(&mut device, |knobs| knobs.flags = 0).await;
    assert_eq!(refused.status, 401, "{refused}");
    let bob_id = id_of(&scene, "bob");
    let lines = told_lines(&scene, &["--user", "bob"]);
    let denied = lines.iter().find(|line| line["event"] == "access_denied").unwrap();
    assert_eq!(
        (&denied["route"], &denied["actor"], &denied["outcome"]),
        (&json!("app"), &json!(bob_id), &json!("refused"))
    );
    let sign_in = lines.iter().find(|line| line["event"] == "sign_in_refused").unwrap();
    assert_eq!((&sign_in["actor"], &sign_in["user"]), (&json!("anonymous"), &json!(bob_id)));
    assert!(!format!("{lines:?}").contains("token=x"), "a query string is in the trail");
}

#[tokio::test]
async fn following_without_a_gateway_prints_what_there_is_and_says_that_nothing_follows() {
    let mut scene = Scene::set().await;
    scene.gateway.stop();
    let mut there = told_lines(&scene, &["--limit", "500"]);
    assert!(there.len() > 1);
    there.reverse();
    let output = scene.gateway.cli(&["audit", "--follow", "--json", "--limit", "500"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed, there, "oldest first");
    let complained = String::from_utf8(output.stderr).unwrap();
    assert!(complained.contains("no gateway is running at"), "{complained}");
    assert!(complained.contains("nothing is followed"), "{complained}");
}

#[tokio::test]
async fn following_prints_what_there_is_and_then_what_happens() {
    let scene = Scene::set().await;
    let there = told_lines(&scene, &["--limit", "500"]).len();
    let mut follow = scene.gateway.commander()(&["audit", "--follow", "--json", "--limit", "500"]);
    let mut following = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().take(there).count(), there);
    scene.gateway.operate(&["user", "name", "alice", "Alice B"]);
    let line: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!((&line["event"], &line["reason"]), (&json!("user_changed"), &json!("name")));
    following.kill().unwrap();
    following.wait().unwrap();
}

#[tokio::test]
async fn pages_of_the_trail_join_without_a_gap() {
    let scene = Scene::set().await;
    for n in 0..12 {
        scene.gateway.operate(&["user", "name", "alice", &format!("Alice {n}")]);
    }
    let whole = scene.alice.get("admin/v1/audit?limit=500").await.expect(200).json();
    let ids = |page: &Value| -> Vec<String> {
        page["entries"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = scene.alice.get(&format!("admin/v1/audit?limit=4&after={after}")).await.expect(200).json();
        seen.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ids(&whole));
    assert!(told(&scene, &["user", "show", "alice"])["id"].is_string());
}

#[tokio::test]
async fn expired_entries_are_removed() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let all = TrailQuery { limit: 500, ..TrailQuery::default() };
    let early = stage.gateway.administration.read_trail(&all).await.unwrap().items.len();
    assert!(early >= 3, "{early}");
    stage.clock.forward(Duration::from_hours(89 * 24));
    stage.gateway.sweep().await;
    stage.sign_in(&mut device).await.unwrap();
    assert!(stage.gateway.administration.read_trail(&all).await.unwrap().items.len() > early);
    stage.clock.forward(Duration::from_hours(2 * 24));
    stage.gateway.sweep().await;
    let left = stage.gateway.administration.read_trail(&all).await.unwrap().items;
    assert!(left.iter().all(|kept| kept.entry.event != "credential_added"), "an entry outlives audit.keep");
    assert!(left.iter().any(|kept| kept.entry.event == "signed_in"), "and a young one does not");
    let keys = stage.store.scan(b"audit-of/", None, 1_000).await.unwrap().len();
    assert_eq!(keys, left.iter().filter(|kept| kept.entry.user.is_some()).count(), "the index goes with it");
}

#[tokio::test]
async fn the_newest_entries_stay_and_no_more_than_the_limit() {
    const MOST: usize = 10;
    let stage = Stage::keeping(MOST).await;
    let mut device = Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    let all = TrailQuery { limit: 500, ..TrailQuery::default() };
    for round in 0..3 {
        for _ in 0..2 * MOST {
            stage.clock.forward(Duration::from_secs(60));
            stage.sign_in(&mut device).await.unwrap();
        }
        let before = stage.gateway.administration.read_trail(&all).await.unwrap().items;
        assert!(before.len() > MOST, "{}", before.len());
        stage.gateway.sweep().await;
        let left = stage.gateway.administration.read_trail(&all).await.unwrap().items;
        let ids = |kept: &[Kept]| kept.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&left), ids(&before)[..MOST], "round {round}");
        let keys = stage.store.scan(b"audit-of/", None, 1_000).await.unwrap().len();
        assert_eq!(keys, MOST, "the index goes with it");
    }
}
