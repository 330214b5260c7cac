//! Every page in every state: no violation that axe-core knows of, and pictures for people to judge.

use std::path::PathBuf;

use crate::chrome::{Attached, Screen, Window};
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
async fn the_doors_are_presentable() {
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
async fn codes_and_the_apis_are_presentable() {
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
        config.table("dialects", &["better_auth = true", "ocore = true", "corbado = true", "zitadel = true"]);
    })
    .await;
    let window = &stage.window;
    without_autofill(window).await;
    window.open(&stage.gateway.url("/auth/login")).await;
    window.press("Lost your passkey?").await;
    window.is_presentable("sign-in-code", &axe).await;
    window.fill("Where should the code go?", ALICE).await;
    window.press("Send me a code").await;
    window.sees("Look into your mail").await;
    window.is_presentable("sign-in-code-sent", &axe).await;

    window.open(&stage.gateway.url("/auth/docs")).await;
    window.sees("HTTP APIs").await;
    window.is_presentable("docs", &axe).await;
    window.press("/auth/passkeys/register/verify").await;
    window.press("/api/auth/passkey/verify-registration").await;
    window.is_presentable("docs-open", &axe).await;
}

#[tokio::test]
async fn the_account_is_presentable() {
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

#[tokio::test]
async fn the_notices_are_presentable() {
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
    window.sees("not one of ours").await;
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
    guest.sees("does not hold").await;
    guest.sees("both clocks agree").await;
    guest.is_presentable("notice-loop", &axe).await;
    assert!(!guest.text().await.contains(ALICE));
}
