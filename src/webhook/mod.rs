//! Ring 3: dispatches as webhooks get them.
//!
//! `words` has the text of a dispatch, `template` its form for a program, for ntfy and for Slack,
//! `signature` shows a receiver that it is ours, and `http` hands it over. What does not live here:
//! which webhook is told what, when, and how often to try, which `flows/messages/dispatches.rs`
//! decides. What always holds: one call is one request, to the address in the configuration and no
//! other; it takes a bounded time; of an answer no more than [`http::ANSWER_BYTES_MAX`] is read;
//! and a webhook is named by its origin, because its path may be as good as a password.

pub mod http;
pub mod signature;
mod template;
mod words;

pub use words::Sender;
