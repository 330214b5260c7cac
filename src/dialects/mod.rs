//! Ring 3: HTTP APIs. Each translates to the flows and back, and decides nothing.
//!
//! `native` is always on, under the prefix; the built-in pages speak it like any other client. The
//! others are mounted on the auth host if the operator says so. `documents` are the two documents
//! whose addresses standards prescribe; `description` describes all of them. No dialect knows
//! another.
//!
//! Each dialect has an `api` (its routes, described where they are made), and a `face` (the form of
//! its failures). Handlers fail with a `Problem`, as all handlers do; this module gives them their
//! face.

pub mod better_auth;
pub mod corbado;
mod description;
mod documents;
pub mod native;
pub mod ocore;
pub mod zitadel;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::SET_COOKIE;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::domain::dialect::Dialect;
use crate::flows::Gateway;
use crate::flows::visit::Visit;
use crate::web::Problem;
use crate::web::hosts::{Face, Spoken};
use crate::web::problem::Occasion;
pub use description::{describe, description};

type Shared = Arc<Gateway>;

/// The native API, for the auth host, with paths relative to the prefix.
pub fn native(gateway: &Shared) -> Router {
    plain(native::api(), gateway)
}

/// The state and the keys of the installation, for every host, with paths relative to the prefix.
pub fn status(gateway: &Shared) -> Router {
    plain(native::status_api(), gateway)
}

/// The documents whose addresses standards prescribe, with whole paths.
pub fn documents(gateway: &Shared) -> Router {
    plain(documents::api(), gateway)
}

fn plain(api: OpenApiRouter<Shared>, gateway: &Shared) -> Router {
    let (router, _) = api.split_for_parts();
    router
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
        .with_state(Arc::clone(gateway))
}

/// The dialects that are mounted, except the native one.
pub fn foreign(gateway: &Shared) -> HashMap<Dialect, Spoken> {
    let mounts = gateway.ground.place().mounts.all().iter();
    mounts.filter_map(|mount| Some((mount.dialect, spoken(mount.dialect, gateway)?))).collect()
}

/// The routes of a dialect, relative to its mount; the native one's, relative to the prefix.
fn api_of(dialect: Dialect) -> OpenApiRouter<Shared> {
    match dialect {
        Dialect::Native => native::api().merge(native::status_api()),
        Dialect::BetterAuth => better_auth::api(),
        Dialect::Ocore => ocore::api(),
        Dialect::Corbado => corbado::api(),
        Dialect::Zitadel => zitadel::api(),
    }
}

fn spoken(dialect: Dialect, gateway: &Shared) -> Option<Spoken> {
    let (face, cors): (Face, _) = match dialect {
        Dialect::Native => return None,
        Dialect::BetterAuth => (better_auth::face, Some(better_auth::cors(gateway))),
        Dialect::Ocore => (ocore::face, None),
        Dialect::Corbado => (corbado::face, Some(corbado::cors(gateway))),
        Dialect::Zitadel => (zitadel::face, None),
    };
    Some(ready(api_of(dialect), gateway, face, cors))
}

/// Gives the routes their state, and the dialect's own answer to unknown addresses.
fn ready(api: OpenApiRouter<Shared>, gateway: &Shared, face: Face, cors: Option<CorsLayer>) -> Spoken {
    let (router, _) = api.split_for_parts();
    let clock = Arc::clone(gateway);
    let router = router
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
        .fallback(|| std::future::ready(Problem::not_found()))
        .layer(from_fn(move |request, next| answered(Arc::clone(&clock), face, request, next)))
        .with_state(Arc::clone(gateway));
    Spoken { router, face, cors }
}

/// The handler's answer: a failure in the form of `face`, any other answer as it is.
async fn answered(gateway: Shared, face: Face, request: Request, next: Next) -> Response {
    let began = gateway.ground.clock().now();
    let visit = request.extensions().get::<Visit>();
    let request_id = visit.map(|visit| visit.request_id.clone()).unwrap_or_default();
    let response = next.run(request).await;
    let occasion = Occasion { request_id, took: gateway.ground.clock().now().since(began) };
    in_own_words(response, face, occasion)
}

/// A failure in the form of `face`, with the cookies that the handler set.
fn in_own_words(response: Response, face: Face, occasion: Occasion) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let mut said = face(&problem.clone().on(occasion));
    for cookie in response.headers().get_all(SET_COOKIE) {
        said.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    said
}
