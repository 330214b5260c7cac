//! Handing messages to a mail server over SMTP (RFC 5321). The only file that names lettre.
//!
//! What always holds: unless the server is on this machine, nothing is said to it before TLS has
//! shown that it is the host it should be; a message is taken on within [`SEND_TIMEOUT`], or not;
//! header values are structures, never text that a line break could be in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use zeroize::Zeroizing;

use super::MessageBranding;
use crate::domain::message::Message;
use crate::domain::user::{DisplayName, Email};
use crate::ports::{MailError, Mailer};

/// How long handing one message over may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one step of it may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// The mail server that takes our messages, and our account there.
#[derive(Clone)]
pub struct MailServer {
    /// A name or an address; certificates are checked for it.
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// A user and their password.
    pub credentials: Option<(String, Zeroizing<String>)>,
    pub from: Sender,
    /// Trusted besides the authorities of this machine.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailServer({}:{}, {:?})", self.host, self.port, self.encryption)
    }
}

/// The encryption of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS; without it, no mail is sent.
    StartTls,
    /// TLS if the server offers it: for a server on this machine.
    IfOffered,
}

/// The sender of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub name: Option<DisplayName>,
    pub email: Email,
}

/// Why there is no mailer.
#[derive(Debug, thiserror::Error)]
pub enum BadMailer {
    #[error("mail.ca_file: {path}: {problem}")]
    Authority { path: String, problem: String },
    #[error("mail: {0}")]
    Settings(String),
}

/// Answers that are about who is sending, not about what is sent (RFC 4954, section 6; RFC 5321,
/// section 4.2.3).
const ABOUT_US: [u16; 8] = [500, 502, 504, 530, 534, 535, 538, 554];

/// How a certificate begins in PEM (RFC 7468, section 5.1).
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A mail server.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    branding: MessageBranding,
}

impl SmtpMailer {
    /// Opens no connection. `hello` is our name in `EHLO`: the host of our public
    /// address.
    pub fn new(server: &MailServer, hello: &str, branding: MessageBranding) -> Result<Self, BadMailer> {
        let tls = || tls_parameters(server);
        let tls = match server.encryption {
            Encryption::Tls => Tls::Wrapper(tls()?),
            Encryption::StartTls => Tls::Required(tls()?),
            Encryption::IfOffered => Tls::Opportunistic(tls()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(STEP_TIMEOUT))
            .hello_name(ClientId::Domain(hello.to_owned()));
        if let Some((user, password)) = &server.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.as_str().to_owned()));
        }
        let Sender { name, email } = &server.from;
        let from = mailbox(name.as_ref(), email).map_err(|error| BadMailer::Settings(error.to_string()))?;
        Ok(Self { transport: builder.build(), from, branding })
    }

    /// Signs in to the mail server and leaves. An error says in words why it takes nothing from us.
    pub async fn greet(&self) -> Result<(), String> {
        match tokio::time::timeout(SEND_TIMEOUT, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("it closes the connection".to_owned()),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("it takes too long".to_owned()),
        }
    }

    fn composed(
        &self,
        message: &Message,
    ) -> Result<Option<lettre::Message>, Box<dyn std::error::Error + Send + Sync>> {
        let Some(words) = self.branding.write(&message.content)? else { return Ok(None) };
        let message = lettre::Message::builder()
            .from(self.from.clone())
            .to(mailbox(None, &message.to)?)
            .subject(words.subject)
            .multipart(MultiPart::alternative_plain_html(words.text, words.html))?;
        Ok(Some(message))
    }
}

fn tls_parameters(server: &MailServer) -> Result<TlsParameters, BadMailer> {
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(path) = &server.ca_file {
        let bad = |problem: String| BadMailer::Authority { path: path.display().to_string(), problem };
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        // The library takes a file without any for an empty list, and trusts nothing more.
        if !pem.windows(PEM_CERTIFICATE.len()).any(|part| part == PEM_CERTIFICATE) {
            return Err(bad("it holds no PEM certificate".to_owned()));
        }
        builder = builder
            .add_root_certificate(Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| BadMailer::Settings(error.to_string()))
}

fn mailbox(name: Option<&DisplayName>, email: &Email) -> Result<Mailbox, lettre::address::AddressError> {
    let address: Address = email.as_str().parse()?;
    Ok(Mailbox::new(name.map(ToString::to_string), address))
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, message: &Message) -> Result<(), MailError> {
        // A message that cannot be composed now cannot be composed later.
        let message = self.composed(message).map_err(|error| MailError::Permanent(error.to_string()))?;
        let Some(message) = message else { return Ok(()) };
        let sent = tokio::time::timeout(SEND_TIMEOUT, self.transport.send(message)).await;
        let sent = sent.map_err(|_| MailError::Temporary("the mail server takes too long".to_owned()))?;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if is_about_the_message(&error) => Err(MailError::Permanent(in_words(&error))),
            Err(error) => Err(MailError::Temporary(in_words(&error))),
        }
    }
}

/// Whether the server refuses this message for good, rather than us: a password that is being
/// changed, or a server that takes no mail today, must not cost a user their message.
fn is_about_the_message(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().map_or(0, u16::from);
    error.is_permanent() && !ABOUT_US.contains(&code)
}

/// The error with its causes. A server's answer may quote the address, so only its code is kept.
fn in_words(error: &lettre::transport::smtp::Error) -> String {
    if let Some(code) = error.status() {
        return format!("the mail server answered {code}");
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
