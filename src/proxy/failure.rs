//! The appearance of a failure: to the person, in the log and in the metrics.

use std::sync::Arc;

use pingora::{Error, ErrorSource, ErrorType};

use super::chunks::INVALID_CHUNK;
use super::context::Context;
use crate::domain::access_token::TokenRefusal;
use crate::domain::event::Answered;
use crate::domain::policy::decide::Decision;
use crate::domain::policy::route::Route;
use crate::flows::admission::{Outcome, Permit};

/// The session ended while its request was under way.
pub(super) const SESSION_ENDED: ErrorType = ErrorType::Custom("SessionEnded");

/// The outcome that a client sees of a failure; `None` when there is no client to tell.
pub(super) fn outcome_of(error: &Error, ctx: &Context) -> Option<Outcome> {
    let route = ctx.permit.as_ref().map(|permit| Arc::clone(permit.route()));
    if *error.etype() == SESSION_ENDED {
        let by_token = ctx.permit.as_ref().is_some_and(Permit::is_by_token);
        return route.map(|route| {
            if by_token {
                Outcome::TokenRefused { route, why: TokenRefusal::Revoked }
            } else {
                Outcome::SignIn { route }
            }
        });
    }
    match (error.esource(), route) {
        (ErrorSource::Upstream, Some(route)) => Some(match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Outcome::UpstreamTimedOut { route },
            _ => Outcome::UpstreamFailed { route },
        }),
        (ErrorSource::Downstream, _) => match *error.etype() {
            ErrorType::InvalidHTTPHeader | INVALID_CHUNK => Some(Outcome::MalformedRequest),
            _ => None,
        },
        _ => Some(Outcome::Internal),
    }
}

/// Says what failed, without anything that the client or the upstream sent.
pub(super) fn report(error: &Error, outcome: &Outcome, ctx: &Context) {
    let request = ctx.visit.as_ref().map_or("", |visit| visit.request_id.as_str());
    let error = error.etype().as_str();
    match (outcome, route_of(outcome)) {
        (Outcome::UpstreamFailed { .. } | Outcome::UpstreamTimedOut { .. }, Some(route)) => {
            tracing::warn!(route = route.name, request, error, tries = ctx.tries, "the upstream failed");
        }
        (Outcome::Internal, _) => tracing::error!(request, error, "a request could not be served"),
        _ => tracing::debug!(request, error, "a request broke off"),
    }
}

/// The decision of a route's rules, if they were asked.
pub(super) fn decision_of(outcome: &Outcome) -> Option<Decision> {
    match outcome {
        Outcome::SignIn { .. } => Some(Decision::SignIn),
        Outcome::StepUp { .. } => Some(Decision::StepUp),
        Outcome::Forbidden { .. } | Outcome::TokenRefused { .. } => Some(Decision::Refused),
        Outcome::Undecided { .. } => Some(Decision::Undecided),
        _ => None,
    }
}

/// The route that an outcome is about.
pub(super) fn route_of(outcome: &Outcome) -> Option<&Arc<Route>> {
    match outcome {
        Outcome::SignIn { route }
        | Outcome::StepUp { route }
        | Outcome::Undecided { route }
        | Outcome::Forbidden { route, .. }
        | Outcome::TokenRefused { route, .. }
        | Outcome::UpgradeRefused { route }
        | Outcome::CrossOriginRefused { route }
        | Outcome::ServiceWorkerRefused { route }
        | Outcome::UpstreamFailed { route }
        | Outcome::UpstreamTimedOut { route } => Some(route),
        _ => None,
    }
}

/// How an outcome is counted.
pub(super) fn answered(outcome: &Outcome) -> Answered {
    match outcome {
        Outcome::SignIn { .. } | Outcome::StepUp { .. } => Answered::SignIn,
        Outcome::Forbidden { .. } | Outcome::TokenRefused { .. } => Answered::Forbidden,
        Outcome::UpstreamFailed { .. } | Outcome::UpstreamTimedOut { .. } => Answered::UpstreamFailed,
        Outcome::Unavailable | Outcome::Undecided { .. } | Outcome::Internal => Answered::Failed,
        Outcome::UnknownHost
        | Outcome::NoRoute
        | Outcome::MalformedRequest
        | Outcome::AmbiguousPath
        | Outcome::UpgradeRefused { .. }
        | Outcome::CrossOriginRefused { .. }
        | Outcome::ServiceWorkerRefused { .. }
        | Outcome::MethodRefused
        | Outcome::BodyTooLarge
        | Outcome::HeadersTooLarge
        | Outcome::Misdirected => Answered::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::admission::Refused;
    use crate::proxy::upstream::tests::route;

    #[test]
    fn what_the_rules_said_is_told_where_they_were_asked() {
        let route = || Arc::new(route(&["127.0.0.1"]));
        let refused = Refused { user: None, rule: None };
        for (outcome, decision, counted) in [
            (Outcome::SignIn { route: route() }, Some(Decision::SignIn), Answered::SignIn),
            (Outcome::StepUp { route: route() }, Some(Decision::StepUp), Answered::SignIn),
            (Outcome::Forbidden { route: route(), refused }, Some(Decision::Refused), Answered::Forbidden),
            (
                Outcome::TokenRefused { route: route(), why: TokenRefusal::Revoked },
                Some(Decision::Refused),
                Answered::Forbidden,
            ),
            (Outcome::Undecided { route: route() }, Some(Decision::Undecided), Answered::Failed),
            (Outcome::UpstreamFailed { route: route() }, None, Answered::UpstreamFailed),
            (Outcome::CrossOriginRefused { route: route() }, None, Answered::Refused),
        ] {
            assert_eq!(decision_of(&outcome), decision);
            assert_eq!(answered(&outcome), counted, "{decision:?}");
            assert!(route_of(&outcome).is_some(), "{decision:?}");
        }
        assert_eq!(decision_of(&Outcome::Unavailable), None);
        assert!(route_of(&Outcome::Unavailable).is_none());
    }
}
