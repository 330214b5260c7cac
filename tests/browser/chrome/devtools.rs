//! Commands that WebDriver does not have: screens of other sizes, dark mode, pictures of whole
//! pages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::window::Window;

/// A screen to look at pages on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub scheme: &'static str,
}

impl Screen {
    pub const ALL: [Self; 6] = [
        Self { name: "desktop", width: 1280, height: 900, scheme: "light" },
        Self { name: "desktop-dark", width: 1280, height: 900, scheme: "dark" },
        Self { name: "tablet", width: 768, height: 1024, scheme: "light" },
        Self { name: "tablet-dark", width: 768, height: 1024, scheme: "dark" },
        Self { name: "phone", width: 360, height: 740, scheme: "light" },
        Self { name: "phone-dark", width: 360, height: 740, scheme: "dark" },
    ];
}

impl Window {
    pub(super) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// Runs a script before any of the page's own, on every page from now on.
    pub async fn before_every_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script })).await;
    }

    /// Stands in for a proxy in front that reports this client, for every request from now on.
    pub async fn is_reported_as(&self, client: &str) {
        self.devtools("Network.enable", &json!({})).await;
        let headers = json!({ "headers": { "X-Forwarded-For": client } });
        self.devtools("Network.setExtraHTTPHeaders", &headers).await;
    }

    /// Puts the page on another screen. Nothing moves on it any more.
    pub async fn look_at(&self, screen: Screen) {
        let size = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": 1,
            "mobile": screen.width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": screen.scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// A picture of the whole page, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", &options).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}
