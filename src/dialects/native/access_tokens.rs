//! A user's own access tokens: listing, making and revoking them.
//!
//! What does not live here: the grant of a token and the freshness that making one needs
//! (`flows/access_tokens/`).
//!
//! What always holds: the caller sees and ends their own tokens only, and a token is in one answer,
//! which is not stored on its way (`web/headers.rs`).

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::{Failures, ReadFailures};
use super::{App, Named};
use crate::domain::access_token::AccessToken;
use crate::domain::access_token::grant::GrantText;
use crate::domain::id::AccessTokenId;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::access_tokens::NewToken;
use crate::flows::access_tokens::index::LiveToken;
use crate::web::Problem;
use crate::web::guard::SignedIn;
use crate::web::json::Body;

/// An access token. The token itself is shown once, when it is made.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccessToken)]
pub(in crate::dialects::native) struct TokenShape {
    id: String,
    /// The id of its owner.
    user: String,
    name: String,
    routes: Vec<String>,
    /// Empty: every method.
    methods: Vec<String>,
    /// These paths and everything below them. Empty: every path.
    paths: Vec<String>,
    /// In CIDR notation. Empty: every network.
    networks: Vec<String>,
    created_at: String,
    expires_at: String,
    /// To the minute, at most; `null` if it was never used.
    #[schema(required)]
    last_used_at: Option<String>,
}

impl TokenShape {
    fn new(token: &AccessToken, last_used_at: Option<Timestamp>) -> Self {
        Self {
            id: token.id.to_string(),
            user: token.user.to_string(),
            name: token.name.to_string(),
            routes: token.grant.routes.clone(),
            methods: token.grant.methods.clone(),
            paths: token.grant.paths.iter().map(ToString::to_string).collect(),
            networks: token.grant.networks.iter().map(ToString::to_string).collect(),
            created_at: token.created_at.to_rfc3339(),
            expires_at: token.expires_at.to_rfc3339(),
            last_used_at: last_used_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<&LiveToken> for TokenShape {
    fn from(token: &LiveToken) -> Self {
        Self::new(&token.record(), token.last_used_at())
    }
}

/// The caller's access tokens that can be used, newest first.
#[utoipa::path(get, path = "/tokens", tag = "native", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = Vec<TokenShape>), ReadFailures))]
pub(super) async fn list(
    State(gateway): App,
    SignedIn(caller, _): SignedIn,
) -> Result<Json<Vec<TokenShape>>, Problem> {
    Ok(Json(
        gateway
            .access_tokens
            .tokens_of(&caller.user.id)
            .iter()
            .map(|token| TokenShape::from(&**token))
            .collect(),
    ))
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = native::AccessTokenBody)]
pub(super) struct TokenBody {
    /// 1 to 100 characters.
    name: String,
    /// One or more routes that the caller may enter.
    routes: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    networks: Vec<String>,
    /// At most what `tokens.lifetime_max` of the configuration says.
    #[schema(minimum = 1)]
    expires_in_seconds: u64,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = native::AccessTokenMade)]
pub(super) struct Made {
    /// The token itself. It is shown in this answer only.
    token: String,
    /// A command that tries it; `null` where its route has no address of its own.
    #[schema(required)]
    curl: Option<String>,
    #[serde(flatten)]
    shape: TokenShape,
}

/// Makes an access token. The caller must have shown a passkey a short time ago.
#[utoipa::path(post, path = "/tokens", tag = "native", security(("bearer" = []), ("cookie" = [])),
    request_body = TokenBody, responses((status = 201, body = Made), Failures))]
pub(super) async fn make(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Body(TokenBody { name, routes, methods, paths, networks, expires_in_seconds }): Body<TokenBody>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let grant = GrantText { routes, methods, paths, networks };
    let new = NewToken::parse(&name, &grant, expires_in_seconds).map_err(FlowError::from)?;
    let made = gateway.access_tokens.make_own_token(&caller.record(), new, &call.visit).await?;
    let opens = gateway.access_tokens.example_url(&made.token.grant);
    let curl = opens.map(|url| format!("curl -H 'Authorization: Bearer {}' {url}", made.text));
    let made = Made { token: made.text, curl, shape: TokenShape::new(&made.token, None) };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes an access token of the caller: it does not work any more.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "native", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "The id in the list")),
    responses((status = 204, description = "It is revoked"), Failures))]
pub(super) async fn revoke(
    State(gateway): App,
    SignedIn(caller, call): SignedIn,
    Named(id): Named<AccessTokenId>,
) -> Result<StatusCode, Problem> {
    gateway.access_tokens.revoke_own_token(&caller.record(), &id, &call.visit).await?;
    Ok(StatusCode::NO_CONTENT)
}
