//! People, sessions and events as operators see them: members of answers, and of what commands print
//! with `--json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::access_token::grant::Grant;
use crate::domain::access_token::{AccessToken, TokenName};
use crate::domain::attribute::{AttributeName, AttributeValue};
use crate::domain::audit::Entry;
use crate::domain::ban::{Ban, Reason};
use crate::domain::credential::Credential;
use crate::domain::event::Outcome;
use crate::domain::id::{AccessTokenId, CredentialId, InvitationId, SessionId, UserId};
use crate::domain::invitation::Invitation;
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::domain::user::{DisplayName, Email, Group, Note, Role, Standing, Username};
use crate::flows::access_tokens::index::LiveToken;
use crate::flows::administration::directory::Summary;
use crate::flows::administration::trail::Kept;
use crate::flows::index::LiveSession;

/// An invitation. Moments are in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationLine {
    pub id: InvitationId,
    pub email: Email,
    pub expires_at: String,
    /// The inviter, in words.
    pub by: String,
}

impl From<Invitation> for InvitationLine {
    fn from(invitation: Invitation) -> Self {
        let expires_at = invitation.expires_at.to_rfc3339();
        Self { id: invitation.id, email: invitation.email, expires_at, by: invitation.invited_by }
    }
}

/// A ban. Moments are in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanLine {
    /// In CIDR notation; an address alone has no length.
    pub network: String,
    /// `None`: until an administrator removes it.
    pub expires_at: Option<String>,
    /// The maker of the ban, in words.
    pub by: String,
    pub reason: Option<String>,
    pub at: String,
}

impl From<&Ban> for BanLine {
    fn from(ban: &Ban) -> Self {
        Self {
            network: ban.network.to_string(),
            expires_at: ban.expires_at.map(Timestamp::to_rfc3339),
            by: ban.by.clone(),
            reason: ban.reason.as_ref().map(Reason::as_str).map(str::to_owned),
            at: ban.at.to_rfc3339(),
        }
    }
}

/// An access token. Moments are in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    pub id: AccessTokenId,
    pub user: UserId,
    /// The username.
    pub username: Option<Username>,
    pub name: TokenName,
    #[serde(flatten)]
    pub grant: Grant,
    pub created_at: String,
    pub expires_at: String,
    pub last_used_at: Option<String>,
}

impl TokenLine {
    /// The line of a token whose user has this name.
    pub fn new(token: &LiveToken, username: Option<Username>) -> Self {
        let AccessToken { id, user, name, grant, created_at, expires_at, .. } = (*token.record()).clone();
        let (created_at, expires_at) = (created_at.to_rfc3339(), expires_at.to_rfc3339());
        let last_used_at = token.last_used_at().map(Timestamp::to_rfc3339);
        Self { id, user, username, name, grant, created_at, expires_at, last_used_at }
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    pub id: UserId,
    pub username: Username,
    pub email: Email,
    pub name: DisplayName,
    pub groups: BTreeSet<Group>,
    pub role: Role,
    pub standing: Standing,
    pub passkeys: usize,
    /// When a passkey was last shown, in RFC 3339.
    pub last_used_at: Option<String>,
    /// When the account ends by itself, in RFC 3339.
    pub expires_at: Option<String>,
}

impl From<&Summary> for UserLine {
    fn from(summary: &Summary) -> Self {
        let user = &summary.user;
        Self {
            id: user.id,
            username: user.username.clone(),
            email: user.email.clone(),
            name: user.display_name.clone(),
            groups: user.groups.clone(),
            role: user.role,
            standing: user.standing,
            passkeys: summary.passkeys,
            last_used_at: summary.last_used_at.map(Timestamp::to_rfc3339),
            expires_at: user.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A person with everything of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    #[serde(flatten)]
    pub user: UserLine,
    pub note: Option<Note>,
    #[serde(default)]
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
    pub created_at: String,
    pub credentials: Vec<CredentialLine>,
    pub sessions: Vec<SessionLine>,
}

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialLine {
    pub id: CredentialId,
    pub name: String,
    pub created_at: String,
    pub last_used_at: Option<String>,
    /// When it was taken over from another program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_at: Option<String>,
}

impl From<&Credential> for CredentialLine {
    fn from(credential: &Credential) -> Self {
        Self {
            id: credential.id.clone(),
            name: credential.name.as_str().to_owned(),
            created_at: credential.created_at.to_rfc3339(),
            last_used_at: credential.last_used_at.map(Timestamp::to_rfc3339),
            imported_at: credential.imported.as_ref().map(|imported| imported.at.to_rfc3339()),
        }
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    pub id: SessionId,
    pub created_at: String,
    pub last_seen_at: String,
    /// The network it was begun in.
    pub client: Option<Network>,
    /// The program, as it describes itself.
    pub device: Option<String>,
    /// Always false, because a command has no session.
    pub current: bool,
}

impl From<&LiveSession> for SessionLine {
    fn from(session: &LiveSession) -> Self {
        let record = session.record();
        Self {
            id: record.id,
            created_at: record.created_at.to_rfc3339(),
            last_seen_at: session.last_seen_at().to_rfc3339(),
            client: record.client.map(Network::of),
            device: record.user_agent.clone(),
            current: false,
        }
    }
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailLine {
    /// Names the entry, and where a page that ends with it is continued.
    pub id: String,
    /// RFC 3339.
    pub at: String,
    pub event: String,
    pub outcome: Outcome,
    pub actor: String,
    pub user: Option<UserId>,
    pub client: Option<String>,
    pub request: Option<String>,
    pub route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    pub reason: Option<String>,
    pub subject: Option<String>,
}

impl From<Kept> for TrailLine {
    fn from(Kept { id, entry }: Kept) -> Self {
        let Entry { at, event, outcome, actor, user, client, request, route, rule, reason, subject, .. } =
            entry;
        Self {
            id: id.to_string(),
            at: at.to_rfc3339(),
            event: event.into_owned(),
            outcome,
            actor: actor.into_owned(),
            user,
            client,
            request,
            route,
            rule,
            reason: reason.map(std::borrow::Cow::into_owned),
            subject,
        }
    }
}
