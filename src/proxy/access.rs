//! Fills in the access log's line for a request, where there is an access log.
//!
//! What always holds: nothing is copied while there is no access log; the query of a request for
//! our own endpoints is never told.

use pingora::proxy::Session;

use super::access_line::AccessLine;
use super::context::Context;
use super::request;
use crate::domain::event::Answered;
use crate::domain::served::Served;
use crate::flows::Gateway;
use crate::flows::visit::Visit;

/// How much of a request the access log wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessDetail {
    Nothing,
    /// Without its query.
    Path,
    /// With the query, where an application answers.
    Target,
}

/// Begins a line with what is known of a request when it comes in.
pub(super) fn begin(
    access_detail: AccessDetail,
    session: &Session,
    visit: &Visit,
    gateway: &Gateway,
) -> Option<Box<AccessLine>> {
    if access_detail == AccessDetail::Nothing {
        return None;
    }
    let sent = session.req_header();
    let path = String::from_utf8_lossy(request::path_of(sent)).into_owned();
    let query = match access_detail {
        AccessDetail::Target => {
            sent.raw_path().get(path.len()..).map(|query| String::from_utf8_lossy(query).into_owned())
        }
        AccessDetail::Path | AccessDetail::Nothing => None,
    };
    let served = Served {
        at: gateway.ground.clock().now(),
        client: visit.client,
        user: None,
        method: sent.method.to_string(),
        host: visit.host.clone(),
        target: path,
        version: format!("{:?}", sent.version),
        status: 0,
        bytes: 0,
        took: std::time::Duration::ZERO,
        route: None,
        outcome: Answered::Aborted,
        request_id: visit.request_id.clone(),
    };
    Some(Box::new(AccessLine { served, query }))
}

/// Notes the answer that has been sent so far.
pub(super) fn note(session: &Session, ctx: &mut Context) {
    if let Some(draft) = &mut ctx.tally.line {
        let status = session.response_written().map_or(0, |head| head.status.as_u16());
        draft.note_response(status, session.body_bytes_sent());
    }
}
