//! Ring 1: what the program needs from outside, as traits with prose contracts.
//!
//! Here are the store, the clock, the source of randomness, the observer that is told of events,
//! the mailer and the sender of webhooks. Implementations live in ring 3 (`store/`, `system.rs`,
//! `telemetry/`, `mail/`, `webhook/`). What always holds: nothing inside this ring or below it
//! reads a clock, draws randomness or does I/O except through one of these traits, so a test moves
//! time by hand and never sleeps.

pub mod clock;
pub mod entropy;
pub mod mailer;
pub mod observer;
pub mod store;
pub mod vault;
pub mod webhook_sender;

pub use clock::Clock;
pub use entropy::Entropy;
pub use mailer::{MailError, Mailer};
pub use observer::Observer;
pub use store::{Batch, Change, CommitError, Expectation, KeyValue, StoreError};
pub use vault::{SigningKeys, Vault, VaultError};
pub use webhook_sender::{Attempt, WebhookError, WebhookSender};
