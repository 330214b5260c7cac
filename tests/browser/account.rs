//! The account page: passkeys come, get names and go; sessions end.

use serde_json::json;

use crate::chrome::{Attached, Chrome, Window};
use crate::people::{ALICE, Stage, only_passkey, sign_out};

/// How the suggestion of a second passkey begins.
const SUGGESTION: &str = "You have only one passkey";

#[tokio::test]
async fn a_second_passkey_is_added_named_and_removed_but_never_the_last_one() {
    let stage = Stage::set().await;
    let first = stage.alice().await;
    let window = &stage.window;
    window.sees(SUGGESTION).await;

    // The last passkey cannot be removed, and the page says why.
    window.press("Remove").await;
    window.sees("This is your only passkey").await;

    // The user touches the new key, not the old one.
    first.is_touched(false).await;
    let second = window.authenticator(Attached::Usb).await;
    window.press("Add a second passkey").await;
    window.sees("Passkey added").await;
    assert_eq!(second.passkeys().await.len(), 1);
    assert!(!window.text().await.contains(SUGGESTION), "the suggestion is still there");

    // The page asks for a name of the new passkey at once.
    window.fill("Name of this passkey", "Blue key").await;
    window.press("Save").await;
    window.sees("It is now called “Blue key”").await;

    window.press_at("Blue key", "Remove").await;
    window.sees("Remove “Blue key”?").await;
    window.press("Remove passkey").await;
    window.sees("“Blue key” does not open this account any more").await;

    window.reload().await;
    window.sees("Passkeys 1").await;
    assert!(!window.text().await.contains("Blue key"), "it came back");
    window.stays_clean().await;
}

#[tokio::test]
async fn server_refuses_to_remove_the_last_passkey() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    let refused = stage.window.wait_for_script(
        "const id = document.querySelector('#passkeys li').dataset.id;
         const reply = await fetch(`/auth/passkeys/${id}`, { method: 'DELETE', headers: { Accept: 'application/json' } });
         return [reply.status, (await reply.json()).code];",
    );
    assert_eq!(refused.await, json!([409, "last_passkey"]));
}

#[tokio::test]
async fn a_change_long_after_the_sign_in_asks_for_the_passkey_first() {
    let stage = Stage::set_with(|config| config.own_clock = true).await;
    let passkey = stage.alice().await;
    let window = &stage.window;
    let used = only_passkey(&passkey).await["signCount"].clone();
    let rename = async |name: &str| {
        window.press("Rename").await;
        window.fill("Name of this passkey", name).await;
        window.press("Save").await;
        window.sees(&format!("It is now called “{name}”")).await;
    };
    rename("Hall laptop").await;
    assert_eq!(only_passkey(&passkey).await["signCount"], used, "asked right after the sign-in");

    stage.gateway.clock().set("+6m");
    rename("Kitchen laptop").await;
    assert_ne!(only_passkey(&passkey).await["signCount"], used, "the user was not asked");
}

#[tokio::test]
async fn ended_session_is_refused_on_the_next_request() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;

    // The same passkey, synced to another device, signs in there.
    let elsewhere = stage.another_window().await;
    let copy = elsewhere.authenticator(Attached::BuiltIn).await;
    copy.learn(&only_passkey(&passkey).await).await;
    elsewhere.open(&stage.gateway.url("/")).await;
    elsewhere.sees("hello").await;

    stage.window.reload().await;
    stage.window.sees("Sessions 2").await;
    stage.window.press_at("End", "End").await;
    stage.window.sees("is signed out").await;
    stage.window.sees("Sessions 1").await;

    copy.is_touched(false).await;
    elsewhere.open(&stage.gateway.url("/next")).await;
    elsewhere.arrives_at_path("/auth/login").await;
    elsewhere.sees("Continue to").await;
    // And the browser that ended it is still signed in.
    stage.window.open(&stage.gateway.url("/")).await;
    stage.window.sees("hello").await;
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn all_other_sessions_end_together_and_sign_out_ends_this_one() {
    let stage = Stage::set().await;
    let passkey = stage.alice().await;
    let elsewhere = stage.another_window().await;
    let copy = elsewhere.authenticator(Attached::BuiltIn).await;
    copy.learn(&only_passkey(&passkey).await).await;
    elsewhere.open(&stage.gateway.url("/")).await;
    elsewhere.sees("hello").await;

    let window = &stage.window;
    window.open(&stage.gateway.url("/auth/account")).await;
    window.press("End all others").await;
    window.sees("End all other sessions?").await;
    window.press("End the others").await;
    window.sees("You are signed in here only").await;
    copy.is_touched(false).await;
    elsewhere.open(&stage.gateway.url("/")).await;
    elsewhere.arrives_at_path("/auth/login").await;

    passkey.is_touched(false).await;
    sign_out(window).await;
    assert_eq!(window.cookies().await, Vec::<String>::new());
    window.open(&stage.gateway.url("/")).await;
    window.arrives_at_path("/auth/login").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn user_renames_themselves_reads_events_and_deletes_the_account() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    crate::harness::scene::make_member(&stage.gateway, ALICE).await;
    let window = &stage.window;
    window.reload().await;
    window.sees("by an administrator").await;
    window.press("Change your name").await;
    window.fill("Name", "Alice of the Looking-Glass").await;
    window.press("Save").await;
    window.sees("Applications show it from your next visit on").await;
    window.reload().await;
    window.sees("Alice of the Looking-Glass").await;
    window.press("Delete your account").await;
    window.sees("It cannot be undone").await;
    window.press("Cancel").await;
    window.press("Delete your account").await;
    window.press("Delete my account").await;
    window.sees("You are signed out").await;
    let users = stage.gateway.operate(&["user", "list", "--json"]);
    assert!(!users.contains(ALICE), "{users}");
    window.stays_clean().await;
}

/// The link that a phone would read from the picture. What is drawn there is read in `web/qr.rs`.
async fn scanned(window: &Window) -> String {
    window.sees("Scan this with the camera").await;
    let link = window.script("return document.querySelector('[data-link] svg path') && document.querySelector('[data-link]').dataset.link;");
    link.await.as_str().unwrap().to_owned()
}

/// The text that a page shows in large type.
async fn large(window: &Window, id: &str) -> String {
    let script = format!("return document.getElementById('{id}').textContent;");
    window
        .until("something in large type", async || {
            let shown = window.script(&script).await;
            shown.as_str().filter(|shown| !shown.is_empty()).map(str::to_owned)
        })
        .await
}

#[tokio::test]
async fn s_12_another_device_joins_by_a_qr_code() {
    let stage = Stage::set().await;
    let _first = stage.alice().await;
    let window = &stage.window;
    window.sees(SUGGESTION).await;
    window.press("On another device").await;
    let link = scanned(window).await;

    // In a browser that shares nothing with the first one.
    let chrome = Chrome::start().await;
    let phone = chrome.window().await;
    let second = phone.authenticator(Attached::BuiltIn).await;
    phone.open(&link).await;
    phone.press("Continue").await;
    phone.sees("Compare this number").await;
    assert!(!phone.text().await.contains(ALICE), "it knows whose account it is");
    let number = large(&phone, "number").await;
    window.sees("Does it show this number?").await;
    assert_eq!(large(window, "device-number").await, number);
    window.sees("127.0.0.0/24").await;

    // A page that was discarded meanwhile goes on.
    phone.reload().await;
    assert_eq!(large(&phone, "number").await, number);
    window.press("Yes, the same number").await;
    window.sees("Create the passkey on the other device now").await;
    phone.sees(&format!("You are signed in as {ALICE}")).await;
    assert_eq!(second.passkeys().await.len(), 0);
    phone.press("Create your passkey").await;
    phone.leaves_path("/auth/enroll").await;
    assert_eq!(second.passkeys().await.len(), 1);

    window.sees("Passkey added").await;
    window.sees("Passkeys 2").await;
    window.does_not_see(SUGGESTION).await;
    window.stays_clean().await;
    phone.open(&stage.gateway.url("/auth/account")).await;
    phone.sees("Passkeys 2").await;
}

#[tokio::test]
async fn s_17_refused_device_is_not_added() {
    let stage = Stage::set().await;
    let _first = stage.alice().await;
    let window = &stage.window;
    window.press("Add another device").await;
    scanned(window).await;
    let code = large(window, "device-code").await;
    let phone = stage.another_window().await;
    phone.open(&stage.gateway.url("/auth/device")).await;
    phone.press("Continue").await;
    phone.sees("Please enter the eight characters").await;
    phone.fill("Code from the other device", "00000000").await;
    phone.press("Continue").await;
    phone.sees("This code does not work").await;
    phone.fill("Code from the other device", &code.to_lowercase()).await;
    phone.press("Continue").await;
    phone.sees("Compare this number").await;
    window.sees("Does it show this number?").await;
    window.press("No, refuse it").await;
    phone.sees("This device was not added").await;
    window.sees("Passkeys 1").await;
}
