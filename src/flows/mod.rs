//! Ring 2: the use cases. Each loads, decides, saves once and reports.
//!
//! [`Gateway`] is the program without its edges: no HTTP, no sockets, no files. The proxy asks it
//! to `admit`; pages and dialects call the other flows; operators reach it through `administer`.
//!
//! What always holds: a flow consumes its pending state first and writes at most once,
//! atomically, at its end. Any `.await` may be where the caller vanishes.

pub mod admit;
pub mod index;
pub mod passport;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::assertion::AssertionSigner;
use crate::domain::event::{Event, Kind, Origin};
use crate::domain::place::Place;
use crate::domain::policy::route::RouteTable;
use crate::domain::session::Lifetimes;
use crate::domain::session::token::Signer;
use crate::ports::{Clock, Entropy, Observer};
use crate::records::Records;
use index::SessionIndex;

/// The running gateway, without its edges.
pub struct Gateway {
    place: Place,
    /// Our public origin: issuer of assertions and audience of tokens.
    issuer: String,
    routes: RouteTable,
    lifetimes: Lifetimes,
    records: Records,
    index: Arc<SessionIndex>,
    signer: ArcSwap<Signer>,
    assertions: AssertionSigner,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
}

impl Gateway {
    fn report(&self, origin: Origin, kind: Kind) {
        self.observer.record(&Event { kind, origin });
    }
}
