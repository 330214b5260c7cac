//! Our account with the authority (RFC 8555, section 7.3): one account for each directory, made
//! when it is first needed and kept in the store.

use std::sync::Arc;

use instant_acme::{Account, AccountBuilder, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Authority, CertificateStore, blocking};
use crate::domain::user::Email;

/// How many bytes of a directory's digest are in the name of its account.
const NAMED_BY_BYTES: usize = 8;

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    email: Option<String>,
    credentials: AccountCredentials,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error("the account with the authority cannot be kept: {0}")]
    CertificateStore(#[from] std::io::Error),
    #[error("the account with the authority is not readable: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("no account with {directory}: {source}")]
    Authority { directory: String, source: Error },
}

/// Opens the account that is kept, or makes one.
pub(super) async fn open(
    authority: &Authority,
    store: &Arc<dyn CertificateStore>,
) -> Result<Account, AccountError> {
    let failed = |source| AccountError::Authority { directory: authority.directory.clone(), source };
    let (name, from) = (file_of(authority), Arc::clone(store));
    let Some(content) = blocking(move || from.read(&name)).await? else {
        return make(authority, store).await;
    };
    let Kept { email, credentials } = serde_json::from_slice(&content)?;
    let account = builder(authority).map_err(failed)?.from_credentials(credentials).await.map_err(failed)?;
    if email.as_deref() != authority.email.as_ref().map(Email::as_str) {
        let contact = contact(authority);
        account
            .update_contacts(&contact.iter().map(String::as_str).collect::<Vec<_>>())
            .await
            .map_err(failed)?;
        let Kept { credentials, .. } = serde_json::from_slice(&content)?;
        keep(authority, store, credentials).await?;
    }
    Ok(account)
}

/// Makes an account and keeps it. An account that the authority has forgotten is replaced.
pub(super) async fn make(
    authority: &Authority,
    store: &Arc<dyn CertificateStore>,
) -> Result<Account, AccountError> {
    let failed = |source| AccountError::Authority { directory: authority.directory.clone(), source };
    let contact = contact(authority);
    let contact: Vec<_> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = authority
        .external_account
        .as_ref()
        .map(|external| ExternalAccountKey::new(external.key_id.clone(), &external.hmac_key));
    let created =
        builder(authority).map_err(failed)?.create(&new, authority.directory.clone(), external.as_ref());
    let (account, credentials) = created.await.map_err(failed)?;
    keep(authority, store, credentials).await?;
    tracing::info!(directory = %authority.directory, account = account.id(), "an account with the certificate authority was made");
    Ok(account)
}

async fn keep(
    authority: &Authority,
    store: &Arc<dyn CertificateStore>,
    credentials: AccountCredentials,
) -> Result<(), AccountError> {
    let kept =
        serde_json::to_vec(&Kept { email: authority.email.as_ref().map(ToString::to_string), credentials })?;
    let (name, store) = (file_of(authority), Arc::clone(store));
    Ok(blocking(move || store.write(&name, &kept)).await?)
}

/// Whether the authority does not know the account (any more).
pub(super) fn is_forgotten(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist"))
}

fn file_of(authority: &Authority) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(authority.directory.as_bytes());
    let mut name = "account-".to_owned();
    for byte in digest.iter().take(NAMED_BY_BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".json"
}

fn contact(authority: &Authority) -> Option<String> {
    authority.email.as_ref().map(|email| format!("mailto:{email}"))
}

/// Whether the roots of an authority, where it has some of its own, can be read.
pub fn check_roots(authority: &Authority) -> Result<(), String> {
    let Some(file) = &authority.ca_file else { return Ok(()) };
    builder(authority).map(drop).map_err(|error| format!("{} cannot be used: {error}", file.display()))
}

fn builder(authority: &Authority) -> Result<AccountBuilder, Error> {
    match &authority.ca_file {
        Some(file) => Account::builder_with_root(file),
        None => Account::builder(),
    }
}
