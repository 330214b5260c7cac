//! Dispatches wait in the store, as messages do, until the webhooks they are for have taken them.
//!
//! What does not live here: how a dispatch reaches a webhook (`webhook/http.rs`).
//!
//! What always holds: a committed dispatch survives a restart and keeps its id; waiting dispatches
//! are sealed; at most [`DISPATCHES_MAX`] wait for one webhook, and none is tried longer, or more
//! often, than it is worth. A webhook that fails rests, with everything that waits for it, and
//! holds up no other. Nothing is handed over twice, unless the answer to the first time was lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::domain::audit::Entry;
use crate::domain::dispatch::{DISPATCH_LIFETIME, Dispatch, Notices, Subscription, WebhookId};
use crate::domain::event::{Delivery, Kind, Origin, Outcome};
use crate::domain::id::MessageId;
use crate::domain::message::Content;
use crate::domain::sealed::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::topic::Topic;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::messages::Messages;
use crate::flows::messages::outbox::delay_after;
use crate::ports::store::Entry as Stored;
use crate::ports::{Attempt, Batch, WebhookError, WebhookSender, entropy};
use crate::records::{self, keys};

/// The most dispatches that wait for one webhook.
pub const DISPATCHES_MAX: usize = 500;
/// The most that wait when one is added about something that was refused, which anonymous clients
/// can cause. The rest is kept for changes that took place.
pub const DISPATCHES_MAX_OF_REFUSALS: usize = DISPATCHES_MAX / 2;
/// How many are handed to one webhook before the others are asked again, so that a slow webhook
/// holds up newer dispatches no longer than that.
const SERVED_AT_ONCE: usize = 4;
/// How often one is tried.
pub const TRIES_MAX: u32 = 24;
/// The name for a webhook that the configuration does not name any more.
const GONE: &str = "a webhook that is gone";

/// A dispatch that waits.
#[derive(Serialize, Deserialize)]
struct Waiting {
    id: MessageId,
    to: WebhookId,
    sealed: Sealed,
    tries: u32,
    next_try_at: Timestamp,
    expires_at: Timestamp,
}

/// The gateway's knowledge of its webhooks without asking the store.
#[derive(Default)]
pub(in crate::flows) struct Dispatches {
    lanes: Mutex<HashMap<WebhookId, Lane>>,
    enqueued: Notify,
}

/// The waiting dispatches, by webhook, with the entries that they were read from.
type Lanes = BTreeMap<WebhookId, Vec<(Waiting, Stored)>>;

/// How many dispatches wait for one webhook, and how its deliveries go.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    waiting: usize,
    /// Failures since the webhook last took a dispatch.
    failures: u32,
    rests_until: Option<Timestamp>,
}

impl Dispatches {
    fn lanes(&self) -> MutexGuard<'_, HashMap<WebhookId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more dispatch may wait for this webhook; it counts from now on.
    fn admits(&self, to: WebhookId, max: usize) -> bool {
        let mut lanes = self.lanes();
        let lane = lanes.entry(to).or_default();
        let is_room = lane.waiting < max;
        lane.waiting += usize::from(is_room);
        is_room
    }

    /// Counts again, from what the store has.
    fn recount(&self, waiting: &Lanes) {
        let mut lanes = self.lanes();
        for lane in lanes.values_mut() {
            lane.waiting = 0;
        }
        for (to, list) in waiting {
            lanes.entry(*to).or_default().waiting = list.len();
        }
        lanes.retain(|_, lane| lane.waiting > 0 || lane.failures > 0);
    }

    /// Until when this webhook is left alone.
    fn rests_until(&self, to: &WebhookId) -> Option<Timestamp> {
        self.lanes().get(to).and_then(|lane| lane.rests_until)
    }

    /// Notes that a webhook has failed. Returns until when it rests.
    fn failed(&self, to: WebhookId, now: Timestamp) -> Timestamp {
        let mut lanes = self.lanes();
        let lane = lanes.entry(to).or_default();
        let until = now.plus(delay_after(lane.failures));
        lane.failures = lane.failures.saturating_add(1);
        lane.rests_until = Some(until);
        until
    }

    /// Notes that a webhook has answered.
    fn answered(&self, to: WebhookId) {
        let mut lanes = self.lanes();
        let lane = lanes.entry(to).or_default();
        *lane = Lane { waiting: lane.waiting.saturating_sub(1), ..Lane::default() };
    }
}

impl Messages {
    /// Counts the dispatches that waited when the gateway was started.
    pub(in crate::flows) async fn resume_dispatches(&self) -> Result<(), FlowError> {
        let (waiting, _) = self.ground.records.readable::<Waiting>(keys::DISPATCHES).await?;
        self.dispatches.recount(&by_webhook(waiting));
        Ok(())
    }

    /// The batch that tells webhooks what `user` cannot be told by mail.
    pub(in crate::flows) fn dispatching_notice(
        &self,
        user: &User,
        content: &Content,
    ) -> Result<Batch, FlowError> {
        let Some(dispatch) = Dispatch::of_notice(user.id, content, self.ground.clock.now()) else {
            return Ok(Batch::default());
        };
        self.dispatching(&dispatch, |webhook| webhook.notices == Notices::Wanted)
    }

    /// The batch that tells webhooks of an entry of the trail.
    pub(in crate::flows) fn dispatching_entry(&self, entry: &Entry) -> Result<Batch, FlowError> {
        let Some(topic) = Topic::parse(&entry.event) else { return Ok(Batch::default()) };
        let dispatch = Dispatch::of_entry(topic, entry);
        self.dispatching(&dispatch, |webhook| webhook.topics.contains(&topic))
    }

    fn dispatching(
        &self,
        dispatch: &Dispatch,
        wants: impl Fn(&Subscription) -> bool,
    ) -> Result<Batch, FlowError> {
        let max = match dispatch.outcome {
            Outcome::Done => DISPATCHES_MAX,
            Outcome::Refused => DISPATCHES_MAX_OF_REFUSALS,
        };
        let mut batch = Batch::default();
        for webhook in self.ground.rules().webhooks.iter().filter(|webhook| wants(webhook)) {
            if self.dispatches.admits(webhook.webhook, max) {
                batch = batch.and(self.keeping_dispatch(webhook.webhook, dispatch)?);
            } else {
                tracing::error!(webhook = webhook.origin, "too much waits for a webhook: it is not told");
            }
        }
        Ok(batch)
    }

    fn keeping_dispatch(&self, to: WebhookId, dispatch: &Dispatch) -> Result<Batch, FlowError> {
        let plain = serde_json::to_vec(dispatch).map_err(|_| FlowError::Signing)?;
        let nonce = entropy::bytes(&*self.ground.entropy);
        let waiting = Waiting {
            id: MessageId(entropy::bytes(&*self.ground.entropy)),
            to,
            sealed: self.ground.open_keys.load().outbox.seal(&plain, nonce).ok_or(FlowError::Signing)?,
            tries: 0,
            // So that dispatches go out in the order of the events.
            next_try_at: dispatch.at,
            expires_at: self.ground.clock.now().plus(DISPATCH_LIFETIME),
        };
        Ok(Batch::default().put(keys::dispatch(&waiting.id), records::encode(&waiting)?))
    }

    /// Wakes the delivery to webhooks after a commit that may have enqueued something.
    pub(in crate::flows) fn wake_webhooks(&self) {
        self.dispatches.enqueued.notify_one();
    }

    /// Returns when something for a webhook has been enqueued since the last call.
    pub async fn dispatch_is_enqueued(&self) {
        self.dispatches.enqueued.notified().await;
    }

    /// Hands every dispatch that is due to `webhook_sender`, for each webhook one after the other.
    /// Returns how long the next one can wait, if any does.
    pub async fn deliver_dispatches(
        &self,
        webhook_sender: &dyn WebhookSender,
    ) -> Result<Option<Duration>, FlowError> {
        let (all, unreadable) = self.ground.records.readable::<Waiting>(keys::DISPATCHES).await?;
        for entry in unreadable {
            let (origin, delivery) = (GONE.to_owned(), Delivery::Refused);
            self.set_aside(entry, Kind::Webhook { origin, delivery }).await?;
        }
        let lanes = by_webhook(all);
        self.dispatches.recount(&lanes);
        let mut next: Option<Timestamp> = None;
        for again_at in
            join_all(lanes.into_iter().map(|(to, waiting)| self.serve(to, waiting, webhook_sender))).await
        {
            next = next.into_iter().chain(again_at?).min();
        }
        Ok(next.map(|at| at.since(self.ground.clock.now())))
    }

    /// Serves one webhook. Returns when to serve it again, if any dispatch waits for it.
    async fn serve(
        &self,
        to: WebhookId,
        waiting: Vec<(Waiting, Stored)>,
        webhook_sender: &dyn WebhookSender,
    ) -> Result<Option<Timestamp>, FlowError> {
        if let Some(until) = self.dispatches.rests_until(&to).filter(|until| *until > self.ground.clock.now())
        {
            return Ok(Some(until));
        }
        let mut next = None;
        for (served, (one, (key, bytes))) in waiting.into_iter().enumerate() {
            if one.next_try_at > self.ground.clock.now() || served == SERVED_AT_ONCE {
                next = Some(one.next_try_at);
                break;
            }
            let Some(dispatch) = self.opened::<Dispatch>(&one.sealed) else {
                let (origin, delivery) = (self.webhook_called(&to), Delivery::Refused);
                self.set_aside((key, bytes), Kind::Webhook { origin, delivery }).await?;
                continue;
            };
            let delivery = self.handed_over(&one, &dispatch, webhook_sender).await;
            let batch = match delivery {
                Delivery::Postponed => Batch::default().put(key, records::encode(&self.postponed(one))?),
                Delivery::Sent | Delivery::Expired | Delivery::Refused => Batch::default().delete(key),
            };
            self.ground.records.commit(batch).await?;
            let origin = self.webhook_called(&to);
            self.ground.report(Origin::default(), Kind::Webhook { origin, delivery });
            if delivery == Delivery::Postponed {
                // The remaining dispatches would fail as well.
                return Ok(Some(self.dispatches.failed(to, self.ground.clock.now())));
            }
            self.dispatches.answered(to);
        }
        Ok(next)
    }

    fn postponed(&self, waiting: Waiting) -> Waiting {
        let next_try_at = self.ground.clock.now().plus(delay_after(waiting.tries));
        Waiting { tries: waiting.tries + 1, next_try_at, ..waiting }
    }

    /// The outcome of a dispatch.
    async fn handed_over(
        &self,
        waiting: &Waiting,
        dispatch: &Dispatch,
        webhook_sender: &dyn WebhookSender,
    ) -> Delivery {
        let (now, tries) = (self.ground.clock.now(), waiting.tries);
        if !webhook_sender.has_webhook(&waiting.to) {
            tracing::warn!("a message for a webhook that is configured no more is dropped");
            return Delivery::Refused;
        }
        let webhook = self.webhook_called(&waiting.to);
        if now >= waiting.expires_at || tries >= TRIES_MAX {
            tracing::error!(webhook, tries, "a message is given up: its webhook did not take it in time");
            return Delivery::Expired;
        }
        let attempt = Attempt { to: waiting.to, id: waiting.id, dispatch, now };
        match webhook_sender.send(attempt).await {
            Ok(()) => Delivery::Sent,
            Err(WebhookError::Temporary(error)) => {
                tracing::warn!(webhook, error, tries = tries + 1, "a webhook could not be told yet");
                Delivery::Postponed
            }
            Err(WebhookError::Permanent(error)) => {
                tracing::error!(webhook, error, "a webhook refuses a message for good");
                Delivery::Refused
            }
        }
    }

    /// The name of a webhook in messages: the part of its URL that may be shown.
    fn webhook_called(&self, to: &WebhookId) -> String {
        let rules = self.ground.rules();
        let known = rules.webhooks.iter().find(|webhook| webhook.webhook == *to);
        known.map_or_else(|| GONE.to_owned(), |webhook| webhook.origin.clone())
    }
}

/// The waiting dispatches for each webhook, the first due first.
fn by_webhook(waiting: Vec<(Waiting, Stored)>) -> Lanes {
    let mut lanes = Lanes::new();
    for (one, entry) in waiting {
        lanes.entry(one.to).or_default().push((one, entry));
    }
    for lane in lanes.values_mut() {
        lane.sort_by_key(|(one, _)| one.next_try_at);
    }
    lanes
}
