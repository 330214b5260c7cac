//! The state that requests share, and the state that one request carries from phase to phase.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::access_line::AccessLine;
use super::acme::Challenges;
use super::forwarded::{TrustedProxies, UntrustedProxies};
use super::headers::Reserved;
use super::own_bodies::OwnBodies;
use super::request_quota::{RequestQuota, RequestSlot};
use super::streams::OpenStream;
use super::tls::Certificates;
use super::upstream::Upstreams;
use super::{Doors, Meter};
use crate::domain::event::Answered;
use crate::domain::policy::decide::Decision;
use crate::domain::policy::route::Route;
use crate::flows::Gateway;
use crate::flows::admission::Permit;
use crate::flows::visit::Visit;

/// Whether requests without TLS are led to https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlainHttp {
    Served,
    Redirected,
}

/// The treatment of requests whose TLS handshake named no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamelessTls {
    /// There is one certificate, and no other that the client could have meant.
    Served,
    Refused,
}

impl NamelessTls {
    /// The setting for this number of certificates.
    pub(super) const fn with(certificates: usize) -> Self {
        if certificates > 1 { Self::Refused } else { Self::Served }
    }
}

/// The state that belongs to the rules of the gateway, and is exchanged with them.
pub(super) struct Front {
    pub(super) doors: Doors,
    pub(super) meter: Arc<dyn Meter>,
    pub(super) reserved: Reserved,
    pub(super) nameless_tls: NamelessTls,
}

/// The state that every request needs.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    pub(super) front: Arc<ArcSwap<Front>>,
    pub(super) elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    pub(super) trusted: TrustedProxies,
    pub(super) untrusted_proxies: Arc<UntrustedProxies>,
    pub(super) upstreams: Upstreams,
    pub(super) plain_http: PlainHttp,
    /// `Some` where we speak TLS ourselves.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) challenges: Arc<Challenges>,
    pub(super) own_bodies: Arc<OwnBodies>,
    pub(super) request_quota: Arc<RequestQuota>,
    pub(super) ids: RequestIds,
}

/// Makes ids of requests: a random part per process, and a count.
pub(super) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(random: [u8; 4]) -> Self {
        Self { process: u32::from_be_bytes(random), next: AtomicU64::new(1) }
    }

    /// 18 hexadecimal digits.
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(PROCESS_DIGITS + NUMBER_DIGITS);
        push_hex(&mut id, self.process.into(), PROCESS_DIGITS);
        push_hex(&mut id, number, NUMBER_DIGITS);
        id
    }
}

const PROCESS_DIGITS: usize = 8;
const NUMBER_DIGITS: usize = 10;

/// Writes the last `digits` digits of `number`. Formatting would do the same at several times the
/// cost.
fn push_hex(text: &mut String, number: u64, digits: usize) {
    let all = number.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let last = all.skip(2 * size_of::<u64>() - digits);
    text.extend(last.map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
}

/// The state that one request carries from phase to phase.
pub(super) struct Context {
    pub(super) visit: Option<Arc<Visit>>,
    pub(super) permit: Option<Permit>,
    /// The upstream of the first try, and the number of tries.
    pub(super) turn: usize,
    pub(super) tries: usize,
    pub(super) stream: Option<OpenStream>,
    /// The slot of a request from a client behind a trusted proxy.
    pub(super) request_slot: Option<RequestSlot>,
    pub(super) tally: Tally,
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let began = (shared.elapsed)();
        let tally =
            Tally { shared, began, route: None, answered: Answered::Aborted, decision: None, line: None };
        Self { visit: None, permit: None, turn: 0, tries: 0, stream: None, request_slot: None, tally }
    }
}

/// Counts the request when it is over, however it ends.
pub(super) struct Tally {
    shared: Arc<Shared>,
    pub(super) began: Duration,
    pub(super) route: Option<Arc<Route>>,
    pub(super) answered: Answered,
    /// The decision of the route's rules, where they were asked.
    pub(super) decision: Option<Decision>,
    /// The line for the access log.
    pub(super) line: Option<Box<AccessLine>>,
}

impl Tally {
    /// Notes that the application has begun its answer, this long after the request came.
    pub(super) fn upstream_answered(&self, took: Duration) {
        if let Some(route) = &self.route {
            self.shared.front.load().meter.upstream_answered(&route.name, took);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let took = (self.shared.elapsed)().saturating_sub(self.began);
        let route = self.route.as_ref().map(|route| route.name.as_str());
        let front = self.shared.front.load();
        front.meter.request(route, self.answered, self.decision, took);
        if let Some(line) = self.line.take() {
            front.meter.served(&line.complete(route, self.answered, took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_unique() {
        let ids = RequestIds::new([0x0a, 0xfa, 0xd3, 0xc8]);
        assert_eq!(ids.next(), "0afad3c80000000001");
        for _ in 0..0x33 {
            ids.next();
        }
        assert_eq!(ids.next(), "0afad3c80000000035");
    }
}
