//! JSON bodies, as our endpoints take them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::{Fault, Problem};

/// A body that has been read.
pub struct Body<T>(pub T);

/// A body that may be left out altogether.
pub struct OptionalBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (headers, body) = sent(request, state).await?;
        read(&headers, &body).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (headers, body) = sent(request, state).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { read(&headers, &body).map(Self) }
    }
}

/// The body as it was sent. The proxy has bounded it.
async fn sent<S: Send + Sync>(request: Request, state: &S) -> Result<(HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    let body = Bytes::from_request(request, state).await;
    Ok((headers, body.map_err(|error| Problem::new(Fault::BodyTooLarge, error.body_text()))?))
}

/// Reads a JSON body. Only `application/json` is taken, so that a plain HTML form of another site
/// can never reach an endpoint.
pub fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(Fault::UnsupportedMediaType, "Send the body as application/json."));
    }
    let value = serde_json::from_slice(body).map_err(|error| {
        let fault = if error.is_data() { Fault::Malformed } else { Fault::InvalidJson };
        Problem::new(fault, format!("The body cannot be read: {error}"))
    })?;
    // Serde would read a list as members in the order of their declaration, which no API here
    // documents.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::malformed("The body cannot be read: it is a list."));
    }
    Ok(value)
}
