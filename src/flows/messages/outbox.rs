//! The outbox: messages wait in the store until a mail server has taken them on.
//!
//! What always holds: a flow that enqueues a message waits for the store, never for a mail server;
//! a message that was accepted survives a restart; waiting messages are sealed, because they hold
//! codes and links; there are at most [`OUTBOX_MAX`] messages, and none is tried after it has
//! expired.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::domain::event::{Delivery, Kind, Origin};
use crate::domain::id::MessageId;
use crate::domain::message::{Content, Message};
use crate::domain::sealed::Sealed;
use crate::domain::time::Timestamp;
use crate::flows::FlowError;
use crate::flows::messages::Messages;
use crate::ports::store::Entry;
use crate::ports::{Batch, CommitError, MailError, Mailer, entropy};
use crate::records::{self, keys};

/// The most messages that wait.
pub const OUTBOX_MAX: usize = 2_000;
/// The most that wait when a message is added that any anonymous client can ask for. The rest is
/// kept for notices to people about their accounts.
pub const OUTBOX_MAX_FOR_ANONYMOUS: usize = OUTBOX_MAX / 2;
/// The most messages that are kept although they cannot be read.
const SET_ASIDE_MAX: usize = 100;
/// How many are handed over at the same time.
const DELIVERED_AT_ONCE_MAX: usize = 4;
/// How long the second try waits for; each further one waits twice as long.
const RETRY_DELAY: Duration = Duration::from_secs(5);
const RETRY_DELAY_MAX: Duration = Duration::from_mins(30);

/// A message that waits.
#[derive(Serialize, Deserialize)]
struct Waiting {
    id: MessageId,
    sealed: Sealed,
    tries: u32,
    next_try_at: Timestamp,
    expires_at: Timestamp,
}

/// The assumed time of a hand-over before the first one.
const HAND_OVER: Duration = Duration::from_millis(100);

/// The gateway's knowledge of its outbox without asking the store.
pub(in crate::flows) struct Outbox {
    waiting: AtomicUsize,
    /// How long the last hand-over took, in milliseconds. A message without a reader is kept as
    /// long, so that its end does not show in what the store does meanwhile.
    hand_over_ms: AtomicU64,
    enqueued: Notify,
}

impl Outbox {
    pub(in crate::flows) fn new() -> Self {
        let hand_over_ms = AtomicU64::new(u64::try_from(HAND_OVER.as_millis()).unwrap_or(0));
        Self { waiting: AtomicUsize::new(0), hand_over_ms, enqueued: Notify::new() }
    }
}

/// How long to wait after so many failures and one more.
pub(in crate::flows) fn delay_after(failures: u32) -> Duration {
    RETRY_DELAY.saturating_mul(1 << failures.min(16)).min(RETRY_DELAY_MAX)
}

impl Messages {
    /// Counts the messages that waited when the gateway was started.
    pub(in crate::flows) async fn resume_outbox(&self) -> Result<(), FlowError> {
        let (waiting, _) = self.ground.records.readable::<Waiting>(keys::OUTBOX).await?;
        self.outbox.waiting.store(waiting.len(), Ordering::Relaxed);
        Ok(())
    }

    /// The batch that enqueues `message`; nothing while the outbox is full. Call
    /// [`Self::wake_delivery`] when it has been committed. An uncommitted message counts until the
    /// next delivery, so that the bound holds.
    pub(in crate::flows) fn enqueue(&self, message: &Message) -> Result<Batch, FlowError> {
        let max = match message.content {
            Content::Nothing { .. } | Content::Code { .. } => OUTBOX_MAX_FOR_ANONYMOUS,
            Content::Link { .. }
            | Content::PasskeyAdded { .. }
            | Content::PasskeyRemoved { .. }
            | Content::CodeUsed { .. }
            | Content::RecoveryCodeUsed { .. }
            | Content::RecoveryCodesMade { .. }
            | Content::LinkUsed { .. }
            | Content::ResetLinkMade { .. }
            | Content::PasskeysWiped { .. }
            | Content::NewDevice { .. }
            | Content::RoleChanged { .. }
            | Content::AccountEnds { .. }
            | Content::LinkMade
            | Content::Waiting { .. }
            | Content::Approved
            | Content::AddressChanged { .. }
            | Content::Test => OUTBOX_MAX,
        };
        if self.outbox.waiting.load(Ordering::Relaxed) >= max {
            tracing::error!("the outbox is full: a message is not sent. Is the mail server in reach?");
            return Ok(Batch::default());
        }
        self.outbox.waiting.fetch_add(1, Ordering::Relaxed);
        let plain = serde_json::to_vec(message).map_err(|_| FlowError::Signing)?;
        let nonce = entropy::bytes(&*self.ground.entropy);
        let now = self.ground.clock.now();
        let kept = match message.content {
            Content::Nothing { .. } => {
                Duration::from_millis(self.outbox.hand_over_ms.load(Ordering::Relaxed))
            }
            _ => Duration::ZERO,
        };
        let waiting = Waiting {
            id: MessageId(entropy::bytes(&*self.ground.entropy)),
            sealed: self.ground.open_keys.load().outbox.seal(&plain, nonce).ok_or(FlowError::Signing)?,
            tries: 0,
            next_try_at: now.plus(kept),
            expires_at: now.plus(message.content.lifetime()),
        };
        Ok(Batch::default().put(keys::message(&waiting.id), records::encode(&waiting)?))
    }

    /// Wakes the delivery by mail and to webhooks after a commit that may have enqueued something.
    pub(in crate::flows) fn wake_delivery(&self) {
        self.outbox.enqueued.notify_one();
        self.wake_webhooks();
    }

    /// Returns when a message has been enqueued since the last call.
    pub async fn mail_is_enqueued(&self) {
        self.outbox.enqueued.notified().await;
    }

    /// Hands every message that is due to `mailer`. Returns how long the next one can wait, if any
    /// does.
    pub async fn deliver(&self, mailer: &dyn Mailer) -> Result<Option<Duration>, FlowError> {
        let now = self.ground.clock.now();
        let (all, unreadable) = self.ground.records.readable::<Waiting>(keys::OUTBOX).await?;
        for entry in unreadable {
            self.set_aside(entry, Kind::Mail { delivery: Delivery::Refused }).await?;
        }
        self.outbox.waiting.store(all.len(), Ordering::Relaxed);
        let (due, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(waiting, _)| waiting.next_try_at <= now);
        let still_waiting = later.iter().map(|(waiting, _)| waiting.next_try_at);
        let mut next: Vec<Timestamp> = still_waiting.collect();
        let tried = stream::iter(due).map(|(waiting, entry)| self.try_to_deliver(waiting, entry, mailer));
        let mut tried = tried.buffer_unordered(DELIVERED_AT_ONCE_MAX);
        while let Some(again_at) = tried.next().await {
            next.extend(again_at?);
        }
        Ok(next.into_iter().min().map(|at| at.since(now)))
    }

    /// Takes a message that cannot be read out of the way of the others. It is kept for an operator
    /// to look at, unless too many are kept already.
    pub(in crate::flows) async fn set_aside(&self, (key, bytes): Entry, what: Kind) -> Result<(), FlowError> {
        tracing::error!("a message in the outbox cannot be read; it is set aside, and the others go out");
        self.ground.report(Origin::default(), what);
        let kept = self.ground.records.store().scan(keys::SET_ASIDE, None, SET_ASIDE_MAX).await?;
        let removed = Batch::default().expect(key.clone(), bytes.clone()).delete(key.clone());
        let batch =
            if kept.len() < SET_ASIDE_MAX { removed.put(keys::set_aside(&key), bytes) } else { removed };
        match self.ground.records.commit(batch).await {
            // Another process has dealt with it.
            Ok(()) | Err(CommitError::Conflict) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// When to try again, if that is to be done.
    async fn try_to_deliver(
        &self,
        waiting: Waiting,
        (key, bytes): Entry,
        mailer: &dyn Mailer,
    ) -> Result<Option<Timestamp>, FlowError> {
        let Some(message) = self.opened::<Message>(&waiting.sealed) else {
            self.set_aside((key, bytes), Kind::Mail { delivery: Delivery::Refused }).await?;
            self.outbox.waiting.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        };
        let delivery = self.delivery_of(&waiting, &message, mailer).await;
        if let Some(delivery) = delivery {
            self.ground.report(Origin::default(), Kind::Mail { delivery });
        }
        if delivery != Some(Delivery::Postponed) {
            self.ground.records.commit(Batch::default().delete(key)).await?;
            self.outbox.waiting.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        }
        let again_at = self.ground.clock.now().plus(delay_after(waiting.tries));
        let again = Waiting { tries: waiting.tries + 1, next_try_at: again_at, ..waiting };
        self.ground.records.commit(Batch::default().put(key, records::encode(&again)?)).await?;
        Ok(Some(again_at))
    }

    /// The sealed content of a waiting message; `None` where it cannot be opened or read.
    pub(in crate::flows) fn opened<T: DeserializeOwned>(&self, sealed: &Sealed) -> Option<T> {
        let plain = self.ground.open_keys.load().outbox.open(sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    /// The outcome of a message; `None` if it was never meant to be sent.
    async fn delivery_of(
        &self,
        waiting: &Waiting,
        message: &Message,
        mailer: &dyn Mailer,
    ) -> Option<Delivery> {
        if self.ground.clock.now() >= waiting.expires_at {
            tracing::warn!(tries = waiting.tries, "a message has expired before any mail server took it");
            return Some(Delivery::Expired);
        }
        if matches!(message.content, Content::Nothing { .. }) {
            return None;
        }
        let began = self.ground.clock.now();
        let sent = mailer.send(message).await;
        let took = u64::try_from(self.ground.clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
        self.outbox.hand_over_ms.store(took, Ordering::Relaxed);
        Some(match sent {
            Ok(()) => Delivery::Sent,
            Err(MailError::Temporary(error)) => {
                tracing::warn!(error, tries = waiting.tries + 1, "a message could not be handed over yet");
                Delivery::Postponed
            }
            Err(MailError::Permanent(error)) => {
                tracing::error!(error, "the mail server refuses a message for good");
                Delivery::Refused
            }
        })
    }
}
