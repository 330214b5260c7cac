//! Failures, and the messages for people.

mod relay;

use relay::Relay;
use serde_json::json;

use crate::chrome::{Attached, Profile};
use crate::people::{ALICE, Stage, sign_out, without_autofill};

/// A page's own time stands still, and a prompt takes as long as `promptTakes` says.
const PROMPTS_BY_HAND: &str = "
let at = 0;
performance.now = () => at;
const get = navigator.credentials.get.bind(navigator.credentials);
navigator.credentials.get = (options) => get(options).finally(() => { at += window.promptTakes; });";

/// Browsers give the same answer for a closed prompt and for a prompt that they never showed; only
/// the time tells them apart.
#[tokio::test]
async fn reports_a_cancelled_prompt_and_allows_another() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    let window = &stage.window;
    sign_out(window).await;
    without_autofill(window).await;
    window.before_every_page(PROMPTS_BY_HAND).await;
    window.open(&stage.gateway.url("/inbox")).await;

    // A finger that the device does not know.
    passkey.verifies(false).await;
    for (millis, words, other) in [
        (399, "No passkey for this site on this device", "The passkey was not used"),
        (400, "The passkey was not used", "No passkey for this site on this device"),
    ] {
        window.script(&format!("window.promptTakes = {millis}")).await;
        window.press("Sign in with a passkey").await;
        window.sees(words).await;
        assert!(!window.text().await.contains(other), "after {millis} ms");
    }
    window.stays_clean().await;

    passkey.verifies(true).await;
    window.press("Sign in with a passkey").await;
    window.arrives_at(&stage.gateway.url("/inbox")).await;
}

/// The browser answers with the error that `browserSays` names, and the server with the answer of
/// `serverSays`, if set.
const FAILURES_BY_HAND: &str = "
window.asked = 0;
navigator.credentials.get = async () => {
  window.asked += 1;
  throw new DOMException('', window.browserSays);
};
const fetched = window.fetch.bind(window);
window.fetch = (...request) => window.serverSays ? window.serverSays() : fetched(...request);
window.problem = (status, code) => async () => new Response(JSON.stringify({ code, detail: `about ${code}` }), {
  status, headers: { 'Content-Type': 'application/problem+json', 'Retry-After': '7' },
});";

#[tokio::test]
async fn every_failure_has_a_message() {
    let stage = Stage::set().await;
    let window = &stage.window;
    without_autofill(window).await;
    window.before_every_page(FAILURES_BY_HAND).await;
    window.open(&stage.gateway.url("/auth/login")).await;

    // A prompt that a script has ended itself shows no message.
    window.script("window.browserSays = 'AbortError'").await;
    window.press("Sign in with a passkey").await;
    let silent = "return [window.asked, document.getElementById('passkey').getAttribute('aria-busy'), document.getElementById('message').hidden]";
    window.answers(silent, json!([1, null, true])).await;
    for (error, words) in [
        ("InvalidStateError", "This device already has a passkey here"),
        ("SecurityError", "This address is not set up for passkeys"),
        ("NotSupportedError", "This authenticator cannot verify you"),
        ("UnknownError", "The browser answered “UnknownError”"),
        ("ConstraintError", "This authenticator cannot verify you"),
    ] {
        window.script(&format!("window.browserSays = '{error}'")).await;
        window.press("Sign in with a passkey").await;
        window.sees(words).await;
    }
    for (answer, words) in [
        ("() => Promise.reject(new TypeError())", "No connection"),
        ("problem(500, '')", "It answered with error 500"),
        ("problem(503, 'network_banned')", "You cannot sign in from this network at the moment"),
        ("problem(429, '')", "Please wait 7 seconds"),
        ("problem(401, 'unknown_credential')", "This passkey was removed here"),
        ("problem(401, 'ceremony_expired')", "The request has expired"),
        ("problem(401, 'passkey_refused')", "This passkey was not accepted"),
        ("problem(410, '')", "The request has expired"),
        ("problem(409, 'this')", "about this"),
    ] {
        window.script(&format!("window.serverSays = {answer}")).await;
        window.press("Sign in with a passkey").await;
        window.sees(words).await;
    }
    window.stays_clean().await;
}

/// A prompt that the user ignores ends like a closed one. Its timeout is a suggestion that Chromium
/// takes literally while authenticators are virtual.
const PROMPTS_ARE_SHORT: &str = "
const get = navigator.credentials.get.bind(navigator.credentials);
navigator.credentials.get = (options) => {
  options.publicKey.timeout = 1000;
  return get(options);
};";

#[tokio::test]
async fn reports_a_prompt_that_timed_out() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    let window = &stage.window;
    sign_out(window).await;
    without_autofill(window).await;
    window.before_every_page(PROMPTS_ARE_SHORT).await;
    window.open(&stage.gateway.url("/inbox")).await;

    passkey.is_touched(false).await;
    window.press("Sign in with a passkey").await;
    window.sees("Waiting for your passkey").await;
    window.sees("The passkey was not used").await;
    window.sees("Use my e-mail address").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn reports_an_unknown_passkey() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    let window = &stage.window;
    // A second passkey, removed here and kept by its authenticator.
    passkey.is_touched(false).await;
    let second = window.authenticator(Attached::Usb).await;
    window.press("Add a second passkey").await;
    window.sees("Passkey added").await;
    let gone = second.passkeys().await.remove(0);
    window.press("Cancel").await;
    let id = gone["credentialId"].as_str().unwrap();
    let removed = format!(
        "return (await fetch('/auth/passkeys/{id}', {{ method: 'DELETE', headers: {{ Accept: 'application/json' }} }})).status"
    );
    assert_eq!(window.wait_for_script(&removed).await, 204);
    sign_out(window).await;
    without_autofill(window).await;
    window.open(&stage.gateway.url("/")).await;
    window.press("Sign in with a passkey").await;
    window.sees("This passkey was removed here").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn unknown_host_page_has_its_style() {
    let stage = Stage::set().await;
    let url = format!("http://127.0.0.1:{}/auth/login", stage.gateway.port);
    stage.window.open(&url).await;
    stage.window.sees("Unknown address").await;
    stage.window.sees("127.0.0.1").await;
    let styled = "return getComputedStyle(document.querySelector('main')).borderTopLeftRadius";
    assert_ne!(stage.window.script(styled).await, "0px");
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn reports_an_origin_mismatch_behind_a_proxy() {
    let stage = Stage::set().await;
    let relay = Relay::start(stage.gateway.port, &format!("localhost:{}", stage.gateway.port));
    let window = &stage.window;
    let _passkey = window.authenticator(Attached::BuiltIn).await;
    window.open(&format!("http://wrong.localhost:{}/auth/login", relay.port)).await;
    window.press("Sign in with a passkey").await;
    window.sees("This address is not set up for passkeys").await;
    window.sees("the relying party ID is “localhost”").await;
    window.sees(&format!("http://wrong.localhost:{}", relay.port)).await;
    window.stays_clean().await;
}

#[tokio::test]
async fn reports_blocked_cookies_before_the_sign_in() {
    let stage = Stage::set().await;
    let link = stage.gateway.setup_link();
    let window = stage.chrome.window_with(&Profile { cookies_blocked: true }).await;
    for url in [stage.gateway.url("/auth/login"), link] {
        window.open(&url).await;
        window.sees("Cookies are blocked").await;
    }
    window.stays_clean().await;
}

#[tokio::test]
async fn redirect_loop_page_names_its_cause() {
    let stage = Stage::set().await;
    stage.window.open(&stage.gateway.url("/auth/login?done=1")).await;
    stage.window.sees("Sign-in could not be completed").await;
    stage.window.sees("did not come back").await;
    stage.window.sees("both clocks agree").await;
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn unknown_address_without_passkey_suggests_another_device() {
    let stage = Stage::set().await;
    let window = &stage.window;
    let _empty = window.authenticator(Attached::BuiltIn).await;
    without_autofill(window).await;
    window.open(&stage.gateway.url("/auth/login")).await;
    window.fill("Your e-mail address", ALICE).await;
    window.press("Continue").await;
    window.sees("No passkey for this site on this device").await;
    window.press("Lost your passkey?").await;
    window.sees("Otherwise, for a new invitation, ask your administrator.").await;
}
