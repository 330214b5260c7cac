//! Access tokens: a session as a short JWT, for front ends that look inside.
//!
//! Signed with the key of assertions, so that one key set serves both, and told apart from them by
//! type (RFC 9068, section 2.1) and audience: an assertion is for an application, an access token
//! for our own endpoints. The token decides nothing: the session index decides at every use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Session;
use crate::domain::assertion::{AssertionSigner, Purpose};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// How long an access token is good for. Its session may end sooner, and with it the token.
pub const ACCESS_LIFETIME: Duration = Duration::from_mins(15);

/// The claims, by the names of RFC 7519, `OpenID Connect`, and Corbado's session token.
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

/// The session and user that a valid access token points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReference {
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
pub fn is_access_token(token: &str) -> bool {
    token.contains('.')
}

/// Checks signature, type, audience and time. The index decides whether the session lives.
pub fn verify(
    signer: &AssertionSigner,
    issuer: &str,
    text: &str,
    now: Timestamp,
) -> Option<SessionReference> {
    let claims: Claims = signer.read(Purpose::Access, text, now)?;
    let ours = claims.iss == issuer && claims.aud == issuer;
    let seconds = now.as_seconds();
    if !ours || seconds < claims.nbf || claims.exp <= seconds {
        return None;
    }
    Some(SessionReference {
        session: SessionId::parse(&claims.sid).ok()?,
        user: UserId::parse(&claims.sub).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::assertion::AssertionKeys;
    use crate::domain::session::Scope;
    use crate::domain::user::{Email, Username};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const HERE: &str = "https://auth.example.com";

    fn signer() -> AssertionSigner {
        AssertionKeys::generate(&[1; 32]).unwrap().open().unwrap()
    }

    fn user() -> User {
        let (username, email) = (Username::parse("zoe").unwrap(), Email::parse("zoe@example.com").unwrap());
        User::hypothetical(username, email, [].into()).unwrap()
    }

    fn session(expires_at: Timestamp) -> Session {
        Session {
            id: SessionId([1; 16]),
            user: user().id,
            scope: Scope::Full,
            credential: None,
            created_at: NOW,
            authenticated_at: Some(NOW),
            fresh_since: None,
            by_mailed_code: false,
            stepped_up_at: None,
            step_up: None,
            last_seen_at: NOW,
            expires_at,
            client: None,
            user_agent: None,
        }
    }

    #[test]
    fn an_access_token_points_at_its_session_until_one_of_them_ends() {
        let second = Duration::from_secs(1);
        for (session_lives, token_lives) in
            [(Duration::from_hours(1), ACCESS_LIFETIME), (Duration::from_mins(5), Duration::from_mins(5))]
        {
            let session = session(NOW.plus(session_lives));
            let text = sign(&signer(), HERE, &user(), &session, [9; 16], NOW).unwrap();
            assert!(is_access_token(&text) && !is_access_token("c2Vzc2lvbg"));
            let pointer = Some(SessionReference { session: session.id, user: user().id });
            let end = NOW.plus(token_lives);
            for (now, read) in [
                (NOW.minus(second), None),
                (NOW, pointer.clone()),
                (end.minus(second), pointer.clone()),
                (end, None),
                (end.plus(second), None),
            ] {
                assert_eq!(verify(&signer(), HERE, &text, now), read, "{now}");
            }
        }
    }

    #[test]
    fn an_access_token_is_for_the_place_that_made_it() {
        let signed = |iss: &str, aud: &str| {
            let claims = serde_json::json!({
                "iss": iss, "aud": aud, "sub": user().id.to_string(), "sid": SessionId([1; 16]).to_string(),
                "jti": "", "iat": 1_790_000_000, "nbf": 1_790_000_000, "exp": 1_790_000_060, "name": "",
                "email": "", "phone_number": "", "orig": "", "version": 2,
            });
            verify(&signer(), HERE, &signer().sign_as(Purpose::Access, &claims).unwrap(), NOW).is_some()
        };
        assert!(signed(HERE, HERE));
        assert!(!signed("https://other.example.com", HERE));
        assert!(!signed(HERE, "https://other.example.com"));
    }
}
