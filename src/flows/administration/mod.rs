//! What operators and administrators do, from a terminal, an API or a page: the same flows.
//!
//! `authority` says who may, `people` changes accounts, `invitations` promises them, `links` are what
//! leads to them, `declared` makes all of them match a file, `import` takes them over from another
//! program, `directory` finds them, `sessions` lists and ends sessions, `bans` keeps networks out,
//! `trail` keeps what happened, `activity` counts it, and
//! `backup` writes everything down. What does not live here: what users do to their own accounts. What
//! always holds: a flow that changes anything takes an [`Authority`], and the event that it reports
//! names the actor.

pub mod activity;
pub mod authority;
pub mod backup;
pub mod bans;
pub mod declared;
pub mod directory;
pub mod import;
pub mod invitations;
mod links;
mod mail;
pub mod people;
mod sessions;
pub mod trail;

pub use authority::Authority;
