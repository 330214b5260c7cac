//! Black-box tests of the real binary, named by the ids of the threat checklist: W WebAuthn,
//! S session and account, P proxy, D durability.
//!
//! `harness/` is what they stand on. The modules `flows` and `faults` are the exception to the black
//! box: they put a hand-moved clock and a failing store under the use cases, because the binary has
//! no knob for either, and must not have one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops here"
)]

mod harness;

mod accounts;
mod addresses;
mod assertions;
mod better_auth;
mod burning;
mod ceremonies;
mod checking;
mod codes;
mod confusion;
mod corbado;
mod counting;
mod crowds;
mod departures;
mod described;
mod documents;
mod durability;
mod enrolments;
mod equivalence;
mod faults;
mod flows;
mod freshness;
mod headers;
mod identifiers;
mod invitations;
mod limits;
mod links;
mod mail;
mod native;
mod ocore;
mod own_links;
mod owners;
mod pages;
mod paths;
mod pooling;
mod processes;
mod raw_requests;
mod redirects;
mod related;
mod sessions;
mod silence;
mod single_use;
mod stage;
mod step_up;
mod system_calls;
mod tokens;
mod tongues;
mod upstreams;
mod yielding;
mod zitadel;
