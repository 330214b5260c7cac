//! Session tokens: sealed Ed25519 biscuits that point at a session record.
//!
//! A token names the session, its user, the installation, the carrier, and its expiry. The token
//! decides nothing: the session index does.
//!
//! What always holds: one block, sealed, no third-party keys, Ed25519 only, key chosen from our
//! own table by id, and one text form: a token that is not exactly what we would write is refused.
//! Nothing is read from it before its signature has been checked, except the key's id.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use biscuit_auth::builder::{Fact, fact, int, string};
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::error::Token as BiscuitError;
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, Biscuit};

use crate::domain::id::{SessionId, UserId};
use crate::domain::keyring::{NotAKey, OpenKeyring};
use crate::domain::time::Timestamp;

/// The longest token that is looked at.
pub const TOKEN_CHARS_MAX: usize = 1_024;
/// Limits of the Datalog engine while a token is read. The library's default of 1 ms refuses
/// valid tokens on a busy machine.
const LIMITS: AuthorizerLimits =
    AuthorizerLimits { max_facts: 200, max_iterations: 50, max_time: Duration::from_millis(50) };

/// How a token travels. One kind is never accepted in place of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The session cookie of this host.
    Cookie(String),
    /// An `Authorization` header at our own endpoints.
    Bearer,
    /// The same, told by a sign-in, so that it may be exchanged once for a session of its own.
    SignIn(PairedCookie),
    /// The same, kept by front ends to have new access tokens made.
    Refresh,
}

/// The cookie that a sign-in gave beside its token, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairedCookie {
    /// A cookie, which the browser has to show to exchange the token.
    Cookie,
    /// No cookie.
    Nothing,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(host) => write!(f, "cookie:{host}"),
            Self::Bearer => f.write_str("bearer"),
            Self::SignIn(PairedCookie::Cookie) => f.write_str("sign-in with a cookie"),
            Self::SignIn(PairedCookie::Nothing) => f.write_str("sign-in"),
            Self::Refresh => f.write_str("refresh"),
        }
    }
}

impl Carrier {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "bearer" => Some(Self::Bearer),
            "sign-in with a cookie" => Some(Self::SignIn(PairedCookie::Cookie)),
            "sign-in" => Some(Self::SignIn(PairedCookie::Nothing)),
            "refresh" => Some(Self::Refresh),
            _ => text.strip_prefix("cookie:").map(|host| Self::Cookie(host.to_owned())),
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub session: SessionId,
    pub user: UserId,
    /// The installation's public origin.
    pub audience: String,
    pub carrier: Carrier,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours, altered, for something else, or expired. One variant: an anonymous
    /// client learns nothing from the difference.
    #[error("not a valid token")]
    Invalid,
    /// The check ran out of its budget; says nothing about the token.
    #[error("the token could not be checked in time")]
    LimitReached,
}

/// Signs with the newest key and verifies with every key of the ring.
pub struct Signer(OpenKeyring);

impl From<OpenKeyring> for Signer {
    fn from(keys: OpenKeyring) -> Self {
        Self(keys)
    }
}

impl From<NotAKey> for TokenError {
    fn from(_: NotAKey) -> Self {
        Self::Invalid
    }
}

impl Signer {
    /// The token for `claims`, as text.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let said = fact_of(claims);
        let token = Biscuit::builder()
            .root_key_id(self.0.id())
            .fact(said)
            .and_then(|builder| {
                builder.build_with_key_pair(self.0.newest(), SymbolTable::default(), self.0.sealing())
            })
            .and_then(|token| token.seal())
            .and_then(|token| token.to_vec())
            .map_err(|_| TokenError::Invalid)?;
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Checks signature, shape, audience and expiry, in that order.
    pub fn verify(&self, text: &str, audience: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Invalid)?;
        let token = Biscuit::from(&bytes, |id| self.0.public(id)).map_err(|_| TokenError::Invalid)?;
        let claims = read_claims(&token, &bytes)?;
        let ours =
            claims.audience == audience && now < claims.expires_at && claims.issued_at <= claims.expires_at;
        if ours { Ok(claims) } else { Err(TokenError::Invalid) }
    }
}

fn fact_of(claims: &Claims) -> Fact {
    fact(
        "session",
        &[
            string(&claims.session.to_string()),
            string(&claims.user.to_string()),
            string(&claims.audience),
            string(&claims.carrier.to_string()),
            int(claims.issued_at.as_millis()),
            int(claims.expires_at.as_millis()),
        ],
    )
}

fn read_claims(token: &Biscuit, bytes: &[u8]) -> Result<Claims, TokenError> {
    // An unsealed token or a second block would let its holder extend it; unknown fields would give
    // one token many spellings.
    let sealed = token.seal().is_err();
    let plain = token.block_count() == 1 && token.external_public_keys().iter().all(Option::is_none);
    if !sealed || !plain || token.to_vec().ok().as_deref() != Some(bytes) {
        return Err(TokenError::Invalid);
    }
    let mut authorizer = AuthorizerBuilder::new().set_limits(LIMITS).build(token).map_err(|e| verdict(&e))?;
    let said: Vec<(String, String, String, String, i64, i64)> = authorizer
        .query_with_limits("data($s, $u, $a, $c, $i, $e) <- session($s, $u, $a, $c, $i, $e)", LIMITS)
        .map_err(|e| verdict(&e))?;
    let [(session, user, audience, carrier, issued, expires)] =
        <[_; 1]>::try_from(said).map_err(|_| TokenError::Invalid)?;
    Ok(Claims {
        session: SessionId::parse(&session).map_err(|_| TokenError::Invalid)?,
        user: UserId::parse(&user).map_err(|_| TokenError::Invalid)?,
        audience,
        carrier: Carrier::parse(&carrier).ok_or(TokenError::Invalid)?,
        issued_at: Timestamp::from_millis(issued),
        expires_at: Timestamp::from_millis(expires),
    })
}

fn verdict(error: &BiscuitError) -> TokenError {
    match error {
        BiscuitError::RunLimit(_) => TokenError::LimitReached,
        _ => TokenError::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use biscuit_auth::builder::{Algorithm, BlockBuilder};
    use biscuit_auth::{KeyPair, PrivateKey};

    use super::*;
    use crate::domain::keyring::Keyring;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const HERE: &str = "https://auth.example.com";

    fn claims() -> Claims {
        Claims {
            session: SessionId([1; 16]),
            user: UserId::from_random([2; 16]),
            audience: HERE.to_owned(),
            carrier: Carrier::Cookie("app.example.com".to_owned()),
            issued_at: NOW,
            expires_at: NOW.plus(Duration::from_secs(60)),
        }
    }

    fn opened(ring: &Keyring) -> Signer {
        ring.open().unwrap().into()
    }

    fn signer() -> Signer {
        opened(&Keyring::generate(&[7; 32], NOW).unwrap())
    }

    #[test]
    fn token_roundtrips_within_the_cookie_size() {
        let mut long = claims();
        long.carrier = Carrier::Cookie(format!("{0}.{0}.{0}.example", "a".repeat(60)));
        let carried = |carrier| Claims { carrier, ..claims() };
        let others = [
            Carrier::Bearer,
            Carrier::SignIn(PairedCookie::Cookie),
            Carrier::SignIn(PairedCookie::Nothing),
            Carrier::Refresh,
        ]
        .map(carried);
        for said in [claims(), long].into_iter().chain(others) {
            let token = signer().sign(&said).unwrap();
            assert!(token.len() < 900, "{}", token.len());
            assert_eq!(signer().verify(&token, HERE, NOW), Ok(said));
        }
    }

    #[test]
    fn s_31_every_other_spelling_is_refused() {
        let token = signer().sign(&claims()).unwrap();
        let check = |wrong: &str| {
            assert_eq!(signer().verify(wrong, HERE, NOW), Err(TokenError::Invalid), "{wrong}");
        };
        for cut in (0..token.len()).step_by(7) {
            check(&token[..cut]);
            check(&token[cut + 1..]);
            let mut flipped = token.clone().into_bytes();
            flipped[cut] = if flipped[cut] == b'A' { b'B' } else { b'A' };
            check(std::str::from_utf8(&flipped).unwrap());
        }
        check(&token.to_uppercase());
        check(&format!("{token}="));
        check(&format!(" {token}"));
        // An unknown protobuf field (number 15, one byte) after the token proper.
        let mut grown = URL_SAFE_NO_PAD.decode(&token).unwrap();
        grown.extend([0x78, 0x01]);
        check(&URL_SAFE_NO_PAD.encode(grown));
    }

    #[test]
    fn expiry_and_audience_are_checked_at_use() {
        let token = signer().sign(&claims()).unwrap();
        assert!(signer().verify(&token, HERE, NOW.plus(Duration::from_secs(60))).is_err());
        assert!(signer().verify(&token, "https://other.example.com", NOW).is_err());
    }

    /// The algorithm is fixed, whatever a token says of itself, and a third party adds no block.
    #[test]
    fn s_36_another_algorithm_or_a_third_party_s_block_is_refused() {
        let signed = |pair: &KeyPair| {
            Biscuit::builder().root_key_id(1).fact(fact_of(&claims())).unwrap().build(pair).unwrap()
        };
        let sealed = |token: &Biscuit| URL_SAFE_NO_PAD.encode(token.seal().unwrap().to_vec().unwrap());
        let verified = |token: &Biscuit| signer().verify(&sealed(token), HERE, NOW);
        let ours = KeyPair::from(&PrivateKey::from_bytes(&[7; 32], Algorithm::Ed25519).unwrap());
        assert_eq!(verified(&signed(&ours)), Ok(claims()), "the control");
        let scalar = PrivateKey::from_bytes(&[7; 32], Algorithm::Secp256r1).unwrap();
        assert_eq!(verified(&signed(&KeyPair::from(&scalar))), Err(TokenError::Invalid));
        let theirs = PrivateKey::from_bytes(&[9; 32], Algorithm::Ed25519).unwrap();
        let open = signed(&ours);
        let block = BlockBuilder::new().code("check if true;").unwrap();
        let block = open.third_party_request().unwrap().create_block(&theirs, block).unwrap();
        let grown = open.append_third_party(KeyPair::from(&theirs).public(), block).unwrap();
        assert_eq!(verified(&grown), Err(TokenError::Invalid));
    }

    #[test]
    fn a_second_block_of_our_own_is_refused() {
        let pair = KeyPair::from(&PrivateKey::from_bytes(&[7; 32], Algorithm::Ed25519).unwrap());
        let one = Biscuit::builder().root_key_id(1).fact(fact_of(&claims())).unwrap().build(&pair).unwrap();
        let two = one.append(BlockBuilder::new().code("check if true;").unwrap()).unwrap();
        let verified = |token: &Biscuit| {
            let text = URL_SAFE_NO_PAD.encode(token.seal().unwrap().to_vec().unwrap());
            signer().verify(&text, HERE, NOW)
        };
        assert_eq!((verified(&one), verified(&two)), (Ok(claims()), Err(TokenError::Invalid)));
    }

    #[test]
    fn a_token_that_is_too_long_is_not_looked_at() {
        let of_length = |length: usize| {
            (1..length).find_map(|host| {
                let carrier = Carrier::Cookie("a".repeat(host));
                let token = signer().sign(&Claims { carrier, ..claims() }).unwrap();
                (token.len() == length).then_some(token)
            })
        };
        let is_read = |token: Option<String>| signer().verify(&token.unwrap(), HERE, NOW).is_ok();
        assert!(is_read(of_length(TOKEN_CHARS_MAX)) && !is_read(of_length(TOKEN_CHARS_MAX + 2)));
        let ran_out = BiscuitError::RunLimit(biscuit_auth::error::RunLimit::Timeout);
        assert_eq!(verdict(&ran_out), TokenError::LimitReached);
    }

    #[test]
    fn an_unsealed_token_is_refused() {
        let pair = KeyPair::from(&PrivateKey::from_bytes(&[7; 32], Algorithm::Ed25519).unwrap());
        let said = fact("session", &[string("x")]);
        let open = Biscuit::builder().root_key_id(1).fact(said).unwrap().build(&pair).unwrap();
        let text = URL_SAFE_NO_PAD.encode(open.to_vec().unwrap());
        assert!(signer().verify(&text, HERE, NOW).is_err());
    }

    #[test]
    fn retired_key_is_accepted_until_its_tokens_expire() {
        let mut ring = Keyring::generate(&[7; 32], NOW).unwrap();
        let token = opened(&ring).sign(&claims()).unwrap();
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!(ring.rotate(&[8; 32], NOW, week), Ok(2));
        assert!(opened(&ring).verify(&token, HERE, NOW).is_ok());
        assert_eq!(ring.rotate(&[9; 32], NOW.plus(week), week), Ok(3));
        assert!(opened(&ring).verify(&token, HERE, NOW).is_err());
        assert!(!format!("{ring:?}").contains("0707"));
    }

    /// A token signed with an earlier key is refused after a burn, even for a session that goes on.
    #[test]
    fn f_10_refuses_a_revoked_key() {
        let mut ring = Keyring::generate(&[7; 32], NOW).unwrap();
        let oldest = opened(&ring).sign(&claims()).unwrap();
        ring.rotate(&[8; 32], NOW, Duration::from_secs(60)).unwrap();
        let newest = opened(&ring).sign(&claims()).unwrap();
        for token in [&oldest, &newest] {
            assert!(opened(&ring).verify(token, HERE, NOW).is_ok(), "both are good until then");
        }
        assert_eq!(ring.burn(&[9; 32], NOW), Ok(3));
        for token in [&oldest, &newest] {
            assert_eq!(opened(&ring).verify(token, HERE, NOW), Err(TokenError::Invalid));
        }
        let token = opened(&ring).sign(&claims()).unwrap();
        assert!(opened(&ring).verify(&token, HERE, NOW).is_ok());
    }
}
