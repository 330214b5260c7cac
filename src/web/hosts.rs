//! Two kinds of hosts: the auth host, which has all our endpoints, and the hosts of applications,
//! which have only those that a browser needs there. On the auth host several dialects may be
//! spoken.
//!
//! What always holds: a handler finds in its `Visit` which dialect it was asked in, and every
//! answer gets the headers of our answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use super::problem::Occasion;
use super::{Problem, headers};
use crate::domain::dialect::Dialect;
use crate::domain::place::{Place, Scheme};
use crate::domain::policy::route::POMERIUM_KEYS_PATH;
use crate::flows::Gateway;
use crate::flows::visit::Visit;

/// The form in which a dialect reports a failure.
pub type Face = fn(&Problem) -> Response;

/// A dialect with its routes.
pub struct Spoken {
    /// Paths are relative to its mount.
    pub router: Router,
    pub face: Face,
    /// For dialects that are spoken by pages of related origins.
    pub cors: Option<CorsLayer>,
}

/// The faces of the mounted dialects, and the origins whose pages may read them.
#[derive(Clone, Default)]
pub struct Faces(Arc<HashMap<Dialect, (Face, Option<CorsLayer>)>>);

impl Faces {
    /// `problem`, in the words of the dialect that the request is for; `None` where that is the
    /// native one, or none at all.
    pub async fn show(
        &self,
        place: &Place,
        visit: &Visit,
        request: Request,
        problem: &Problem,
    ) -> Option<Response> {
        let dialect = foreign_dialect(place, visit, request.uri().path())?;
        let (face, cors) = self.0.get(&dialect)?;
        // The request was refused at once, so it took no time.
        let occasion = Occasion { request_id: visit.request_id.clone(), ..Occasion::default() };
        let mut said = Some(face(&problem.clone().on(occasion)));
        let Some(cors) = cors else { return said };
        // A page may read a refusal as it may read any other answer.
        let refuse = tower::service_fn(move |_: Request| {
            std::future::ready(Ok::<_, Infallible>(said.take().unwrap_or_default()))
        });
        match cors.layer(refuse).oneshot(request).await {
            Ok(response) => Some(response),
            Err(never) => match never {},
        }
    }
}

/// The routers by host and path.
pub struct Routers {
    /// For the auth host, with paths relative to the prefix.
    pub auth: Router,
    /// For the hosts of applications, with paths relative to the prefix.
    pub application: Router,
    /// Documents about the relying party, with whole paths.
    pub documents: Router,
    /// For the addresses of other forward-auth servers, with whole paths.
    pub aliases: Router,
    /// The dialects that are mounted.
    pub dialects: HashMap<Dialect, Spoken>,
}

/// One router that answers each request as its host and path demand, and the faces of its dialects.
pub fn split(gateway: Arc<Gateway>, routers: Routers) -> (Router, Faces) {
    let face = |spoken: &Spoken| (spoken.face, spoken.cors.clone());
    let faces = routers.dialects.iter().map(|(dialect, spoken)| (*dialect, face(spoken))).collect();
    let directory = Arc::new(Directory::new(gateway.ground.place(), routers));
    let router = Router::new().fallback(move |mut request: Request| {
        let router = directory.router_for(gateway.ground.place(), &mut request);
        let scheme = gateway.ground.place().scheme;
        async move { answer(router, scheme, request).await }
    });
    (router, Faces(Arc::new(faces)))
}

/// The routers under their public paths.
struct Directory {
    auth: Router,
    application: Router,
    documents: Router,
    aliases: Router,
    dialects: HashMap<Dialect, Router>,
}

impl Directory {
    fn new(place: &Place, routers: Routers) -> Self {
        let at_mount = |(dialect, spoken): (Dialect, Spoken)| {
            let mount = place.mounts.of(dialect)?;
            let nested = below(&mount.path, spoken.router);
            let router = match spoken.cors {
                Some(cors) => nested.layer(cors),
                None => nested,
            };
            Some((dialect, router))
        };
        Self {
            auth: below(&place.prefix, routers.auth),
            application: below(&place.prefix, routers.application),
            documents: routers.documents,
            aliases: routers.aliases,
            dialects: routers.dialects.into_iter().filter_map(at_mount).collect(),
        }
    }

    /// The router that answers. Notes in the visit which dialect is spoken.
    fn router_for(&self, place: &Place, request: &mut Request) -> Router {
        let path = request.uri().path().to_owned();
        let Some(visit) = request.extensions_mut().get_mut::<Visit>() else {
            return self.application.clone();
        };
        if place.document(&visit.host, path.as_bytes()).is_some() || path == POMERIUM_KEYS_PATH {
            return self.documents.clone();
        }
        if place.aliases().find(path.as_bytes()).is_some() {
            return self.aliases.clone();
        }
        if let Some(dialect) = foreign_dialect(place, visit, &path)
            && let Some(router) = self.dialects.get(&dialect)
        {
            visit.dialect = dialect;
            return router.clone();
        }
        if place.is_auth_host(&visit.host) { self.auth.clone() } else { self.application.clone() }
    }
}

/// `router` below `path`, and at `path` with and without a slash at its end. (`Router::nest` leaves
/// out the path with a slash, which axum would then answer itself.)
fn below(path: &str, router: Router) -> Router {
    Router::new().nest_service(path, router)
}

/// The foreign dialect that `path` is for.
fn foreign_dialect(place: &Place, visit: &Visit, path: &str) -> Option<Dialect> {
    let mount = place.is_auth_host(&visit.host).then(|| place.mounts.find(path.as_bytes()))??;
    (mount.dialect != Dialect::Native).then_some(mount.dialect)
}

async fn answer(router: Router, scheme: Scheme, request: Request) -> Response {
    let answered: Result<Response, Infallible> = router.oneshot(request).await;
    match answered {
        Ok(response) => headers::protect(scheme, response),
        Err(never) => match never {},
    }
}
