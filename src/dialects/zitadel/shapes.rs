//! The bodies of the passwordless methods: messages of `zitadel.auth.v1` in proto3's JSON form.
//!
//! Members may be named as in JSON or as in the proto file, `null` is as good as absent, and
//! unknown ones are ignored. Empty members are not written.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::proto_json::{duration, sequence};
use crate::dialects::failures::failures;
use crate::domain::credential::Credential;
use crate::domain::invitation::Invitation;
use crate::domain::time::Timestamp;
use crate::flows::Gateway;

const ERROR_DETAIL: &str = "type.googleapis.com/zitadel.v1.ErrorDetail";

/// The codes of `google.rpc.Code` that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A failure: `google.rpc.Status`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::Failure)]
pub(super) struct Failure {
    /// A number of `google.rpc.Code`.
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    details: Vec<ErrorDetail>,
}

/// More about a failure: `zitadel.v1.ErrorDetail`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::ErrorDetail)]
pub(super) struct ErrorDetail {
    #[serde(rename = "@type")]
    kind: &'static str,
    /// A stable word for programs, the same as the native API's `code`.
    id: &'static str,
    /// A sentence for people.
    message: String,
}

impl Failure {
    /// With a code and a message only.
    pub(super) fn plain(code: Code, message: &str) -> Self {
        Self { code: code as i32, message: message.to_owned(), details: Vec::new() }
    }

    /// With a detail, and its id at the end of the message.
    pub(super) fn detailed(code: Code, id: &'static str, message: &str) -> Self {
        let detail = ErrorDetail { kind: ERROR_DETAIL, id, message: message.to_owned() };
        Self { code: code as i32, message: format!("{message} ({id})"), details: vec![detail] }
    }
}

failures! {
    /// Failures of every method.
    Failures {
        Failure as "application/json":
            400 "The request cannot be read, or the passkey was not accepted (3); the attempt is not \
                 under way, or the request cannot be fulfilled at present (9).",
            401 "No user is signed in (16).",
            403 "The request came from another site, or needs a fresh passkey (7).",
            404 "No such passkey (5).",
            409 "The passkey is registered already (6).",
            413 "The body is too large (8).",
            415 "The body is not JSON (3).",
            429 "Too many attempts (8); `Retry-After` says when to come back.",
            500 "Something failed here (13).",
            503 "The gateway cannot store changes or send messages at the moment (14).",
    }
}

/// What happened to an object, and when: `zitadel.v1.ObjectDetails`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = zitadel::Details)]
pub(super) struct Details {
    /// A 64-bit number that grows with every change.
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    creation_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    change_date: Option<String>,
    /// The organisation that it belongs to: the RP ID of this installation.
    resource_owner: String,
}

impl Details {
    /// Something that was made.
    pub(super) fn created(gateway: &Gateway, at: Timestamp) -> Self {
        Self { creation_date: Some(at.to_rfc3339()), ..Self::of(gateway, at) }
    }

    /// Something that was changed or removed.
    pub(super) fn changed(gateway: &Gateway, at: Timestamp) -> Self {
        Self { change_date: Some(at.to_rfc3339()), ..Self::of(gateway, at) }
    }

    /// Something that was made, and is at the same time a change of its owner.
    pub(super) fn begun(gateway: &Gateway, at: Timestamp) -> Self {
        Self { creation_date: Some(at.to_rfc3339()), ..Self::changed(gateway, at) }
    }

    fn of(gateway: &Gateway, at: Timestamp) -> Self {
        let resource_owner = gateway.ground.relying_party().id().to_owned();
        Self { sequence: sequence(at), creation_date: None, change_date: None, resource_owner }
    }
}

/// A request without members.
#[derive(ToSchema)]
#[schema(as = zitadel::Nothing)]
pub(super) struct Nothing {}

/// `AddMyPasswordlessResponse`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::AddResponse)]
pub(super) struct AddResponse {
    pub(super) key: Key,
    pub(super) details: Details,
}

/// `WebAuthNKey`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = zitadel::Key)]
pub(super) struct Key {
    /// Base64 of `{"publicKey": {...}}`, for `navigator.credentials.create`, in the JSON form of
    /// WebAuthn Level 3.
    pub(super) public_key: String,
}

/// `VerifyMyPasswordlessRequest`.
#[derive(Deserialize, ToSchema)]
#[schema(as = zitadel::VerifyRequest)]
pub(super) struct VerifyRequest {
    #[schema(required, nullable = false)]
    pub(super) verification: Option<Verification>,
}

/// `WebAuthNVerification`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = zitadel::Verification)]
pub(super) struct Verification {
    /// Base64 of a `RegistrationResponseJSON` (WebAuthn Level 3, section 5.1), in either alphabet;
    /// or the object itself. At least 55 bytes.
    #[serde(alias = "public_key_credential")]
    #[schema(required, value_type = Value)]
    pub(super) public_key_credential: Option<Value>,
    /// The name of the passkey: 1 to 200 characters.
    #[serde(alias = "token_name")]
    #[schema(required, nullable = false, min_length = 1, max_length = 200)]
    pub(super) token_name: Option<String>,
}

/// An answer with the moment of the change only.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::Done)]
pub(super) struct Done {
    pub(super) details: Details,
}

/// `ListMyPasswordlessResponse`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::ListResponse)]
pub(super) struct ListResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    result: Vec<Token>,
}

/// `WebAuthNToken`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::Token)]
struct Token {
    /// A 63-bit number.
    id: String,
    state: State,
    name: String,
}

/// `AuthFactorState`, as far as it occurs: a passkey is listed when it can be used.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::State)]
enum State {
    #[serde(rename = "AUTH_FACTOR_STATE_READY")]
    Ready,
}

impl ListResponse {
    pub(super) fn new(credentials: &[Credential]) -> Self {
        Self { result: credentials.iter().map(Token::from).collect() }
    }
}

impl From<&Credential> for Token {
    fn from(credential: &Credential) -> Self {
        Self { id: token_id(credential), state: State::Ready, name: credential.name.as_str().to_owned() }
    }
}

/// The id of a passkey in addresses.
pub(super) fn token_id(credential: &Credential) -> String {
    credential.number().to_string()
}

/// `AddMyPasswordlessLinkResponse`.
#[derive(Serialize, ToSchema)]
#[schema(as = zitadel::LinkResponse)]
pub(super) struct LinkResponse {
    details: Details,
    /// Opens a page of ours that adds a passkey to the caller's account. It works once.
    link: String,
    /// How long it works, in seconds: `3600s`.
    expiration: String,
}

impl LinkResponse {
    pub(super) fn new(gateway: &Gateway, invitation: &Invitation, link: String) -> Self {
        Self {
            details: Details::created(gateway, invitation.created_at),
            link,
            expiration: duration(invitation.expires_at.since(invitation.created_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn read(message: Value) -> (Option<Value>, Option<String>) {
        let asked: VerifyRequest = serde_json::from_value(message).unwrap();
        let verification = asked.verification.unwrap();
        (verification.public_key_credential, verification.token_name)
    }

    #[test]
    fn reads_camel_and_snake_case_and_treats_null_as_absent() {
        let both = (Some(json!("AAAA")), Some("Phone".to_owned()));
        let in_json = json!({ "publicKeyCredential": "AAAA", "tokenName": "Phone" });
        let in_proto = json!({ "public_key_credential": "AAAA", "token_name": "Phone" });
        assert_eq!(read(json!({ "verification": in_json, "unknown": [1] })), both);
        assert_eq!(read(json!({ "verification": in_proto })), both);
        assert_eq!(read(json!({ "verification": { "tokenName": null, "other": {} } })), (None, None));
        for nothing in [json!({ "verification": null }), json!({})] {
            assert!(serde_json::from_value::<VerifyRequest>(nothing).unwrap().verification.is_none());
        }
        let twice = json!({ "verification": { "tokenName": "a", "token_name": "b" } });
        assert!(serde_json::from_value::<VerifyRequest>(twice).is_err());
    }

    #[test]
    fn omits_empty_members() {
        assert_eq!(serde_json::to_value(ListResponse::new(&[])).unwrap(), json!({}));
        let failure = Failure::plain(Code::NotFound, "Not Found");
        assert_eq!(serde_json::to_value(failure).unwrap(), json!({ "code": 5, "message": "Not Found" }));
    }

    #[test]
    fn failure_repeats_the_detail_in_the_message() {
        let failure = Failure::detailed(Code::InvalidArgument, "malformed_request", "Too short.");
        let detail = json!({ "@type": ERROR_DETAIL, "id": "malformed_request", "message": "Too short." });
        let expected = json!({ "code": 3, "message": "Too short. (malformed_request)", "details": [detail] });
        assert_eq!(serde_json::to_value(failure).unwrap(), expected);
    }
}
