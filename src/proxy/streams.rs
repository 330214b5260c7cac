//! Long exchanges end with their session: WebSockets, event streams, long downloads.
//!
//! Every request runs inside [`supervised`]. As soon as admission or the response shows that an
//! exchange outlives one round trip, it is bound to its session by [`bind_to_session`]. When that
//! session ends, its user may not use the route any more, or the route or its public path is gone,
//! the whole exchange is dropped, idle or not. An exchange that would never end by itself is
//! dropped when we are told to stop, too, so that its client comes back to the next process at
//! once. Dropping closes an HTTP/1.1 connection and resets one HTTP/2 stream, leaving its
//! neighbours alone.
//!
//! Supervision also bounds how long a client may take to say anything at all, and to send a
//! request's headers.
//!
//! What always holds: a request that is answered at once pays no timer, lock or allocation here.

use std::cell::{Cell, OnceCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::server::ShutdownWatch;

use super::Meter;
use super::chunks::Chunks;
use super::connection_quota::Activity;
use super::head::Head;
use crate::flows::Gateway;
use crate::flows::admission::Stay;
use crate::flows::index::{Held, LiveSession};

/// How long a connection may take to show which protocol it speaks, and then how long its first
/// request may take to arrive.
const FIRST_HEADERS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may lie idle and then take to send its next request.
const NEXT_HEADERS_TIMEOUT: Duration = Duration::from_secs(75);
/// How long the headers of one request may take from their first byte to their last. pingora's own
/// limit is for each read of them, which a client that sends a byte now and then never meets.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

tokio::task_local! {
    static SUPERVISION: Supervision;
    static CONNECTION: Connection;
}

/// The connection that this task serves. Requests of HTTP/2 have tasks of their own.
struct Connection {
    stage: Cell<Stage>,
    activity: Arc<Activity>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client has not shown which protocol it speaks.
    Opening,
    /// It has chosen HTTP/2, and has to prove it with its preface.
    Http2Handshake,
    /// Requests may come; from here on each is bounded on its own.
    Open,
}

struct Supervision {
    /// The bytes that have come of the request's head and body; unused for HTTP/2, where frames say
    /// where they end.
    head: Cell<Head>,
    chunks: Cell<Chunks>,
    arrived: Cell<Option<Arrived>>,
    binding: OnceCell<Binding>,
    /// The activity of an HTTP/2 request's connection.
    activity: Option<Arc<Activity>>,
}

impl Supervision {
    fn new(activity: Option<Arc<Activity>>) -> Self {
        Self {
            head: Cell::default(),
            chunks: Cell::default(),
            arrived: Cell::new(None),
            binding: OnceCell::new(),
            activity,
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if self.arrived.get().is_some() {
            on_activity(self, Activity::end_request);
        }
    }
}

fn on_activity(supervision: &Supervision, change: impl Fn(&Activity)) {
    match &supervision.activity {
        Some(activity) => change(activity),
        None => {
            let _ = CONNECTION.try_with(|connection| change(&connection.activity));
        }
    }
}

/// The evidence that an exchange was let in with, and the gateway, which knows whether it still
/// holds.
#[derive(Clone)]
struct Binding {
    gateway: Arc<Gateway>,
    stay: Arc<Stay>,
    stream_kind: StreamKind,
}

/// Whether an exchange comes to an end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// A download or an upload.
    Finite,
    /// A WebSocket or a stream of events.
    Endless,
}

impl Binding {
    /// Returns when the exchange may not go on, or shutdown does not wait for it.
    async fn until_ended(self, mut shutdown: ShutdownWatch) {
        let refused = self.gateway.admission.until_refused(&self.stay);
        match self.stream_kind {
            StreamKind::Finite => refused.await,
            StreamKind::Endless => tokio::select! {
                () = refused => {}
                _ = shutdown.wait_for(|asked| *asked) => {}
            },
        }
    }
}

/// The request's headers are here.
#[derive(Clone, Copy)]
struct Arrived;

/// Counts an open stream for as long as it lives.
pub(super) struct OpenStream {
    meter: Arc<dyn Meter>,
    _session: Option<Held>,
}

impl OpenStream {
    fn new(meter: Arc<dyn Meter>, session: Option<Held>) -> Self {
        meter.stream_opened();
        Self { meter, _session: session }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.meter.stream_closed();
    }
}

/// Runs the work of one connection, and ends it if the client stays silent.
pub(super) async fn connection(activity: Arc<Activity>, work: impl Future<Output = ()>) {
    let work = async move {
        tokio::select! {
            biased;
            () = work => {}
            () = silence(FIRST_HEADERS_TIMEOUT) => {}
        }
    };
    let connection = Connection { stage: Cell::new(Stage::Opening), activity };
    CONNECTION.scope(connection, work).await;
}

/// The client has chosen HTTP/2.
pub(super) fn http2_chosen() {
    let _ = CONNECTION.try_with(|connection| connection.stage.set(Stage::Http2Handshake));
}

/// Notes that a handshake of HTTP/2 is over, if there was one.
pub(super) fn http2_begun() {
    let _ = CONNECTION.try_with(|connection| {
        if connection.stage.get() == Stage::Http2Handshake {
            connection.stage.set(Stage::Open);
        }
    });
}

/// Ends when a connection has taken too long to open. Like [`until_cancelled`], it is polled right
/// after the code that changes the stage.
async fn silence(limit: Duration) {
    let mut too_late = std::pin::pin!(pingora::time::sleep(limit));
    poll_fn(|context| match CONNECTION.try_with(|connection| connection.stage.get()) {
        Ok(Stage::Opening | Stage::Http2Handshake) => too_late.as_mut().poll(context),
        _ => Poll::Pending,
    })
    .await;
}

/// Runs one request; `None` when its session ended, its headers did not come, or it would never end
/// and `shutdown` holds `true`.
///
/// `activity` is that of the connection of an HTTP/2 request.
pub(super) async fn supervised<T>(
    activity: Option<Arc<Activity>>,
    shutdown: &ShutdownWatch,
    request: impl Future<Output = T>,
) -> Option<T> {
    let limit = match CONNECTION.try_with(|connection| connection.stage.replace(Stage::Open)) {
        Ok(Stage::Opening) => FIRST_HEADERS_TIMEOUT,
        _ => NEXT_HEADERS_TIMEOUT,
    };
    SUPERVISION
        .scope(Supervision::new(activity), async move {
            tokio::select! {
                biased;
                answered = request => Some(answered),
                () = until_cancelled(limit, shutdown) => None,
            }
        })
        .await
}

/// Notes bytes that have come on an HTTP/1 connection for the current request.
pub(super) fn note_bytes(bytes: &[u8]) {
    let _ = SUPERVISION.try_with(|supervision| {
        let mut head = supervision.head.get();
        let rest = head.see(bytes);
        supervision.head.set(head);
        if head.is_before_chunks() {
            let mut chunks = supervision.chunks.get();
            chunks.see(rest);
            supervision.chunks.set(chunks);
        }
    });
}

/// Whether the head of the current request could be read in two ways, as its bytes came.
pub(super) fn is_head_ambiguous() -> bool {
    SUPERVISION.try_with(|supervision| supervision.head.get().is_ambiguous()).unwrap_or_default()
}

/// Whether the body of the current request could end in two places, as far as its bytes have come.
pub(super) fn is_body_ambiguous() -> bool {
    SUPERVISION.try_with(|supervision| supervision.chunks.get().are_ambiguous()).unwrap_or_default()
}

/// Notes that the current request's headers have arrived.
pub(super) fn note_headers() {
    let _ = SUPERVISION.try_with(|supervision| {
        if supervision.arrived.replace(Some(Arrived)).is_none() {
            on_activity(supervision, Activity::begin_request);
        }
    });
}

/// Binds the current exchange to what it was let in with: the session, if it has one, and the right
/// to use the route.
pub(super) fn bind_to_session(
    stay: Option<Stay>,
    stream_kind: StreamKind,
    gateway: &Arc<Gateway>,
    meter: &Arc<dyn Meter>,
) -> OpenStream {
    let held = stay.as_ref().and_then(Stay::session).map(LiveSession::hold);
    if let Some(stay) = stay {
        let binding = Binding { gateway: Arc::clone(gateway), stay: Arc::new(stay), stream_kind };
        let _ = SUPERVISION.try_with(|supervision| supervision.binding.set(binding));
    }
    OpenStream::new(Arc::clone(meter), held)
}

/// Ends when the exchange has to end.
///
/// The supervision changes only while the request itself is polled, right before this future is, so
/// this future needs no wake-up of its own.
async fn until_cancelled(limit: Duration, shutdown: &ShutdownWatch) {
    let mut ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    let mut too_late = std::pin::pin!(pingora::time::sleep(limit));
    let mut too_slow: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    poll_fn(|context| {
        let arrived = SUPERVISION.try_with(|supervision| supervision.arrived.get()).ok().flatten();
        if arrived.is_none() {
            if SUPERVISION.try_with(|supervision| supervision.head.get().has_begun()).unwrap_or_default() {
                let slow = too_slow.get_or_insert_with(|| Box::pin(pingora::time::sleep(HEADERS_TIMEOUT)));
                std::task::ready!(slow.as_mut().poll(context));
                return Poll::Ready(());
            }
            return too_late.as_mut().poll(context);
        }
        if ended.is_none() {
            let bound = SUPERVISION.try_with(|supervision| supervision.binding.get().cloned()).ok().flatten();
            ended = bound.map(|binding| Box::pin(binding.until_ended(shutdown.clone())) as _);
        }
        ended.as_mut().map_or(Poll::Pending, |ended| ended.as_mut().poll(context))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    /// pingora's own limits are off, so this one alone ends a connection that is kept and never used.
    #[tokio::test]
    async fn p_33_a_request_that_never_comes_is_not_waited_for() {
        const LIMIT: Duration = Duration::from_millis(20);
        let (_running, shutdown) = watch::channel(false);
        let patience = Duration::from_secs(5);
        let ended = SUPERVISION.scope(Supervision::new(None), until_cancelled(LIMIT, &shutdown));
        tokio::time::timeout(patience, ended).await.unwrap();
        let arrived = SUPERVISION.scope(Supervision::new(None), async {
            note_headers();
            tokio::time::timeout(10 * LIMIT, until_cancelled(LIMIT, &shutdown)).await
        });
        assert!(arrived.await.is_err(), "a request that is here is answered");
    }
}
