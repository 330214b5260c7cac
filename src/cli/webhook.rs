//! `vestibule webhook test`.
//!
//! What does not live here: the test itself, which `app/webhooks.rs` makes.
//!
//! What always holds: the command fails unless every receiver that was asked took the message.

use super::{Failure, Outcome, say};
use crate::app::{self, Tried};
use crate::config::Settings;

/// Prints what each receiver said. Fails where one did not take the message, so that a timer can
/// tell.
pub(super) fn test(settings: &Settings, which: Option<&str>, json: bool) -> Outcome {
    let tried = app::try_webhooks(settings, which)?;
    if json {
        say(&serde_json::to_string_pretty(&tried)?);
    } else {
        for one in &tried {
            say(&line(one));
        }
    }
    match tried.iter().filter(|one| !one.is_taken()).count() {
        0 => Ok(()),
        1 => Err(Failure("one webhook did not take the message".to_owned())),
        failed => Err(Failure(format!("{failed} webhooks did not take the message"))),
    }
}

fn line(one: &Tried) -> String {
    let Tried { webhook, to, said, .. } = one;
    let weight = if one.is_taken() { "ok" } else { "FAILED" };
    let status = one.status.map(|status| format!("{status} ")).unwrap_or_default();
    format!("{weight:<8} {webhook} {to}  {status}{said}").trim_end().to_owned()
}
