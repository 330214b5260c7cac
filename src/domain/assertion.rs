//! The signed statement that goes with every forwarded request: who this is, for which route.
//!
//! `X-Vestibule-Assertion` is a JWT (RFC 7519) signed with ES256 (RFC 7518, section 3.4), five
//! minutes long, whose keys are published as a JWK set. An application that checks it need not
//! trust the network between us.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::EncodePrivateKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::code::CodeKey;
use super::id::AccessTokenId;
use super::sealed::SealingKey;
use super::session::Session;
use super::time::Timestamp;
use super::user::User;

/// How long an assertion is good for.
pub const ASSERTION_LIFETIME: Duration = Duration::from_mins(5);
/// When a cached assertion is replaced: an application always gets an assertion that lasts a while.
pub const ASSERTION_RENEWAL: Duration = Duration::from_mins(4);

/// The longest JWT that is looked at.
const JWT_CHARS_MAX: usize = 4_096;

/// How long a replaced key is still published, and its signatures still accepted: longer than these
/// signatures are valid, and than applications keep the key set.
pub const EARLIER_KEY_LIFETIME: Duration = Duration::from_hours(24);

/// The key that signs assertions, and those before it, as they are kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct AssertionKeys {
    /// P-256 scalar, base64url.
    private: Zeroizing<String>,
    /// Keys that have been replaced a short time ago.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier>,
    /// The key from which keys for other purposes are derived, once it no longer signs: the derived
    /// keys outlive a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Zeroizing<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Earlier {
    private: Zeroizing<String>,
    replaced_at: Timestamp,
}

impl fmt::Debug for AssertionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssertionKeys(..)")
    }
}

/// The stored key is not a P-256 private key.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the assertion key is not a P-256 private key")]
pub struct BadKey;

impl AssertionKeys {
    /// Makes a key from 32 random bytes. One draw in 2^32 is not a valid scalar: draw again.
    pub fn generate(random: &[u8; 32]) -> Result<Self, BadKey> {
        p256::SecretKey::from_slice(random).map_err(|_| BadKey)?;
        Ok(Self { private: Zeroizing::new(URL_SAFE_NO_PAD.encode(random)), earlier: Vec::new(), root: None })
    }

    /// The keys after `next`, which [`Self::generate`] made, has taken over. Derived keys stay the
    /// same.
    #[must_use]
    pub fn followed_by(&self, next: Self, now: Timestamp) -> Self {
        let mut earlier = self.earlier.clone();
        earlier.retain(|key| now.since(key.replaced_at) < EARLIER_KEY_LIFETIME);
        earlier.push(Earlier { private: self.private.clone(), replaced_at: now });
        let root = self.root.clone().unwrap_or_else(|| self.private.clone());
        Self { private: next.private, earlier, root: Some(root) }
    }

    /// A key for another purpose, derived from this one (RFC 5869's idea, with the scalar as key and
    /// the purpose as message). A program that has one key cannot compute the other.
    fn derived(&self, purpose: &[u8]) -> Result<[u8; 32], BadKey> {
        let root = self.root.as_ref().unwrap_or(&self.private);
        let scalar = Zeroizing::new(URL_SAFE_NO_PAD.decode(root.as_bytes()).map_err(|_| BadKey)?);
        let mut mac = Hmac::<Sha256>::new_from_slice(&scalar).map_err(|_| BadKey)?;
        mac.update(b"vestibule key for ");
        mac.update(purpose);
        Ok(mac.finalize().into_bytes().into())
    }

    /// The key of one-time codes.
    pub fn code_key(&self) -> Result<CodeKey, BadKey> {
        self.derived(b"codes").map(CodeKey)
    }

    /// The key that seals the outbox.
    pub fn outbox_key(&self) -> Result<SealingKey, BadKey> {
        self.derived(b"outbox").map(SealingKey)
    }

    /// The key that seals return targets.
    pub fn return_target_key(&self) -> Result<SealingKey, BadKey> {
        self.derived(b"ways back").map(SealingKey)
    }

    /// The signer with these keys.
    pub fn open(&self) -> Result<AssertionSigner, BadKey> {
        let (key, current) = opened(&self.private, None)?;
        let mut published = vec![current];
        for earlier in self.earlier.iter().rev() {
            let good_until = earlier.replaced_at.plus(EARLIER_KEY_LIFETIME);
            published.push(opened(&earlier.private, Some(good_until))?.1);
        }
        Ok(AssertionSigner { key, published, session_names: self.derived(b"names of sessions")? })
    }
}

fn opened(
    private: &Zeroizing<String>,
    good_until: Option<Timestamp>,
) -> Result<(EncodingKey, Published), BadKey> {
    let scalar = Zeroizing::new(URL_SAFE_NO_PAD.decode(private.as_bytes()).map_err(|_| BadKey)?);
    let secret = p256::SecretKey::from_slice(&scalar).map_err(|_| BadKey)?;
    let point = secret.public_key().to_encoded_point(false);
    let (x, y) = point.x().zip(point.y()).ok_or(BadKey)?;
    let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(point.as_bytes())).chars().take(16).collect::<String>();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    let der = secret.to_pkcs8_der().map_err(|_| BadKey)?;
    let public = DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y))
        .map_err(|_| BadKey)?;
    Ok((EncodingKey::from_ec_der(der.as_bytes()), Published { kid, public, jwk, good_until }))
}

/// Signs assertions.
pub struct AssertionSigner {
    key: EncodingKey,
    /// The public side of the key that signs, and then of those before it.
    published: Vec<Published>,
    /// The key from which the sessions' names for applications are computed.
    session_names: [u8; 32],
}

/// A public key that others check our signatures with.
struct Published {
    kid: String,
    public: DecodingKey,
    jwk: serde_json::Value,
    /// `None` for the key that signs.
    good_until: Option<Timestamp>,
}

impl Published {
    fn is_good(&self, now: Timestamp) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }
}

/// The purpose of a JWT of ours. One kind is never accepted in place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tells an application who the user is.
    Assertion,
    /// Shows a session to our own endpoints.
    Access,
}

impl Purpose {
    /// The `typ` of its header.
    const fn kind(self) -> &'static str {
        match self {
            Self::Assertion => "JWT",
            Self::Access => "at+jwt",
        }
    }
}

/// How the client showed who the user is.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    Session(&'a Session),
    /// An access token, which shows no passkey.
    Token(&'a AccessTokenId),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    email: &'a str,
    name: &'a str,
    groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// The id of the access token that was shown, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    auth_time: Option<i64>,
    amr: &'static [&'static str],
    iat: i64,
    exp: i64,
}

/// The claims of Pomerium's `X-Pomerium-Jwt-Assertion`: issuer and audience are the host that
/// browsers ask, and the user's id is there twice.
#[derive(Serialize)]
struct PomeriumClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    user: String,
    email: &'a str,
    name: &'a str,
    groups: Vec<&'a str>,
    sid: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// How the person was recognised (RFC 8176). A hardware- or software-secured key, used with user
/// presence and user verification, is two factors; a code by mail is one at most, also where a
/// passkey was added with it, because the passkey counts from the next sign-in on.
fn methods(session: &Session) -> &'static [&'static str] {
    match session.credential {
        Some(_) if !session.by_mailed_code => &["pop", "user", "mfa"],
        Some(_) | None => &["otp"],
    }
}

impl AssertionSigner {
    /// A JWT that tells the application behind `route` who the user is. `None` only if the signing
    /// library fails.
    pub fn sign(
        &self,
        issuer: &str,
        route: &str,
        user: &User,
        shown: Shown<'_>,
        now: Timestamp,
    ) -> Option<String> {
        let (session, token) = match shown {
            Shown::Session(session) => (Some(session), None),
            Shown::Token(id) => (None, Some(id)),
        };
        let claims = Claims {
            iss: issuer,
            aud: route,
            sub: user.id.to_string(),
            email: user.email.as_str(),
            name: user.display_name.as_str(),
            groups: user.groups.iter().map(super::user::Group::as_str).collect(),
            sid: session.map(|session| self.session_name(route, session)),
            token: token.map(AccessTokenId::to_string),
            auth_time: session.and_then(|it| it.authenticated_at).map(Timestamp::as_seconds),
            amr: session.map_or(&["token"], methods),
            iat: now.as_seconds(),
            exp: now.plus(ASSERTION_LIFETIME).as_seconds(),
        };
        self.sign_as(Purpose::Assertion, &claims)
    }

    /// A JWT that tells an application behind `host` who the user is, in the form of Pomerium.
    /// `None` only if the signing library fails.
    pub fn sign_as_pomerium(
        &self,
        host: &str,
        user: &User,
        shown: Shown<'_>,
        now: Timestamp,
    ) -> Option<String> {
        let sid = match shown {
            Shown::Session(session) => self.session_name(host, session),
            Shown::Token(id) => id.to_string(),
        };
        let jti = self.named(host, &format!("{sid} {}", now.as_millis()));
        let claims = PomeriumClaims {
            iss: host,
            aud: host,
            sub: user.id.to_string(),
            user: user.id.to_string(),
            email: user.email.as_str(),
            name: user.display_name.as_str(),
            groups: user.groups.iter().map(super::user::Group::as_str).collect(),
            sid,
            jti,
            iat: now.as_seconds(),
            exp: now.plus(ASSERTION_LIFETIME).as_seconds(),
        };
        self.sign_as(Purpose::Assertion, &claims)
    }

    /// Signs `claims` for `purpose`. `None` only if the signing library fails.
    pub(super) fn sign_as(&self, purpose: Purpose, claims: &impl Serialize) -> Option<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(purpose.kind().to_owned());
        header.kid = Some(self.published.first()?.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).ok()
    }

    /// The claims of `text`, if we signed it for `purpose` with a key that is good at `now`. The
    /// caller checks its audience and time.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        text: &str,
        now: Timestamp,
    ) -> Option<T> {
        if text.len() > JWT_CHARS_MAX {
            return None;
        }
        let mut validation = Validation::new(Algorithm::ES256);
        // The caller checks the time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let kid = jsonwebtoken::decode_header(text).ok()?.kid?;
        let published =
            self.published.iter().find(|published| published.kid == kid && published.is_good(now))?;
        let read = jsonwebtoken::decode::<T>(text, &published.public, &validation).ok()?;
        (read.header.typ.as_deref() == Some(purpose.kind())).then_some(read.claims)
    }

    /// The name of a session for the application behind `route`: the same name for as long as the
    /// session lives, and a different one for each application. No lookup finds the session by it.
    fn session_name(&self, route: &str, session: &Session) -> String {
        self.named(route, &session.id.to_string())
    }

    /// The name that `audience` gets for `what`.
    fn named(&self, audience: &str, what: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.session_names) else { return String::new() };
        mac.update(audience.as_bytes());
        mac.update(b" ");
        mac.update(what.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes().get(..16).unwrap_or_default())
    }

    /// A signer for tests that cannot sign.
    #[cfg(test)]
    pub(crate) fn that_cannot_sign() -> Self {
        let key = EncodingKey::from_ec_der(b"no key");
        Self { key, published: Vec::new(), session_names: [0; 32] }
    }

    /// The public keys that are good at `now`, the signing key first (RFC 7517, section 5).
    pub fn jwks(&self, now: Timestamp) -> serde_json::Value {
        let good = self.published.iter().filter(|published| published.is_good(now));
        json!({ "keys": good.map(|published| &published.jwk).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests;
