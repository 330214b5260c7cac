//! Ring 3: HTTP APIs. Each translates to the flows and back, and decides nothing.
//!
//! `native` is always on, under the prefix; the built-in pages speak it like any other client. The
//! others are mounted on the auth host if the operator says so. `documents` are the two documents
//! whose addresses standards prescribe; `description` describes all of them. No dialect knows
//! another.
//!
//! Each dialect has an `API`: its routes, described where they are made, and its `face` (the form
//! of its failures). Handlers fail with a `Problem`, as all handlers do; this module gives them
//! their face.

mod better_auth;
mod corbado;
mod description;
mod documents;
mod failures;
mod native;
mod ocore;
mod zitadel;

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

/// A dialect over HTTP. The other differences between dialects are in `domain/dialect.rs`.
struct Api {
    /// Paths are relative to its mount; the native one's, to the prefix.
    routes: fn() -> OpenApiRouter<Shared>,
    /// The form of its failures.
    face: Face,
    /// For dialects that pages of related origins may call.
    cors: Option<fn(&Shared) -> CorsLayer>,
    /// The groups of its operations: name and description.
    tags: &'static [(&'static str, &'static str)],
}

const fn api_of(dialect: Dialect) -> &'static Api {
    match dialect {
        Dialect::Native => &native::API,
        Dialect::BetterAuth => &better_auth::API,
        Dialect::Ocore => &ocore::API,
        Dialect::Corbado => &corbado::API,
        Dialect::Zitadel => &zitadel::API,
    }
}

/// The native API, for the auth host, with paths relative to the prefix.
pub fn native(gateway: &Shared) -> Router {
    plain(native::routes(), gateway)
}

/// The state and the keys of the installation, for every host, with paths relative to the prefix.
pub fn status(gateway: &Shared) -> Router {
    plain(native::status_routes(), gateway)
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
    let foreign = gateway.ground.place().mounts.foreign();
    foreign.map(|mount| (mount.dialect, spoken(api_of(mount.dialect), gateway))).collect()
}

/// Gives the routes their state, and the dialect's own answer to unknown addresses.
fn spoken(api: &Api, gateway: &Shared) -> Spoken {
    let (router, _) = (api.routes)().split_for_parts();
    let (face, clock) = (api.face, Arc::clone(gateway));
    let router = router
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
        .fallback(|| std::future::ready(Problem::not_found()))
        .layer(from_fn(move |request, next| answered(Arc::clone(&clock), face, request, next)))
        .with_state(Arc::clone(gateway));
    Spoken { router, face, cors: api.cors.map(|cors| cors(gateway)) }
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
