//! Operators' commands about bans: with a gateway, without one, and the answers to commands that
//! make no sense.

use serde_json::{Value, json};

use super::{BANNED, NEIGHBOUR, ban, is_banned, proxied};
use crate::harness::{Browser, Gateway, Scene};

fn listed(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.operate(&["ban", "list", "--json"]);
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

/// The output of a command that fails with this exit code.
fn refused(gateway: &Gateway, arguments: &[&str], code: i32) -> String {
    let output = gateway.cli(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn begins(browser: &Browser) -> bool {
    let reply = browser.post("passkeys/authenticate/options", &json!({})).await;
    assert!([200, 403].contains(&reply.status), "{reply}");
    reply.status == 200
}

#[tokio::test]
async fn a_ban_is_added_listed_replaced_and_removed() {
    let scene = Scene::with(proxied, |_| {}).await;
    let gateway = &scene.gateway;
    assert_eq!(gateway.operate(&["ban", "list"]).trim(), "No network is banned.");
    assert_eq!(listed(gateway), Vec::<Value>::new());
    let said = gateway.operate(&["ban", "add", "::ffff:192.0.2.7", "--reason", "tries doors"]);
    assert_eq!(said.trim(), "192.0.2.7 is banned until an administrator removes the ban.");
    let said = gateway.operate(&["ban", "add", "2001:DB8::/48", "--for", "1d"]);
    assert!(said.starts_with("2001:db8::/48 is banned until 20"), "{said}");

    let bans = listed(gateway);
    let first = &bans[1];
    assert_eq!(bans.len(), 2);
    assert_eq!(first["network"], BANNED);
    assert_eq!(first["expires_at"], Value::Null);
    assert_eq!((&first["by"], &first["reason"]), (&json!("the administrator"), &json!("tries doors")));
    assert!(first["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(bans[0]["network"], "2001:db8::/48");
    let table = gateway.operate(&["ban", "list"]);
    assert!(
        table.starts_with("NETWORK") && table.contains("tries doors") && table.contains("never"),
        "{table}"
    );

    // The same network once more is the same ban with another end.
    ban(&scene, "192.0.2.7/32");
    let bans = listed(gateway);
    assert_eq!((bans.len(), &bans[0]["network"], &bans[0]["reason"]), (2, &json!(BANNED), &Value::Null));
    assert!(bans[0]["expires_at"].is_string());

    let said = refused(gateway, &["ban", "remove", NEIGHBOUR], 1);
    assert!(said.contains("this network is not banned: `vestibule ban list`"), "{said}");
    let said = refused(gateway, &["ban", "remove", "2001:db8::7"], 1);
    assert!(said.contains("the banned network 2001:db8::/48: remove that"), "{said}");
    gateway.operate(&["ban", "remove", BANNED]);
    gateway.operate(&["ban", "remove", "2001:db8::/48"]);
    assert_eq!(listed(gateway), Vec::<Value>::new());
    refused(gateway, &["ban", "remove", BANNED], 1);

    let trail = gateway.operate(&["audit", "--json"]);
    let about: Vec<Value> = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    let about: Vec<_> = about
        .iter()
        .filter(|it| it["event"].as_str().unwrap().starts_with("ban_"))
        .map(|it| {
            (it["event"].as_str().unwrap(), it["actor"].as_str().unwrap(), it["subject"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        about,
        [
            ("ban_removed", "operator", "2001:db8::/48"),
            ("ban_removed", "operator", BANNED),
            ("ban_added", "operator", BANNED),
            ("ban_added", "operator", "2001:db8::/48"),
            ("ban_added", "operator", BANNED),
        ]
    );
}

#[tokio::test]
async fn refuses_invalid_bans_with_remedy() {
    let scene = Scene::with(proxied, |_| {}).await;
    let gateway = &scene.gateway;
    for (network, words) in [
        ("0.0.0.0/0", "too wide: ban a /8 of IPv4 or a /16 of IPv6 at most"),
        ("::/0", "too wide"),
        ("127.0.0.1", "addresses of this machine itself"),
        ("::1", "addresses of this machine itself"),
    ] {
        let said = refused(gateway, &["ban", "add", network], 1);
        assert!(said.contains(words), "{network}: {said}");
    }
    for (arguments, words) in [
        (
            &["ban", "add", "10.0.0.1/8"][..],
            "write 10.0.0.0/8 for the whole network, or 10.0.0.1 for this one",
        ),
        (&["ban", "add", "example.com"], "not an address or a network"),
        (&["ban", "add", "192.0.2.7:443"], "not an address or a network"),
        (&["ban", "add", BANNED, "--for", "0s"], "at least 1s"),
        (&["ban", "add", BANNED, "--for", "soon"], "is not a length of time"),
        (&["ban", "add", BANNED, "--reason", "a\nb"], "on one line"),
        (&["ban", "remove", "here"], "not an address or a network"),
    ] {
        let said = refused(gateway, arguments, 2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(listed(gateway), Vec::<Value>::new());
}

#[tokio::test]
async fn ban_commands_work_offline_and_survive_a_restart() {
    let mut scene = Scene::with(proxied, |_| {}).await;
    ban(&scene, BANNED);
    scene.gateway.stop();
    assert_eq!(listed(&scene.gateway)[0]["network"], BANNED);
    ban(&scene, NEIGHBOUR);
    let said = refused(&scene.gateway, &["ban", "add", "127.0.0.1"], 1);
    assert!(said.contains("addresses of this machine"), "{said}");
    scene.gateway.launch().await;
    for banned in [BANNED, NEIGHBOUR] {
        let browser = scene.anonymous().reported_as(banned);
        is_banned(browser.post("passkeys/authenticate/options", &json!({})).await);
    }
    scene.gateway.stop();
    scene.gateway.operate(&["ban", "remove", BANNED]);
    scene.gateway.launch().await;
    assert!(begins(&scene.anonymous().reported_as(BANNED)).await);
    assert!(!begins(&scene.anonymous().reported_as(NEIGHBOUR)).await);
}

#[tokio::test]
async fn backup_includes_bans() {
    let mut scene = Scene::with(proxied, |_| {}).await;
    ban(&scene, BANNED);
    let file = scene.gateway.directory().join("the.backup");
    scene.gateway.operate(&["backup", file.to_str().unwrap()]);
    scene.gateway.stop();
    std::fs::rename(scene.gateway.data(), scene.gateway.directory().join("died")).unwrap();
    scene.gateway.operate(&["restore", file.to_str().unwrap()]);
    scene.gateway.launch().await;
    assert_eq!(listed(&scene.gateway)[0]["network"], BANNED);
    assert!(!begins(&scene.anonymous().reported_as(BANNED)).await);
    assert!(begins(&scene.anonymous().reported_as(NEIGHBOUR)).await);
}
