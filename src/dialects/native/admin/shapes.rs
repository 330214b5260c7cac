//! The bodies that the admin API writes. Moments are in RFC 3339.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::shapes::Document;
use crate::dialects::failures::failures;
use crate::domain::ban::{Ban, Reason};
use crate::domain::ceremony::aaguid;
use crate::domain::credential::Credential;
use crate::domain::id::SessionId;
use crate::domain::invitation::Invitation;
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::domain::user::{Group, Note, Role, Standing};
use crate::domain::user_agent;
use crate::flows::Gateway;
use crate::flows::administration::directory::Summary;
use crate::flows::administration::trail::Kept;
use crate::flows::index::LiveSession;

failures! {
    /// Failures of every endpoint of the admin API.
    Failures {
        Document as "application/problem+json":
            400 "The address cannot be read.",
            401 "No user is signed in, or the passkey was shown too long ago: then the code is \
                 `step_up_required`.",
            403 "The caller is not an administrator or uses an access token, or the request came from \
                 another site.",
            404 "There is no such user, session, passkey, invitation, access token or ban.",
            409 "It exists already, the maximum number is reached, or no administrator would be left.",
            410 "The invitation was used, or has expired.",
            413 "The body is too large.",
            415 "The body is not JSON by its content type.",
            422 "The body or the query does not fit this endpoint.",
            500 "A fault of the gateway.",
            503 "The gateway cannot store changes at the moment.",
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::User)]
pub(super) struct UserShape {
    id: String,
    username: String,
    email: String,
    name: String,
    groups: Vec<String>,
    role: RoleName,
    standing: StandingName,
    passkeys: usize,
    /// When a passkey was last shown.
    #[schema(required)]
    last_used_at: Option<String>,
    /// When the account ends by itself.
    #[schema(required)]
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// The note for other administrators.
    #[schema(required)]
    note: Option<String>,
    /// Attributes by name.
    attributes: BTreeMap<String, String>,
}

impl From<&Summary> for UserShape {
    fn from(summary: &Summary) -> Self {
        let user = &summary.user;
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            email: user.email.to_string(),
            name: user.display_name.to_string(),
            groups: user.groups.iter().map(Group::to_string).collect(),
            role: RoleName::from(user.role),
            standing: StandingName::from(user.standing),
            passkeys: summary.passkeys,
            last_used_at: summary.last_used_at.map(Timestamp::to_rfc3339),
            expires_at: user.expires_at.map(Timestamp::to_rfc3339),
            created_at: user.created_at.to_rfc3339(),
            updated_at: user.updated_at.to_rfc3339(),
            note: user.note.as_ref().map(Note::as_str).map(str::to_owned),
            attributes: user.attributes.clone().into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        }
    }
}

/// What a user may do to this installation.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = admin::Role)]
pub(super) enum RoleName {
    Administrator,
    Member,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Administrator => Self::Administrator,
            Role::Member => Self::Member,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Administrator => Self::Administrator,
            RoleName::Member => Self::Member,
        }
    }
}

/// Whether a user may use their account.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = admin::Standing)]
pub(super) enum StandingName {
    Active,
    /// Made by sign-up, and waiting for the approval of an administrator.
    Pending,
    Disabled,
}

impl From<Standing> for StandingName {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self::Active,
            Standing::Pending => Self::Pending,
            Standing::Disabled => Self::Disabled,
        }
    }
}

impl From<StandingName> for Standing {
    fn from(name: StandingName) -> Self {
        match name {
            StandingName::Active => Self::Active,
            StandingName::Pending => Self::Pending,
            StandingName::Disabled => Self::Disabled,
        }
    }
}

/// A page of users.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Users)]
pub(super) struct UsersShape {
    pub(super) users: Vec<UserShape>,
    /// The `after` of the next page; `null`: this was the last.
    #[schema(required)]
    pub(super) next: Option<String>,
}

/// A user, with passkeys and sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::UserDetails)]
pub(super) struct DetailsShape {
    #[serde(flatten)]
    pub(super) user: UserShape,
    pub(super) credentials: Vec<CredentialShape>,
    pub(super) sessions: Vec<SessionShape>,
}

/// A passkey of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Credential)]
pub(super) struct CredentialShape {
    /// The credential id in base64url.
    id: String,
    name: String,
    /// The name of the authenticator, if the model is known.
    #[schema(required)]
    authenticator: Option<&'static str>,
    created_at: String,
    #[schema(required)]
    last_used_at: Option<String>,
}

impl From<&Credential> for CredentialShape {
    fn from(credential: &Credential) -> Self {
        Self {
            id: credential.id.to_string(),
            name: credential.name.as_str().to_owned(),
            authenticator: aaguid::name_of(credential.aaguid),
            created_at: credential.created_at.to_rfc3339(),
            last_used_at: credential.last_used_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A session of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Session)]
pub(super) struct SessionShape {
    id: String,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    /// The network it was begun in: a /24 or a /64.
    #[schema(required)]
    client: Option<String>,
    /// Browser and system in words.
    device: String,
    /// Whether it is the caller's own.
    current: bool,
}

impl SessionShape {
    pub(super) fn new(gateway: &Gateway, session: &LiveSession, own: &SessionId) -> Self {
        let record = session.record();
        Self {
            id: record.id.to_string(),
            created_at: record.created_at.to_rfc3339(),
            last_seen_at: session.last_seen_at().to_rfc3339(),
            expires_at: gateway.sessions.expires_at(session).to_rfc3339(),
            client: record.client.map(|client| Network::of(client).to_string()),
            device: user_agent::in_words(record.user_agent.as_deref()),
            current: record.id == *own,
        }
    }
}

/// A link that adds a passkey. It is shown in this answer only.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Link)]
pub(super) struct LinkShape {
    /// Names the invitation, to revoke it.
    pub(super) id: String,
    pub(super) link: String,
    pub(super) email: String,
    pub(super) expires_at: String,
    /// The username of the new account; `null` for an account that exists already.
    #[schema(required)]
    pub(super) username: Option<String>,
}

/// An invitation that can still be used. The gateway does not keep its link.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Invitation)]
pub(super) struct InvitationShape {
    id: String,
    email: String,
    #[schema(required)]
    name: Option<String>,
    groups: Vec<String>,
    role: RoleName,
    /// Whether it adds a passkey to an account that exists already.
    has_account: bool,
    by: String,
    created_at: String,
    expires_at: String,
}

impl From<&Invitation> for InvitationShape {
    fn from(invitation: &Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            name: invitation.display_name.as_ref().map(ToString::to_string),
            groups: invitation.groups.iter().map(Group::to_string).collect(),
            role: RoleName::from(invitation.role),
            has_account: invitation.account.is_some(),
            by: invitation.invited_by.clone(),
            created_at: invitation.created_at.to_rfc3339(),
            expires_at: invitation.expires_at.to_rfc3339(),
        }
    }
}

/// A ban that is in force.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Ban)]
pub(super) struct BanShape {
    /// The id of the ban in addresses.
    id: String,
    /// In CIDR notation; an address alone has no length.
    network: String,
    /// `null`: until the ban is removed.
    #[schema(required)]
    expires_at: Option<String>,
    /// The maker of the ban, in words.
    by: String,
    #[schema(required)]
    reason: Option<String>,
    at: String,
}

impl From<&Ban> for BanShape {
    fn from(ban: &Ban) -> Self {
        let network = ban.network.to_string();
        Self {
            id: network.replace('/', "-"),
            network,
            expires_at: ban.expires_at.map(Timestamp::to_rfc3339),
            by: ban.by.clone(),
            reason: ban.reason.as_ref().map(Reason::as_str).map(str::to_owned),
            at: ban.at.to_rfc3339(),
        }
    }
}

/// An entry of the audit trail.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::TrailEntry)]
pub(super) struct EntryShape {
    /// The id of the entry; a list continues after it.
    id: String,
    at: String,
    event: String,
    /// `done` or `refused`.
    outcome: &'static str,
    /// A user's id, or `operator`, `gateway` or `anonymous`.
    actor: String,
    #[schema(required)]
    user: Option<String>,
    #[schema(required)]
    client: Option<String>,
    #[schema(required)]
    request: Option<String>,
    #[schema(required)]
    route: Option<String>,
    /// The rule of the route that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[schema(required)]
    reason: Option<String>,
    #[schema(required)]
    subject: Option<String>,
}

impl From<Kept> for EntryShape {
    fn from(Kept { id, entry }: Kept) -> Self {
        Self {
            id: id.to_string(),
            at: entry.at.to_rfc3339(),
            event: entry.event.into_owned(),
            outcome: entry.outcome.label(),
            actor: entry.actor.into_owned(),
            user: entry.user.map(|user| user.to_string()),
            client: entry.client,
            request: entry.request,
            route: entry.route,
            rule: entry.rule,
            reason: entry.reason.map(std::borrow::Cow::into_owned),
            subject: entry.subject,
        }
    }
}

/// A page of the audit trail, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Trail)]
pub(super) struct TrailShape {
    pub(super) entries: Vec<EntryShape>,
    #[schema(required)]
    pub(super) next: Option<String>,
}

/// How many sessions a call ended.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Ended)]
pub(super) struct EndedShape {
    pub(super) ended: usize,
}
