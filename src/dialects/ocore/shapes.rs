//! The bodies of oCore's API. Lists are in camelCase and single passkeys in `snake_case`, as in its
//! document.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::dialects::failures::failures;
use crate::domain::credential::{Backup, Credential, Transport};
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// A failure.
#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Failure)]
pub(super) struct Failure {
    pub(super) error: String,
    /// The same as `error`.
    pub(super) message: String,
    /// A stable word for programs, such as `unknown_credential`.
    pub(super) code: &'static str,
}

failures! {
    /// Failures of every endpoint.
    Failures {
        Failure as "application/json":
            400 "The request cannot be read, or the attempt is not under way.",
            401 "No user is signed in, or the passkey was not accepted.",
            403 "The request came from another site, needs a fresh passkey, or its network is banned \
                 (`network_banned`).",
            404 "No such passkey.",
            409 "The passkey is registered already, or the last one.",
            413 "The body is too large.",
            415 "The body is not JSON.",
            429 "Too many attempts; `Retry-After` says when to come back.",
            500 "Something failed here.",
            503 "The gateway cannot store changes at the moment.",
    }

    /// Failures of an endpoint that only tells a caller what is theirs.
    ReadFailures {
        Failure as "application/json":
            401 "No user is signed in.",
            500 "Something failed here.",
            503 "The gateway cannot tell at the moment.",
    }
}

/// Body of login/begin; all of it may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ocore::LoginBegin)]
pub(super) struct LoginBegin {
    pub(super) email: Option<String>,
}

/// Query of login/finish.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LoginFinish {
    /// If given, only this person's passkey will do.
    pub(super) email: Option<String>,
}

/// Options for the browser.
#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Options)]
pub(super) struct Options {
    /// For `navigator.credentials`, in the JSON form of WebAuthn Level 3.
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    pub(super) public_key: serde_json::Value,
}

/// A person who has signed in, and their tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = ocore::SignedIn)]
pub(super) struct SignedIn {
    pub(super) user: Person,
    /// Opaque; good as long as the session.
    pub(super) token: String,
    /// A JWT, good for `expires_in` seconds.
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Person)]
pub(super) struct Person {
    id: String,
    email: String,
    name: String,
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self { id: user.id.to_string(), email: user.email.to_string(), name: user.display_name.to_string() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Passkeys)]
pub(super) struct Passkeys {
    pub(super) passkeys: Vec<Listed>,
}

/// A passkey in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ocore::Listed)]
pub(super) struct Listed {
    /// The credential id in base64url.
    id: String,
    device_name: String,
    created_at: String,
    #[schema(required)]
    last_used_at: Option<String>,
    backup_eligible: bool,
    backup_state: bool,
    transport: Vec<&'static str>,
}

impl From<&Credential> for Listed {
    fn from(credential: &Credential) -> Self {
        Self {
            id: credential.id.to_string(),
            device_name: credential.name.as_str().to_owned(),
            created_at: credential.created_at.to_rfc3339(),
            last_used_at: credential.last_used_at.map(Timestamp::to_rfc3339),
            backup_eligible: credential.backup != Backup::DeviceBound,
            backup_state: credential.backup == Backup::BackedUp,
            transport: credential.transports.iter().copied().map(Transport::as_str).collect(),
        }
    }
}

/// Body of register/begin.
#[derive(Deserialize, ToSchema)]
#[schema(as = ocore::RegisterBegin)]
pub(super) struct RegisterBegin {
    pub(super) device_name: Option<String>,
}

/// Query of register/finish.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RegisterFinish {
    /// The name of the passkey, in place of the name from register/begin.
    pub(super) device_name: Option<String>,
}

/// A new passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Registered)]
pub(super) struct Registered {
    pub(super) id: String,
    pub(super) device_name: String,
    pub(super) created_at: String,
}

/// Body of a renaming.
#[derive(Deserialize, ToSchema)]
#[schema(as = ocore::Rename)]
pub(super) struct Rename {
    /// 1 to 200 characters.
    pub(super) device_name: String,
}

/// A renamed passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = ocore::Renamed)]
pub(super) struct Renamed {
    pub(super) id: String,
    pub(super) device_name: String,
}
