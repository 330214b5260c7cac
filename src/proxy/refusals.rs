//! Requests that a route refuses although their user may enter: WebSockets and changes that pages
//! of other origins send, and service workers on the host where people sign in.
//!
//! What does not live here: who may enter, which `flows` decides. What always holds: browsers say
//! where a request is from, and what they say can only refuse it; a request that says nothing
//! passes.

use std::sync::Arc;

use http::{HeaderMap, Method, header};

use super::request;
use crate::domain::policy::route::{CrossOrigin, WebSocket};
use crate::flows::Gateway;
use crate::flows::admission::{Outcome, Permit};
use crate::flows::visit::Visit;

/// The parts of a request that decide about a refusal.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

/// The answer to a request that is refused although there is a permit for it.
pub(super) fn refused(
    gateway: &Gateway,
    request: RequestHead<'_>,
    permit: &Permit,
    visit: &Visit,
) -> Option<Outcome> {
    let route = || Arc::clone(permit.route());
    let here = || gateway.ground.place().origin_of(&visit.host);
    if !may_upgrade(request, permit, here) {
        Some(Outcome::UpgradeRefused { route: route() })
    } else if is_service_worker(gateway, request, visit) {
        Some(Outcome::ServiceWorkerRefused { route: route() })
    } else if is_cross_origin_change(request, permit, here) {
        Some(Outcome::CrossOriginRefused { route: route() })
    } else {
        None
    }
}

/// A WebSocket is not bound by the same-origin policy: a foreign page could open one with the
/// person's cookies. So where a browser names the page's origin, it has to be ours.
fn may_upgrade(request: RequestHead<'_>, permit: &Permit, here: impl Fn() -> String) -> bool {
    if !request::wants_websocket(request.headers) {
        return true;
    }
    if permit.route().websocket == WebSocket::Refused {
        return false;
    }
    let mut origins = request.headers.get_all(header::ORIGIN).iter();
    !permit.is_ambient() || origins.all(|origin| origin.as_bytes() == here().as_bytes())
}

/// Whether an application would install a service worker on the host where people sign in. It would
/// control our pages there, and outlive the application's repair (Service Workers, "Handle
/// Fetch"). Browsers mark the request for its script.
fn is_service_worker(gateway: &Gateway, request: RequestHead<'_>, visit: &Visit) -> bool {
    gateway.ground.place().is_auth_host(&visit.host) && request.headers.contains_key("service-worker")
}

/// Whether another origin's page would change something with the visitor's identity, and the route
/// does not let it. A page cannot add a user's access token to a request, unless the browser
/// remembers the token as a password.
fn is_cross_origin_change(request: RequestHead<'_>, permit: &Permit, here: impl Fn() -> String) -> bool {
    if request.method.is_safe() || !permit.is_ambient() || permit.route().cross_origin == CrossOrigin::Passed
    {
        return false;
    }
    request::is_from_another_origin(request.headers, &here())
}
