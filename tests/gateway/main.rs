//! Black-box tests of the real binary, named by the ids of the threat checklist: W WebAuthn,
//! S session and account, P proxy, D durability.
//!
//! They use `harness/`. The modules that use `stage` are the exception to the black box: they put a
//! hand-moved clock and a failing store under the use cases, because the binary has no setting for
//! either, and must not have one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops here"
)]

mod harness;

mod access_tokens;
mod account_enumeration;
mod accounts;
mod addresses;
mod administration;
mod answers;
mod assertions;
mod auth_age;
mod backups;
mod bans;
mod better_auth;
mod ceremonies;
mod certificates;
mod checking;
mod codes;
mod confusion;
mod corbado;
mod counting;
mod departures;
mod described;
mod device_links;
mod dialect_clients;
mod doctor;
mod documents;
mod durability;
mod encrypted_backups;
mod endings;
mod enrolments;
mod equivalence;
mod faults;
mod feeds;
mod flows;
mod footprint;
mod forward_auth;
mod freshness;
mod headers;
mod held;
mod identifiers;
mod invitations;
mod key_revocation;
mod limits;
mod links;
mod long_changes;
mod mail;
mod monitoring;
mod native;
mod notices;
mod ocore;
mod overload;
mod own_links;
mod owners;
mod pages;
mod paths;
mod policy;
mod pooling;
mod processes;
mod proxy_protocol;
mod raw_requests;
mod recipes;
mod recovery_codes;
mod redirects;
mod related;
mod reloading;
mod restarts;
mod sessions;
mod sign_up;
mod single_use;
mod stage;
mod step_up;
mod system_calls;
mod tokens;
mod uploads;
mod upstream_headers;
mod upstreams;
mod webhooks;
mod yielding;
mod zitadel;
