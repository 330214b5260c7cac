//! The steps of people, over the native API.

use serde_json::{Value, json};

use super::authenticator::{Authenticator, Knobs};
use super::browser::{Browser, Reply};

/// The secret in a link's fragment.
pub fn secret_of(link: &str) -> &str {
    link.split_once("/auth/enroll#").unwrap_or_else(|| panic!("{link} is not a link to enrol")).1
}

impl Browser {
    /// Uses a set-up link or an invitation up.
    pub async fn redeem(&self, link: &str, email: Option<&str>, name: &str) -> Reply {
        let mut body = json!({ "token": secret_of(link), "name": name });
        if let Some(email) = email {
            body["email"] = json!(email);
        }
        self.post("invitations/redeem", &body).await
    }

    /// Creation options.
    pub async fn registration_options(&self) -> Value {
        self.post("passkeys/register/options", &json!({})).await.expect(200).json()
    }

    /// Request options.
    pub async fn sign_in_options(&self) -> Value {
        self.post("passkeys/authenticate/options", &json!({})).await.expect(200).json()
    }

    /// Adds a passkey of `device`, with a wrong turn.
    pub async fn register_with(&self, device: &mut Authenticator, turn: impl FnOnce(&mut Knobs)) -> Reply {
        let options = self.registration_options().await;
        let answer = device.create_with(&options, self.origin(), turn);
        self.post("passkeys/register/verify", &answer).await
    }

    pub async fn register(&self, device: &mut Authenticator) -> Reply {
        self.register_with(device, |_| {}).await
    }

    /// Uses a link and adds the first passkey; the person, as the API tells them.
    pub async fn enrol(&self, link: &str, email: &str, name: &str, device: &mut Authenticator) -> Value {
        let redeemed = self.redeem(link, Some(email), name).await.expect(201).json();
        self.register(device).await.expect(200);
        redeemed["user"].clone()
    }

    /// Signs in, with a wrong turn.
    pub async fn sign_in_with(&self, device: &mut Authenticator, turn: impl FnOnce(&mut Knobs)) -> Reply {
        let options = self.sign_in_options().await;
        let answer = device.get_with(&options, self.origin(), turn);
        self.post("passkeys/authenticate/verify", &answer).await
    }

    pub async fn sign_in(&self, device: &mut Authenticator) -> Reply {
        self.sign_in_with(device, |_| {}).await
    }

    /// The caller, unless they have yet to add their first passkey.
    async fn current(&self) -> Option<Value> {
        let reply = self.get("sessions/current").await;
        if reply.status == 204 {
            return None;
        }
        let current = reply.expect(200).json();
        (current["enrolling"] != true).then_some(current)
    }

    /// Whether this browser is signed in.
    pub async fn is_signed_in(&self) -> bool {
        self.current().await.is_some()
    }

    /// The e-mail address of the user who is signed in.
    pub async fn account(&self) -> Option<String> {
        self.current().await.map(|current| current["user"]["email"].as_str().unwrap().to_owned())
    }

    pub async fn sessions(&self) -> Vec<Value> {
        self.get("sessions/").await.expect(200).json().as_array().unwrap().clone()
    }

    pub async fn passkeys(&self) -> Vec<Value> {
        self.get("passkeys/").await.expect(200).json().as_array().unwrap().clone()
    }
}
