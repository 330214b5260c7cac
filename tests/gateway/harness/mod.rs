//! The harness of the tests of the real binary: a gateway in a directory of its own, applications
//! that record what reaches them, and browsers with strict cookie jars.
//!
//! What does not live here: any item of the crate itself. The harness speaks to the gateway from
//! outside, so that these tests would pass against any program that keeps the contract.
//!
//! What always holds: everything listens on 127.0.0.1, every wait is bounded, a process is ended
//! by its id, and the same seeds give the same passkeys.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "several test binaries are built from this folder"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test that cannot go on stops here, and only the outside world has a clock"
)]

pub mod acme2certifier;
#[path = "../../support/authenticator.rs"]
pub mod authenticator;
pub mod browser;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod jar;
pub mod journey;
pub mod pebble;
pub mod port;
pub mod post_office;
pub mod random;
pub mod raw;
pub mod receiver;
pub mod scene;
pub mod shape;
pub mod socket;
pub mod tls;
pub mod upstream;
pub mod wait;

pub(crate) use authenticator::{Authenticator, Knobs, flag};
pub use browser::{Browser, Reply};
pub use config::Config;
pub use gateway::Gateway;
pub use post_office::{Mode, PostOffice};
pub use random::SeededRandom;
pub use receiver::{Manner, Receiver, Told};
pub use scene::Scene;
pub use shape::shape;
pub use upstream::{Recorded, Upstream};
pub use wait::until;
