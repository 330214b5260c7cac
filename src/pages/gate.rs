//! The answer to a request that admission did not let through, or whose upstream failed: a page for
//! a person, a problem document for a program.
#![deny(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::assets::Asset;
use super::notice::{Action, Does, Notice, Refusal};
use super::routes::{Desk, going_in_circles, nothing_here, notice};
use crate::domain::access_token::TokenRefusal;
use crate::domain::cookie::{Cookie, Found, find};
use crate::domain::policy::route::Route;
use crate::flows::admission::{Outcome, Refused};
use crate::flows::sign_in::return_target::{RedirectReason, SignInRedirect};
use crate::web::call::Call;
use crate::web::hosts::Faces;
use crate::web::navigation::{self, Kind};
use crate::web::{Fault, Problem, cookies, headers};

/// RFC 9110 asks every 401 to name a scheme. Ours has no meaning outside a browser.
const CHALLENGE: &str = "Passkey realm=\"vestibule\"";

const INVALID: &str = "Bearer realm=\"vestibule\", error=\"invalid_token\"";
const INSUFFICIENT: &str = "Bearer realm=\"vestibule\", error=\"insufficient_scope\"";

/// Answers outcomes, whatever the path.
pub fn gate(desk: Desk, faces: Faces) -> Router {
    Router::new().fallback(answer).with_state((desk, faces))
}

async fn answer(
    State((desk, faces)): State<(Desk, Faces)>,
    Extension(outcome): Extension<Outcome>,
    parts: Parts,
) -> Result<Response, Problem> {
    // What the request shows has been looked at: this is what became of it.
    let call = Call::unread(&parts, Arc::clone(&desk.gateway))?;
    let request = Request::from_parts(parts, Body::empty());
    let foreign = faces.show(call.place(), &call.visit, request, &for_a_program(&outcome)).await;
    let response = match foreign {
        Some(response) => response,
        None => answered(&desk, &outcome, &call).await.unwrap_or_else(Problem::into_response),
    };
    Ok(headers::protect(call.place().scheme, response))
}

async fn answered(desk: &Desk, outcome: &Outcome, call: &Call) -> Result<Response, Problem> {
    let kind = navigation::kind(&call.method, &call.headers);
    match outcome {
        Outcome::SignIn { route } => return sign_in(desk, call, kind, route).await,
        Outcome::StepUp { route } => return step_up(desk, call, kind, route).await,
        // A client that shows a token is a program, whatever its headers say.
        Outcome::TokenRefused { why, .. } => return Ok(token_refused(*why)),
        Outcome::NoRoute => return Ok(front_or_nothing(desk, call, kind)),
        Outcome::UnknownHost if is_asset(desk, call) => return Ok(asset(desk, call)),
        Outcome::Forbidden { .. }
        | Outcome::UnknownHost
        | Outcome::MalformedRequest
        | Outcome::AmbiguousPath
        | Outcome::UpgradeRefused { .. }
        | Outcome::CrossOriginRefused { .. }
        | Outcome::ServiceWorkerRefused { .. }
        | Outcome::MethodRefused
        | Outcome::BodyTooLarge
        | Outcome::HeadersTooLarge
        | Outcome::Misdirected
        | Outcome::Unavailable
        | Outcome::Undecided { .. }
        | Outcome::UpstreamFailed { .. }
        | Outcome::UpstreamTimedOut { .. }
        | Outcome::Internal => {}
    }
    Ok(match kind {
        Kind::Navigation | Kind::Submission => {
            notice(&for_a_person(desk, outcome, call).with_request_id(&call.visit.request_id))
        }
        Kind::Program => for_a_program(outcome).into_response(),
    })
}

async fn sign_in(desk: &Desk, call: &Call, kind: Kind, route: &Route) -> Result<Response, Problem> {
    let place = desk.gateway.ground.place();
    let mut response = match kind {
        Kind::Navigation => return leave(desk, call, RedirectReason::SignIn).await,
        Kind::Submission => {
            let mut words = Notice::plain(
                &desk.site,
                StatusCode::UNAUTHORIZED.as_u16(),
                desk.site.text().resend_title,
                desk.site.text().resend_happened,
                desk.site.text().resend_advice,
            );
            words.actions =
                vec![Action { label: desk.site.text().sign_in, does: Does::Go(place.url("/login")) }];
            notice(&words)
        }
        Kind::Program => Problem::unauthenticated().with_login_url(place.url("/login")).into_response(),
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    if kind == Kind::Program
        && !navigation::is_browser(&call.headers)
        && let Ok(challenge) = HeaderValue::try_from(format!("Basic realm=\"{}\"", route.name))
    {
        // Calendars, readers and git send a password once they are asked for one, and it can be an
        // access token. A browser would ask its user for a password that does not exist.
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
    Ok(response)
}

/// RFC 6750, section 3.1. Only the operator is told what is wrong with a token.
fn token_refused(why: TokenRefusal) -> Response {
    let mut response = refused_token(why).into_response();
    let challenge = if why.is_good_elsewhere() { INSUFFICIENT } else { INVALID };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn refused_token(why: TokenRefusal) -> Problem {
    if why == TokenRefusal::Passkey {
        Problem::new(
            Fault::TokenShowsNoPasskey,
            "This route asks for a passkey, so an access token does not open it.",
        )
    } else if why.is_good_elsewhere() {
        Problem::new(Fault::TokenNotForThis, "The access token is not for this request.")
    } else {
        Problem::new(Fault::TokenInvalid, "The access token is not valid.")
    }
}

/// Asks a user for their passkey if they showed it too long ago for `route`.
async fn step_up(desk: &Desk, call: &Call, kind: Kind, route: &Route) -> Result<Response, Problem> {
    let (place, t) = (desk.gateway.ground.place(), desk.site.text());
    let mut response = match kind {
        Kind::Navigation => return leave(desk, call, RedirectReason::ShowPasskey).await,
        Kind::Submission => {
            let (status, advice) = (StatusCode::UNAUTHORIZED.as_u16(), t.show_again_advice);
            let words = Notice::plain(&desk.site, status, t.show_again_title, t.show_again_happened, advice);
            notice(&words.with_request_id(&call.visit.request_id))
        }
        Kind::Program => Problem::new(Fault::StepUpRequired, too_old(route))
            .with_login_url(place.url("/login"))
            .into_response(),
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    Ok(response)
}

/// Sends a person to sign in, and remembers where they were heading.
async fn leave(desk: &Desk, call: &Call, errand: RedirectReason) -> Result<Response, Problem> {
    let target = call.uri.path_and_query().map_or("/", |target| target.as_str());
    leave_for(desk, call, target, errand).await
}

/// The same for a person who was heading for `target` on the host that the request is for.
pub(super) async fn leave_for(
    desk: &Desk,
    call: &Call,
    target: &str,
    errand: RedirectReason,
) -> Result<Response, Problem> {
    let place = desk.gateway.ground.place();
    let nonce = call.cookie(Cookie::Nonce);
    match desk.gateway.sign_in.leave_for_sign_in(&call.visit, target, nonce, errand).await? {
        SignInRedirect::SignIn { return_target, nonce } => {
            let login = place.url(&format!("/login?to={return_target}"));
            let mut response = Redirect::to(&login).into_response();
            cookies::append(response.headers_mut(), cookies::nonce(place, &nonce));
            Ok(response)
        }
        SignInRedirect::Loop => {
            let showed_token =
                find(call.cookie_headers(), Cookie::Session.name(place.scheme)) != Found::Nothing;
            Ok(notice(&going_in_circles(desk, call, showed_token)))
        }
    }
}

/// The bare auth host redirects to the account; every other address is not found.
fn front_or_nothing(desk: &Desk, call: &Call, kind: Kind) -> Response {
    let front = call.uri.path() == "/" && kind == Kind::Navigation;
    if front && call.place().is_auth_host(&call.visit.host) {
        return Redirect::to(&call.place().url("/account")).into_response();
    }
    nothing_here(desk, call)
}

/// A notice on a host that is not ours still needs its style.
fn is_asset(desk: &Desk, call: &Call) -> bool {
    asset_name(desk, call).is_some_and(|name| desk.site.assets().find(name).is_some())
}

fn asset_name<'a>(desk: &Desk, call: &'a Call) -> Option<&'a str> {
    call.uri.path().strip_prefix(desk.site.prefix())?.strip_prefix("/assets/")
}

fn asset(desk: &Desk, call: &Call) -> Response {
    let found = asset_name(desk, call).and_then(|name| desk.site.assets().find(name));
    found.map_or_else(|| Problem::not_found().into_response(), Asset::answer)
}

fn for_a_person<'a>(desk: &'a Desk, outcome: &Outcome, call: &'a Call) -> Notice<'a> {
    let site = &desk.site;
    let t = site.text();
    let plain = |status: StatusCode, title, happened, advice| {
        Notice::plain(site, status.as_u16(), title, happened, advice)
    };
    let bad_request =
        || plain(StatusCode::BAD_REQUEST, t.bad_request_title, t.bad_request_happened, t.bad_request_advice);
    let not_taken = |status| plain(status, t.not_taken_title, t.not_taken_happened, t.not_taken_advice);
    match outcome {
        Outcome::Forbidden { route, refused } => Notice::refused(
            site,
            &Refusal {
                host: &call.visit.host,
                route: &route.name,
                email: refused.user.as_ref().map(|user| user.email.as_str()),
                rule: refused.rule.as_deref(),
            },
        ),
        Outcome::UnknownHost | Outcome::Misdirected => Notice::unknown_host(site, &call.visit.host),
        Outcome::NoRoute => Notice::not_found(site),
        Outcome::MalformedRequest | Outcome::AmbiguousPath => bad_request(),
        Outcome::UpgradeRefused { .. } | Outcome::ServiceWorkerRefused { .. } => {
            not_taken(StatusCode::FORBIDDEN)
        }
        Outcome::CrossOriginRefused { .. } => {
            plain(StatusCode::FORBIDDEN, t.cross_origin_title, t.cross_origin_happened, t.cross_origin_advice)
        }
        Outcome::MethodRefused => not_taken(StatusCode::METHOD_NOT_ALLOWED),
        Outcome::BodyTooLarge => not_taken(StatusCode::PAYLOAD_TOO_LARGE),
        Outcome::HeadersTooLarge => not_taken(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Outcome::UpstreamFailed { route } => Notice::upstream_unreachable(site, &route.name),
        Outcome::UpstreamTimedOut { route } => Notice::upstream_slow(site, &route.name),
        Outcome::Unavailable | Outcome::Undecided { .. } => {
            Notice::our_fault(site, StatusCode::SERVICE_UNAVAILABLE.as_u16())
        }
        Outcome::SignIn { .. }
        | Outcome::StepUp { .. }
        | Outcome::TokenRefused { .. }
        | Outcome::Internal => Notice::our_fault(site, StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
    }
}

fn for_a_program(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::Forbidden { route, refused } => {
            Problem::new(Fault::Forbidden, who_is_refused(route, refused))
        }
        Outcome::UnknownHost => {
            Problem::new(Fault::UnknownHost, "This gateway has no application on this host.")
        }
        Outcome::Misdirected => Problem::new(
            Fault::Misdirected,
            "The connection was made for another host than that of the request.",
        ),
        Outcome::NoRoute => Problem::not_found(),
        Outcome::MalformedRequest => {
            Problem::new(Fault::MalformedTarget, "The request's target cannot be read.")
        }
        Outcome::AmbiguousPath => {
            Problem::new(Fault::AmbiguousPath, "This path can be read in more than one way.")
        }
        Outcome::UpgradeRefused { route } => Problem::new(
            Fault::UpgradeRefused,
            format!("The route \"{}\" does not take this upgrade.", route.name),
        ),
        Outcome::CrossOriginRefused { route } => Problem::new(
            Fault::WrongOrigin,
            format!("The route \"{}\" takes no changes from pages of other origins.", route.name),
        ),
        Outcome::ServiceWorkerRefused { .. } => Problem::new(
            Fault::Forbidden,
            "No service worker of an application may run where users sign in: it would control the sign-in pages.",
        ),
        Outcome::MethodRefused => Problem::new(Fault::MethodNotAllowed, "This method is not accepted."),
        Outcome::BodyTooLarge => Problem::new(Fault::BodyTooLarge, "The body is too large."),
        Outcome::HeadersTooLarge => Problem::new(Fault::HeadersTooLarge, "The headers are too large."),
        Outcome::Unavailable => Problem::unavailable("Your session could not be checked in time. Try again."),
        Outcome::Undecided { route } => Problem::unavailable(&format!(
            "The policy of \"{}\" could not be worked out in time. Try again.",
            route.name
        )),
        Outcome::UpstreamFailed { route } => Problem::new(
            Fault::UpstreamFailed,
            format!("The application behind the route \"{}\" did not answer.", route.name),
        ),
        Outcome::UpstreamTimedOut { route } => Problem::new(
            Fault::UpstreamTimedOut,
            format!("The application behind the route \"{}\" took too long.", route.name),
        ),
        Outcome::TokenRefused { why, .. } => refused_token(*why),
        Outcome::SignIn { .. } => Problem::unauthenticated(),
        Outcome::StepUp { route } => Problem::new(Fault::StepUpRequired, too_old(route)),
        Outcome::Internal => Problem::new(Fault::Internal, "Something went wrong in the gateway."),
    }
}

fn who_is_refused(route: &Route, refused: &Refused) -> String {
    match &refused.user {
        Some(user) => format!("You are signed in as {}, which may not use \"{}\".", user.email, route.name),
        None => format!("\"{}\" is not open for this request, whoever sends it.", route.name),
    }
}

fn too_old(route: &Route) -> String {
    format!("\"{}\" asks for a passkey that was shown a short time ago.", route.name)
}
