//! Questions about decisions, over the operator's socket.
//!
//! What does not live here: the answers, which `flows/admission/explain.rs` works out.
//!
//! What always holds: a question changes nothing, and a question that cannot be answered does not
//! hold up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::protocol::Answer;
use crate::domain::attribute::{AttributeName, AttributeValue};
use crate::domain::policy::explain::{Asker, Explanation, Question};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Group, User, Username};
use crate::flows::{FlowError, Gateway};

/// A request that no client has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionLine {
    pub who: AskerLine,
    pub url: String,
    pub method: String,
    pub client: Option<IpAddr>,
    /// Milliseconds since 1970; `None`: now.
    pub at: Option<Timestamp>,
    /// How long before the user has shown a passkey.
    pub auth_age_seconds: u64,
}

/// The user or anonymous client of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskerLine {
    Anonymous,
    /// A username, an e-mail address or an id.
    User(String),
    /// A user who needs no account.
    Described {
        username: Username,
        email: Email,
        groups: BTreeSet<Group>,
        attributes: BTreeMap<AttributeName, AttributeValue>,
    },
}

/// The decision about the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationLine {
    pub decision: String,
    pub route: Option<String>,
    pub rule: Option<String>,
    pub because: String,
}

impl From<Explanation> for ExplanationLine {
    fn from(told: Explanation) -> Self {
        let Explanation { decision, route, rule, because } = told;
        Self { decision: decision.name().to_owned(), route, rule, because }
    }
}

impl QuestionLine {
    /// Whether the question is about an account.
    pub fn is_about_account(&self) -> bool {
        matches!(self.who, AskerLine::User(_))
    }
}

/// Answers questions.
pub(super) async fn explained(gateway: &Gateway, questions: Vec<QuestionLine>) -> Answer {
    let mut told = Vec::with_capacity(questions.len());
    for question in questions {
        told.push(answer(gateway, question).await);
    }
    Answer::Explained { told }
}

async fn answer(gateway: &Gateway, line: QuestionLine) -> Result<ExplanationLine, String> {
    let at = line.at.unwrap_or_else(|| gateway.ground.clock().now());
    let who = match line.who {
        AskerLine::Anonymous => Asker::Anonymous,
        AskerLine::User(name) => {
            let user = gateway.administration.find_user(&name).await.map_err(|error| match error {
                FlowError::NotFound => format!("there is no user {name:?}"),
                error => error.to_string(),
            })?;
            Asker::User(Box::new(user))
        }
        AskerLine::Described { username, email, groups, attributes } => {
            let user = User::hypothetical(username, email, groups).map_err(|error| error.to_string())?;
            Asker::User(Box::new(User { attributes, ..user }))
        }
    };
    let question = Question::about(who, &line.url, &line.method, at)?;
    let auth_age = Duration::from_secs(line.auth_age_seconds);
    Ok(gateway.admission.explain(&Question { client: line.client, auth_age, ..question }).into())
}
