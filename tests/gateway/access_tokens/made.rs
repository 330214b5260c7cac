//! Making, listing and revoking tokens: by their user, by operators and by administrators.

use serde_json::json;

use super::{events, get, is_invalid, listed, made, token};
use crate::harness::Scene;

#[tokio::test]
async fn a_user_makes_a_token_for_themselves_and_revokes_it() {
    let scene = Scene::set().await;
    let body = json!({
        "name": "backup", "routes": ["app"], "methods": ["GET"], "paths": ["/a"], "expires_in_seconds": 3_600,
    });
    let made = scene.alice.post("tokens", &body).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(made["curl"], format!("curl -H 'Authorization: Bearer {token}' {}", scene.url("/a")));
    get(&scene, "/a/b", token).await.expect(200);
    let list = scene.alice.get("tokens").await.expect(200);
    assert!(!list.text().contains("vst_"), "told once: {list}");
    let list = list.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &made["id"]));
    assert!(list[0]["last_used_at"].is_string(), "{list}");
    assert_eq!((&list[0]["paths"], &list[0]["networks"]), (&json!(["/a"]), &json!([])));

    // Another user can neither see nor revoke it.
    let (bob, _) = scene.invited("bob@example.com", 77).await;
    assert_eq!(bob.get("tokens").await.expect(200).json(), json!([]));
    let path = format!("tokens/{}", made["id"].as_str().unwrap());
    bob.delete(&path).await.expect_problem(404);
    get(&scene, "/a/b", token).await.expect(200);
    scene.alice.delete(&path).await.expect(204);
    is_invalid(get(&scene, "/a/b", token).await);
    assert_eq!(scene.alice.get("tokens").await.expect(200).json(), json!([]));
    let revoked = events(&scene.gateway, "token_revoked");
    assert_eq!((&revoked[0]["subject"], &revoked[0]["reason"]), (&made["id"], &json!("ended_by_owner")));
    assert_eq!(events(&scene.gateway, "token_created")[0]["subject"], made["id"]);
}

#[tokio::test]
async fn refuses_invalid_tokens_with_reason() {
    let scene =
        Scene::with(|config| config.table("tokens", &["lifetime_max = \"1d\"", "max_per_user = 2"]), |_| {})
            .await;
    let fine = json!({ "name": "x", "routes": ["app"], "expires_in_seconds": 86_400 });
    let but = |key: &str, value: serde_json::Value| {
        let mut body = fine.clone();
        body[key] = value;
        body
    };
    for (body, words) in [
        (but("name", json!(" ")), "1 to 100 characters"),
        (but("routes", json!([])), "at least one route"),
        (but("routes", json!(["other"])), "no route \"other\""),
        (but("methods", json!(["get"])), "in upper case"),
        (but("paths", json!(["a"])), "not a path"),
        (but("networks", json!(["10.0.0.1/8"])), "10.0.0.0/8 for the whole network"),
        (but("expires_in_seconds", json!(86_401)), "at most 1 days"),
        (but("expires_in_seconds", json!(0)), "longer than zero"),
        (but("unknown", json!(1)), "unknown field"),
    ] {
        let problem = scene.alice.post("tokens", &body).await.expect_problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{body}: {problem}");
    }
    for _ in 0..2 {
        scene.alice.post("tokens", &fine).await.expect(201);
    }
    let problem = scene.alice.post("tokens", &fine).await.expect_problem(409);
    assert_eq!(problem["code"], "limit_reached");
}

#[tokio::test]
async fn an_operator_makes_lists_and_revokes() {
    let scene = Scene::set().await;
    assert_eq!(scene.gateway.operate(&["token", "list"]).trim(), "There is no access token.");
    let options = ["--method", "GET", "--path", "/a", "--network", "127.0.0.0/8"];
    let made = made(&scene.gateway, "alice", &options);
    let keys: Vec<_> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["expires_at", "id", "token"]);
    let lines = listed(&scene.gateway);
    assert_eq!((&lines[0]["id"], &lines[0]["username"]), (&made["id"], &json!("alice")));
    assert_eq!((&lines[0]["methods"], &lines[0]["networks"]), (&json!(["GET"]), &json!(["127.0.0.0/8"])));
    assert_eq!(lines[0]["last_used_at"], json!(null));
    assert!(scene.gateway.operate(&["token", "list", "--user", "alice"]).contains("a script"));
    let token = made["token"].as_str().unwrap();
    get(&scene, "/a", token).await.expect(200);
    let words = scene.gateway.operate(&[
        "token",
        "create",
        "--user",
        "alice",
        "--name",
        "n",
        "--route",
        "app",
        "--expires",
        "1h",
    ]);
    assert!(words.contains("curl -H 'Authorization: Bearer vst_"), "{words}");
    scene.gateway.operate(&["token", "revoke", made["id"].as_str().unwrap()]);
    is_invalid(get(&scene, "/a", token).await);
    let gone = scene.gateway.cli(&["token", "revoke", made["id"].as_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(1));
}

#[tokio::test]
async fn administrator_lists_and_revokes_all_tokens() {
    let scene = Scene::set().await;
    let (bob, _) = scene.invited("bob@example.com", 77).await;
    let bobs = made(&scene.gateway, "bob", &[]);
    made(&scene.gateway, "alice", &[]);
    let all = scene.alice.get("admin/v1/tokens").await.expect(200).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let user =
        bob.get("sessions/current").await.expect(200).json()["user"]["id"].as_str().unwrap().to_owned();
    let his = scene.alice.get(&format!("admin/v1/tokens?user={user}")).await.expect(200).json();
    assert_eq!((his.as_array().unwrap().len(), &his[0]["id"]), (1, &bobs["id"]));
    let path = format!("admin/v1/tokens/{}", bobs["id"].as_str().unwrap());
    bob.delete(&path).await.expect_problem(403);
    scene.alice.delete(&path).await.expect(204);
    is_invalid(get(&scene, "/page", bobs["token"].as_str().unwrap()).await);
    scene.alice.delete(&path).await.expect_problem(404);
}

#[tokio::test]
async fn tokens_survive_restart_and_rotation_and_not_a_burn() {
    let mut scene = Scene::set().await;
    let token = token(&scene.gateway, "alice", &[]);
    scene.gateway.operate(&["key", "rotate"]);
    get(&scene, "/page", &token).await.expect(200);
    scene.gateway.restart().await;
    get(&scene, "/page", &token).await.expect(200);
    scene.gateway.operate(&["key", "rotate", "--burn"]);
    is_invalid(get(&scene, "/page", &token).await);
    assert!(listed(&scene.gateway).is_empty());
}
