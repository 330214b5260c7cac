//! Users in files: everyone in a file is invited, or no one; and all users are written into a file.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Gateway, Mode, PostOffice, Scene, port};

fn import(gateway: &Gateway, text: &str, options: &[&str]) -> Result<String, String> {
    let file = gateway.directory().join("users.csv");
    std::fs::write(&file, text).unwrap();
    let output = gateway.cli(&[&["import", "users", file.to_str().unwrap()], options].concat());
    let (said, complained) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(said) } else { Err(complained) }
}

fn invited(gateway: &Gateway) -> Vec<String> {
    let list: Value = serde_json::from_str(&gateway.operate(&["invitation", "list", "--json"])).unwrap();
    let mut invited: Vec<_> =
        list.as_array().unwrap().iter().map(|it| it["email"].as_str().unwrap().to_owned()).collect();
    invited.sort_unstable();
    invited
}

#[tokio::test]
async fn import_invites_all_or_none() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    // Alice has an account, and the file's values for her would not count.
    let said = import(
        gateway,
        "email,username,groups\nbob@example.com,,staff\nalice@example.com,,staff\ncarol@example.com,alice,\n",
        &[],
    );
    let said = said.unwrap_err();
    assert!(said.contains("no user was invited"), "{said}");
    assert!(said.contains("line 3: ") && said.contains("line 4: ") && !said.contains("line 2"), "{said}");
    let said = import(gateway, "email\nbob@example.com\nnobody\n", &[]).unwrap_err();
    assert!(said.contains("line 3: email: "), "{said}");
    assert_eq!(invited(gateway), Vec::<String>::new());

    let people = "email,name,username,groups,role\nbob@example.com,\"Roe, Bob\",bobby,staff ops,\ncarol@example.com,,,,administrator\n";
    let said = import(gateway, people, &["--json"]).unwrap();
    let lines: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(invited(gateway), ["bob@example.com", "carol@example.com"]);
    // After a second time, the links of the first are void.
    let again: Value = serde_json::from_str(&import(gateway, people, &["--json"]).unwrap()).unwrap();
    assert_eq!(invited(gateway).len(), 2);
    let stale = lines[0]["link"].as_str().unwrap();
    scene.anonymous().redeem(stale, None, "Bob").await.expect(410);
    let (bob, link) = (scene.anonymous(), again[0]["link"].as_str().unwrap());
    let user = bob.enrol(link, "bob@example.com", "Bob", &mut Authenticator::new(41)).await;
    assert_eq!((&user["username"], &user["groups"]), (&json!("bobby"), &json!(["ops", "staff"])));

    let csv = gateway.operate(&["export", "users"]);
    let mut lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.remove(0), "email,name,username,groups,role,standing,passkeys,last_used_at,expires_at");
    lines.sort_unstable();
    assert!(lines[0].starts_with("alice@example.com,"), "{csv}");
    assert!(lines[1].starts_with("bob@example.com,Bob,bobby,ops staff,member,active,1,"), "{csv}");
    let all: Vec<Value> = gateway
        .operate(&["export", "users", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all.len(), 2);
    assert_eq!(all.iter().filter(|user| user["username"] == "bobby").count(), 1);
}

#[tokio::test]
async fn import_by_mail_is_limited_to_one_commit() {
    let mail = port::free();
    let office = PostOffice::open(mail, &Mode::Plain);
    let scene = Scene::with(
        |config| {
            let url = format!("url = \"smtp://localhost:{mail}\"");
            config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
        },
        |_| {},
    )
    .await;
    let file = |count: usize| {
        let lines: Vec<_> = (0..count).map(|n| format!("user{n}@example.com")).collect();
        format!("email\n{}\n", lines.join("\n"))
    };
    let said = import(&scene.gateway, &file(151), &["--mail"]).unwrap_err();
    assert!(said.contains("at most 150 users"), "{said}");
    assert_eq!(invited(&scene.gateway), Vec::<String>::new());
    // Twice, so that each ends a link as well.
    for _ in 0..2 {
        let said = import(&scene.gateway, &file(150), &["--mail"]).unwrap();
        assert_eq!(said.lines().count(), 150);
    }
    assert_eq!(invited(&scene.gateway).len(), 150);
    assert!(office.message(150).await["message"].as_str().unwrap().contains("Your link"));
}
