//! Replacing the signing keys: in time, or after a leak.
//!
//! What always holds: keys are kept before they sign. After a burn nothing that an earlier key
//! signed is accepted anywhere, and no session or access token from before is left.

use std::sync::Arc;

use crate::domain::access_token::TOKEN_LIFETIME_CEILING;
use crate::domain::event::{End, Kind};
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::authority::Authority;
use crate::flows::keys::{OpenKeys, draw_assertion_keys};
use crate::flows::sessions::Ended;
use crate::ports::store::BATCH_OPERATIONS_MAX;
use crate::ports::{Batch, SigningKeys, entropy};
use crate::records::keys;

/// How many sessions or messages are read at a time to end them.
const ENDED_AT_ONCE: usize = BATCH_OPERATIONS_MAX;

/// The new key, and the counts of what a burn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burnt {
    /// The id of the new key for tokens.
    pub key: u32,
    pub sessions: usize,
    pub access_tokens: usize,
    /// Messages that waited: they hold codes and links, and the key that sealed them is gone.
    pub messages: usize,
}

impl Administration {
    /// Signs with new keys from now on. Earlier keys are accepted until the tokens that they signed
    /// have expired, and the public side of the last one stays in the key set.
    pub async fn rotate_key(&self, authority: &Authority) -> Result<u32, FlowError> {
        let mut current = self.keys.lock().await;
        let mut next = current.clone();
        let now = self.ground.clock.now();
        let id = next.sessions.rotate(
            &entropy::bytes(&*self.ground.entropy),
            now,
            self.ground.lifetimes().absolute,
        )?;
        if let Some(ring) = &mut next.access_tokens {
            ring.rotate(&entropy::bytes(&*self.ground.entropy), now, TOKEN_LIFETIME_CEILING)?;
        }
        next.assertions = current.assertions.followed_by(draw_assertion_keys(&*self.ground.entropy)?, now);
        self.put_in_force(&next).await?;
        *current = next;
        self.ground.report(authority.origin(), Kind::KeyRotated { key: id });
        Ok(id)
    }

    /// Replaces every key after a leak: no signature of the earlier ones is accepted any more,
    /// every session and every access token ends, and codes and messages that wait are gone.
    pub async fn burn_keys(&self, authority: &Authority) -> Result<Burnt, FlowError> {
        let mut current = self.keys.lock().await;
        let mut next = current.clone();
        let key = next.sessions.burn(&entropy::bytes(&*self.ground.entropy), self.ground.clock.now())?;
        if let Some(ring) = &mut next.access_tokens {
            ring.burn(&entropy::bytes(&*self.ground.entropy), self.ground.clock.now())?;
        }
        next.assertions = draw_assertion_keys(&*self.ground.entropy)?;
        self.put_in_force(&next).await?;
        *current = next;
        self.ground.report(authority.origin(), Kind::KeyRotated { key });
        let sessions = self.end_every_session(authority).await?;
        let access_tokens = self.forget_all(keys::ACCESS_TOKENS).await?;
        self.forget_all(keys::ACCESS_TOKENS_OF).await?;
        let messages = self.forget_all(keys::OUTBOX).await?;
        self.messages.resume_outbox().await?;
        self.forget_all(keys::CODES).await?;
        Ok(Burnt { key, sessions, access_tokens, messages })
    }

    /// Keeps `next`, and then signs with it. Keys that cannot be opened are not kept.
    async fn put_in_force(&self, next: &SigningKeys) -> Result<(), FlowError> {
        let opened = OpenKeys::of(next)?;
        self.vault.save(next).await?;
        self.ground.open_keys.store(Arc::new(opened));
        Ok(())
    }

    async fn end_every_session(&self, authority: &Authority) -> Result<usize, FlowError> {
        let mut count = 0;
        loop {
            let some = self.ground.records.store().scan(keys::SESSIONS, None, ENDED_AT_ONCE).await?;
            if some.is_empty() {
                return Ok(count);
            }
            count += some.len();
            let mut ended = Ended::new();
            for id in some.iter().filter_map(|(key, _)| keys::session_id(key)) {
                let kept = self.sessions.kept(&id).await?;
                ended.extend(kept.map(|session| (session, End::EndedByOperator)));
            }
            self.sessions.end_all(&authority.origin(), ended, Batch::default()).await?;
        }
    }

    async fn forget_all(&self, prefix: &[u8]) -> Result<usize, FlowError> {
        let mut forgotten = 0;
        loop {
            let some = self.ground.records.store().scan(prefix, None, ENDED_AT_ONCE).await?;
            if some.is_empty() {
                return Ok(forgotten);
            }
            forgotten += some.len();
            let batch = some.into_iter().fold(Batch::default(), |batch, (key, _)| batch.delete(key));
            self.ground.records.commit(batch).await?;
        }
    }
}
