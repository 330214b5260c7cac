//! The ways in: autofill, the button, the e-mail address; and back to where the user was heading.

use crate::chrome::Attached;
use crate::harness::Recorded;
use crate::people::{ALICE, BOB, Stage, accept, sign_out, without_autofill};

/// The address that was asked for must come back to the byte.
const DEEP_LINK: &str = "/a%20b/ä%2Fc?q=1&q=%C3%A4&empty=&x=a+b%20c";

#[tokio::test]
async fn sign_in_returns_to_the_requested_url() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    sign_out(&stage.window).await;
    without_autofill(&stage.window).await;
    stage.application.take();

    let asked = url::Url::parse(&stage.gateway.url(DEEP_LINK)).unwrap();
    stage.window.open(asked.as_str()).await;
    stage.window.arrives_at_path("/auth/login").await;
    stage.window.sees("Continue to").await;
    assert!(stage.application.seen().is_empty(), "an anonymous client reached the application");

    stage.window.press("Sign in with a passkey").await;
    stage.window.arrives_at(asked.as_str()).await;
    stage.window.sees("hello").await;
    let targets: Vec<String> = stage.application.seen().iter().map(Recorded::target).collect();
    let expected = &asked[url::Position::BeforePath..url::Position::AfterQuery];
    assert!(targets.iter().any(|target| target == expected), "{targets:?}");
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn signs_in_by_autofill() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    sign_out(&stage.window).await;
    // The user has chosen nothing yet: the offer waits, and the page stays.
    passkey.is_touched(false).await;
    stage.window.open(&stage.gateway.url("/inbox?unread")).await;
    stage.window.sees("E-mail address, or choose a saved passkey").await;
    passkey.is_touched(true).await;
    stage.window.reload().await;

    // The user presses no button and no key.
    stage.window.arrives_at(&stage.gateway.url("/inbox?unread")).await;
    stage.window.sees("hello").await;
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn the_button_takes_over_from_autofill() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    sign_out(&stage.window).await;
    passkey.is_touched(false).await;
    stage.window.before_every_page(WATCH_REQUESTS).await;
    stage.window.open(&stage.gateway.url("/")).await;
    let happens = async |what: &str, script: &str| {
        stage.window.until(what, async || (stage.window.script(script).await == true).then_some(())).await;
    };
    happens("autofill is armed", "return window.offers === 1").await;
    stage.window.press("Sign in with a passkey").await;
    happens("the button asks", "return window.touch !== undefined").await;
    // The user touches it only now, so that autofill cannot be answered.
    passkey.is_touched(true).await;
    stage.window.script("window.touch()").await;
    stage.window.arrives_at(&stage.gateway.url("/")).await;
    stage.window.sees("hello").await;
    stage.window.stays_clean().await;
}

/// Counts the offers of autofill, and holds what the button asks for until `window.touch` is called.
const WATCH_REQUESTS: &str = "window.offers = 0;
const get = navigator.credentials.get.bind(navigator.credentials);
navigator.credentials.get = async (options) => {
  if (options.mediation === 'conditional') window.offers += 1;
  else await new Promise((resolve) => { window.touch = resolve; });
  return get(options);
};";

#[tokio::test]
async fn sign_in_by_address_does_not_reveal_accounts() {
    let stage = Stage::set().await;
    let _hers = stage.alice().await;
    let guest = stage.another_window().await;
    let _his = guest.authenticator(Attached::BuiltIn).await;
    accept(&guest, &stage.gateway.invite(BOB, &["--name", "Bob Baker"]), BOB).await;
    sign_out(&stage.window).await;
    without_autofill(&stage.window).await;
    let window = &stage.window;

    window.open(&stage.gateway.url("/mail")).await;
    window.fill("Your e-mail address", "not an address").await;
    window.press("Continue").await;
    window.sees("Please enter your e-mail address").await;

    // Alice's passkey does not fit these, and nothing tells which of them has an account.
    for other in [BOB, "nobody@example.com"] {
        window.reload().await;
        window.fill("Your e-mail address", other).await;
        window.press("Continue").await;
        window.sees("This passkey was not accepted").await;
    }
    let options = |email: &str| {
        format!(
            "const reply = await fetch('/auth/passkeys/authenticate/options', {{ method: 'POST',
               headers: {{ 'Content-Type': 'application/json' }}, body: JSON.stringify({{ email: '{email}' }}) }});
             return [reply.status, {{ ...(await reply.json()), challenge: '' }}];"
        )
    };
    let known = window.wait_for_script(&options(ALICE)).await;
    assert_eq!(known, window.wait_for_script(&options("nobody@example.com")).await);

    window.fill("Your e-mail address", ALICE).await;
    window.keys("\u{e007}").await;
    window.arrives_at(&stage.gateway.url("/mail")).await;
    window.sees("hello").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn signed_in_user_skips_the_sign_in_page() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    stage.window.open(&stage.gateway.url("/auth/login")).await;
    stage.window.arrives_at(&stage.gateway.url("/auth/account")).await;
}
