//! Each dialect's own face for failures that no request can be made to cause.

use axum::body::to_bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use super::*;
use crate::web::Fault;

const ANSWER_BYTES_MAX: usize = 4_096;

/// Status, content type, whether it has `Retry-After`, and body.
async fn said(api: &Api, problem: &Problem) -> (u16, String, bool, Value) {
    let response = (api.face)(problem);
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE).map_or("", |it| it.to_str().unwrap()).to_owned();
    let told = response.headers().contains_key(RETRY_AFTER);
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap();
    (status, kind, told, serde_json::from_slice(&body).unwrap())
}

fn ours() -> Problem {
    Problem::internal(&std::io::Error::other("the cause"))
}

#[tokio::test]
async fn internal_error_is_500_without_cause_in_every_dialect() {
    for (api, kind, at, word) in [
        (&native::API, "application/problem+json", "/code", json!("internal")),
        (&better_auth::API, "application/json", "/code", json!("INTERNAL_SERVER_ERROR")),
        (&ocore::API, "application/json", "/code", json!("internal")),
        (&corbado::API, "application/json", "/error/type", json!("internal_error")),
        (&zitadel::API, "application/json", "/code", json!(13)),
    ] {
        let (status, said_kind, _, body) = said(api, &ours()).await;
        assert_eq!((status, said_kind.as_str(), body.pointer(at)), (500, kind, Some(&word)), "{body}");
        assert!(!body.to_string().contains("the cause"), "{body}");
    }
}

#[tokio::test]
async fn unavailable_is_503_with_retry_after_in_every_dialect() {
    for (api, at, word) in [
        (&native::API, "/code", json!("unavailable")),
        (&better_auth::API, "/code", json!("SERVICE_UNAVAILABLE")),
        (&ocore::API, "/code", json!("unavailable")),
        (&corbado::API, "/error/type", json!("internal_error")),
        (&zitadel::API, "/code", json!(14)),
    ] {
        let (status, _, told, body) = said(api, &Problem::unavailable("Try again.")).await;
        assert_eq!((status, told, body.pointer(at)), (503, true, Some(&word)), "{body}");
    }
}

#[tokio::test]
async fn passkey_limit_is_reported_in_every_dialect() {
    for (api, expected, at, word) in [
        (&native::API, 409, "/code", json!("limit_reached")),
        (&better_auth::API, 400, "/code", json!("LIMIT_REACHED")),
        (&ocore::API, 409, "/code", json!("limit_reached")),
        (&corbado::API, 400, "/error/type", json!("validation_error")),
        (&zitadel::API, 400, "/code", json!(9)),
    ] {
        let (status, _, _, body) = said(api, &Problem::new(Fault::LimitReached, "Too many.")).await;
        assert_eq!((status, body.pointer(at)), (expected, Some(&word)), "{body}");
    }
}
