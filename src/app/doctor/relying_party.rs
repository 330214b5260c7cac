//! Checks of what browsers ask about passkeys: their domain, and the related origins.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::Finding;
use crate::config::{self, Settings};
use crate::domain::place::RELATED_ORIGINS_PATH;

const ABOUT: &str = "passkeys";
/// How long the document may take, and how long it may be.
const TIMEOUT: Duration = Duration::from_secs(5);
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let party = &settings.relying_party;
    let host = &settings.public_url.host;
    let mut findings =
        vec![Finding::fine(ABOUT, format!("they are made for {}, which covers {host}", party.id))];
    if party.related_origins.is_empty() || config::is_localhost(&party.id) {
        return findings;
    }
    // Browsers ask at this address, whichever server answers there (WebAuthn Level 3, section
    // 5.11).
    let address = format!("https://{}{RELATED_ORIGINS_PATH}", party.id);
    findings.push(match tokio::time::timeout(TIMEOUT, fetched(&address)).await {
        Ok(Ok(text)) => judged(&address, &text, &party.related_origins),
        Ok(Err(error)) => unreadable(&address, &error),
        Err(_) => unreadable(&address, "it does not come in time"),
    });
    findings
}

fn unreadable(address: &str, error: &str) -> Finding {
    let remedy = "make the server of that name give the gateway's answer at this address: without it, browsers \
                  offer no passkeys on the related origins";
    Finding::problem(ABOUT, format!("{address} cannot be read: {error}"), remedy)
}

/// Whether the document names every origin.
fn judged(address: &str, text: &str, origins: &[String]) -> Finding {
    let document: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let named = |origin: &String| {
        let listed = document.get("origins").and_then(serde_json::Value::as_array).into_iter().flatten();
        listed.filter_map(serde_json::Value::as_str).any(|listed| listed == origin)
    };
    let missing: Vec<_> = origins.iter().filter(|origin| !named(origin)).cloned().collect();
    if missing.is_empty() {
        return Finding::fine(ABOUT, format!("{address} names every related origin"));
    }
    let what = format!("{address} does not name {}", missing.join(", "));
    Finding::problem(ABOUT, what, "make the server of that name give the gateway's answer at this address")
}

async fn fetched(address: &str) -> Result<String, String> {
    let connector = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(in_words)?;
    let connector = connector.https_only().enable_http1().build();
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(address).body(Empty::new()).map_err(in_words)?;
    let response = client.request(request).await.map_err(in_words)?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body =
        Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(in_words)
}

/// An error and its last cause, which says most.
fn in_words(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::Severity;

    #[test]
    fn reports_origins_missing_from_the_document() {
        let origins = ["https://a.example".to_owned(), "https://b.example".to_owned()];
        let weigh = |text: &str| judged("there", text, &origins).weight;
        assert_eq!(weigh(r#"{"origins":["https://a.example","https://b.example"]}"#), Severity::Fine);
        for wrong in
            [r#"{"origins":["https://a.example"]}"#, r#"{"origins":"https://a.example"}"#, "{}", "<html>"]
        {
            assert_eq!(weigh(wrong), Severity::Problem, "{wrong}");
        }
    }
}
