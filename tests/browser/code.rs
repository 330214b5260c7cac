//! Lost passkeys: a code by mail leads to a new one.

use serde_json::json;

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
    window.fill("Where should the code go?", ALICE).await;
    window.press("Send me a code").await;
    window.sees("Look into your mail").await;
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
    assert_eq!(window.script(passkeys).await, json!(2));
    window.stays_clean().await;
}
