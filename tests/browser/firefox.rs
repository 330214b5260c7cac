//! The main job in a second browser: Firefox ESR, driven by geckodriver.
//!
//! Firefox does not show WebDriver its console, so these tests look at the visible page alone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::chrome::{Attached, Firefox, Window};
use crate::harness::{Gateway, Upstream};
use crate::people::{ALICE, asked_about, only_passkey, set_up, sign_out};

const AUTH: &str = "auth.example.test";
const ONE: &str = "one.example.test";
const TWO: &str = "two.example.test";

/// Signs in where the sign-in page is in sight.
async fn sign_in(window: &Window) {
    window.press("Sign in with a passkey").await;
    window.leaves_path("/auth/login").await;
}

#[tokio::test]
async fn firefox_enrols_signs_in_follows_a_deep_link_and_signs_out() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::start(|config| {
        config.tls(AUTH);
        config.route("one", first.port).host(ONE);
        config.route("two", second.port).host(TWO);
    })
    .await;
    let firefox = Firefox::start().await;
    let window = firefox.window(Some(gateway.authority.certificate())).await;
    let passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    assert!(only_passkey(&passkey).await["isResidentCredential"].as_bool().unwrap());
    sign_out(&window).await;

    let one = format!("{}/a?b=c%20d", gateway.origin_of(ONE));
    window.open(&one).await;
    window.sees(ONE).await;
    assert!(window.url().await.starts_with(&gateway.url("/auth/login")));
    sign_in(&window).await;
    window.arrives_at(&one).await;
    window.sees("hello").await;
    let seen = first.seen();
    let request = seen.iter().find(|request| request.target() == "/a?b=c%20d").unwrap();
    assert_eq!(request.value("Remote-User"), "alice");

    // The user is not asked again on the other host, and signing out there is signing out
    // everywhere.
    let two = format!("{}/x/y?z", gateway.origin_of(TWO));
    window.open(&two).await;
    window.arrives_at(&two).await;
    window.open(&format!("{}/auth/logout", gateway.origin_of(TWO))).await;
    window.press("Sign out").await;
    window.sees("You are signed out").await;
    for url in [one, two, gateway.url("/auth/account")] {
        window.open(&url).await;
        window.arrives_at_path("/auth/login").await;
    }
}

#[tokio::test]
async fn firefox_renames_a_passkey_on_the_account_page() {
    let application = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.route("app", application.port);
    })
    .await;
    let firefox = Firefox::start().await;
    let window = firefox.window(None).await;
    let passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;

    window.press("Remove").await;
    window.sees("This is your only passkey").await;
    window.press("Rename").await;
    window.fill("Name of this passkey", "Kitchen laptop").await;
    window.press("Save").await;
    window.sees("It is now called “Kitchen laptop”").await;

    // The name is kept, and the passkey is the same one.
    sign_out(&window).await;
    window.open(&gateway.url("/auth/login")).await;
    sign_in(&window).await;
    window.open(&gateway.url("/auth/account")).await;
    window.sees("Kitchen laptop").await;
    only_passkey(&passkey).await;
}

/// Browsers apply `form-action` to the redirect of a form's answer.
#[tokio::test]
async fn firefox_enters_a_host_below_a_wildcard_after_the_question() {
    let application = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.own_clock = true;
        config.route("wild", application.port).host("*.apps.localhost");
    })
    .await;
    let firefox = Firefox::start().await;
    let window = firefox.window(None).await;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    let url = asked_about(&window, &gateway).await;
    window.press("Continue").await;
    window.arrives_at(&url).await;
    window.sees("hello").await;
}

/// Nothing ends a browser that outlives its test.
#[tokio::test]
async fn firefox_ends_with_its_window() {
    let firefox = Firefox::start().await;
    let window = firefox.window(None).await;
    let process = PathBuf::from(format!("/proc/{}", window.process()));
    assert!(process.exists(), "{process:?}");
    drop(window);
    let deadline = Instant::now() + Duration::from_secs(10);
    while process.exists() {
        assert!(Instant::now() < deadline, "Firefox runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
