//! Hands messages from the outbox to the mail server, when one is enqueued and when one is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;

use super::StartError;
use crate::config::Settings;
use crate::domain::message::{Content, Message};
use crate::domain::user::Email;
use crate::flows::Gateway;
use crate::mail::MessageBranding;
use crate::mail::smtp::SmtpMailer;
use crate::ports::Mailer;

/// How long delivery waits after the store failed.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// The longest wait, so that a message that was enqueued unnoticed waits no longer.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(5);

/// The mailer, if the settings name a mail server.
pub(super) fn mailer(settings: &Settings) -> Result<Option<Arc<dyn Mailer>>, StartError> {
    Ok(smtp(settings)?.map(|mailer| Arc::new(mailer) as _))
}

/// The same with its own type, which can greet the mail server without a message.
pub(super) fn smtp(settings: &Settings) -> Result<Option<SmtpMailer>, StartError> {
    let Some(server) = &settings.mail else { return Ok(None) };
    let origin = settings.origin();
    let branding = MessageBranding {
        name: settings.branding.name.clone(),
        account: format!("{origin}{}/account", settings.server.prefix),
        origin,
    };
    let mailer = SmtpMailer::new(server, &settings.public_url.host, branding);
    mailer.map(Some).map_err(StartError::because)
}

/// Sends a message that says nothing but that it has arrived, at once and past the outbox. Returns
/// the mail server's own words if it refuses.
pub fn send_test(settings: &Settings, to: Email) -> Result<(), StartError> {
    let none = || StartError("the configuration names no mail server: add [mail] (docs/mail.md)".to_owned());
    let mailer = smtp(settings)?.ok_or_else(none)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::because)?;
    let message = Message { to, content: Content::Test };
    runtime.block_on(mailer.send(&message)).map_err(StartError::because)
}

/// Delivers waiting and newly enqueued messages, with the mailer in force at the time, until told
/// to stop.
pub(super) async fn deliver(
    gateway: Arc<Gateway>,
    mut mailers: watch::Receiver<Option<Arc<dyn Mailer>>>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let Some(mailer) = mailers.borrow_and_update().clone() else {
            tokio::select! {
                _ = shutdown.wait_for(|told| *told) => return,
                changed = mailers.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        };
        let wait = tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            delivered = gateway.messages.deliver(&*mailer) => match delivered {
                Ok(next) => next.unwrap_or(RETRY_DELAY_MAX).min(RETRY_DELAY_MAX),
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read or written; messages wait");
                    RETRY_DELAY
                }
            },
        };
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            () = gateway.messages.mail_is_enqueued() => {}
            Ok(()) = mailers.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
