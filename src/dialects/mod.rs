//! Ring 3: HTTP APIs. Each translates to the flows and back, and decides nothing.
//!
//! `native` is always on, under the prefix; the built-in pages speak it like everyone else. The
//! others are mounted on the auth host if the operator says so. `documents` are the two documents
//! whose addresses standards prescribe. No dialect knows another.
//!
//! Each dialect has an `api` (its routes, described where they are made), and a `face` (how it says
//! that something went wrong). Handlers fail with a `Problem`, as all handlers do; the face is put on at the
//! edge, here.

pub mod better_auth;
pub mod corbado;
pub mod documents;
pub mod native;
pub mod ocore;
pub mod zitadel;

use std::collections::HashMap;
use std::sync::Arc;

use axum::middleware::map_response;
use axum::response::Response;
use http::header::SET_COOKIE;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::domain::dialect::Dialect;
use crate::flows::Gateway;
use crate::web::Problem;
use crate::web::hosts::{Face, Spoken};

type Shared = Arc<Gateway>;

/// The dialects that are mounted, except the native one.
pub fn foreign(gateway: &Shared) -> HashMap<Dialect, Spoken> {
    let mounts = gateway.place().mounts.all().iter();
    mounts.filter_map(|mount| Some((mount.dialect, spoken(mount.dialect, gateway)?))).collect()
}

fn spoken(dialect: Dialect, gateway: &Shared) -> Option<Spoken> {
    let (api, face, cors): (_, Face, _) = match dialect {
        Dialect::Native => return None,
        Dialect::BetterAuth => (better_auth::api(), better_auth::face, Some(better_auth::cors(gateway))),
        Dialect::Ocore => (ocore::api(), ocore::face, None),
        Dialect::Corbado => (corbado::api(), corbado::face, Some(corbado::cors(gateway))),
        Dialect::Zitadel => (zitadel::api(), zitadel::face, None),
    };
    Some(ready(api, gateway, face, cors))
}

/// Gives the routes their state, and the dialect's own answer to what is not there.
fn ready(api: OpenApiRouter<Shared>, gateway: &Shared, face: Face, cors: Option<CorsLayer>) -> Spoken {
    let (router, _) = api.split_for_parts();
    let router = router
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
        .fallback(|| std::future::ready(Problem::not_found()))
        .layer(map_response(move |response| std::future::ready(in_own_words(response, face))))
        .with_state(Arc::clone(gateway));
    Spoken { router, face, cors }
}

/// A failure as `face` says it, with the cookies that the handler set; anything else as it is.
fn in_own_words(response: Response, face: Face) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let mut said = face(problem);
    for cookie in response.headers().get_all(SET_COOKIE) {
        said.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    said
}
