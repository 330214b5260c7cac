//! Signatures that show a receiver that a message is ours and not an old one: Standard Webhooks
//! 1.0.0 (`standardwebhooks.com`), signatures of version 1.
//!
//! What does not live here: the request that carries it (`http.rs`).
//!
//! What always holds: id, time and body are signed together, so none of them can be exchanged.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::time::Timestamp;

/// The headers of a signed message.
pub const ID: &str = "webhook-id";
pub const TIMESTAMP: &str = "webhook-timestamp";
pub const SIGNATURE: &str = "webhook-signature";

/// The secret that a receiver shares with us.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    pub const fn new(key: Zeroizing<Vec<u8>>) -> Self {
        Self(key)
    }

    /// The value of [`SIGNATURE`]. `None` only if the key cannot be one.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{}.", at.as_seconds()).as_bytes());
        mac.update(body);
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn signature_matches_the_reference() {
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = SigningSecret::new(Zeroizing::new(key));
        let at = Timestamp::from_millis(1_614_265_330_999);
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let other = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232315}"#).unwrap();
        assert_ne!(signed, other);
    }
}
