//! The bodies of Corbado's API about itself and its users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::identifier::Identifier;
use crate::domain::user::User;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::SessionConfig)]
pub(super) struct SessionConfig {
    pub(super) use_session_management: bool,
    pub(super) session_token_cookie_config: CookieConfig,
    pub(super) short_session_cookie_config: CookieConfig,
    /// The address before `/v2`.
    pub(super) frontend_api_url: String,
}

/// How the client keeps the session token in a cookie of its own.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::CookieConfig)]
pub(super) struct CookieConfig {
    /// Empty: of the page's own host alone.
    pub(super) domain: &'static str,
    pub(super) secure: bool,
    pub(super) same_site: &'static str,
    pub(super) path: &'static str,
    pub(super) lifetime_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::UserDetailsConfig)]
pub(super) struct UserDetailsConfig {
    pub(super) full_name_required: bool,
    pub(super) identifiers: Vec<IdentifierConfig>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::IdentifierConfig)]
pub(super) struct IdentifierConfig {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ProcessConfig)]
pub(super) struct ProcessConfig {
    pub(super) use_server_side_process_id: bool,
    pub(super) frontend_api_url: String,
}

/// A person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Me)]
pub(super) struct Me {
    id: String,
    full_name: String,
    identifiers: Vec<IdentifierShape>,
    social_accounts: [String; 0],
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Identifier)]
struct IdentifierShape {
    id: String,
    value: String,
    /// `email` or `username`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `verified` or `pending`.
    status: &'static str,
}

impl Me {
    pub(super) fn new(user: &User, identifiers: &[Identifier]) -> Self {
        let shape = |it: &Identifier| IdentifierShape {
            id: identifier_id(it, user),
            value: it.value().to_owned(),
            kind: match it {
                Identifier::Email(_) | Identifier::PendingEmail(_) => "email",
                Identifier::Username(_) => "username",
            },
            status: match it {
                Identifier::Email(_) | Identifier::Username(_) => "verified",
                Identifier::PendingEmail(_) => "pending",
            },
        };
        Self {
            id: user.id.to_string(),
            full_name: user.display_name.to_string(),
            identifiers: identifiers.iter().map(shape).collect(),
            social_accounts: [],
        }
    }
}

/// The id of an identifier in this API.
pub(super) fn identifier_id(identifier: &Identifier, user: &User) -> String {
    format!("ide-{}", identifier.reference(&user.id))
}

/// Body of `PATCH /me`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Rename)]
pub(super) struct Rename {
    /// 1 to 200 characters.
    pub(super) full_name: String,
}

/// The kind of an identifier.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = corbado::IdentifierType)]
pub(super) enum IdentifierType {
    Email,
    Phone,
    Username,
}

/// Body of `POST /me/identifier`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::AddIdentifier)]
pub(super) struct AddIdentifier {
    pub(super) identifier_type: IdentifierType,
    pub(super) value: String,
}

/// Body of `PATCH /me/identifier`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ChangeIdentifier)]
pub(super) struct ChangeIdentifier {
    #[serde(rename = "identifierID")]
    pub(super) identifier_id: String,
    pub(super) identifier_type: IdentifierType,
    pub(super) value: String,
}

/// Names one of the caller's identifiers.
#[derive(Deserialize, ToSchema)]
#[schema(as = corbado::NameIdentifier)]
pub(super) struct NameIdentifier {
    #[serde(rename = "identifierID")]
    pub(super) identifier_id: String,
}

/// Body of verify/finish.
#[derive(Deserialize, ToSchema)]
#[schema(as = corbado::FinishVerifying)]
pub(super) struct FinishVerifying {
    #[serde(rename = "identifierID")]
    pub(super) identifier_id: String,
    /// As it was sent; case, spaces and hyphens do not matter.
    pub(super) code: String,
}

/// A session token, by its older and its newer name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Refreshed)]
pub(super) struct Refreshed {
    short_session: String,
    session_token: String,
}

impl Refreshed {
    pub(super) fn new(token: String) -> Self {
        Self { short_session: token.clone(), session_token: token }
    }
}
