//! The first person, invited people, and invalid links.

use crate::chrome::Attached;
use crate::people::{ALICE, BOB, Stage, accept};

#[tokio::test]
async fn the_set_up_link_leads_to_the_application_with_the_right_headers() {
    let stage = Stage::set().await;
    let link = stage.gateway.setup_link();
    let _passkey = stage.alice().await;
    stage.window.stays_clean().await;

    stage.application.take();
    stage.window.open(&stage.gateway.url("/reports?year=2026")).await;
    stage.window.sees("hello").await;
    let seen = stage.application.seen();
    let request = seen.iter().find(|request| request.target() == "/reports?year=2026").unwrap();
    assert_eq!(request.value("Remote-User"), "alice");
    assert_eq!(request.value("Remote-Email"), ALICE);
    assert_eq!(request.value("Remote-Name"), "Alice Archer");
    assert!(!request.text().contains("vestibule="), "{}", request.text());

    // Set-up is over for good.
    let anonymous = stage.another_window().await;
    anonymous.open(&link).await;
    anonymous.sees("This link does not work any more").await;
    anonymous.sees("For a new link, ask").await;
    anonymous.stays_clean().await;
}

#[tokio::test]
async fn invited_user_enrols() {
    let stage = Stage::set().await;
    let _hers = stage.alice().await;
    let link = stage.gateway.invite(BOB, &["--name", "Bob Baker", "--group", "staff"]);

    let window = stage.another_window().await;
    let his = window.authenticator(Attached::BuiltIn).await;
    accept(&window, &link, BOB).await;
    window.sees("Bob Baker").await;
    assert_eq!(his.passkeys().await.len(), 1);

    stage.application.take();
    window.open(&stage.gateway.url("/")).await;
    window.sees("hello").await;
    let seen = stage.application.seen();
    let request = seen.iter().find(|request| request.target() == "/").unwrap();
    assert_eq!(request.value("Remote-User"), "bob");
    assert_eq!(request.value("Remote-Groups"), "staff");

    // A link works once.
    window.open(&link).await;
    window.sees("This link does not work any more").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn reports_truncated_links_and_existing_passkeys() {
    let stage = Stage::set().await;
    stage.window.open(&stage.gateway.url("/auth/enroll")).await;
    stage.window.sees("This link is incomplete").await;

    let _hers = stage.alice().await;
    stage.window.press("Add a passkey").await;
    stage.window.sees("This device already has a passkey here").await;
    stage.window.stays_clean().await;
}
