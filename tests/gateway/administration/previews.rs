//! "Preview as user": what they may enter, and their tiles; and which hosts of a wildcard have one.

use super::{BOB, bob};
use crate::harness::{Reply, Scene};

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

async fn scene() -> Scene {
    Scene::with(
        |config| {
            config.route("closed", 1).path("/closed").allow(&["group:staff"]).line("title = \"Closed shop\"");
            config
                .route("apps", 1)
                .host("*.apps.localhost")
                .allow(&["group:staff"])
                .line("known_hosts = [\"one.apps.localhost\", \"two.apps.localhost\"]");
        },
        |_| {},
    )
    .await
}

#[tokio::test]
async fn preview_as_a_user_creates_no_session() {
    let scene = scene().await;
    let bob = bob(&scene).await;
    let ask = async |user: &str| {
        text(&scene.alice.get(&format!("admin/applications?user={user}")).await.expect(200))
    };
    let before = ask("").await;
    assert!(
        before.contains("closed") && !before.contains("The applications on the account page of"),
        "{before}"
    );
    let refused = ask("bob").await;
    assert!(!refused.contains("Closed shop") && refused.contains(">No<"), "{refused}");
    scene.gateway.operate(&["user", "groups", "bob", "staff"]);
    for name in ["bob", BOB] {
        let seen = ask(name).await;
        for words in ["Closed shop", "one.apps.localhost", "two.apps.localhost"] {
            assert!(seen.contains(words), "{words} is not in {seen}");
        }
    }
    // His own page shows the same.
    let page = text(&bob.get("account").await.expect(200));
    for words in ["Closed shop", "one.apps.localhost", "two.apps.localhost"] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert_eq!(bob.sessions().await.len(), 1);
    scene.gateway.operate(&["user", "disable", "bob"]);
    assert!(ask("bob").await.contains("cannot sign in at the moment"));
    for nobody in ["carol", "carol@example.com", "%3Cscript%3E"] {
        let answer = ask(nobody).await;
        assert!(answer.contains("There is no such user") && !answer.contains("<script>"), "{answer}");
    }
}
