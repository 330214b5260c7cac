//! Ring 3: messages as people get them.
//!
//! `words` says what is in a message, as text and as HTML (`templates/mail/`), `notices` what
//! notices say; `smtp` hands it to a mail server. What does not live here: when to write, to whom,
//! and when to try again (`flows/`).

mod notices;
pub mod smtp;
mod words;

pub use words::MessageBranding;
