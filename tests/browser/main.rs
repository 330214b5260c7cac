//! Journeys of users in a real Chromium (and the main one in a real Firefox) with virtual
//! authenticators.
//!
//! `chrome/` drives the browser, `people` are the steps that the tests share, and the other modules
//! are tests. The gateway is the real binary of `tests/gateway/harness`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test that cannot go on stops here"
)]

#[path = "../gateway/harness/mod.rs"]
mod harness;

mod account;
mod admin;
mod arriving;
mod chrome;
mod code;
mod demo;
mod firefox;
mod groups;
mod hosts;
mod looks;
mod people;
mod sign_in;
mod trouble;
