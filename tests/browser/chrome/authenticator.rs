//! Authenticators that live in the browser (W3C WebAuthn Level 3, section 11).

use serde_json::{Value, json};

use super::window::Window;

/// How an authenticator is connected. Chromium has at most one built-in one.
#[derive(Debug, Clone, Copy)]
pub enum Attached {
    BuiltIn,
    Usb,
}

/// An authenticator of a window. Its owner is always there and always verified, until told
/// otherwise.
pub struct Authenticator<'a> {
    window: &'a Window,
    id: String,
}

impl Window {
    pub async fn authenticator(&self, attached: Attached) -> Authenticator<'_> {
        let transport = match attached {
            Attached::BuiltIn => "internal",
            Attached::Usb => "usb",
        };
        let options = json!({
            "protocol": "ctap2", "transport": transport, "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true, "isUserConsenting": true,
        });
        let id = self.command("POST", "webauthn/authenticator", &options).await;
        Authenticator { window: self, id: id.as_str().unwrap().to_owned() }
    }
}

impl Authenticator<'_> {
    fn path(&self, rest: &str) -> String {
        format!("webauthn/authenticator/{}{rest}", self.id)
    }

    /// Every passkey in it, private key and all.
    pub async fn passkeys(&self) -> Vec<Value> {
        let found = self.window.command("GET", &self.path("/credentials"), &Value::Null).await;
        found.as_array().unwrap().clone()
    }

    /// Loses every passkey.
    pub async fn forget_everything(&self) {
        self.window.command("DELETE", &self.path("/credentials"), &Value::Null).await;
    }

    /// Takes a copy of a passkey, as a synced one arrives on another device. Its counter is ahead of
    /// the original's, which must not be used any more.
    pub async fn learn(&self, passkey: &Value) {
        let mut passkey = passkey.clone();
        passkey["signCount"] = json!(passkey["signCount"].as_u64().unwrap() + 100);
        self.window.command("POST", &self.path("/credential"), &passkey).await;
    }

    /// Whether fingerprint or PIN are right from now on.
    pub async fn verifies(&self, verified: bool) {
        self.window.command("POST", &self.path("/uv"), &json!({ "isUserVerified": verified })).await;
    }

    /// Whether the user touches it when it asks. Until they do, a request waits.
    pub async fn is_touched(&self, touched: bool) {
        let command = json!({ "authenticatorId": self.id, "enabled": touched });
        self.window.devtools("WebAuthn.setAutomaticPresenceSimulation", &command).await;
    }
}
