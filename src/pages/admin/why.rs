//! "Why can this user not enter?": a question about an address on a user's page, and its answer.
//!
//! What does not live here: working the answer out.
//!
//! What always holds: the answer is that of `flows/admission/explain.rs`, which decides as for
//! requests; for an unreadable question, the page says what to write.

use serde::Deserialize;

use super::text::ENGLISH;
use crate::domain::policy::decide::Decision;
use crate::domain::policy::explain::{Asker, Explanation, Question};
use crate::domain::user::User;
use crate::flows::Gateway;

/// The question as the form sends it. An empty address asks nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    url: String,
    method: String,
    client: String,
}

/// The question, and the answer.
pub(super) struct Why {
    pub(super) url: String,
    pub(super) method: String,
    pub(super) client: String,
    pub(super) told: Option<Told>,
}

/// The answer.
pub(super) enum Told {
    /// The question cannot be read; what to write instead.
    Wrong(String),
    Explained(Explanation),
}

impl Why {
    /// Answers a question about `user`.
    pub(super) fn about(gateway: &Gateway, user: &User, asked: Asked) -> Self {
        let Asked { url, method, client } = asked;
        let method = if method.is_empty() { "GET".to_owned() } else { method };
        let told = (!url.is_empty()).then(|| match question(gateway, user, &url, &method, &client) {
            Ok(question) => Told::Explained(gateway.admission.explain(&question)),
            Err(wrong) => Told::Wrong(wrong),
        });
        Self { url, method, client, told }
    }
}

impl Told {
    /// The decision, in words.
    pub(super) const fn decision(&self) -> &'static str {
        let t = &ENGLISH;
        match self {
            Self::Wrong(_) => t.cannot_be_asked,
            Self::Explained(told) => match told.decision {
                Decision::Allowed => t.would_enter,
                Decision::Public => t.would_enter_as_nobody,
                Decision::StepUp => t.would_show_passkey,
                Decision::SignIn => t.would_sign_in,
                Decision::Refused => t.would_be_refused,
                Decision::Undecided => t.would_be_undecided,
            },
        }
    }

    /// The reason.
    pub(super) fn because(&self) -> &str {
        match self {
            Self::Wrong(wrong) => wrong,
            Self::Explained(told) => &told.because,
        }
    }

    /// The route that answers the address.
    pub(super) fn route(&self) -> Option<&str> {
        match self {
            Self::Wrong(_) => None,
            Self::Explained(told) => told.route.as_deref(),
        }
    }
}

fn question(
    gateway: &Gateway,
    user: &User,
    url: &str,
    method: &str,
    client: &str,
) -> Result<Question, String> {
    let who = Asker::User(Box::new(user.clone()));
    let question = Question::about(who, url, method, gateway.ground.clock().now())?;
    if client.is_empty() {
        return Ok(question);
    }
    let client = client.parse().map_err(|_| ENGLISH.client_wrong.to_owned())?;
    Ok(Question { client: Some(client), ..question })
}
