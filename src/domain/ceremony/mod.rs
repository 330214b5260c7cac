//! Ceremonies: the two-step conversations in which a browser proves a passkey.
//!
//! `begin` answers with options for the browser and a pending state for the store. `finish` takes
//! that state back, with the browser's answer, and either returns evidence or says why not. This
//! is the only folder that names webauthn-rs.
//!
//! What always holds:
//! - A pending state is worth one attempt. Callers obtain it with `take`, so a second `finish`
//!   finds nothing, even after a failure.
//! - Nothing here reads a clock. Callers pass `now`, and expiry is decided here.
//! - Evidence types have no public constructor. Whoever holds one, ran the check.
//! - User verification and a discoverable credential are required, at every door.
//!
//! What does not live here: HTTP, cookies, storage, and the question of who may begin.

pub mod aaguid;
