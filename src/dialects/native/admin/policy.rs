//! Why a user may, or may not, do something.
//!
//! What does not live here: the answer, which `flows/admission/explain.rs` works out.
//!
//! What always holds: only administrators are answered, and nothing is changed.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Administrator;
use super::shapes::Failures;
use crate::dialects::native::App;
use crate::domain::policy::explain::{Asker, Explanation, Question};
use crate::domain::time::Timestamp;
use crate::web::Problem;
use crate::web::json::Body;

/// A request to decide about. It is not sent.
#[derive(Deserialize, ToSchema)]
#[schema(as = admin::Question)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionShape {
    /// A username, an e-mail address or an id; left out: an anonymous client.
    user: Option<String>,
    /// The whole address, such as `https://app.example.com/reports`.
    url: String,
    /// Default `GET`.
    method: Option<String>,
    /// The client's address.
    client: Option<String>,
    /// When, in RFC 3339; default now.
    at: Option<String>,
}

/// The decision about the request.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Explanation)]
pub(super) struct ExplanationShape {
    /// `allowed`, `public`, `step_up`, `sign_in` or `refused`.
    decision: &'static str,
    /// The route that answers the address.
    route: Option<String>,
    /// The rule that decides.
    rule: Option<String>,
    /// In a sentence or two.
    because: String,
}

impl From<Explanation> for ExplanationShape {
    fn from(told: Explanation) -> Self {
        let Explanation { decision, route, rule, because } = told;
        Self { decision: decision.name(), route, rule, because }
    }
}

/// How a request would be decided, and why. Changes nothing.
#[utoipa::path(post, path = "/admin/v1/policy/explain", tag = "admin", request_body = QuestionShape,
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = ExplanationShape), Failures))]
pub(super) async fn explain(
    State(gateway): App,
    _: Administrator,
    Body(asked): Body<QuestionShape>,
) -> Result<Json<ExplanationShape>, Problem> {
    let who = match &asked.user {
        None => Asker::Anonymous,
        Some(name) => Asker::User(Box::new(gateway.administration.find_user(name).await?)),
    };
    let at = match asked.at.as_deref() {
        None => gateway.ground.clock().now(),
        Some(text) => Timestamp::parse(text)
            .ok_or_else(|| Problem::malformed("`at` is a moment such as 2027-01-31T12:00:00Z."))?,
    };
    let client: Option<IpAddr> = asked
        .client
        .as_deref()
        .map(|text| text.parse().map_err(|_| Problem::malformed("`client` is an IP address.")))
        .transpose()?;
    let method = asked.method.as_deref().unwrap_or("GET");
    let question = Question::about(who, &asked.url, method, at).map_err(Problem::malformed)?;
    Ok(Json(gateway.admission.explain(&Question { client, ..question }).into()))
}
