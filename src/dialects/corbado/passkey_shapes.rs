//! The bodies of Corbado's API about passkeys. No member of a passkey is ever left out, because the
//! client reads all of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::credential::{Backup, Credential, Transport};
use crate::domain::time::Timestamp;

/// A front end's description of its browser, as far as it is used here; other members are ignored.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ClientInformation)]
pub(super) struct ClientInformation {
    /// An earlier `newClientEnvHandle`.
    pub(super) client_env_handle: Option<String>,
    is_user_verifying_platform_authenticator_available: Option<bool>,
    client_capabilities: Option<ClientCapabilities>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::ClientCapabilities)]
struct ClientCapabilities {
    hybrid_transport: Option<bool>,
    user_verifying_platform_authenticator: Option<bool>,
}

impl ClientInformation {
    /// Whether the browser says that there is neither an authenticator in the device nor a way to one
    /// elsewhere. A missing member does not count as no.
    pub(super) fn cannot_use_passkeys(&self) -> bool {
        let said = self.client_capabilities.as_ref();
        let built_in = [
            self.is_user_verifying_platform_authenticator_available,
            said.and_then(|said| said.user_verifying_platform_authenticator),
        ];
        let hybrid = said.and_then(|said| said.hybrid_transport);
        hybrid == Some(false) && built_in.contains(&Some(false)) && !built_in.contains(&Some(true))
    }
}

/// Body of append/start.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::AppendStart)]
pub(super) struct AppendStart {
    #[serde(default)]
    pub(super) client_information: ClientInformation,
}

/// Options for a new passkey, or why there are none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::AppendStarted)]
pub(super) struct AppendStarted {
    /// JSON as a text: `publicKey`, for `navigator.credentials.create`. Empty if there is a reason
    /// not to.
    attestation_options: String,
    /// The client keeps it, and sends it as `clientEnvHandle` from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    new_client_env_handle: Option<String>,
    /// `passkey_already_exists` or `passkeys_not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    append_not_allowed_reason: Option<&'static str>,
}

impl AppendStarted {
    pub(super) fn with(attestation_options: String, new_client_env_handle: Option<String>) -> Self {
        Self { attestation_options, new_client_env_handle, append_not_allowed_reason: None }
    }

    pub(super) fn not(reason: &'static str) -> Self {
        Self {
            attestation_options: String::new(),
            new_client_env_handle: None,
            append_not_allowed_reason: Some(reason),
        }
    }
}

/// Body of append/finish.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::AppendFinish)]
pub(super) struct AppendFinish {
    /// A `RegistrationResponseJSON` (WebAuthn Level 3, section 5.1) as a text.
    #[schema(value_type = String)]
    pub(super) attestation_response: Value,
}

#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Passkeys)]
pub(super) struct Passkeys {
    passkeys: Vec<Passkey>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Paging)]
struct Paging {
    page: usize,
    total_pages: usize,
    total_items: usize,
}

impl Passkeys {
    /// All passkeys are on one page, because their number is limited.
    pub(super) fn new(credentials: &[Credential]) -> Self {
        let paging = Paging { page: 1, total_pages: 1, total_items: credentials.len() };
        Self { passkeys: credentials.iter().map(Passkey::from).collect(), paging }
    }
}

/// A passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::Passkey)]
struct Passkey {
    id: String,
    /// The credential id in base64url.
    #[serde(rename = "credentialID")]
    credential_id: String,
    attestation_type: &'static str,
    transport: Vec<&'static str>,
    backup_eligible: bool,
    backup_state: bool,
    #[serde(rename = "authenticatorAAGUID")]
    authenticator_aaguid: String,
    aaguid_details: AaguidDetails,
    #[serde(rename = "sourceOS")]
    source_os: String,
    source_browser: String,
    /// In UTC, without a zone; empty if never.
    last_used: String,
    last_used_ms: i64,
    /// In UTC, without a zone.
    created: String,
    created_ms: i64,
    status: &'static str,
    tags: [String; 0],
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = corbado::AaguidDetails)]
pub(super) struct AaguidDetails {
    /// The name that its owner chose; at first, the name of its authenticator.
    name: String,
    icon_light: &'static str,
    icon_dark: &'static str,
}

impl From<&Credential> for AaguidDetails {
    fn from(credential: &Credential) -> Self {
        Self { name: credential.name.as_str().to_owned(), icon_light: "", icon_dark: "" }
    }
}

impl From<&Credential> for Passkey {
    fn from(credential: &Credential) -> Self {
        let used = credential.last_used_at;
        Self {
            id: passkey_id(credential),
            credential_id: credential.id.to_string(),
            attestation_type: "none",
            transport: credential.transports.iter().copied().map(Transport::as_str).collect(),
            backup_eligible: credential.backup != Backup::DeviceBound,
            backup_state: credential.backup == Backup::BackedUp,
            authenticator_aaguid: credential.aaguid.to_string(),
            aaguid_details: AaguidDetails::from(credential),
            source_os: credential.made_with.system.clone(),
            source_browser: credential.made_with.browser.clone(),
            last_used: used.map(without_zone).unwrap_or_default(),
            last_used_ms: used.map_or(0, Timestamp::as_millis),
            created: without_zone(credential.created_at),
            created_ms: credential.created_at.as_millis(),
            status: "active",
            tags: [],
        }
    }
}

/// The id of a passkey in this API.
pub(super) fn passkey_id(credential: &Credential) -> String {
    format!("cre-{}", credential.reference())
}

/// `2026-09-21T14:13:20`: the date and time of RFC 3339 without fraction and zone.
fn without_zone(moment: Timestamp) -> String {
    let text = moment.to_rfc3339();
    text.split_once('.').map_or(text.clone(), |(head, _)| head.to_owned())
}

/// A passkey that was removed.
#[derive(Serialize, ToSchema)]
#[schema(as = corbado::Removed)]
pub(super) struct Removed {
    pub(super) id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_timestamps_without_fraction_or_zone() {
        let moment = Timestamp::from_millis(1_790_000_000_120);
        assert_eq!(without_zone(moment), "2026-09-21T14:13:20");
    }

    #[test]
    fn refuses_only_when_both_capabilities_are_denied() {
        for (said, cannot) in [
            (r"{}", false),
            (r#"{"isUserVerifyingPlatformAuthenticatorAvailable":false}"#, false),
            (r#"{"clientCapabilities":{"hybridTransport":false}}"#, false),
            (
                r#"{"isUserVerifyingPlatformAuthenticatorAvailable":false,"clientCapabilities":{"hybridTransport":true}}"#,
                false,
            ),
            (
                r#"{"isUserVerifyingPlatformAuthenticatorAvailable":true,"clientCapabilities":{"hybridTransport":false,"userVerifyingPlatformAuthenticator":false}}"#,
                false,
            ),
            (
                r#"{"isUserVerifyingPlatformAuthenticatorAvailable":false,"clientCapabilities":{"hybridTransport":false}}"#,
                true,
            ),
        ] {
            let client: ClientInformation = serde_json::from_str(said).unwrap();
            assert_eq!(client.cannot_use_passkeys(), cannot, "{said}");
        }
    }
}
