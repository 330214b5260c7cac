//! Two kinds of hosts: the auth host, where everything of ours is, and the hosts of applications,
//! where only what a browser needs there is.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::ServiceExt;

use super::headers;
use crate::flows::Gateway;
use crate::flows::admit::Visit;

/// One router that answers each request as its host demands, below the prefix, with the headers
/// that every answer of ours carries. `auth` and `application` have paths relative to the prefix.
pub fn split(gateway: Arc<Gateway>, auth: Router, application: Router) -> Router {
    let prefix = gateway.place().prefix.clone();
    let auth = Router::new().nest(&prefix, auth);
    let application = Router::new().nest(&prefix, application);
    Router::new().fallback(move |request: Request| {
        let visit = request.extensions().get::<Visit>();
        let ours = visit.is_some_and(|visit| gateway.place().is_auth_host(&visit.host));
        let router = if ours { auth.clone() } else { application.clone() };
        let scheme = gateway.place().scheme;
        async move {
            let answered: Result<Response, std::convert::Infallible> = router.oneshot(request).await;
            match answered {
                Ok(response) => headers::protect(scheme, response),
                Err(never) => match never {},
            }
        }
    })
}
