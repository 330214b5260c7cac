//! `[[attribute]]`: set by administrators or by their owners, told in headers, read by policies.

use serde_json::json;

use crate::harness::config::Config;
use crate::harness::{Browser, Scene};

fn defined(config: &mut Config) {
    let number = ["name = \"employee_id\"", "title = \"Employee number\"", "pattern = \"[A-Z]{2}[0-9]{4}\""];
    config.table("[attribute]", &number);
    config.table("[attribute]", &["name = \"locale\"", "edit = \"owner\"", "pattern = \"[a-z]{2}\""]);
}

async fn scene(route: &str) -> Scene {
    let route = route.to_owned();
    Scene::with(defined, move |it| {
        it.allow(&[]).line(&route);
    })
    .await
}

const POLICY: &str = "policy = 'allow if attribute(\"employee_id\", $n), $n.starts_with(\"AB\");'";

async fn bob(scene: &Scene) -> Browser {
    scene.invited("bob@example.com", 2).await.0
}

#[tokio::test]
async fn s_09_attribute_applies_on_the_next_request() {
    let scene = scene(&format!(
        "{POLICY}\nheaders = {{ X-Employee = \"{{attr.employee_id}}\", X-Where = \"{{attr.locale}}\" }}"
    ))
    .await;
    let bob = bob(&scene).await;
    bob.navigate(&scene.url("/")).await.expect(403);
    scene.gateway.operate(&["user", "attribute", "bob", "employee_id", "AB1234"]);
    bob.navigate(&scene.url("/")).await.expect(200);
    let seen = scene.app.take_one();
    assert_eq!(seen.value("x-employee"), "AB1234");
    assert!(seen.values("x-where").is_empty(), "nothing is said there, so there is no header");
    // A client's own header is never believed.
    let forged = bob.navigation(&scene.url("/")).header("X-Employee", "AB9999").header("X-Where", "xx");
    bob.send(forged).await.expect(200);
    let seen = scene.app.take_one();
    assert!(seen.values("x-employee") == ["AB1234"] && seen.values("x-where").is_empty(), "{}", seen.text());
    // The page and the API show the same as the terminal.
    let address = crate::administration::user(&scene, "bob");
    let told = scene.alice.get(&address).await.expect(200).json();
    assert_eq!(told["attributes"], json!({ "employee_id": "AB1234" }));
    let shown = scene.gateway.operate(&["user", "show", "bob"]);
    assert!(shown.contains("employee_id: AB1234"), "{shown}");
    scene.alice.patch(&address, &json!({ "attributes": { "employee_id": "CD1234" } })).await.expect(200);
    bob.navigate(&scene.url("/")).await.expect(403);
    scene.alice.patch(&address, &json!({ "attributes": { "employee_id": null } })).await.expect(200);
    let told = scene.alice.get(&address).await.expect(200).json();
    assert_eq!(told["attributes"], json!({}));
}

#[tokio::test]
async fn owner_attributes_grant_nothing() {
    let scene = scene(&format!("{POLICY}\nheaders = {{ X-Where = \"{{attr.locale}}\" }}")).await;
    let bob = bob(&scene).await;
    let say = async |attributes| bob.patch("account", &json!({ "attributes": attributes })).await;
    let problem = say(json!({ "employee_id": "AB1234" })).await.expect_problem(403);
    assert_eq!(problem["code"], "not_permitted");
    assert!(problem["detail"].as_str().unwrap().contains("Employee number"), "{problem}");
    for (wrong, said) in [
        (json!({ "locale": "german" }), "[a-z]{2}"),
        (json!({ "shoe_size": "44" }), "shoe_size"),
        (json!({ "Locale": "de" }), "begins with a letter"),
        (json!({ "locale": "d\u{202e}" }), "invisible"),
    ] {
        let problem = say(wrong.clone()).await.expect_problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{wrong}: {problem}");
    }
    say(json!({ "locale": "de" })).await.expect(200);
    bob.navigate(&scene.url("/")).await.expect(403);
    scene.gateway.operate(&["user", "attribute", "bob", "employee_id", "AB1234"]);
    bob.navigate(&scene.url("/")).await.expect(200);
    assert_eq!(scene.app.take_one().value("x-where"), "de");
    let data = bob.get("account/data").await.expect(200).json();
    assert_eq!(data["attributes"], json!({ "employee_id": "AB1234", "locale": "de" }));
    let events = scene.gateway.operate(&["audit", "--json", "--event", "user_changed", "--user", "bob"]);
    assert!(events.contains("\"attributes\"") && !events.contains("AB1234"), "{events}");
    say(json!({ "locale": null })).await.expect(200);
    bob.navigate(&scene.url("/")).await.expect(200);
    assert!(scene.app.take_one().values("x-where").is_empty());
}

#[tokio::test]
async fn administrators_must_follow_attribute_definitions() {
    let scene = scene("allow = [\"user\"]").await;
    let address = crate::administration::user(&scene, "alice");
    let wrong = json!({ "attributes": { "employee_id": "12" } });
    let problem = scene.alice.patch(&address, &wrong).await.expect_problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("[A-Z]{2}[0-9]{4}"), "{problem}");
    for arguments in [["employee_id", "12"], ["shoe_size", "44"]] {
        let output = scene.gateway.cli(&[&["user", "attribute", "alice"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
    let output = scene.gateway.cli(&["user", "attribute", "alice", "Employee", "AB1234"]);
    assert_eq!(output.status.code(), Some(2), "it is no name");
    scene.gateway.operate(&["user", "attribute", "alice", "employee_id", "AB1234"]);
    // A value that a stricter pattern does not accept is told to no application, and stays where it
    // is.
    scene.gateway.edit(|text| text.replace("[A-Z]{2}[0-9]{4}", "[A-Z]{3}"));
    scene.gateway.operate(&["reload"]);
    let page = scene.alice.navigate(&scene.url("/auth/account")).await.expect(200).text();
    assert!(!page.contains("AB1234") && page.contains("attribute-locale"), "{page}");
    let told = scene.alice.get(&address).await.expect(200).json();
    assert_eq!(told["attributes"], json!({ "employee_id": "AB1234" }));
}

#[tokio::test]
async fn check_reports_mistakes_in_attribute_definitions() {
    let gateway = crate::harness::Gateway::prepare(|config: &mut Config| {
        config.route("app", 1).line("headers = { X-Where = \"{attr.locale}\" }");
        config.table("[attribute]", &["name = \"locale\"", "edit = \"owner\""]);
    });
    let checked = gateway.cli(&["check"]);
    let remarks =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{remarks}");
    assert!(remarks.contains("which users may change themselves"), "{remarks}");
    for (line, said) in [
        ("name = \"Locale\"", "begins with a letter"),
        ("name = \"locale\"\npattern = \"[\"", "is not a pattern"),
        ("name = \"locale\"\npattern = \"a)|(b\"", "is not a pattern"),
        ("name = \"locale\"\nedit = \"everybody\"", "\"owner\""),
        ("edit = \"owner\"", "an attribute needs a name"),
        ("name = \"locale\"\n[[attribute]]\nname = \"locale\"", "two attributes have this name"),
        ("name = \"language\"", "unknown placeholder {attr.locale}"),
    ] {
        let gateway = crate::harness::Gateway::prepare(|config: &mut Config| {
            config.route("app", 1).line("headers = { X-Where = \"{attr.locale}\" }");
            config.table("[attribute]", &[line]);
        });
        let output = gateway.cli(&["check"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && text.contains(said), "{line}: {text}");
    }
}

#[tokio::test]
async fn policy_test_supports_attributes() {
    let scene = scene(POLICY).await;
    let file = scene.gateway.directory().join("expectations.toml");
    let told = |number: &str, decision: &str| {
        let person = "[[user]]\nusername = \"nina\"\nemail = \"nina@example.com\"\n";
        let expect = format!("[[expect]]\nuser = \"nina\"\nurl = {:?}\n", scene.url("/"));
        let said = format!("attributes = {{ employee_id = {number:?} }}\n");
        std::fs::write(&file, format!("{person}{said}\n{expect}decision = {decision:?}\n")).unwrap();
        scene.gateway.cli(&["policy", "test", file.to_str().unwrap()]).status.code()
    };
    assert_eq!(told("AB1234", "allowed"), Some(0));
    assert_eq!(told("CD1234", "refused"), Some(0));
    assert_eq!(told("CD1234", "allowed"), Some(1), "the control");
}
