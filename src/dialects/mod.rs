//! Ring 3: HTTP APIs. Each translates to the flows and back, and decides nothing.
//!
//! `native` is always on, under the prefix; the built-in pages speak it like everyone else. No
//! dialect knows another.

pub mod native;
