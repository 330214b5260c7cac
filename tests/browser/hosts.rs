//! Several hosts over TLS: one sign-in, one sign-out.

use crate::chrome::{Attached, Chrome};
use crate::harness::upstream::response;
use crate::harness::{Gateway, Upstream};
use crate::people::{ALICE, asked_about, only_passkey, set_up, sign_out, without_autofill};

const AUTH: &str = "auth.example.test";
const ONE: &str = "one.example.test";
const TWO: &str = "two.example.test";

#[tokio::test]
async fn one_sign_in_and_one_sign_out_reach_two_hosts_over_tls() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::start(|config| {
        config.tls(AUTH);
        config.route("one", first.port).host(ONE);
        config.route("two", second.port).host(TWO);
    })
    .await;
    let chrome = Chrome::start().await;
    chrome.trust(gateway.authority.certificate());
    let window = chrome.window().await;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    sign_out(&window).await;
    without_autofill(&window).await;

    let one = format!("{}/a?b=c%20d", gateway.origin_of(ONE));
    let two = format!("{}/x/y?z", gateway.origin_of(TWO));
    window.open(&one).await;
    window.sees(ONE).await;
    assert!(window.url().await.starts_with(&gateway.url("/auth/login")));
    window.press("Sign in with a passkey").await;
    window.arrives_at(&one).await;
    window.sees("hello").await;
    assert!(window.cookies().await.contains(&"__Host-vestibule".to_owned()));
    let seen = first.seen();
    let request = seen.iter().find(|request| request.target() == "/a?b=c%20d").unwrap();
    assert_eq!(request.value("Remote-User"), "alice");
    assert_eq!(request.value("X-Forwarded-Proto"), "https");

    // The user is not asked again on the other host.
    window.open(&two).await;
    window.arrives_at(&two).await;
    window.sees("hello").await;

    // Signing out on one of them is signing out everywhere.
    window.open(&format!("{}/auth/logout", gateway.origin_of(TWO))).await;
    window.press("Sign out").await;
    window.sees("You are signed out").await;
    for url in [one, two, gateway.url("/auth/account")] {
        window.open(&url).await;
        window.arrives_at_path("/auth/login").await;
    }
    window.stays_clean().await;
}

/// Browsers apply `form-action` to the redirect of a form's answer, so "Continue" once did nothing.
#[tokio::test]
async fn a1_a_host_below_a_wildcard_is_entered_after_the_question() {
    let application = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.own_clock = true;
        config.route("wild", application.port).host("*.apps.localhost");
    })
    .await;
    let chrome = Chrome::start().await;
    let window = chrome.window().await;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;

    let url = asked_about(&window, &gateway).await;
    window.press("Continue").await;
    window.arrives_at(&url).await;
    window.sees("hello").await;
    window.stays_clean().await;
}

/// Browsers take `Clear-Site-Data: "cookies"` for the whole registrable domain, so we do not send
/// it: cookies of a sibling host stay after a sign-out.
#[tokio::test]
async fn f_18_a_sign_out_leaves_the_cookies_of_a_sibling_host_alone() {
    let theirs = [("Set-Cookie", "theirs=kept; Path=/; Secure"), ("Content-Type", "text/html")];
    let application = Upstream::answering(move |request| {
        response("200 OK", if request.target() == "/set" { &theirs } else { &theirs[1..] }, "hello")
    });
    let gateway = Gateway::start(|config| {
        config.tls(AUTH);
        config.route("one", application.port).host(ONE).public(&["/*"]);
    })
    .await;
    let chrome = Chrome::start().await;
    chrome.trust(gateway.authority.certificate());
    let window = chrome.window().await;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    window.open(&format!("{}/set", gateway.origin_of(ONE))).await;
    window.sees("hello").await;
    window.open(&gateway.url("/auth/account")).await;
    sign_out(&window).await;
    application.take();
    window.open(&format!("{}/page", gateway.origin_of(ONE))).await;
    window.sees("hello").await;
    assert!(window.cookies().await.contains(&"theirs".to_owned()));
    let seen = application.take();
    let request = seen.iter().find(|request| request.target() == "/page").unwrap();
    assert!(request.value("cookie").contains("theirs=kept"), "{}", request.text());
}

/// Over https, beside an application, the account page asks for the passkey for each change, and
/// the nonce that it gets pays for that change.
#[tokio::test]
async fn f_09_the_account_page_asks_for_each_change_beside_an_application() {
    let app = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.tls(AUTH);
        config.route("app", app.port).path("/app");
    })
    .await;
    let chrome = Chrome::start().await;
    chrome.trust(gateway.authority.certificate());
    let window = chrome.window().await;
    let passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    window.open(&gateway.url("/auth/account")).await;
    for name in ["Kitchen laptop", "Hall laptop"] {
        let used = only_passkey(&passkey).await["signCount"].clone();
        window.press("Rename").await;
        window.fill("Name of this passkey", name).await;
        window.press("Save").await;
        window.sees(&format!("It is now called “{name}”")).await;
        assert_ne!(only_passkey(&passkey).await["signCount"], used, "the user was not asked");
    }
    window.stays_clean().await;
}

#[tokio::test]
async fn signing_out_here_signs_out_of_applications_first() {
    let application = Upstream::start();
    let gateway = Gateway::start(|config| {
        config.tls(AUTH);
        config.route("one", application.port).host(ONE).line("logout_url = \"/logout?all=1\"");
        config.route("closed", 1).host(TWO).allow(&["group:staff"]).line("logout_url = \"/logout\"");
    })
    .await;
    let chrome = Chrome::start().await;
    chrome.trust(gateway.authority.certificate());
    let window = chrome.window().await;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    set_up(&window, &gateway.setup_link(), ALICE, "Alice Archer").await;
    without_autofill(&window).await;
    let one = format!("{}/page", gateway.origin_of(ONE));
    for page in ["/auth/account", "/auth/logout"] {
        window.open(&one).await;
        window.sees("hello").await;
        application.take();
        window.open(&gateway.url(page)).await;
        sign_out(&window).await;
        let seen = application.take();
        let request = seen.iter().find(|request| request.target() == "/logout?all=1");
        let request = request.unwrap_or_else(|| panic!("{page}: {seen:?}"));
        assert_eq!(request.value("remote-user"), "alice", "{page}: it is asked while the session lives");
        window.open(&gateway.url("/auth/account")).await;
        window.arrives_at_path("/auth/login").await;
        window.press("Sign in with a passkey").await;
        window.arrives_at_path("/auth/account").await;
    }
    window.stays_clean().await;
}
