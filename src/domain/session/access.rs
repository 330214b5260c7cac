//! Access tokens: a session as a short JWT, for front ends that look inside.
//!
//! Signed with the key of assertions, so that one key set serves both, and told apart from them by
//! type (RFC 9068, section 2.1) and audience: an assertion is for an application, an access token for
//! our own endpoints. It decides nothing: the session index does, at every use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Session;
use crate::domain::assertion::{AssertionSigner, Purpose};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// How long one is good for. Its session may end sooner, and with it the token.
pub const ACCESS_LIFETIME: Duration = Duration::from_mins(15);

/// What it says, in the names of RFC 7519, `OpenID Connect`, and Corbado's session token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    auth_time: Option<i64>,
    name: String,
    email: String,
    phone_number: String,
    /// The address that the person is known by.
    orig: String,
    /// The version of this set of claims.
    version: u32,
}

/// What a valid access token points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub session: SessionId,
    pub user: UserId,
}

/// The access token of a session, named by `id`. `None` only if the signing library fails.
pub fn sign(
    signer: &AssertionSigner,
    issuer: &str,
    user: &User,
    session: &Session,
    id: [u8; 16],
    now: Timestamp,
) -> Option<String> {
    let claims = Claims {
        iss: issuer.to_owned(),
        aud: issuer.to_owned(),
        sub: user.id.to_string(),
        sid: session.id.to_string(),
        jti: SessionId(id).to_string(),
        iat: now.as_seconds(),
        nbf: now.as_seconds(),
        exp: now.plus(ACCESS_LIFETIME).min(session.expires_at).as_seconds(),
        auth_time: session.authenticated_at.map(Timestamp::as_seconds),
        name: user.display_name.to_string(),
        email: user.email.to_string(),
        phone_number: String::new(),
        orig: user.email.to_string(),
        version: 2,
    };
    signer.sign_as(Purpose::Access, &claims)
}

/// Whether a bearer token can only be an access token: a JWT has dots, and base64url has none.
pub fn is_one(token: &str) -> bool {
    token.contains('.')
}

/// Checks signature, type, audience and time. Whether the session lives is for the index to say.
pub fn verify(signer: &AssertionSigner, issuer: &str, text: &str, now: Timestamp) -> Option<Pointer> {
    let claims: Claims = signer.read(Purpose::Access, text, now)?;
    let ours = claims.iss == issuer && claims.aud == issuer;
    let seconds = now.as_seconds();
    if !ours || seconds < claims.nbf || claims.exp <= seconds {
        return None;
    }
    Some(Pointer { session: SessionId::parse(&claims.sid).ok()?, user: UserId::parse(&claims.sub).ok()? })
}
