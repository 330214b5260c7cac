//! The configuration as administrators see it, and whether mail arrives.

use serde_json::{Value, json};
use vestibule::domain::limits::MAIL_BURST;

use super::trail::told_lines;
use super::{bob, id_of};
use crate::harness::scene::ALICE;
use crate::harness::{Mode, PostOffice, Reply, Scene, port};

const PASSWORD: &str = "hunter2-is-not-shown";

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

async fn scene() -> (Scene, PostOffice) {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let scene = Scene::with(
        |config| {
            let url = format!("url = \"smtp://localhost:{port}\"");
            config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
            let hook = format!("url = \"http://127.0.0.1:9/{PASSWORD}\"");
            config.webhook(&[&hook, "events = [\"recovery\"]"]);
        },
        |_| {},
    )
    .await;
    (scene, office)
}

#[tokio::test]
async fn s_03_the_settings_are_shown_to_administrators_with_file_and_line_and_without_secrets() {
    let (scene, _office) = scene().await;
    let bob = bob(&scene).await;
    let page = scene.alice.get("admin/settings").await.expect(200);
    let page = text(&page);
    for words in
        ["public_url", "route[1].upstream", "mail.from", "config.toml:1<", "set, not shown", "server.workers"]
    {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert!(!page.contains(PASSWORD), "{page}");
    let refused = bob.get("admin/settings").await;
    assert_eq!(refused.status, 404);
    assert!(!text(&refused).contains("public_url"));
}

#[tokio::test]
async fn s_34_test_mail_goes_to_the_caller_and_is_limited() {
    let (scene, office) = scene().await;
    let answer = scene.alice.post("admin/v1/mail/test", &json!({ "to": "else@example.com" })).await;
    assert_eq!(answer.expect(202).json(), json!({ "to": ALICE }));
    let message: Value = office.message(1).await;
    assert!(message.to_string().contains(ALICE), "{message}");
    for _ in 1..MAIL_BURST.get() {
        scene.alice.post("admin/v1/mail/test", &json!({})).await.expect(202);
    }
    let problem = scene.alice.post("admin/v1/mail/test", &json!({})).await.expect_problem(429);
    assert_eq!(problem["code"], "rate_limited");
    let audit = told_lines(&scene, &["--event", "mail_tested"]);
    assert_eq!(audit.len(), usize::try_from(MAIL_BURST.get()).unwrap());
    assert_eq!(audit[0]["actor"], id_of(&scene, "alice").as_str());
}

#[tokio::test]
async fn without_mail_no_test_message_is_sent() {
    let scene = Scene::set().await;
    let problem = scene.alice.post("admin/v1/mail/test", &json!({})).await.expect_problem(404);
    assert_eq!(problem["code"], "not_found");
    let page = scene.alice.get("admin/settings").await.expect(200);
    let page = text(&page);
    assert!(page.contains("Nothing is sent by mail") && !page.contains("admin/v1/mail/test"));
}
