//! Ring 3: letters as people get them.
//!
//! `words` says what is in a letter, as text and as HTML (`templates/mail/`), `notices` what
//! notices say; `smtp` hands it to a mail server. What does not live here: when to write, to whom,
//! and when to try again (`flows/`).

mod notices;
pub mod smtp;
mod words;

pub use words::Stationery;
