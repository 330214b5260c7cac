//! The postman: takes letters from the outbox to the mail server, now and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::StartError;
use crate::config::{EmailCode, MailEncryption, Settings};
use crate::flows::Gateway;
use crate::flows::codes;
use crate::mail::Stationery;
use crate::mail::smtp::{Encryption, SmtpMailer, SmtpSettings};
use crate::ports::Mailer;

/// How long the postman rests after the store failed.
const REST: Duration = Duration::from_secs(30);
/// The longest rest: a letter that was posted unnoticed waits no longer.
const REST_MAX: Duration = Duration::from_mins(5);

/// What codes are good for.
pub(super) const fn email_code(settings: &Settings) -> codes::EmailCode {
    match settings.email_code {
        EmailCode::Off => codes::EmailCode::Off,
        EmailCode::Enroll => codes::EmailCode::Enroll,
        EmailCode::Session => codes::EmailCode::Session,
    }
}

/// Whoever carries letters away, if the settings name a mail server.
pub(super) fn mailer(settings: &Settings) -> Result<Option<Arc<dyn Mailer>>, StartError> {
    let Some(mail) = &settings.mail else { return Ok(None) };
    let origin = settings.origin();
    let stationery = Stationery {
        name: settings.branding.name.clone(),
        account: format!("{origin}{}/account", settings.server.prefix),
        origin,
    };
    let smtp = SmtpSettings {
        host: mail.host.clone(),
        port: mail.port,
        encryption: match mail.encryption {
            MailEncryption::Tls => Encryption::Tls,
            MailEncryption::StartTls => Encryption::StartTls,
            MailEncryption::IfOffered => Encryption::IfOffered,
        },
        credentials: mail.user.clone().zip(mail.password.clone()),
        ca_file: mail.ca_file.clone(),
        from: (mail.from.name.clone(), mail.from.email.clone()),
        hello: settings.public_url.host.clone(),
    };
    let mailer = SmtpMailer::new(&smtp, stationery).map_err(StartError::because)?;
    Ok(Some(Arc::new(mailer)))
}

/// Delivers what waits, and what is posted, until told to stop.
pub(super) async fn deliver(
    gateway: Arc<Gateway>,
    mailer: Arc<dyn Mailer>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let rest = tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            delivered = gateway.deliver(&*mailer) => match delivered {
                Ok(next) => next.unwrap_or(REST_MAX).min(REST_MAX),
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read or written; messages wait");
                    REST
                }
            },
        };
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            () = gateway.mail_is_posted() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}
