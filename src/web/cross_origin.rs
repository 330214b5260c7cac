//! Pages of related origins, and the dialects that they may call.
//!
//! What always holds: an origin is allowed by name, because it is one of the relying party's; there
//! is no wildcard, and the session cookie is sent only from these origins.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::guard;
use crate::flows::Gateway;

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_LIFETIME: Duration = Duration::from_mins(10);

/// Allows the relying party's origins (Fetch, section 3.2), with `more` request headers besides
/// `Authorization` and `Content-Type`.
pub fn layer(gateway: &std::sync::Arc<Gateway>, more: &[&'static str]) -> CorsLayer {
    let gateway = std::sync::Arc::clone(gateway);
    let more = more.iter().map(|name| HeaderName::from_static(name));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| guard::is_related(&gateway, origin)))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE].into_iter().chain(more).collect::<Vec<_>>())
        .allow_credentials(true)
        .max_age(PREFLIGHT_LIFETIME)
}
