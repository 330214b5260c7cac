//! Sealing: for values that wait in the store although they hold a secret, or outside of it
//! although no one may read or change them.
//!
//! XChaCha20-Poly1305 with a random nonce, under a key that neither the store nor a browser has.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

/// How many random bytes a seal takes.
pub const NONCE_BYTES: usize = 24;

/// The key that seals.
pub struct SealingKey(pub(super) [u8; 32]);

/// Sealed bytes, in base64: the nonce, then the ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl SealingKey {
    /// Seals `plain`. `None` only if the cipher fails.
    pub fn seal(&self, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Option<Sealed> {
        Some(Sealed(STANDARD.encode(self.sealed(plain, nonce)?)))
    }

    /// The same, as text that fits an address (base64url).
    pub fn seal_for_address(&self, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.sealed(plain, nonce)?))
    }

    /// The bytes that were sealed for an address, if this key sealed them and they are unchanged.
    pub fn open_from_address(&self, text: &str) -> Option<Vec<u8>> {
        self.opened(&URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// The sealed bytes, if this key sealed them and they are unchanged.
    pub fn open(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        self.opened(&STANDARD.decode(&sealed.0).ok()?)
    }

    fn sealed(&self, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Option<Vec<u8>> {
        let cipher = XChaCha20Poly1305::new((&self.0).into());
        let secret = cipher.encrypt(&XNonce::from(nonce), plain).ok()?;
        Some([nonce.as_slice(), &secret].concat())
    }

    fn opened(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (nonce, secret) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        XChaCha20Poly1305::new((&self.0).into()).decrypt(&XNonce::from(nonce), secret).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_an_address_fits_one_and_is_read_by_its_key_alone() {
        // Bytes that STANDARD base64 writes with characters of its own.
        let sealed = SealingKey([1; 32]).seal_for_address(b"a secret", [0xff; NONCE_BYTES]).unwrap();
        assert_eq!(sealed.len(), (NONCE_BYTES + 8 + 16) * 4 / 3);
        assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{sealed}");
        assert_eq!(SealingKey([1; 32]).open_from_address(&sealed).unwrap(), b"a secret");
        assert_eq!(SealingKey([2; 32]).open_from_address(&sealed), None);
        assert_eq!(SealingKey([1; 32]).open_from_address(&sealed[1..]), None);
        assert_eq!(SealingKey([1; 32]).open_from_address(&format!("A{}", &sealed[1..])), None);
        assert_eq!(SealingKey([1; 32]).open_from_address("not!base64"), None);
    }

    #[test]
    fn opens_only_with_the_same_key() {
        let sealed = SealingKey([1; 32]).seal(b"a secret", [9; NONCE_BYTES]).unwrap();
        assert_eq!(SealingKey([1; 32]).open(&sealed).unwrap(), b"a secret");
        assert_eq!(SealingKey([2; 32]).open(&sealed), None);
        let mut other = STANDARD.decode(&sealed.0).unwrap();
        other[NONCE_BYTES] ^= 1;
        assert_eq!(SealingKey([1; 32]).open(&Sealed(STANDARD.encode(other))), None);
        assert!(!format!("{sealed:?}").contains("secret"));
    }
}
