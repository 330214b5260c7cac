//! Every page in every state: no violation that axe-core knows of, and pictures for people to judge.

use std::path::PathBuf;

use crate::chrome::{Attached, Screen, Window};
use crate::harness::{Authenticator, Browser};
use crate::people::{ALICE, BOB, Stage, accept, sign_out, without_autofill};

/// Where pictures are put.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/screenshots");
/// Where `tests/run` puts axe-core, unless the environment names another place.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/axe.min.js");
const AXE_VARIABLE: &str = "AXE";

const CHECK: &str = "
const { violations } = await axe.run(document, { resultTypes: ['violations'] });
return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ')}`);";

fn axe() -> String {
    let path = std::env::var_os(AXE_VARIABLE).map_or_else(|| PathBuf::from(AXE), PathBuf::from);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("axe-core is not at {}: {error}; `tests/run --setup-only` fetches it", path.display())
    })
}

impl Window {
    /// Judges the page on every screen, and takes its picture.
    async fn is_presentable(&self, page: &str, axe: &str) {
        std::fs::create_dir_all(PICTURES).unwrap();
        self.stays_clean().await;
        for screen in Screen::ALL {
            self.look_at(screen).await;
            let file = format!("{PICTURES}/{page}-{}.png", screen.name);
            std::fs::write(file, self.picture().await).unwrap();
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            assert!(self.script(wide).await.as_i64().unwrap() <= 0, "{page} scrolls sideways on {screen:?}");
            let violations = self.wait_for_script(&format!("if (!window.axe) {{ {axe} }}\n{CHECK}")).await;
            assert_eq!(violations, serde_json::json!([]), "{page} on {screen:?}");
        }
    }
}

#[tokio::test]
async fn sign_in_pages_pass_layout_and_axe() {
    let axe = axe();
    let stage = Stage::set().await;
    let window = &stage.window;
    without_autofill(window).await;

    window.open(&stage.gateway.url("/auth/enroll#x")).await;
    window.sees("This link does not work any more").await;
    window.is_presentable("enroll-gone", &axe).await;
    window.open(&stage.gateway.setup_link()).await;
    window.sees("This account will be the administrator").await;
    window.is_presentable("enroll-set-up", &axe).await;

    window.open(&stage.gateway.url("/reports")).await;
    window.sees("Continue to").await;
    window.is_presentable("sign-in", &axe).await;
    let _empty = window.authenticator(Attached::BuiltIn).await;
    window.press("Sign in with a passkey").await;
    window.sees("No passkey for this site").await;
    window.press("Lost your passkey?").await;
    window.is_presentable("sign-in-no-passkey", &axe).await;
}

#[tokio::test]
async fn closed_sign_in_pages_pass_layout_and_axe() {
    let axe = axe();
    let stage =
        Stage::set_with(|config| config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned())).await;
    stage.gateway.operate(&["ban", "add", "192.0.2.7", "--for", "1d"]);
    let window = &stage.window;
    window.is_reported_as("192.0.2.7").await;
    window.open(&stage.gateway.url("/reports")).await;
    window.press("Sign in with a passkey").await;
    window.sees("You cannot sign in from this network at the moment").await;
    window.is_presentable("sign-in-banned", &axe).await;
}

#[tokio::test]
async fn code_and_api_pages_pass_layout_and_axe() {
    let axe = axe();
    let stage = Stage::set_with(|config| {
        config.table(
            "branding",
            &[
                "contact = \"help@example.com\"",
                "links = [\"Imprint <https://example.com/imprint>\", \"Privacy <https://example.com/privacy>\"]",
            ],
        );
        config.table("mail", &["url = \"smtp://localhost:1\"", "from = \"no-reply@example.com\""]);
        config.table("signin", &["email_code = \"enroll\""]);
        config.table("signup", &["mode = \"domain\"", "domains = [\"example.com\", \"example.org\"]"]);
        config.table("dialects", &["better_auth = true", "ocore = true", "corbado = true", "zitadel = true"]);
    })
    .await;
    let window = &stage.window;
    without_autofill(window).await;
    window.open(&stage.gateway.url("/auth/login")).await;
    window.press("Lost your passkey?").await;
    window.is_presentable("sign-in-code", &axe).await;
    window.fill("E-mail address for the code", ALICE).await;
    window.press("Send me a code").await;
    window.sees("Check your e-mail").await;
    window.is_presentable("sign-in-code-sent", &axe).await;

    window.open(&stage.gateway.url("/auth/signup")).await;
    window.sees("This is for addresses at").await;
    window.fill("Your e-mail address", "new@example.com").await;
    window.press("Send me a code").await;
    window.sees("Check your e-mail").await;
    window.is_presentable("sign-up", &axe).await;

    window.open(&stage.gateway.url("/auth/recovery#x")).await;
    window.press("It was not me: cancel it").await;
    window.sees("There is nothing to cancel").await;
    window.is_presentable("recovery", &axe).await;

    window.open(&stage.gateway.url("/auth/docs")).await;
    window.sees("HTTP APIs").await;
    window.is_presentable("docs", &axe).await;
    window.press("/auth/passkeys/register/verify").await;
    window.press("/api/auth/passkey/verify-registration").await;
    window.is_presentable("docs-open", &axe).await;
}

#[tokio::test]
async fn account_page_passes_layout_and_axe() {
    let axe = axe();
    let stage = Stage::set().await;
    let window = &stage.window;
    let first = stage.alice().await;
    window.is_presentable("account-welcome", &axe).await;
    first.is_touched(false).await;
    let _second = window.authenticator(Attached::Usb).await;
    window.press("Add a second passkey").await;
    window.sees("Passkey added").await;
    window.is_presentable("account-added", &axe).await;
    window.press("Make new codes").await;
    window.sees("Your recovery codes").await;
    window.is_presentable("account-codes", &axe).await;
    window.press("I have saved them").await;
    window.press("Make a token").await;
    window.sees("Applications that it opens").await;
    window.press("More restrictions").await;
    window.is_presentable("account-token-new", &axe).await;
    window.fill("What is it for?", "Backup of the reports").await;
    window.script("document.querySelector('#token-form [name=routes]').click()").await;
    window.press("Make the token").await;
    window.sees("Your access token").await;
    window.is_presentable("account-token-made", &axe).await;
    window.press("I have saved them").await;
    window.press_at("Backup of the reports", "Revoke").await;
    window.sees("Programs that use it").await;
    window.press("Cancel").await;
    window.press("Add another device").await;
    window.sees("Scan this with the camera").await;
    window.is_presentable("account-device", &axe).await;
    let code = window.script("return document.getElementById('device-code').textContent").await;
    let phone = stage.another_window().await;
    phone.open(&stage.gateway.url("/auth/device")).await;
    phone.is_presentable("device", &axe).await;
    phone.fill("Code from the other device", code.as_str().unwrap()).await;
    phone.press("Continue").await;
    phone.sees("Compare this number").await;
    phone.is_presentable("device-waiting", &axe).await;
    window.sees("Does it show this number?").await;
    window.is_presentable("account-device-asking", &axe).await;
    window.press("No, refuse it").await;
    phone.sees("This device was not added").await;
    phone.is_presentable("device-refused", &axe).await;
    window.fill("Name of this passkey", "Blue key on my keyring").await;
    window.press("Save").await;
    window.sees("It is now called").await;
    window.press_at("Blue key", "Remove").await;
    window.sees("Your browser may ask").await;
    window.is_presentable("account-remove", &axe).await;
    window.press("Cancel").await;
    window.open(&stage.gateway.url("/auth/logout")).await;
    window.sees("Sign out?").await;
    window.is_presentable("sign-out", &axe).await;
    window.press("Sign out").await;
    window.sees("You are signed out").await;
    window.is_presentable("signed-out", &axe).await;
}

/// Names in any script, long ones, and such as want to be markup (S-13).
const NAMES: [&str; 4] = [
    "<img src=x onerror=alert(1)> \" onmouseover=\"alert(1)",
    "\u{5d3}\u{5e0}\u{5d4} \u{5db}\u{5d4}\u{5df} \u{645}\u{647}\u{62f}\u{6cc}",
    "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafewarenwohlgepflege",
    "\u{5c71}\u{7530} \u{592a}\u{90ce}",
];

#[tokio::test]
async fn s_13_admin_pages_pass_layout_and_axe_with_any_name() {
    let axe = axe();
    let stage = Stage::set_with(|config| {
        config.table("[attribute]", &["name = \"employee_id\"", "title = \"Employee number\""]);
        config.table("[attribute]", &["name = \"locale\"", "title = \"Language\"", "edit = \"owner\""]);
        config
            .route("closed", 1)
            .path("/closed")
            .allow(&["group:staff", "user:bob@example.com"])
            .public(&["/closed/x"]);
        config.table("mail", &["url = \"smtp://localhost:1\"", "from = \"no-reply@example.com\""]);
    })
    .await;
    let window = &stage.window;
    let _hers = stage.alice().await;
    for (n, name) in NAMES.iter().enumerate() {
        let (email, mut device) = (format!("user{n}@example.com"), Authenticator::new(n as u64));
        let link =
            stage.gateway.invite(&email, &["--name", name, "--group", "staff", "--group", "night-shift"]);
        Browser::new(&stage.gateway).enrol(&link, &email, name, &mut device).await;
    }
    stage.gateway.operate(&["user", "disable", "user3"]);
    stage.gateway.operate(&["user", "note", "user0", "</textarea><script>alert(1)</script>"]);
    stage.gateway.invite("waiting@example.com", &["--admin"]);
    window.open(&stage.gateway.url("/auth/admin/bans")).await;
    window.sees("No network is banned").await;
    window.is_presentable("admin-bans-none", &axe).await;
    let reason = NAMES[2].repeat(3).chars().take(200).collect::<String>();
    for (network, reason) in [
        ("192.0.2.0/24", NAMES[0]),
        ("2001:db8:1234:5678:9abc:def0:1234:5678", &reason),
        ("198.51.100.7", NAMES[1]),
    ] {
        stage.gateway.operate(&["ban", "add", network, "--for", "7d", "--reason", reason]);
    }
    stage.gateway.operate(&["ban", "add", "203.0.113.0/24"]);
    for (page, below, words) in [
        ("admin-overview", "", "Everything works"),
        ("admin-users", "/users", "user3"),
        ("admin-users-none", "/users?search=nobody", "No user matches"),
        ("admin-invitations", "/invitations", "waiting@example.com"),
        ("admin-applications", "/applications", "group:staff"),
        ("admin-preview", "/applications?user=user0", "The applications on the account page of"),
        ("admin-preview-nobody", "/applications?user=nobody", "There is no such user"),
        ("admin-sessions", "/sessions", "user0"),
        ("admin-bans", "/bans", "203.0.113.0/24"),
        ("admin-audit", "/audit", "invitation redeemed"),
        ("admin-settings", "/settings", "Send a test message"),
    ] {
        window.open(&stage.gateway.url(&format!("/auth/admin{below}"))).await;
        window.sees(words).await;
        window.is_presentable(page, &axe).await;
    }
    window.open(&stage.gateway.url("/auth/admin/bans")).await;
    window.fill("Address or network", "198.51.100.0/24").await;
    window.press("Ban this network").await;
    window.sees("Ban 198.51.100.0/24?").await;
    window.is_presentable("admin-bans-ask", &axe).await;
    window.press("Cancel").await;
    one_user_is_presentable(&stage, &axe).await;
}

/// A user's own page, its dialogs, and an answer to a question on it.
async fn one_user_is_presentable(stage: &Stage, axe: &str) {
    let window = &stage.window;
    window.open(&stage.gateway.url("/auth/admin/users")).await;
    window.press("user0").await;
    window.sees("What this user may enter").await;
    window.sees(NAMES[0]).await;
    window.is_presentable("admin-user", axe).await;
    window.fill("Address", &stage.gateway.url("/closed/reports")).await;
    window.press("Ask").await;
    window.sees("The request would go on to the application").await;
    window.is_presentable("admin-user-why", axe).await;
    window.press("Delete this account").await;
    window.sees("It cannot be undone").await;
    window.is_presentable("admin-user-delete", axe).await;
    window.press("Cancel").await;
    window.press("Make a link that adds a passkey").await;
    window.sees("This link is shown once").await;
    window.is_presentable("admin-user-link", axe).await;
}

#[tokio::test]
async fn notices_pass_layout_and_axe() {
    let axe = axe();
    let stage = Stage::set_with(|config| {
        config.route("closed", 1).path("/closed").allow(&["group:staff"]);
        config.route("broken", 1).path("/broken");
    })
    .await;
    let _hers = stage.alice().await;
    let window = &stage.window;
    for (page, path, words) in [
        ("notice-403", "/closed", "no access"),
        ("notice-502", "/broken", "does not answer"),
        ("notice-404", "/auth/nothing", "nothing here"),
        ("notice-400", "/a/%2e%2e/b%00", "cannot be opened"),
    ] {
        window.open(&stage.gateway.url(path)).await;
        window.sees(words).await;
        window.is_presentable(page, &axe).await;
    }
    window.open(&format!("http://127.0.0.1:{}/", stage.gateway.port)).await;
    window.sees("Unknown address").await;
    window.is_presentable("notice-421", &axe).await;

    let guest = stage.another_window().await;
    let link = stage.gateway.invite(BOB, &["--name", "Bob Baker"]);
    guest.open(&link).await;
    guest.sees(BOB).await;
    guest.is_presentable("enroll-invited", &axe).await;
    let _his = guest.authenticator(Attached::BuiltIn).await;
    accept(&guest, &link, BOB).await;
    sign_out(&guest).await;
    guest.open(&stage.gateway.url("/auth/login?done=1")).await;
    guest.sees("could not be completed").await;
    guest.sees("both clocks agree").await;
    guest.is_presentable("notice-loop", &axe).await;
    assert!(!guest.text().await.contains(ALICE));
}

#[tokio::test]
async fn forward_auth_page_passes_layout_and_axe() {
    let axe = axe();
    let stage = Stage::set_with(|config| {
        config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
        config.table("forward_auth", &["enabled = true"]);
    })
    .await;
    let window = &stage.window;
    let _hers = stage.alice().await;
    window.open(&stage.gateway.url("/auth/admin/applications")).await;
    window.press("Proxies that ask").await;
    window.sees("Test with a forged request").await;
    window.is_presentable("forward-test", &axe).await;
}
