//! The relying party: our name towards authenticators, and the options that begin a ceremony.
//!
//! What always holds: origins are an exact list of texts, each of which a browser could send; the
//! first is inside the RP ID's domain, and origins outside of it are related origins (WebAuthn
//! Level 3, section 5.11), which browsers accept only if the RP ID's own host lists them. Options
//! ask for a discoverable credential and for user verification, and for no attestation.
//!
//! What does not live here: judging answers (`registration.rs`, `authentication.rs`).

use serde_json::{Map, Value, json};
use url::Url;
use webauthn_rs::prelude::{Webauthn, WebauthnBuilder, WebauthnError};

use super::registration::PendingRegistration;
use super::{CEREMONY_LIFETIME, CreationOptions, PendingAuthentication, RequestOptions};
use crate::domain::credential::Credential;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// Why these settings make no relying party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRelyingParty {
    #[error("a relying party needs at least one origin")]
    NoOrigin,
    /// Browsers write origins in one way, and we compare text.
    #[error(
        "{0:?} is not an origin: write scheme://host or scheme://host:port, lower case, nothing after it"
    )]
    NotAnOrigin(String),
    #[error("browsers offer passkeys over https only, or over http on localhost: {0:?}")]
    Insecure(String),
    #[error("the origin {origin:?} is not within the RP ID {id:?}")]
    OutsideId { origin: String, id: String },
}

/// Options could not be made. The fault is ours, not the browser's.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    #[error("the ceremony library refused to begin")]
    Library(#[from] WebauthnError),
    #[error("the options cannot be written as JSON")]
    Options(#[from] serde_json::Error),
}

/// The relying party, which asks for passkeys.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    pub(super) library: Webauthn,
    id: String,
    name: String,
    origins: Vec<String>,
}

impl RelyingParty {
    /// `id` is a domain; the first of `origins` lies in it, such as `https://auth.example.com` or
    /// `http://localhost:8080`.
    pub fn new(id: &str, name: &str, origins: &[String]) -> Result<Self, BadRelyingParty> {
        let mut urls = origins.iter().map(|origin| parse_origin(origin));
        let first = urls.next().ok_or(BadRelyingParty::NoOrigin)??;
        must_be_within(id, &first)?;
        let outside = |_| BadRelyingParty::OutsideId { origin: first.to_string(), id: id.to_owned() };
        let mut builder =
            WebauthnBuilder::new(id, &first).map_err(outside)?.rp_name(name).timeout(CEREMONY_LIFETIME);
        for url in urls {
            builder = builder.append_allowed_origin(&url?);
        }
        let library = builder.build().map_err(outside)?;
        Ok(Self { library, id: id.to_owned(), name: name.to_owned(), origins: origins.to_vec() })
    }

    /// The RP ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every origin an answer may come from.
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Begins the registration of another, or the first, credential of `user`.
    ///
    /// `existing` keeps browsers from making a second credential on the same authenticator. It is
    /// not part of the pending state: the store decides, when it writes the credential, whether the
    /// id is new among all users.
    pub fn begin_registration(
        &self,
        user: &User,
        existing: &[Credential],
        now: Timestamp,
    ) -> Result<(CreationOptions, PendingRegistration), CannotBegin> {
        let (challenge, state) = self.library.start_passkey_registration(
            user.id.0,
            user.email.as_str(),
            user.display_name.as_str(),
            None,
        )?;
        let mut options = serde_json::to_value(challenge.public_key)?;
        if let Some(members) = options.as_object_mut() {
            members.insert("authenticatorSelection".to_owned(), authenticator_selection());
            let exclude = existing.iter().map(descriptor).collect();
            members.insert("excludeCredentials".to_owned(), Value::Array(exclude));
            drop_uvm(members);
        }
        Ok((CreationOptions(options), PendingRegistration::new(user.id, now, state)))
    }

    /// Begins a sign-in with whichever discoverable credential the person chooses. No credential
    /// is named, so the options tell an anonymous client nothing about who has an account.
    ///
    /// With `expected_user`, only that person's credential is accepted: for a step-up, and for a
    /// sign-in that began with an e-mail address.
    pub fn begin_authentication(
        &self,
        expected_user: Option<UserId>,
        now: Timestamp,
    ) -> Result<(RequestOptions, PendingAuthentication), CannotBegin> {
        let (challenge, state) = self.library.start_discoverable_authentication()?;
        // The library's `mediation` is left out, because the page decides how it asks.
        let mut options = serde_json::to_value(challenge.public_key)?;
        if let Some(members) = options.as_object_mut() {
            members.remove("allowCredentials");
            drop_uvm(members);
        }
        Ok((RequestOptions(options), PendingAuthentication::new(expected_user, now, state)))
    }
}

/// Reads an origin and refuses every text that a browser would have written otherwise.
fn parse_origin(origin: &str) -> Result<Url, BadRelyingParty> {
    let not_an_origin = || BadRelyingParty::NotAnOrigin(origin.to_owned());
    let url = Url::parse(origin).map_err(|_| not_an_origin())?;
    let host = url.domain().ok_or_else(not_an_origin)?;
    if url.origin().ascii_serialization() != origin || host.ends_with('.') {
        return Err(not_an_origin());
    }
    let is_local = host == "localhost" || host.ends_with(".localhost");
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
        return Err(BadRelyingParty::Insecure(origin.to_owned()));
    }
    Ok(url)
}

fn must_be_within(id: &str, origin: &Url) -> Result<(), BadRelyingParty> {
    let host = origin.domain().unwrap_or("");
    let is_within = host == id || host.strip_suffix(id).is_some_and(|labels| labels.ends_with('.'));
    if !is_within || id.is_empty() {
        let origin = origin.origin().ascii_serialization();
        return Err(BadRelyingParty::OutsideId { origin, id: id.to_owned() });
    }
    Ok(())
}

/// The library discourages discoverable credentials; without them no user could sign in.
fn authenticator_selection() -> Value {
    json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" })
}

/// A credential as options name it (`PublicKeyCredentialDescriptorJSON`).
pub fn descriptor(credential: &Credential) -> Value {
    let mut descriptor = json!({ "type": "public-key", "id": credential.id.to_string() });
    // An empty list would say that no transport works.
    if let (Some(members), false) = (descriptor.as_object_mut(), credential.transports.is_empty()) {
        let transports: Vec<_> = credential.transports.iter().map(|transport| transport.as_str()).collect();
        members.insert("transports".to_owned(), json!(transports));
    }
    descriptor
}

/// `uvm` left the standard with Level 3, and nothing here reads its output.
fn drop_uvm(options: &mut Map<String, Value>) {
    if let Some(extensions) = options.get_mut("extensions").and_then(Value::as_object_mut) {
        extensions.remove("uvm");
        if extensions.is_empty() {
            options.remove("extensions");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The library checks this as well; the rule holds without it.
    #[test]
    fn an_origin_is_within_the_id_or_a_domain_below_it() {
        let origin = Url::parse("https://auth.example.com").unwrap();
        for (id, within) in [
            ("auth.example.com", true),
            ("example.com", true),
            ("com", true),
            ("xample.com", false),
            ("login.auth.example.com", false),
            ("", false),
        ] {
            assert_eq!(must_be_within(id, &origin).is_ok(), within, "{id}");
        }
    }
}
