//! A stage with a gateway, an application and a browser, and the steps that the tests share.

use serde_json::Value;

use crate::chrome::{Attached, Authenticator, Chrome, Window};
use crate::harness::{Config, Gateway, Upstream};

pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.com";

/// Makes a browser look as if it could not fill in passkeys, so that no passkey is used before a
/// button is pressed.
const NO_AUTOFILL: &str = "if (window.PublicKeyCredential) PublicKeyCredential.isConditionalMediationAvailable = async () => false;";

/// A gateway with one application on its own host, and a browser.
pub struct Stage {
    pub window: Window,
    pub chrome: Chrome,
    pub gateway: Gateway,
    pub application: Upstream,
}

impl Stage {
    pub async fn set() -> Self {
        Self::set_with(|_| {}).await
    }

    /// As `set`, with more in the gateway's configuration.
    pub async fn set_with(arrange: impl FnOnce(&mut Config)) -> Self {
        let application = Upstream::start();
        let gateway = Gateway::start(|config| {
            config.route("app", application.port);
            arrange(config);
        })
        .await;
        let chrome = Chrome::start().await;
        let window = chrome.window().await;
        Self { window, chrome, gateway, application }
    }

    /// The first person: the set-up link, used with a new built-in authenticator.
    pub async fn alice(&self) -> Authenticator<'_> {
        let authenticator = self.window.authenticator(Attached::BuiltIn).await;
        set_up(&self.window, &self.gateway.setup_link(), ALICE, "Alice Archer").await;
        authenticator
    }

    /// Another window with a copy of this passkey; the original must not be used from now on.
    pub async fn another_window(&self) -> Window {
        self.chrome.window().await
    }
}

/// Uses the set-up link; ends on the account page.
pub async fn set_up(window: &Window, link: &str, email: &str, name: &str) {
    window.open(link).await;
    window.sees("This account will be the administrator").await;
    window.fill("Your e-mail address", email).await;
    window.fill("Your name", name).await;
    create(window, link).await;
    window.sees(email).await;
}

/// Creates the passkey, which leads straight to an application if there is just one, and goes to
/// the account page from there.
async fn create(window: &Window, link: &str) {
    window.press("Create your passkey").await;
    window.leaves_path("/auth/enroll").await;
    let origin = link.split_once("/auth/").unwrap().0;
    window.open(&format!("{origin}/auth/account")).await;
}

/// Uses an invitation; ends on the account page.
pub async fn accept(window: &Window, link: &str, email: &str) {
    window.open(link).await;
    window.sees(email).await;
    create(window, link).await;
    window.sees(email).await;
}

/// Signs out with the button of the account page, which must be open.
pub async fn sign_out(window: &Window) {
    window.press("Sign out").await;
    window.sees("You are signed out").await;
}

/// From here on, passkeys are used when a button is pressed and not before.
pub async fn without_autofill(window: &Window) {
    window.before_every_page(NO_AUTOFILL).await;
}

/// The only passkey of an authenticator.
pub async fn only_passkey(authenticator: &Authenticator<'_>) -> Value {
    let passkeys = authenticator.passkeys().await;
    assert_eq!(passkeys.len(), 1, "{passkeys:?}");
    passkeys.into_iter().next().unwrap()
}

/// Opens a host below `*.apps.localhost` that is asked about first, and returns its address. The
/// user is not asked right after a sign-in, while the host is remembered that its page named. The
/// gateway has a clock of its own.
pub async fn asked_about(window: &Window, gateway: &Gateway) -> String {
    let page_of = |host: &str| format!("{}/page?x=1", gateway.origin_of(&format!("{host}.apps.localhost")));
    window.open(&page_of("first")).await;
    window.arrives_at(&page_of("first")).await;
    gateway.clock().set("+2m");
    window.open(&page_of("second")).await;
    window.sees("Continue to this application?").await;
    page_of("second")
}
