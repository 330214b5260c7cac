//! Handing a dispatch to a webhook over HTTP. This is the only file here that names hyper and
//! rustls.
//!
//! What does not live here: which dispatch is due, and when one is tried again
//! (`flows/messages/dispatches.rs`).
//!
//! What always holds: one request, and no redirect is followed; a certificate has to be for the
//! host; plain HTTP goes to this machine and to private networks alone, whatever a name resolves
//! to.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tower::util::ServiceFn;

use super::signature::{self, SigningSecret};
use super::template::message;
use super::words::Sender;
use crate::domain::dispatch::{Dispatch, Template, WebhookId};
use crate::domain::id::MessageId;
use crate::domain::network;
use crate::domain::time::Timestamp;
use crate::ports::{Attempt, WebhookError, WebhookSender};

/// How long handing one dispatch over may take.
const CARRY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer is read.
pub const ANSWER_BYTES_MAX: usize = 4 << 10;
/// How much of an answer is shown.
const EXCERPT_CHARS_MAX: usize = 200;

const USER_AGENT: &str = concat!("Vestibule/", env!("CARGO_PKG_VERSION"));

type ResolvedAddresses = BoxFuture<'static, io::Result<std::vec::IntoIter<SocketAddr>>>;
type Resolver = ServiceFn<fn(Name) -> ResolvedAddresses>;

/// One webhook, as the configuration names it.
#[derive(Clone)]
pub struct WebhookSettings {
    /// In many cases, the URL is as good as a password.
    pub url: String,
    pub template: Template,
    /// The secret that signs messages.
    pub secret: Option<SigningSecret>,
    /// Trusted for it instead of the authorities of this machine.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSettings({:?})", self.template)
    }
}

/// Why there is no sender of webhooks.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhook {
    #[error("webhook.ca_file: {path}: {problem}")]
    Authority { path: String, problem: String },
    #[error("webhook: {0}")]
    Settings(String),
}

/// The answer of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The beginning of its text, on one line.
    pub said: String,
}

/// A webhook that dispatches can be sent to.
struct Receiver {
    url: Uri,
    template: Template,
    secret: Option<SigningSecret>,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
}

/// The sender for the webhooks of the configuration.
pub struct HttpWebhookSender {
    receivers: BTreeMap<WebhookId, Receiver>,
    sender: Sender,
}

impl HttpWebhookSender {
    /// Opens no connection yet.
    pub fn new(
        settings: impl IntoIterator<Item = WebhookSettings>,
        sender: Sender,
    ) -> Result<Self, BadWebhook> {
        let receivers = settings.into_iter().map(|settings| {
            let url: Uri = settings.url.parse().map_err(|error| bad(&error))?;
            let client = client(&settings, &url)?;
            let WebhookSettings { url: text, template, secret, .. } = settings;
            Ok((WebhookId::of_url(&text), Receiver { url, template, secret, client }))
        });
        Ok(Self { receivers: receivers.collect::<Result<_, BadWebhook>>()?, sender })
    }

    /// Hands a dispatch that says nothing but that it has arrived to a webhook, and returns what
    /// that said.
    pub async fn send_test(&self, to: &WebhookId, id: MessageId, now: Timestamp) -> Result<Answer, String> {
        let receiver = self.receivers.get(to).ok_or("there is no such webhook")?;
        let dispatch = Dispatch::test(now);
        let attempt = Attempt { to: *to, id, dispatch: &dispatch, now };
        let asked = async {
            let response = receiver.ask(attempt, &self.sender).await?;
            let status = response.status().as_u16();
            Ok(Answer { status, said: response_excerpt(response).await })
        };
        tokio::time::timeout(CARRY_TIMEOUT, asked).await.map_err(|_| TOO_LONG.to_owned())?
    }
}

const TOO_LONG: &str = "it takes too long to answer";

#[async_trait]
impl WebhookSender for HttpWebhookSender {
    fn has_webhook(&self, to: &WebhookId) -> bool {
        self.receivers.contains_key(to)
    }

    async fn send(&self, attempt: Attempt<'_>) -> Result<(), WebhookError> {
        let Some(receiver) = self.receivers.get(&attempt.to) else {
            return Err(WebhookError::Permanent("there is no such webhook".to_owned()));
        };
        // The head of an answer tells whether the message was taken; the rest is not read.
        match tokio::time::timeout(CARRY_TIMEOUT, receiver.ask(attempt, &self.sender)).await {
            Ok(Ok(response)) => judged(response.status()),
            Ok(Err(error)) => Err(WebhookError::Temporary(error)),
            Err(_) => Err(WebhookError::Temporary(TOO_LONG.to_owned())),
        }
    }
}

/// Whether an answer means that the message was taken. A refusal counts for good only where it is
/// about the message: a receiver that is being moved, or locked, must not cost a user their
/// message.
fn judged(status: StatusCode) -> Result<(), WebhookError> {
    let answered = format!("it answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        400 | 405 | 406 | 410 | 411 | 413 | 414 | 415 | 422 | 431 => Err(WebhookError::Permanent(answered)),
        _ => Err(WebhookError::Temporary(answered)),
    }
}

impl Receiver {
    async fn ask(
        &self,
        attempt: Attempt<'_>,
        sender: &Sender,
    ) -> Result<Response<impl BodyExt<Data = Bytes> + Unpin>, String> {
        let request = self.request(attempt, sender).ok_or("the message cannot be written")?;
        self.client.request(request).await.map_err(|error| in_words(&error))
    }

    fn request(&self, attempt: Attempt<'_>, sender: &Sender) -> Option<Request<Full<Bytes>>> {
        let message = message(self.template, sender, attempt.dispatch)?;
        let id = format!("msg_{}", attempt.id);
        let mut request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, message.content_type)
            .header(header::USER_AGENT, USER_AGENT)
            .header(signature::ID, &id)
            .header(signature::TIMESTAMP, attempt.now.as_seconds());
        if let Some(secret) = &self.secret {
            request = request.header(signature::SIGNATURE, secret.sign(&id, attempt.now, &message.body)?);
        }
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(message.body)).ok()
    }
}

fn client(
    settings: &WebhookSettings,
    url: &Uri,
) -> Result<Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>, BadWebhook> {
    let builder = HttpsConnectorBuilder::new();
    let builder = match &settings.ca_file {
        Some(path) => builder.with_tls_config(trusting(path)?),
        None => builder
            .with_provider_and_platform_verifier(ring::default_provider())
            .map_err(|error| bad(&error))?,
    };
    let is_plain = url.scheme_str() == Some("http");
    let resolve: fn(Name) -> ResolvedAddresses = if is_plain { resolve_near } else { resolve_any };
    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
    // No connection is kept: a kept one may be gone, and then it is not known whether a request on
    // it arrived.
    let mut client = Client::builder(TokioExecutor::new());
    Ok(client.pool_max_idle_per_host(0).retry_canceled_requests(false).build(connector))
}

fn trusting(path: &Path) -> Result<ClientConfig, BadWebhook> {
    let problem = |problem: String| BadWebhook::Authority { path: path.display().to_string(), problem };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| problem(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| problem(error.to_string()))?;
        roots.add(certificate).map_err(|error| problem(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(problem("it holds no PEM certificate".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|error| bad(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn bad(error: &dyn fmt::Display) -> BadWebhook {
    BadWebhook::Settings(error.to_string())
}

fn resolve_any(name: Name) -> ResolvedAddresses {
    Box::pin(async move { Ok(addresses(&name).await?.into_iter()) })
}

/// Addresses of this machine and of private networks: no other host is sent anything in the clear.
fn resolve_near(name: Name) -> ResolvedAddresses {
    Box::pin(async move {
        let mut found = addresses(&name).await?;
        found.retain(|address| network::is_near(address.ip()));
        if found.is_empty() {
            return Err(io::Error::other("the name leads to a public address, and the URL is not https"));
        }
        Ok(found.into_iter())
    })
}

async fn addresses(name: &Name) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect())
}

/// The beginning of an answer, without what a terminal would take for a command.
async fn response_excerpt(mut response: Response<impl BodyExt<Data = Bytes> + Unpin>) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = response.frame().await
    {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(EXCERPT_CHARS_MAX).collect()
}

/// An error and its last cause, which says most.
fn in_words(error: &dyn std::error::Error) -> String {
    let last = std::iter::successors(error.source(), |cause| cause.source()).last();
    last.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_permanent_and_temporary_errors() {
        let what = |status: u16| match judged(StatusCode::from_u16(status).unwrap()) {
            Ok(()) => "taken",
            Err(WebhookError::Temporary(_)) => "later",
            Err(WebhookError::Permanent(_)) => "never",
        };
        for (status, expected) in [
            (200, "taken"),
            (204, "taken"),
            (301, "later"),
            (307, "later"),
            (400, "never"),
            (401, "later"),
            (404, "later"),
            (408, "later"),
            (410, "never"),
            (413, "never"),
            (429, "later"),
            (500, "later"),
            (503, "later"),
        ] {
            assert_eq!(what(status), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn refuses_plain_http_to_public_addresses() {
        let found = resolve_near("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
        let refused = resolve_near("192.0.2.1".parse().unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("not https"), "{refused}");
        assert_eq!(resolve_any("192.0.2.1".parse().unwrap()).await.unwrap().count(), 1);
    }
}
