//! Engines: where entries are kept, behind `ports::KeyValue`.
//!
//! Here are the embedded engine ([`SledStore`]), the one for tests and throw-away runs
//! ([`MemoryStore`]) and the contract suite that every engine passes. Keys, encodings and record
//! types live in `records/`. What always holds: nothing here knows what an entry means, and an
//! engine that cannot keep a promise of the port says [`StoreError::Unavailable`] instead of
//! keeping half of it.
//!
//! [`StoreError::Unavailable`]: crate::ports::StoreError::Unavailable

mod followers;
mod limits;
mod memory;
pub mod private_file;
mod sled;
mod vault;

#[cfg(test)]
mod contract;

pub use memory::MemoryStore;
pub use sled::{CommitTimer, OpenError, SledOptions, SledStore};
pub use vault::{FileVault, NoVault};
