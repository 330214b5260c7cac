//! Routes that not every user may enter.

use crate::harness::scene::make_member;
use crate::people::{ALICE, Stage, without_autofill};

#[tokio::test]
async fn user_is_refused_until_added_to_the_group() {
    let stage = Stage::set_with(|config| {
        let application = 1;
        config.route("closed", application).path("/closed").allow(&["group:staff"]);
    });
    let stage = stage.await;
    let _passkey = stage.alice().await;
    let window = &stage.window;
    let closed = stage.gateway.url("/closed/books");

    window.open(&closed).await;
    window.sees("Your account has no access here").await;
    window.sees(ALICE).await;
    window.sees("Use another account").await;

    // In, on the next request of the same session; the application behind it is down.
    stage.gateway.operate(&["user", "groups", ALICE, "staff"]);
    window.reload().await;
    window.sees("The application does not answer").await;
    window.sees("closed").await;

    stage.gateway.operate(&["user", "groups", ALICE]);
    window.reload().await;
    window.press("Use another account").await;
    window.sees("You are signed out").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn disabled_account_is_refused_on_the_next_request() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    make_member(&stage.gateway, ALICE).await;
    stage.gateway.operate(&["user", "disable", ALICE]);
    // Autofill would show a refused passkey again and again, until there are too many attempts.
    without_autofill(&stage.window).await;
    stage.window.open(&stage.gateway.url("/")).await;
    stage.window.arrives_at_path("/auth/login").await;
    stage.window.press("Sign in with a passkey").await;
    stage.window.sees("This passkey was not accepted").await;
}
