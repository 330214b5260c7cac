//! Lost passkeys: a code by mail, or a printed one, leads to a new one.

use serde_json::json;

use crate::chrome::Attached;
use crate::harness::scene::make_member;
use crate::harness::{Mode, PostOffice, port};
use crate::people::{ALICE, Stage, sign_out, without_autofill};

#[tokio::test]
async fn a_code_by_mail_leads_to_a_new_passkey() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let stage = Stage::set_with(|config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"Vestibule <no-reply@example.com>\""]);
        config.table("signin", &["email_code = \"enroll\""]);
    })
    .await;
    let window = &stage.window;
    without_autofill(window).await;
    let lost = stage.alice().await;
    sign_out(window).await;
    // No code is sent to an administrator.
    make_member(&stage.gateway, ALICE).await;
    lost.forget_everything().await;

    window.open(&stage.gateway.url("/auth/login")).await;
    window.press("Lost your passkey?").await;
    window.press("Send me a code").await;
    window.sees("Please enter your e-mail address").await;
    window.fill("E-mail address for the code", ALICE).await;
    window.press("Send me a code").await;
    window.sees("Check your e-mail").await;
    window.fill("Code from the message", "0000-0000").await;
    window.press("Use this code").await;
    window.sees("This code does not work").await;
    window.fill("Code from the message", &office.code(1).await).await;
    window.press("Use this code").await;
    window.sees("One step left").await;
    assert_eq!(lost.passkeys().await.len(), 0);
    window.press("Create your passkey").await;
    window.leaves_path("/auth/enroll").await;
    assert_eq!(lost.passkeys().await.len(), 1);
    for (number, said) in [(2, "A code by mail was used"), (3, "A passkey was added")] {
        let message = office.message(number).await;
        assert_eq!(message["to"], json!([ALICE]));
        assert!(message["message"].as_str().unwrap().contains(said), "{message}");
    }
    window.open(&stage.gateway.url("/auth/account")).await;
    window.sees(ALICE).await;
    let passkeys = "return document.querySelectorAll('#passkeys > li').length";
    window.answers(passkeys, json!(2)).await;
    window.stays_clean().await;
}

#[tokio::test]
async fn a_printed_code_leads_to_a_new_passkey() {
    let stage = Stage::set().await;
    let window = &stage.window;
    without_autofill(window).await;
    let lost = stage.alice().await;
    window.open(&stage.gateway.url("/auth/account")).await;
    window.sees("Recovery codes").await;
    window.press("Make new codes").await;
    window.sees("Your recovery codes").await;
    let shown = "return [...document.querySelectorAll('#codes-list code')].map((code) => code.textContent)";
    let codes = window.script(shown).await;
    assert_eq!(codes.as_array().unwrap().len(), 10);
    window.stays_clean().await;
    window.press("I have saved them").await;
    // The codes are nowhere in the page afterwards.
    window.answers(shown, json!([])).await;
    let count = "return document.getElementById('codes-count').textContent";
    window.answers(count, json!("10")).await;
    // New codes end these, so the page asks.
    window.press("Make new codes").await;
    window.sees("Your earlier codes stop working").await;
    window.press("Cancel").await;
    sign_out(window).await;
    lost.forget_everything().await;

    window.open(&stage.gateway.url("/auth/login")).await;
    window.press("Lost your passkey?").await;
    window.press("Use this recovery code").await;
    window.sees("Please enter your e-mail address or username").await;
    window.fill("E-mail address or username", ALICE).await;
    window.fill("Recovery code", "0000-0000-0000-0000").await;
    window.press("Use this recovery code").await;
    window.sees("This code does not work").await;
    window.fill("Recovery code", codes[3].as_str().unwrap()).await;
    window.press("Use this recovery code").await;
    window.sees("One step left").await;
    window.press("Create your passkey").await;
    window.leaves_path("/auth/enroll").await;
    assert_eq!(lost.passkeys().await.len(), 1);
    window.open(&stage.gateway.url("/auth/account")).await;
    window.sees("Recovery codes").await;
    window.answers(count, json!("9")).await;
    window.stays_clean().await;
}

#[tokio::test]
async fn sign_up_waits_for_approval_on_the_page() {
    let port = port::free();
    let office = PostOffice::open(port, &Mode::Plain);
    let stage = Stage::set_with(move |config| {
        let url = format!("url = \"smtp://localhost:{port}\"");
        config.table("mail", &[&url, "from = \"no-reply@example.com\""]);
        config.table("signup", &["mode = \"open\"", "approval = true"]);
    })
    .await;
    let _hers = stage.alice().await;
    let carol = stage.another_window().await;
    let _device = carol.authenticator(Attached::BuiltIn).await;
    carol.open(&stage.gateway.url("/auth/login")).await;
    carol.press("Create an account").await;
    carol.fill("Your e-mail address", "carol@example.com").await;
    carol.press("Send me a code").await;
    carol.sees("Check your e-mail").await;
    carol.fill("Code from the message", &office.code(1).await).await;
    carol.fill("Your name", "Carol Day").await;
    carol.press("Create the account").await;
    carol.arrives_at_path("/auth/enroll").await;
    carol.press("Create your passkey").await;
    carol.sees("has to approve your account").await;

    stage.window.open(&stage.gateway.url("/auth/admin")).await;
    stage.window.press("accounts wait for approval").await;
    stage.window.press("carol").await;
    stage.window.press("Approve this account").await;
    stage.window.sees("may enter from now on").await;
    carol.reload().await;
    carol.does_not_see("has to approve your account").await;
    carol.open(&stage.gateway.url("/")).await;
    carol.sees("hello").await;
    carol.stays_clean().await;
    stage.window.stays_clean().await;
}
