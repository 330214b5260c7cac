//! Vestibule: a passkey authentication gateway.
//!
//! One binary stands in front of web applications that have no good login of their own. A request
//! for a protected application is let in, sent to sign in, or refused; people sign in with a
//! passkey and nothing else; the application receives the request with identity headers it can
//! trust. Start with `src/ARCHITECTURE.md`; the modules below are in reading order, from the ring
//! that knows nothing of the world to the ring that knows everything.

// Ring 0: what is true.
pub mod domain;
// Ring 1: what we ask of the world.
pub mod ports;
// Ring 2: typed records over the store, and the use cases.
pub mod flows;
pub mod records;
// Ring 3: the world.
pub mod acme;
pub mod admin;
pub mod dialects;
pub mod mail;
pub mod pages;
pub mod proxy;
pub mod store;
pub mod system;
pub mod telemetry;
pub mod web;
pub mod webhook;
// Ring 4: settings, commands and the wiring.
pub mod app;
pub mod cli;
pub mod config;
