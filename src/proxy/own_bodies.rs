//! Bodies of requests to our own endpoints.
//!
//! Anonymous clients send them, so they are bounded: each in size and in time, and all bodies in
//! memory together, shared out among networks. What always holds: a body counts for as many bytes
//! as have arrived, so that a request which sends nothing takes nothing from others.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::bridge::expects_continue;
use super::chunks::INVALID_CHUNK;
use super::streams;
use super::{Limits, OWN_BODY_BYTES_MAX};
use crate::domain::ledger::{Ledger, Standing};

/// All such bodies in memory.
pub(super) struct OwnBodies {
    ledger: Mutex<Ledger>,
    pace: ArcSwap<BodyRate>,
}

/// How fast a body has to come.
struct BodyRate {
    timeout: Duration,
    bytes_per_second: usize,
}

/// The body of one request.
pub(super) enum OwnBody<'a> {
    /// The whole body. The share is kept until the request is answered.
    Whole(Bytes, Share<'a>),
    TooLarge,
    /// Too many bytes of other bodies are in memory.
    NoRoom,
}

/// The bytes that one body takes, given back when dropped.
pub(super) struct Share<'a> {
    bodies: &'a OwnBodies,
    client: Option<IpAddr>,
    standing: Standing,
    bytes: usize,
}

impl OwnBodies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(limits.own_bodies)),
            pace: ArcSwap::from_pointee(BodyRate::of(limits)),
        }
    }

    /// Bounds bodies by these limits from now on.
    pub(super) fn exchange(&self, limits: &Limits) {
        self.ledger().set_budget(limits.own_bodies);
        self.pace.store(Arc::new(BodyRate::of(limits)));
    }

    /// Reads the body, unless it is more than our endpoints take, or too many bytes are in memory.
    pub(super) async fn read(
        &self,
        session: &mut Session,
        client: Option<IpAddr>,
        standing: Standing,
    ) -> pingora::Result<OwnBody<'_>> {
        let mut share = Share { bodies: self, client, standing, bytes: 0 };
        if session.is_body_done() {
            return Ok(OwnBody::Whole(Bytes::new(), share));
        }
        if declared(session).is_some_and(|length| length > OWN_BODY_BYTES_MAX) {
            return Ok(OwnBody::TooLarge);
        }
        if expects_continue(session) {
            session.write_continue_response().await?;
        }
        let began = tokio::time::Instant::now();
        let mut body = BytesMut::new();
        loop {
            let until = began + self.timeout_for(body.len());
            let chunk = tokio::time::timeout_at(until, session.read_request_body()).await;
            let chunk = chunk.map_err(|_| Error::new_down(ErrorType::ReadTimedout))?;
            let chunk = chunk.map_err(Error::into_down)?;
            if streams::is_body_ambiguous() {
                return Err(Error::new_down(INVALID_CHUNK));
            }
            let Some(chunk) = chunk else { return Ok(OwnBody::Whole(body.freeze(), share)) };
            if body.len() + chunk.len() > OWN_BODY_BYTES_MAX {
                return Ok(OwnBody::TooLarge);
            }
            if !share.grow(chunk.len()) {
                return Ok(OwnBody::NoRoom);
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// How long a body may take of which this much has arrived.
    fn timeout_for(&self, bytes: usize) -> Duration {
        let pace = self.pace.load();
        let millis = bytes.saturating_mul(1000) / pace.bytes_per_second;
        pace.timeout + Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyRate {
    fn of(limits: &Limits) -> Self {
        Self { timeout: limits.own_body_timeout, bytes_per_second: limits.own_body_bytes_per_second.max(1) }
    }
}

fn declared(session: &Session) -> Option<usize> {
    session.get_header(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.bodies.ledger().take(self.client, bytes, self.standing);
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.bodies.ledger().give_back(self.client, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_01_what_has_arrived_gives_a_body_more_time() {
        let limits = Limits {
            own_body_timeout: Duration::from_secs(5),
            own_body_bytes_per_second: 4_096,
            ..Limits::default()
        };
        let bodies = OwnBodies::new(&limits);
        for (bytes, time) in [(0, 5_000), (1, 5_000), (4_096, 6_000), (65_536, 21_000)] {
            assert_eq!(bodies.timeout_for(bytes), Duration::from_millis(time), "{bytes}");
        }
        bodies.exchange(&Limits { own_body_bytes_per_second: 0, ..limits });
        assert_eq!(bodies.timeout_for(2), Duration::from_secs(7), "no rate is no division by zero");
    }
}
