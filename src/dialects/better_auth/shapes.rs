//! The bodies of better-auth's API.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::dialects::failures::failures;
use crate::domain::credential::{Backup, Credential, Transport};
use crate::domain::session::{Lifetimes, Session};
use crate::domain::user::{Role, User};

/// A failure.
#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::Failure)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) code: &'static str,
}

failures! {
    /// Failures of every endpoint.
    Failures {
        Failure as "application/json":
            400 "The request cannot be read, or the attempt is not under way.",
            401 "No user is signed in, or the passkey was not accepted.",
            403 "The request came from another site, needs a fresh passkey, or its network is banned \
                 (`FORBIDDEN`).",
            404 "No such passkey. (An address that does not exist at all has an empty answer.)",
            413 "The body is too large.",
            415 "The body is not JSON.",
            500 "Something failed here.",
            503 "The gateway cannot store changes at the moment.",
        String as "text/plain":
            429 "Too many attempts; `X-Retry-After` says when to come back.",
    }

    /// Failures of an endpoint that only tells a caller what is theirs.
    ReadFailures {
        Failure as "application/json":
            401 "No user is signed in.",
            500 "Something failed here.",
            503 "The gateway cannot tell at the moment.",
    }
}

/// Query of generate-register-options.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct RegisterQuery {
    /// `platform` or `cross-platform`.
    pub(super) authenticator_attachment: Option<Attachment>,
    /// The name of the passkey, unless verify-registration gives another.
    pub(super) name: Option<String>,
    #[expect(dead_code, reason = "accepted; nothing here depends on it")]
    pub(super) context: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = better_auth::Attachment)]
pub(super) enum Attachment {
    Platform,
    CrossPlatform,
}

impl Attachment {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::CrossPlatform => "cross-platform",
        }
    }
}

/// Body of verify-registration.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = better_auth::VerifyRegistration)]
pub(super) struct VerifyRegistration {
    /// A `RegistrationResponseJSON` (WebAuthn Level 3, section 5.1), or a text that holds one.
    #[schema(value_type = Object)]
    pub(super) response: Value,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) create_session: bool,
}

/// Body of verify-authentication.
#[derive(Deserialize, ToSchema)]
#[schema(as = better_auth::VerifyAuthentication)]
pub(super) struct VerifyAuthentication {
    /// An `AuthenticationResponseJSON` (WebAuthn Level 3, section 5.1), or a text that holds one.
    #[schema(value_type = Object)]
    pub(super) response: Value,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = better_auth::DeletePasskey)]
pub(super) struct DeletePasskey {
    pub(super) id: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = better_auth::UpdatePasskey)]
pub(super) struct UpdatePasskey {
    pub(super) id: String,
    /// 1 to 200 characters.
    pub(super) name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::Status)]
pub(super) struct Status {
    pub(super) status: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::Success)]
pub(super) struct Success {
    pub(super) success: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::Updated)]
pub(super) struct Updated {
    pub(super) passkey: Passkey,
}

/// Origins that may use our passkeys.
#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::Origins)]
pub(super) struct Origins {
    pub(super) origins: Vec<String>,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = better_auth::Passkey)]
pub(super) struct Passkey {
    id: String,
    name: String,
    /// The COSE key in standard base64.
    public_key: String,
    user_id: String,
    /// The credential id in base64url.
    #[serde(rename = "credentialID")]
    credential_id: String,
    counter: u32,
    /// `singleDevice` or `multiDevice`.
    device_type: &'static str,
    backed_up: bool,
    /// Joined by commas.
    transports: String,
    created_at: String,
    aaguid: String,
    /// With `createSession` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<SessionShape>,
    /// With `createSession` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<UserShape>,
}

impl Passkey {
    pub(super) fn new(credential: &Credential) -> Self {
        let transports: Vec<_> = credential.transports.iter().copied().map(Transport::as_str).collect();
        Self {
            id: credential.reference().to_string(),
            name: credential.name.as_str().to_owned(),
            public_key: STANDARD.encode(&credential.public_key),
            user_id: credential.user.to_string(),
            credential_id: credential.id.to_string(),
            counter: credential.counter,
            device_type: match credential.backup {
                Backup::DeviceBound => "singleDevice",
                Backup::Eligible | Backup::BackedUp => "multiDevice",
            },
            backed_up: credential.backup == Backup::BackedUp,
            transports: transports.join(","),
            created_at: credential.created_at.to_rfc3339(),
            aaguid: credential.aaguid.to_string(),
            session: None,
            user: None,
        }
    }

    pub(super) fn with(self, signed_in: SignedIn) -> Self {
        Self { session: Some(signed_in.session), user: Some(signed_in.user), ..self }
    }
}

/// A person and their session.
#[derive(Serialize, ToSchema)]
#[schema(as = better_auth::SignedIn)]
pub(super) struct SignedIn {
    session: SessionShape,
    user: UserShape,
}

impl SignedIn {
    /// With the token that the person goes on with.
    pub(super) fn new(lifetimes: &Lifetimes, session: &Session, user: &User, token: String) -> Self {
        Self { session: SessionShape::new(lifetimes, session, token), user: UserShape::new(user) }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = better_auth::Session)]
struct SessionShape {
    id: String,
    /// The bearer token.
    token: String,
    user_id: String,
    expires_at: String,
    created_at: String,
    updated_at: String,
    ip_address: String,
    user_agent: String,
    #[schema(required)]
    impersonated_by: Option<String>,
    #[schema(required)]
    active_organization_id: Option<String>,
}

impl SessionShape {
    fn new(lifetimes: &Lifetimes, session: &Session, token: String) -> Self {
        Self {
            id: session.id.to_string(),
            token,
            user_id: session.user.to_string(),
            expires_at: session.ends_at(session.last_seen_at, lifetimes).to_rfc3339(),
            created_at: session.created_at.to_rfc3339(),
            updated_at: session.last_seen_at.to_rfc3339(),
            ip_address: session.client.map(|it: IpAddr| it.to_string()).unwrap_or_default(),
            user_agent: session.user_agent.clone().unwrap_or_default(),
            impersonated_by: None,
            active_organization_id: None,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = better_auth::User)]
struct UserShape {
    id: String,
    name: String,
    email: String,
    email_verified: bool,
    created_at: String,
    updated_at: String,
    #[schema(required)]
    image: Option<String>,
    username: String,
    display_username: String,
    two_factor_enabled: bool,
    role: &'static str,
    banned: bool,
    #[schema(required)]
    ban_reason: Option<String>,
    #[schema(required)]
    ban_expires: Option<String>,
}

impl UserShape {
    fn new(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.display_name.to_string(),
            email: user.email.to_string(),
            // The administrator who invited them vouched for the address.
            email_verified: true,
            created_at: user.created_at.to_rfc3339(),
            updated_at: user.updated_at.to_rfc3339(),
            image: None,
            username: user.username.to_string(),
            display_username: user.username.to_string(),
            // A passkey with user verification is two factors in one.
            two_factor_enabled: true,
            role: match user.role {
                Role::Administrator => "admin",
                Role::Member => "user",
            },
            banned: false,
            ban_reason: None,
            ban_expires: None,
        }
    }
}
