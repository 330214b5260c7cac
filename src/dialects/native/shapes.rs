//! The bodies that the native API writes.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dialects::failures::failures;
use crate::domain::ceremony::aaguid;
use crate::domain::credential::{Backup, Credential, Transport};
use crate::domain::network::Network;
use crate::domain::time::Timestamp;
use crate::domain::user::{Group, Role, User};
use crate::domain::user_agent;
use crate::flows::Gateway;
use crate::flows::index::LiveSession;

/// A failure, as RFC 9457 writes it; `web/problem.rs` does. Here it is only described.
#[derive(ToSchema)]
#[schema(as = native::Problem)]
#[expect(dead_code, reason = "only described")]
pub(in crate::dialects::native) struct Document {
    r#type: String,
    title: String,
    status: u16,
    /// What happened and what to do, for people.
    detail: String,
    /// The same as `detail`.
    message: String,
    /// A stable word for programs.
    code: String,
    /// Where to sign in, if that would help.
    #[schema(nullable = false)]
    login_url: Option<String>,
}

failures! {
    /// Failures of every endpoint.
    Failures {
        Document as "application/problem+json":
            400 "The attempt is unknown or has expired, or the address cannot be read.",
            401 "No user is signed in, or the credential was not accepted.",
            403 "The request came from another site, needs a fresh passkey, or its network is banned \
                 (`network_banned`).",
            404 "It does not exist.",
            409 "It exists already, or is the last passkey.",
            410 "The link was used, or has expired.",
            413 "The body is too large.",
            415 "The body is not JSON by its content type.",
            422 "The body does not fit this endpoint.",
            429 "Too many attempts; `Retry-After` says when to come back.",
            500 "A fault of the gateway.",
            503 "The gateway cannot store changes at the moment.",
    }

    /// Failures of an endpoint that tells only what belongs to the caller.
    ReadFailures {
        Document as "application/problem+json":
            401 "No user is signed in.",
            500 "A fault of the gateway.",
            503 "The gateway cannot answer at the moment.",
    }

    /// Failures of an endpoint that is open to every caller.
    OwnFailures {
        Document as "application/problem+json":
            500 "A fault of the gateway.",
            503 "The gateway cannot answer at the moment.",
    }
}

/// What the caller may do.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Permissions)]
pub(super) struct Permissions {
    pub(super) permissions: Vec<String>,
}

/// A passkey. `id` is the credential id in base64url.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::Passkey)]
pub(super) struct PasskeyShape {
    id: String,
    name: String,
    /// The COSE key in standard base64; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    public_key: Option<String>,
    user_id: String,
    counter: u32,
    device_type: &'static str,
    backed_up: bool,
    transports: String,
    created_at: String,
    #[schema(required)]
    last_used_at: Option<String>,
    aaguid: String,
    /// The authenticator's own name, if its model is known.
    #[schema(required)]
    authenticator: Option<&'static str>,
    /// Present while the passkey does not work yet: it was added with a code by mail, and
    /// `recovery.delay` is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    works_from: Option<String>,
}

impl PasskeyShape {
    /// Without the public key.
    pub(super) fn new(credential: &Credential) -> Self {
        let transports: Vec<_> = credential.transports.iter().copied().map(Transport::as_str).collect();
        Self {
            id: credential.id.to_string(),
            name: credential.name.as_str().to_owned(),
            public_key: None,
            user_id: credential.user.to_string(),
            counter: credential.counter,
            device_type: match credential.backup {
                Backup::DeviceBound => "singleDevice",
                Backup::Eligible | Backup::BackedUp => "multiDevice",
            },
            backed_up: credential.backup == Backup::BackedUp,
            transports: transports.join(","),
            created_at: credential.created_at.to_rfc3339(),
            last_used_at: credential.last_used_at.map(Timestamp::to_rfc3339),
            aaguid: credential.aaguid.to_string(),
            authenticator: aaguid::name_of(credential.aaguid),
            works_from: credential.asleep_until.map(Timestamp::to_rfc3339),
        }
    }

    /// With the public key.
    pub(super) fn listed(credential: &Credential) -> Self {
        Self { public_key: Some(STANDARD.encode(&credential.public_key)), ..Self::new(credential) }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::User)]
pub(super) struct UserShape {
    id: String,
    email: String,
    username: String,
    name: String,
    first_name: String,
    last_name: String,
    #[schema(required)]
    picture: Option<String>,
    groups: Vec<String>,
    admin: bool,
    created_at: String,
    updated_at: String,
}

impl From<&User> for UserShape {
    fn from(user: &User) -> Self {
        let name = user.display_name.as_str();
        let (first, last) = name.rsplit_once(' ').unwrap_or((name, ""));
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            username: user.username.to_string(),
            name: name.to_owned(),
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            picture: None,
            groups: user.groups.iter().map(Group::to_string).collect(),
            admin: user.role == Role::Administrator,
            created_at: user.created_at.to_rfc3339(),
            updated_at: user.updated_at.to_rfc3339(),
        }
    }
}

/// A user, and the bearer token of the session.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SignedIn)]
pub(super) struct SignedInShape {
    pub(super) token: String,
    pub(super) user: UserShape,
}

/// A sign-in. If the caller named a change, `stepUp` is the nonce that the change's request has to
/// carry.
#[derive(Serialize, ToSchema)]
#[schema(as = native::SteppedUp)]
pub(super) struct SteppedUpShape {
    #[serde(flatten)]
    pub(super) signed_in: SignedInShape,
    #[serde(rename = "stepUp", skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub(super) step_up: Option<String>,
}

/// A session. `id` is not a secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = native::Session)]
pub(super) struct SessionShape {
    id: String,
    user_id: String,
    created_at: String,
    expires_at: String,
    last_seen_at: String,
    #[schema(required)]
    ipv4: Option<String>,
    /// The network the sign-in came from: a /24 or a /64.
    #[schema(required)]
    network: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
    /// Browser and system in words.
    browser: String,
    /// The passkey that opened it.
    #[schema(required)]
    passkey_id: Option<String>,
    current: bool,
}

impl SessionShape {
    pub(super) fn new(gateway: &Gateway, session: &LiveSession, current: &LiveSession) -> Self {
        let record = session.record();
        Self {
            id: record.id.to_string(),
            user_id: record.user.to_string(),
            created_at: record.created_at.to_rfc3339(),
            expires_at: gateway.sessions.expires_at(session).to_rfc3339(),
            last_seen_at: session.last_seen_at().to_rfc3339(),
            ipv4: record.client.filter(IpAddr::is_ipv4).map(|address| address.to_string()),
            network: record.client.map(|client| Network::of(client).to_string()),
            user_agent: record.user_agent.clone(),
            browser: user_agent::in_words(record.user_agent.as_deref()),
            passkey_id: record.credential.as_ref().map(ToString::to_string),
            current: record.id == current.record().id,
        }
    }
}
