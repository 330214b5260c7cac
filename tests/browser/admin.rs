//! The administrator's pages, and their effect on users.

use crate::chrome::Attached;
use crate::people::{ALICE, BOB, Stage, accept};

/// Keys as WebDriver names them (W3C WebDriver, section 17.4.2).
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Opens a page of the administrator's.
async fn open(stage: &Stage, below: &str) {
    stage.window.open(&stage.gateway.url(&format!("/auth/admin{below}"))).await;
}

/// The link that a dialog tells.
async fn told_link(stage: &Stage) -> String {
    stage.window.sees("This link is shown once").await;
    let link = stage.window.script("return document.getElementById('link-text').textContent").await;
    link.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_is_invited_let_into_a_group_disabled_and_deleted_from_the_pages() {
    let stage = Stage::set_with(|config| {
        let application = 1;
        config.route("closed", application).path("/closed").allow(&["group:staff"]);
    })
    .await;
    let passkey = stage.alice().await;
    let window = &stage.window;
    window.press("Administration").await;
    window.sees("Everything works").await;
    window.sees("users with one passkey").await;

    window.press("Invitations").await;
    window.sees("No invitation is waiting").await;
    window.fill("E-mail", BOB).await;
    window.press("Invite").await;
    let link = told_link(&stage).await;
    window.press("Close").await;
    window.sees("Unused invitations 1").await;

    // Bob enrols in a browser of his own, and may not enter yet.
    passkey.is_touched(false).await;
    let bobs = stage.another_window().await;
    let _device = bobs.authenticator(Attached::BuiltIn).await;
    accept(&bobs, &link, BOB).await;
    bobs.open(&stage.gateway.url("/closed/")).await;
    bobs.sees("Your account has no access here").await;

    // The page finds him while Alice types, and one group lets him in without a new sign-in.
    passkey.is_touched(true).await;
    open(&stage, "/users").await;
    window.sees("alice").await;
    window.fill("Search", "bo").await;
    window.does_not_see(ALICE).await;
    window.press("bob").await;
    window.sees("What this user may enter").await;
    window.fill("Groups", "staff, night-shift").await;
    window.press("Save").await;
    window.sees("Open sessions follow with their next request").await;
    bobs.reload().await;
    bobs.sees("The application does not answer").await;

    // A button that takes access away first says what it will do, and can be cancelled.
    window.press("Disable this account").await;
    window.sees("Disable “bob”?").await;
    window.press("Cancel").await;
    bobs.reload().await;
    bobs.sees("The application does not answer").await;
    window.press("Disable this account").await;
    window.press("Disable").await;
    window.sees("Its sessions and open connections have ended").await;
    window.sees("Enable this account").await;
    bobs.reload().await;
    bobs.arrives_at_path("/auth/login").await;

    window.press("Delete this account").await;
    window.sees("It cannot be undone").await;
    window.press("Delete").await;
    window.arrives_at_path("/auth/admin/users").await;
    window.does_not_see(BOB).await;
    open(&stage, "/audit").await;
    window.sees("user changed").await;
    window.stays_clean().await;
    bobs.stays_clean().await;
}

#[tokio::test]
async fn step_up_keeps_the_form_input() {
    let stage = Stage::set_with(|config| config.own_clock = true).await;
    let passkey = stage.alice().await;
    open(&stage, "/users").await;
    stage.window.press("alice").await;
    stage.window.fill("Note for administrators", "on call until May").await;
    stage.gateway.clock().set("+6m");
    let before = stage.window.script("return performance.getEntriesByType('resource').length").await;
    stage.window.press("Save").await;
    stage.window.sees("Open sessions follow with their next request").await;
    let asked = stage.window.script(
        "return performance.getEntriesByType('resource').filter((it) => it.name.includes('authenticate/options')).length",
    );
    assert_eq!(asked.await, serde_json::json!(1), "{before}: no passkey was asked for");
    stage.window.reload().await;
    let note = stage.window.script("return document.getElementById('note').value").await;
    assert_eq!(note, "on call until May");
    drop(passkey);
    stage.window.stays_clean().await;
}

#[tokio::test]
async fn a_network_is_banned_and_let_in_again_from_the_pages() {
    let stage =
        Stage::set_with(|config| config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned())).await;
    let _passkey = stage.alice().await;
    let window = &stage.window;
    open(&stage, "").await;
    window.press("Bans").await;
    window.sees("No network is banned").await;
    window.fill("Address or network", "127.0.0.1").await;
    window.press("Ban this network").await;
    window.sees("Ban 127.0.0.1?").await;
    window.press("Ban").await;
    window.sees("addresses of this machine itself").await;

    // By keyboard alone; a rejected text stays in the field to be corrected.
    window.fill("Address or network", "192.0.2.0/24").await;
    window.fill("Reason", "tries doors").await;
    window.keys(ENTER).await;
    window.sees("Ban 192.0.2.0/24?").await;
    window.sees("Open sessions go on").await;
    window.keys(ESCAPE).await;
    window.sees("No network is banned").await;
    window.press("Ban this network").await;
    window.sees("Open sessions go on").await;
    window.press("Ban").await;
    window.sees("Bans in force 1").await;
    window.sees("tries doors").await;
    window.sees("in 24 hours").await;
    let typed = window.script("return document.getElementById('network').value").await;
    assert_eq!(typed, "", "the form is ready for the next one");

    // A user there is told of the ban, and for how long it lasts, before they have pressed
    // anything.
    let theirs = stage.another_window().await;
    theirs.is_reported_as("192.0.2.7").await;
    theirs.open(&stage.gateway.url("/auth/login")).await;
    theirs.sees("You cannot sign in from this network at the moment").await;
    theirs.sees("This ends ").await;
    theirs.sees("quote request ").await;
    theirs.open(&stage.gateway.invite(BOB, &[])).await;
    theirs.sees("You cannot sign in from this network at the moment").await;

    window.press("Remove").await;
    window.sees("Remove the ban of 192.0.2.0/24?").await;
    window.press("Remove").await;
    window.sees("No network is banned").await;
    theirs.press("Try again").await;
    theirs.sees(BOB).await;
    open(&stage, "/audit?event=ban+removed").await;
    window.sees("192.0.2.0/24").await;
    window.stays_clean().await;
}

#[tokio::test]
async fn several_users_are_disabled_at_once_and_the_last_administrator_is_kept() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    for name in ["bob", "carol"] {
        let mut device = crate::harness::Authenticator::new(name.len() as u64);
        let email = format!("{name}@example.com");
        let browser = crate::harness::Browser::new(&stage.gateway);
        browser.enrol(&stage.gateway.invite(&email, &[]), &email, "", &mut device).await;
    }
    open(&stage, "/users").await;
    let window = &stage.window;
    window.sees("carol").await;
    window.script("document.getElementById('select-all').click()").await;
    window.sees("Disable 3 users").await;
    window.press("Disable 3 users").await;
    window.sees("Disable 3 users?").await;
    window.press("Disable").await;
    window.sees("2 done, 1 refused").await;
    window.sees("only administrator").await;
    let users = stage.gateway.operate(&["user", "list", "--json"]);
    assert_eq!(users.matches("\"disabled\"").count(), 2, "{users}");
}

#[tokio::test]
async fn members_get_404_on_administration_pages() {
    let stage = Stage::set().await;
    let _passkey = stage.alice().await;
    crate::harness::scene::make_member(&stage.gateway, ALICE).await;
    for below in ["", "/users", "/invitations", "/applications", "/sessions", "/bans", "/audit", "/settings"]
    {
        open(&stage, below).await;
        stage.window.sees("There is nothing here").await;
    }
    stage.window.open(&stage.gateway.url("/auth/account")).await;
    stage.window.sees(ALICE).await;
    assert!(!stage.window.text().await.contains("Administration"));
}

#[tokio::test]
async fn attributes_are_edited_on_pages_and_sent_upstream() {
    let stage = Stage::set_with(|config| {
        let number =
            ["name = \"employee_id\"", "title = \"Employee number\"", "pattern = \"[A-Z]{2}[0-9]{4}\""];
        config.table("[attribute]", &number);
        config.table("[attribute]", &["name = \"locale\"", "title = \"Language\"", "edit = \"owner\""]);
    })
    .await;
    stage.gateway.edit(|text| text + "headers = { X-Employee = \"{attr.employee_id}-{attr.locale}\" }\n");
    stage.gateway.operate(&["reload"]);
    let _passkey = stage.alice().await;
    let window = &stage.window;
    open(&stage, "/users").await;
    window.press("alice").await;
    window.fill("Employee number", "12").await;
    window.press("Save").await;
    window.sees("has to match the pattern").await;
    window.fill("Employee number", "AB1234").await;
    window.press("Save").await;
    window.sees("Open sessions follow").await;
    window.open(&stage.gateway.url("/auth/account")).await;
    window.sees("Employee number").await;
    window.sees("AB1234").await;
    window.press("Change your name").await;
    window.fill("Language", "de").await;
    window.press("Save").await;
    window.sees("Applications show it from your next visit on").await;
    stage.application.take();
    window.open(&stage.gateway.url("/")).await;
    window.sees("hello").await;
    assert_eq!(stage.application.take()[0].value("x-employee"), "AB1234-de");
    window.open(&stage.gateway.url("/auth/account")).await;
    window.stays_clean().await;
}
