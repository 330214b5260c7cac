//! Rings of Ed25519 keys with which biscuits are signed: one for sessions, one for access tokens.
//!
//! What does not live here: when a key is added or burned (`flows/administration/keys.rs`).
//!
//! What always holds: the newest key of a ring signs, and a key is chosen from our own table by its
//! id, never from the token's content. The signed tokens are in `session/token.rs` and
//! `access_token/sealed.rs`.

use std::fmt;
use std::time::Duration;

use biscuit_auth::builder::Algorithm;
use biscuit_auth::error::Format;
use biscuit_auth::{KeyPair, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::time::Timestamp;

/// The stored key is not an Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key is not an Ed25519 key")]
pub struct NotAKey;

/// Signing keys: the newest signs, older ones are accepted until they are burnt or have outlived
/// every token they signed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Key {
    id: u32,
    /// Ed25519 seed, hexadecimal.
    private: Zeroizing<String>,
    created_at: Timestamp,
    /// When a newer key took over.
    retired_at: Option<Timestamp>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

impl Keyring {
    /// A keyring with one new key, from 32 random bytes.
    pub fn generate(seed: &[u8; 32], now: Timestamp) -> Result<Self, NotAKey> {
        let mut ring = Self { keys: Vec::new() };
        ring.rotate(seed, now, Duration::MAX)?;
        Ok(ring)
    }

    /// Adds a key that signs from now on, and drops keys that retired more than `keep_for` ago.
    /// Returns its id.
    pub fn rotate(&mut self, seed: &[u8; 32], now: Timestamp, keep_for: Duration) -> Result<u32, NotAKey> {
        let private = PrivateKey::from_bytes(seed, Algorithm::Ed25519).map_err(|_| NotAKey)?.to_bytes_hex();
        self.keys.retain(|key| key.retired_at.is_none_or(|at| now.since(at) < keep_for));
        for key in &mut self.keys {
            key.retired_at.get_or_insert(now);
        }
        let id = self.keys.iter().map(|key| key.id).max().unwrap_or(0) + 1;
        self.keys.push(Key { id, private: Zeroizing::new(private), created_at: now, retired_at: None });
        Ok(id)
    }

    /// Replaces all keys by a new one: tokens that the others signed are refused from now on.
    /// Returns its id.
    pub fn burn(&mut self, seed: &[u8; 32], now: Timestamp) -> Result<u32, NotAKey> {
        let id = self.rotate(seed, now, Duration::ZERO)?;
        self.keys.retain(|key| key.id == id);
        Ok(id)
    }

    /// The ring with its keys opened.
    pub fn open(&self) -> Result<OpenKeyring, NotAKey> {
        let pair = |key: &Key| {
            PrivateKey::from_bytes_hex(&key.private, Algorithm::Ed25519)
                .map(|private| (key.id, KeyPair::from(&private)))
                .map_err(|_| NotAKey)
        };
        let mut pairs = self.keys.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        let (id, newest) = pairs.pop().ok_or(NotAKey)?;
        let mut accepted: Vec<_> = pairs.iter().map(|(id, pair)| (*id, pair.public())).collect();
        accepted.push((id, newest.public()));
        Ok(OpenKeyring { id, newest, sealing: KeyPair::new(), accepted })
    }
}

/// The keys of a ring, ready to be used.
pub struct OpenKeyring {
    id: u32,
    newest: KeyPair,
    sealing: KeyPair,
    accepted: Vec<(u32, PublicKey)>,
}

impl OpenKeyring {
    /// The id of the key that signs.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The key that signs.
    pub(super) fn newest(&self) -> &KeyPair {
        &self.newest
    }

    /// The key that seals what [`Self::newest`] has signed, one for all tokens that are sealed. Such a
    /// token has its public side alone, so a key for each would add nothing. It must not be used for
    /// a token that its holder may narrow, which has the private side.
    pub(super) fn sealing(&self) -> &KeyPair {
        &self.sealing
    }

    /// The public side of every key that is accepted, the signing key first: its id, and the key in
    /// hexadecimal.
    pub(super) fn published(&self) -> Vec<(u32, String)> {
        self.accepted.iter().rev().map(|(id, key)| (*id, key.to_bytes_hex())).collect()
    }

    /// The key of this id, from our own table alone.
    pub(super) fn public(&self, id: Option<u32>) -> Result<PublicKey, Format> {
        let known = self.accepted.iter().find(|(known, _)| Some(*known) == id);
        known.map(|(_, key)| *key).ok_or(Format::UnknownPublicKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_for_its_time_after_a_newer_one_took_over() {
        let (now, keep_for) = (Timestamp::from_millis(1_790_000_000_000), Duration::from_secs(60));
        let mut ring = Keyring::generate(&[1; 32], now).unwrap();
        assert_eq!(ring.rotate(&[2; 32], now, keep_for), Ok(2));
        let over = now.plus(keep_for);
        for (later, kept) in [(over.minus(Duration::from_millis(1)), vec![1, 2, 3]), (over, vec![2, 3])] {
            let mut ring = ring.clone();
            assert_eq!(ring.rotate(&[3; 32], later, keep_for), Ok(3));
            assert_eq!(ring.keys.iter().map(|key| key.id).collect::<Vec<_>>(), kept, "{later}");
            assert_eq!(format!("{ring:?}"), format!("Keyring({} keys)", kept.len()));
        }
    }

    #[test]
    fn the_key_that_signs_is_published_first() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let mut ring = Keyring::generate(&[1; 32], now).unwrap();
        ring.rotate(&[2; 32], now, Duration::from_secs(60)).unwrap();
        let hex = |seed: u8| {
            let private = PrivateKey::from_bytes(&[seed; 32], Algorithm::Ed25519).unwrap();
            KeyPair::from(&private).public().to_bytes_hex()
        };
        assert_eq!(ring.open().unwrap().published(), [(2, hex(2)), (1, hex(1))]);
    }
}
