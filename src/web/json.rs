//! JSON bodies, as our endpoints take them.

use axum::body::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::{Fault, Problem};

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

/// Reads a JSON body that may be left out altogether.
pub fn read_optional<T: DeserializeOwned + Default>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    if body.is_empty() { Ok(T::default()) } else { read(headers, body) }
}
