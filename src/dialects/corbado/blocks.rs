//! The bodies of Corbado's sign-in process: a block says what is to be done next.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::passkey_shapes::{AaguidDetails, ClientInformation};
use crate::domain::ceremony::RequestOptions;
use crate::domain::credential::{Credential, Transport};
use crate::domain::user::User;

/// Body of process/init.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ProcessInit)]
pub(super) struct ProcessInit {
    #[serde(default)]
    #[expect(dead_code, reason = "accepted; nothing here depends on it")]
    pub(super) client_information: ClientInformation,
    /// Taken, but a process begins with `login-init` whatever is preferred.
    #[expect(dead_code, reason = "accepted; there is one block to begin with")]
    pub(super) preferred_block: Option<String>,
}

/// A process that has begun.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ProcessStarted)]
pub(super) struct ProcessStarted {
    /// To be sent as `X-Corbado-Process-Id` from now on.
    pub(super) token: String,
    /// In seconds since 1970.
    pub(super) expires_at: i64,
    pub(super) process_response: ProcessResponse,
}

/// The state of a process.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ProcessResponse)]
pub(super) struct ProcessResponse {
    pub(super) block_body: BlockBody,
    pub(super) common: ProcessCommon,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ProcessCommon)]
pub(super) struct ProcessCommon {
    pub(super) app_name: String,
    /// The address before `/v2`.
    pub(super) frontend_api_url: String,
    pub(super) hide_badge: bool,
    pub(super) environment: &'static str,
}

/// The next step.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::BlockBody)]
pub(super) struct BlockBody {
    /// `login-init`, `passkey-verify` or `completed`.
    block: &'static str,
    auth_type: &'static str,
    data: BlockData,
    /// Empty: there is one way only.
    alternatives: [String; 0],
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = corbado::BlockData)]
enum BlockData {
    LoginInit(LoginInitBlock),
    PasskeyVerify(PasskeyVerifyBlock),
    Completed(Box<CompletedBlock>),
}

/// The user has to say who they are, or to choose a passkey without saying so.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::LoginInitBlock)]
#[expect(clippy::struct_excessive_bools, reason = "the client asks for each of them")]
struct LoginInitBlock {
    block_type: &'static str,
    /// JSON as a text: `publicKey`, for `navigator.credentials.get` with conditional mediation.
    #[serde(rename = "conditionalUIChallenge")]
    conditional_ui_challenge: String,
    identifier_value: String,
    is_phone: bool,
    is_phone_available: bool,
    is_email_available: bool,
    is_username_available: bool,
    social_data: SocialData,
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::SocialData)]
struct SocialData {
    providers: [String; 0],
    status: &'static str,
}

/// The user has to show a passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::PasskeyVerifyBlock)]
struct PasskeyVerifyBlock {
    block_type: &'static str,
    /// JSON as a text: `publicKey`, for `navigator.credentials.get`.
    challenge: String,
    identifier_value: String,
}

/// The user is signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::CompletedBlock)]
pub(super) struct CompletedBlock {
    block_type: &'static str,
    short_session: String,
    session_token: String,
    /// Only for callers that do not keep our cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    long_session: Option<String>,
    /// The same by its newer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// Not for process/complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    passkey_operation: Option<PasskeyOperation>,
}

/// How the user has signed in, for the client to offer it again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::PasskeyOperation)]
pub(super) struct PasskeyOperation {
    operation_type: &'static str,
    identifier_value: String,
    identifier_type: &'static str,
    /// `local`, `cda` (on another device) or `security-key`.
    ceremony_type: &'static str,
    aaguid_details: AaguidDetails,
}

impl BlockBody {
    fn new(block: &'static str, data: BlockData) -> Self {
        Self { block, auth_type: "login", data, alternatives: [] }
    }

    pub(super) fn login_init(options: &RequestOptions) -> Self {
        let data = LoginInitBlock {
            block_type: "generalBlockLoginInit",
            conditional_ui_challenge: wrapped(options),
            identifier_value: String::new(),
            is_phone: false,
            is_phone_available: false,
            is_email_available: true,
            is_username_available: false,
            social_data: SocialData { providers: [], status: "initial" },
        };
        Self::new("login-init", BlockData::LoginInit(data))
    }

    pub(super) fn passkey_verify(options: &RequestOptions, identifier: &str) -> Self {
        let data = PasskeyVerifyBlock {
            block_type: "generalBlockPasskeyVerify",
            challenge: wrapped(options),
            identifier_value: identifier.to_owned(),
        };
        Self::new("passkey-verify", BlockData::PasskeyVerify(data))
    }

    pub(super) fn completed(data: CompletedBlock) -> Self {
        Self::new("completed", BlockData::Completed(Box::new(data)))
    }
}

impl CompletedBlock {
    pub(super) fn new(token: String, refresh_token: Option<String>) -> Self {
        Self {
            block_type: "generalBlockCompleted",
            short_session: token.clone(),
            session_token: token,
            long_session: refresh_token.clone(),
            refresh_token,
            passkey_operation: None,
        }
    }

    pub(super) fn with(self, operation: PasskeyOperation) -> Self {
        Self { passkey_operation: Some(operation), ..self }
    }
}

impl PasskeyOperation {
    /// `answer` is what the browser said, `credential` the passkey that was shown.
    pub(super) fn new(answer: &Value, credential: &Credential, user: &User) -> Self {
        Self {
            operation_type: "verify",
            identifier_value: user.email.to_string(),
            identifier_type: "email",
            ceremony_type: match attachment(answer).as_deref() {
                Some("cross-platform") if credential.transports.contains(&Transport::Hybrid) => "cda",
                Some("cross-platform") => "security-key",
                Some(_) | None => "local",
            },
            aaguid_details: AaguidDetails::from(credential),
        }
    }
}

/// How the browser says that it reached the authenticator.
fn attachment(answer: &Value) -> Option<String> {
    let read = match answer {
        Value::String(text) => serde_json::from_str(text).ok()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            answer.clone()
        }
    };
    Some(read.get("authenticatorAttachment")?.as_str()?.to_owned())
}

fn wrapped(options: &RequestOptions) -> String {
    json!({ "publicKey": options.0 }).to_string()
}

/// Body of login/init.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::LoginInit)]
pub(super) struct LoginInit {
    /// An e-mail address. The answer does not tell whether an account has it.
    pub(super) identifier_value: String,
    #[serde(default)]
    pub(super) is_phone: bool,
}

/// Body of passkey/login/finish and passkey/mediation/finish.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::SignedChallenge)]
pub(super) struct SignedChallenge {
    /// An `AuthenticationResponseJSON` (WebAuthn Level 3, section 5.1) as a text.
    #[schema(value_type = String)]
    pub(super) signed_challenge: Value,
}

/// Body of events.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::EventCreate)]
pub(super) struct EventCreate {
    #[expect(dead_code, reason = "nothing is made of it")]
    pub(super) event_type: String,
    #[expect(dead_code, reason = "nothing is made of it")]
    pub(super) challenge: Option<String>,
}
