//! The usual beginning: a gateway, an application that records, and Alice, who set it up.

use super::authenticator::Authenticator;
use super::browser::Browser;
use super::config::{Config, Route};
use super::gateway::Gateway;
use super::upstream::Upstream;

pub const ALICE: &str = "alice@example.com";
const OLIVIA: &str = "olivia@example.com";
const ALICES_DEVICE: u64 = 1;
const OLIVIAS_DEVICE: u64 = 999_999;

/// Makes another user an administrator, and this one a member.
pub async fn make_member(gateway: &Gateway, email: &str) {
    let mut device = Authenticator::new(OLIVIAS_DEVICE);
    let link = gateway.invite(OLIVIA, &["--admin"]);
    Browser::new(gateway).enrol(&link, OLIVIA, "Olivia", &mut device).await;
    gateway.operate(&["user", "role", email, "member"]);
}

/// A gateway that Alice has set up, in front of one application.
pub struct Scene {
    pub gateway: Gateway,
    pub app: Upstream,
    /// Alice's browser, signed in by her enrolment.
    pub alice: Browser,
    pub device: Authenticator,
}

impl Scene {
    /// The application is at `/` of the auth host, for everyone signed in.
    pub async fn set() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// With another configuration, and another route.
    pub async fn with(arrange: impl FnOnce(&mut Config), route: impl FnOnce(&mut Route)) -> Self {
        Self::before(Upstream::start(), arrange, route).await
    }

    /// In front of this application.
    pub async fn before(
        app: Upstream,
        arrange: impl FnOnce(&mut Config),
        route: impl FnOnce(&mut Route),
    ) -> Self {
        let gateway = Gateway::start(|config| {
            arrange(config);
            route(config.route("app", app.port));
        })
        .await;
        let mut device = Authenticator::new(ALICES_DEVICE);
        let alice = Browser::new(&gateway);
        alice.enrol(&gateway.setup_link(), ALICE, "Alice Ample", &mut device).await;
        Self { gateway, app, alice, device }
    }

    /// Makes another user the administrator, and Alice a member: no code by mail is sent to an
    /// administrator.
    pub async fn with_alice_as_member(self) -> Self {
        make_member(&self.gateway, ALICE).await;
        self
    }

    /// An unused browser.
    pub fn anonymous(&self) -> Browser {
        Browser::new(&self.gateway)
    }

    /// Another user, invited and enrolled.
    pub async fn invited(&self, email: &str, seed: u64) -> (Browser, Authenticator) {
        let mut device = Authenticator::new(seed);
        let browser = self.anonymous();
        browser.enrol(&self.gateway.invite(email, &[]), email, "", &mut device).await;
        (browser, device)
    }

    pub fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }
}
