//! The dialects, as their own front ends speak them.
//!
//! One more dialect is one more [`DialectClient`] and a file beside this one. The compiler then
//! asks for every step; a step that a dialect does not have is done natively, in the arm that says
//! so.
//!
//! What always holds: the steps are requested and not judged here, except for those that a test
//! only passes through ([`DialectClient::add`], [`DialectClient::sign_in`],
//! [`DialectClient::list`]).

#![allow(unreachable_pub, reason = "shared by the modules of one test binary")]

mod better_auth;
mod corbado;
mod native;
mod ocore;
mod zitadel;

use serde_json::Value;

use crate::harness::config::Config;
use crate::harness::{Authenticator, Browser, Reply};

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectClient {
    Native,
    BetterAuth,
    Ocore,
    Corbado,
    Zitadel,
}

/// A passkey in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id in this dialect.
    pub id: String,
    pub label: String,
}

/// The statuses of success.
pub struct Statuses {
    pub added: u16,
    pub signed_in: u16,
    pub deleted: u16,
    pub signed_out: u16,
}

impl DialectClient {
    pub const ALL: [Self; 5] = [Self::Native, Self::BetterAuth, Self::Ocore, Self::Corbado, Self::Zitadel];

    /// Switches all dialects on.
    pub fn all_on(config: &mut Config) {
        config.table("dialects", &["better_auth = true", "ocore = true", "corbado = true", "zitadel = true"]);
    }

    pub const fn statuses(self) -> Statuses {
        match self {
            Self::Native => Statuses { added: 200, signed_in: 201, deleted: 204, signed_out: 204 },
            Self::BetterAuth => Statuses { added: 200, signed_in: 200, deleted: 200, signed_out: 200 },
            Self::Ocore => Statuses { added: 201, signed_in: 200, deleted: 204, signed_out: 204 },
            Self::Corbado => Statuses { added: 200, signed_in: 200, deleted: 200, signed_out: 204 },
            Self::Zitadel => Statuses { added: 200, signed_in: 201, deleted: 200, signed_out: 204 },
        }
    }

    /// Asks for creation options.
    pub async fn begin_adding(self, browser: &Browser) -> Reply {
        match self {
            Self::Native => native::begin_adding(browser).await,
            Self::BetterAuth => better_auth::begin_adding(browser).await,
            Self::Ocore => ocore::begin_adding(browser).await,
            Self::Corbado => corbado::begin_adding(browser).await,
            Self::Zitadel => zitadel::begin_adding(browser).await,
        }
    }

    /// Sends the answer to creation options.
    pub async fn finish_adding(self, browser: &Browser, answer: &Value, label: &str) -> Reply {
        match self {
            Self::Native => native::finish_adding(browser, answer, label).await,
            Self::BetterAuth => better_auth::finish_adding(browser, answer, label).await,
            Self::Ocore => ocore::finish_adding(browser, answer, label).await,
            Self::Corbado => corbado::finish_adding(browser, answer, label).await,
            Self::Zitadel => zitadel::finish_adding(browser, answer, label).await,
        }
    }

    /// Adds a passkey of `device`.
    pub async fn add(self, browser: &Browser, device: &mut Authenticator, label: &str) -> Reply {
        let options = self.begin_adding(browser).await.expect(200).json();
        let answer = device.create(&options, browser.origin());
        self.finish_adding(browser, &answer, label).await.expect(self.statuses().added)
    }

    /// Asks for request options.
    pub async fn begin_sign_in(self, browser: &Browser) -> Reply {
        match self {
            // Zitadel does not have this step.
            Self::Native | Self::Zitadel => native::begin_sign_in(browser).await,
            Self::BetterAuth => better_auth::begin_sign_in(browser).await,
            Self::Ocore => ocore::begin_sign_in(browser).await,
            Self::Corbado => corbado::begin_sign_in(browser).await,
        }
    }

    /// Sends the answer to request options.
    pub async fn finish_sign_in(self, browser: &Browser, answer: &Value) -> Reply {
        match self {
            Self::Native | Self::Zitadel => native::finish_sign_in(browser, answer).await,
            Self::BetterAuth => better_auth::finish_sign_in(browser, answer).await,
            Self::Ocore => ocore::finish_sign_in(browser, answer).await,
            Self::Corbado => corbado::finish_sign_in(browser, answer).await,
        }
    }

    /// Signs in with the newest passkey of `device`.
    pub async fn sign_in(self, browser: &Browser, device: &mut Authenticator) -> Reply {
        let options = self.begin_sign_in(browser).await.expect(200).json();
        let answer = device.get(&options, browser.origin());
        self.finish_sign_in(browser, &answer).await.expect(self.statuses().signed_in)
    }

    /// The tokens of a sign-in that can be shown in `Authorization`, by name.
    pub fn tokens(self, signed_in: &Reply) -> Vec<(&'static str, String)> {
        let answer = signed_in.json();
        let named = |name, value: &Value| (name, value.as_str().unwrap().to_owned());
        match self {
            Self::Native | Self::Zitadel => vec![named("opaque", &answer["token"])],
            Self::Corbado => vec![named("access", &answer["blockBody"]["data"]["sessionToken"])],
            Self::BetterAuth => vec![named("opaque", &answer["session"]["token"])],
            Self::Ocore => vec![
                named("opaque", &answer["token"]),
                named("access", &answer["access_token"]),
                named("refresh", &answer["refresh_token"]),
            ],
        }
    }

    /// Asks for the caller's passkeys.
    pub async fn ask_for_list(self, browser: &Browser) -> Reply {
        match self {
            Self::Native => native::list(browser).await,
            Self::BetterAuth => better_auth::list(browser).await,
            Self::Ocore => ocore::list(browser).await,
            Self::Corbado => corbado::list(browser).await,
            Self::Zitadel => zitadel::list(browser).await,
        }
    }

    /// The caller's passkeys, oldest first.
    pub async fn list(self, browser: &Browser) -> Vec<Listed> {
        let answer = self.ask_for_list(browser).await.expect(200).json();
        let (list, label) = match self {
            Self::Native | Self::BetterAuth => (&answer, "name"),
            Self::Ocore => (&answer["passkeys"], "deviceName"),
            Self::Zitadel => (&answer["result"], "name"),
            // Corbado lists no labels.
            Self::Corbado => {
                let natively = native::list(browser).await.expect(200).json();
                let ids = answer["passkeys"].as_array().unwrap().iter().zip(natively.as_array().unwrap());
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                return ids
                    .map(|(it, same)| Listed { id: text(&it["id"]), label: text(&same["name"]) })
                    .collect();
            }
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = |it: &Value| Listed { id: text(&it["id"]), label: text(&it[label]) };
        // Some dialects leave out an empty list.
        list.as_array().into_iter().flatten().map(listed).collect()
    }

    pub async fn rename(self, browser: &Browser, id: &str, label: &str) -> Reply {
        match self {
            Self::Native => native::rename(browser, id, label).await,
            Self::BetterAuth => better_auth::rename(browser, id, label).await,
            Self::Ocore => ocore::rename(browser, id, label).await,
            Self::Corbado => corbado::rename(browser, id, label).await,
            Self::Zitadel => zitadel::rename(browser, id, label).await,
        }
    }

    pub async fn delete(self, browser: &Browser, id: &str) -> Reply {
        match self {
            Self::Native => native::delete(browser, id).await,
            Self::BetterAuth => better_auth::delete(browser, id).await,
            Self::Ocore => ocore::delete(browser, id).await,
            Self::Corbado => corbado::delete(browser, id).await,
            Self::Zitadel => zitadel::delete(browser, id).await,
        }
    }

    pub async fn sign_out(self, browser: &Browser) -> Reply {
        match self {
            // oCore and Zitadel do not have this step.
            Self::Native | Self::Ocore | Self::Zitadel => native::sign_out(browser).await,
            Self::BetterAuth => better_auth::sign_out(browser).await,
            Self::Corbado => corbado::sign_out(browser).await,
        }
    }

    /// An id of the right form that no passkey has.
    pub const fn id_of_nothing(self) -> &'static str {
        match self {
            Self::Native | Self::Ocore => "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            Self::BetterAuth => "00000000-0000-8000-8000-000000000000",
            Self::Corbado => "cre-00000000-0000-8000-8000-000000000000",
            Self::Zitadel => "1",
        }
    }
}
